"use strict";
// The script of a run's page: the table of rows. Texts of rows become text nodes, nothing else.
(() => {
  const byId = (id) => document.getElementById(id);

  const make = (name, properties, ...inside) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...inside);
    return made;
  };

  // The figures under the pointer, in the words of the table

  const figures = document.querySelector(".numbers");
  for (const plot of document.querySelectorAll(".plot")) {
    const readout = plot.closest("figure").querySelector(".readout");
    const cursor = plot.querySelector(".cursor");
    const chart = plot.querySelector(".chart");
    const share = Number(plot.dataset.width) / Number(plot.dataset.lasted);
    const heads = [...figures.tHead.rows[0].cells];
    chart.addEventListener("pointermove", (event) => {
      const box = chart.getBoundingClientRect();
      const at = Math.max(0, (event.clientX - box.left) / box.width);
      const line = figures.tBodies[0].rows[Math.min(figures.tBodies[0].rows.length - 1, Math.floor(at / share))];
      const parts = plot.dataset.columns.split(" ").map((n) => `${heads[n].textContent} ${line.cells[n].textContent}`);
      readout.textContent = `after ${line.cells[0].textContent}: ${parts.join(", ")}`;
      cursor.setAttribute("x", `${100 * Math.min(1, at)}%`);
      cursor.classList.add("on");
    });
    chart.addEventListener("pointerleave", () => {
      readout.textContent = "";
      cursor.classList.remove("on");
    });
  }

  // Rows

  const ROW = 0, KEY = 1, STATE = 2, ATTEMPTS = 3, STATUS = 4, SENT = 5, TOOK = 6, ERROR = 7, MESSAGE = 8, FIELDS = 9, SHOWING = 10;
  const ON_A_PAGE = 50;
  const SHORT_MESSAGE = 240;

  const table = byId("table");
  const states = JSON.parse(table.dataset.states);
  const mostShared = Number(table.dataset.shared);
  const rows = JSON.parse(byId("data").textContent);
  const texts = [];
  for (const row of rows) {
    for (const place of [ERROR, MESSAGE, FIELDS]) {
      const text = row[place];
      if (typeof text === "number") row[place] = texts[text];
      else if (typeof text === "string" && texts.length < mostShared) texts.push(text);
    }
  }

  // Invisible characters, and those that change the direction of writing, are shown as escapes.
  const UNSEEN = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}]|(?![\u200c\u200d])\p{Cf}/gu;
  const escapeOf = (character) => {
    const code = character.codePointAt(0).toString(16);
    return code.length <= 2 ? `\\x${code.padStart(2, "0")}` : code.length <= 4 ? `\\u${code.padStart(4, "0")}` : `\\U${code.padStart(8, "0")}`;
  };
  const shown = (text) => text.replace(UNSEEN, escapeOf);

  let haystack = null; // made at the first search
  const hay = () => (haystack ??= rows.map((row) =>
    [row[ROW], row[KEY], row[ERROR], row[MESSAGE], row[FIELDS], row[SHOWING]].filter((part) => part !== undefined && part !== null).join("\n").toLowerCase()));

  const withErrors = new Set(["invalid", "rejected", "failed"]);
  const filters = [{ name: "all", takes: () => true }];
  const counts = states.map(() => 0);
  for (const row of rows) counts[row[STATE]] += 1;
  const bad = states.map((name, n) => n).filter((n) => withErrors.has(states[n]) && counts[n]);
  if (bad.length > 1) filters.push({ name: "with errors", takes: (row) => bad.includes(row[STATE]) });
  states.forEach((name, n) => counts[n] && filters.push({ name, takes: (row) => row[STATE] === n }));

  // Rows open on those to correct.
  let filter = filters.find((one) => one.name === "with errors") ?? filters.find((one) => withErrors.has(one.name)) ?? filters[0];
  let cause = null;
  let found = rows;
  let page = 0;

  const time = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${number(Number((ms / 1000).toPrecision(3)))} s`);

  const choose = () => {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    found = [];
    for (let n = 0; n < rows.length; n += 1) {
      const row = rows[n];
      if (filter.takes(row) && (cause === null || row[ERROR] === cause) && words.every((word) => hay()[n].includes(word))) found.push(row);
    }
    page = 0;
    show();
  };

  const cell = (name, className, ...inside) => make(name, { className }, ...inside);

  const swatch = (name) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    for (const [key, value] of Object.entries({ width: 12, height: 12, class: "swatch", "aria-hidden": "true" })) svg.setAttribute(key, value);
    for (const [key, value] of Object.entries({ width: 12, height: 12, rx: 3, class: `s-${name}` })) rect.setAttribute(key, value);
    svg.append(rect);
    return svg;
  };

  const said = (row) => {
    const parts = [];
    if (row[ERROR]) parts.push(make("code", {}, shown(row[ERROR])), " ");
    const message = shown(row[MESSAGE] ?? "");
    if (message.length > SHORT_MESSAGE) {
      const begin = [...message].slice(0, SHORT_MESSAGE - 40).join("");
      parts.push(make("details", {}, make("summary", {}, make("bdi", {}, `${begin}…`)), make("bdi", {}, message)));
    } else if (message) parts.push(make("bdi", {}, message));
    return parts;
  };

  const sentAt = (seconds) => (seconds ? new Date(seconds * 1000).toISOString().slice(5, 19).replace("T", " ") : "");

  const lineOf = (row) => {
    const name = states[row[STATE]];
    const key = make("bdi", {}, shown(row[KEY]));
    const title = [row[SHOWING] && `showing ${row[SHOWING]}`, row[FIELDS] && `fields: ${row[FIELDS]}`].filter(Boolean).join("\n");
    const head = cell("th", "", number(row[ROW]));
    head.scope = "row";
    const keyCell = cell("td", "key-cell", key);
    if (title) keyCell.title = shown(title);
    const line = make("tr", {},
      head, keyCell, cell("td", "state", swatch(name), name), cell("td", "said", ...said(row)),
      cell("td", "number", row[ATTEMPTS] ? number(row[ATTEMPTS]) : ""), cell("td", "number", row[STATUS] ?? ""),
      cell("td", "", sentAt(row[SENT])), cell("td", "number", row[TOOK] === undefined || row[TOOK] === null ? "" : time(row[TOOK])));
    line.setAttribute("role", "row"); // on a phone rows are laid out as cards, and would no longer be rows
    for (const child of line.children) child.setAttribute("role", child === head ? "rowheader" : "cell");
    return line;
  };

  const pages = byId("pages");
  const turn = (label, to) => make("button", { type: "button", textContent: label, onclick: () => { page = to(); show(); byId("count").scrollIntoView({ block: "nearest" }); } });
  const last = () => Math.max(0, Math.ceil(found.length / ON_A_PAGE) - 1);
  const [first, previous, next, end] = [turn("First", () => 0), turn("Previous", () => page - 1), turn("Next", () => page + 1), turn("Last", last)];
  const where = make("span", {});
  pages.append(first, previous, where, next, end);

  const show = () => {
    const begin = page * ON_A_PAGE;
    const lines = found.slice(begin, begin + ON_A_PAGE).map(lineOf);
    byId("body").replaceChildren(...(lines.length ? lines : [make("tr", {}, make("td", { colSpan: 8, className: "none" }, "No rows match."))]));
    const of = cause === null ? "" : ` with ${cause}`;
    const all = countOf(found.length, rows.length, "row", of);
    byId("count").textContent = found.length > ON_A_PAGE ? `${all}; showing ${number(begin + 1)} to ${number(Math.min(begin + ON_A_PAGE, found.length))}` : all;
    where.textContent = `Page ${number(page + 1)} of ${number(last() + 1)}`;
    first.disabled = previous.disabled = page === 0;
    next.disabled = end.disabled = page >= last();
    pages.hidden = last() === 0;
    for (const button of byId("filters").children) button.setAttribute("aria-pressed", String(button.filter === filter && cause === null));
  };

  const take = (newFilter, newCause) => {
    filter = newFilter;
    cause = newCause;
    choose();
  };

  for (const one of filters) {
    const count = one === filters[0] ? rows.length : rows.filter(one.takes).length;
    const button = make("button", { type: "button", filter: one, onclick: () => take(one, null) }, one.name, make("span", {}, number(count)));
    button.dataset.filter = one.name;
    byId("filters").append(button);
  }

  for (const button of document.querySelectorAll("[data-cause]")) {
    button.hidden = false;
    button.onclick = () => {
      byId("search").value = "";
      take(filters[0], button.dataset.cause);
      byId("rows").scrollIntoView();
      byId("search").focus({ preventScroll: true });
    };
  }

  let waiting = 0;
  byId("search").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(choose, rows.length > 5000 ? 150 : 0);
  });

  for (const part of ["thead", "tbody"]) table.querySelector(`.rows ${part}`).setAttribute("role", "rowgroup");
  table.querySelector(".rows").setAttribute("role", "table");
  table.querySelector(".rows thead tr").setAttribute("role", "row");
  for (const head of table.querySelectorAll(".rows thead th")) head.setAttribute("role", "columnheader");
  table.hidden = rows.length === 0;
  choose();
  document.documentElement.dataset.ready = "";
})();
