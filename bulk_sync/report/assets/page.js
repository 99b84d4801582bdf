"use strict";
// The page's own script: charts and the table of rows. Texts of rows become text nodes, nothing else.
(() => {
  const byId = (id) => document.getElementById(id);

  const make = (name, properties, ...inside) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...inside);
    return made;
  };

  // Charts

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  const clock = (seconds) => {
    if (seconds < 60) return `${+seconds.toFixed(2)} s`;
    const minutes = Math.floor(seconds / 60);
    const rest = String(Math.floor(seconds % 60)).padStart(2, "0");
    return minutes < 60 ? `${minutes}:${rest}` : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
  };

  const short = (number) => (number === null || number === undefined ? "–" : Number(number.toPrecision(3)).toLocaleString("en"));
  const time = (ms) => (ms === null || ms === undefined ? "–" : ms < 1000 ? `${Math.round(ms)} ms` : `${short(ms / 1000)} s`);

  const drawCharts = (data) => {
    const steps = uPlot.paths.stepped({ align: 1 });
    const bars = uPlot.paths.bars({ align: 1, size: [0.86, 60] });
    const few = data.at.length <= 40;
    // A step ends where the next begins; the last one ends with the run.
    const edges = [...data.at, data.lasted];
    const closed = (values) => [...values, values.at(-1)];
    const middles = data.at.map((at, n) => (at + edges[n + 1]) / 2);
    const area = (name, paths) => ({ stroke: () => colour(name), fill: () => colour(`${name}-area`), width: 1.5, paths, points: { show: false } });
    const line = (name, dash, paths) => ({ stroke: () => colour(name), width: name === "requests" ? 1 : 2, dash, paths, points: { show: false } });
    const smooth = (name, dash) => ({ ...line(name, dash), spanGaps: true, points: { show: few, size: 5, fill: () => colour(name) } });
    const fastest = Math.max(...data.rows, ...data.requests);
    const limits = data.limit.filter((limit) => limit !== null);
    // A limit far above would flatten everything else: then only the figures above the charts name it.
    const limitFits = limits.length > 0 && Math.max(...limits) <= 6 * fastest;
    const charts = {
      rate: {
        data: [edges, closed(data.rows), closed(data.requests), closed(data.limit.map((limit) => (limitFits ? limit : null)))],
        series: [area("rows", steps), line("requests", undefined, steps), line("limit", [7, 5], steps)],
        say: (n) => `${short(data.rows[n])} rows/s, ${short(data.requests[n])} requests/s, limit ${data.limit[n] === null ? "unknown" : `${short(data.limit[n])}/s`}`,
        tick: short, height: 230,
      },
      latency: {
        data: [middles, data.p50, data.p90, data.p99],
        series: [smooth("p50"), smooth("p90", [6, 3]), smooth("p99", [2, 3])],
        say: (n) => `p50 ${time(data.p50[n])}, p90 ${time(data.p90[n])}, p99 ${time(data.p99[n])}`,
        tick: time, height: 190,
      },
      again: {
        data: [edges, [...data.throttled.map((count) => count || null), null], [...data.retries, data.retries.at(-1)]],
        series: [area("throttled", bars), line("retries", [5, 3], steps)],
        say: (n) => `${short(data.throttled[n])} throttled, ${short(data.retries[n])} retries in ${clock(data.width)}`,
        tick: (count) => (Number.isInteger(count) ? short(count) : ""), height: 150,
      },
    };
    const axis = { stroke: () => colour("muted"), font: "12px system-ui, sans-serif", grid: { stroke: () => colour("grid"), width: 1 }, ticks: { show: false } };

    const markRuns = (plot) => {
      const { ctx, bbox } = plot;
      ctx.save();
      ctx.strokeStyle = ctx.fillStyle = colour("muted");
      ctx.setLineDash([2, 4]);
      ctx.lineWidth = uPlot.pxRatio;
      ctx.font = `${11 * uPlot.pxRatio}px system-ui, sans-serif`;
      ctx.textAlign = "left";
      let free = -Infinity;
      data.begins.forEach((at, n) => {
        if (n === 0) return;
        const x = Math.round(plot.valToPos(at, "x", true));
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
        const label = `run ${n + 1}`;
        const wide = ctx.measureText(label).width;
        if (x < free || x + wide + 4 * uPlot.pxRatio > bbox.left + bbox.width) return;
        ctx.fillText(label, x + 4 * uPlot.pxRatio, bbox.top + 11 * uPlot.pxRatio);
        free = x + wide + 12 * uPlot.pxRatio;
      });
      ctx.restore();
    };

    const plots = [...document.querySelectorAll("[data-chart]")].map((place) => {
      const chart = charts[place.dataset.chart];
      const readout = place.closest("figure").querySelector(".readout");
      const plot = new uPlot({
        width: Math.max(200, place.clientWidth), height: chart.height, legend: { show: false }, padding: [10, 14, 0, 0],
        cursor: { sync: { key: "time", scales: ["x", null] }, drag: { x: false, y: false }, y: false, points: { show: false } },
        scales: {
          x: { time: false, range: [0, data.lasted] },
          y: { range: (_, least, most) => [0, most > 0 ? most * 1.08 : 1] },
        },
        axes: [
          { ...axis, size: 26, gap: 6, label: "time spent sending", labelSize: 20, labelFont: "12px system-ui, sans-serif", labelGap: 2, space: 64,
            incrs: [0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400],
            values: (_, at) => at.map(clock) },
          { ...axis, size: 58, gap: 8, space: 34, values: (_, at) => at.map(chart.tick) },
        ],
        series: [{}, ...chart.series],
        hooks: {
          draw: [markRuns],
          setCursor: [(self) => {
            const left = self.cursor.left;
            const at = left >= 0 ? self.posToVal(left, "x") : -1;
            const n = at < 0 ? -1 : data.at.findLastIndex((begin) => begin <= at);
            readout.textContent = n < 0 ? "" : `after ${clock(data.at[n])}: ${chart.say(n)}`;
          }],
        },
      }, chart.data, place);
      for (const canvas of place.querySelectorAll("canvas")) canvas.setAttribute("aria-hidden", "true");
      return { plot, place, height: chart.height };
    });

    const fit = (width) => {
      for (const { plot, place, height } of plots) plot.setSize({ width: Math.max(200, width || place.clientWidth), height });
    };
    const recolour = () => plots.forEach(({ plot }) => plot.redraw(false, true));
    new ResizeObserver(() => document.documentElement.hasAttribute("data-print") || fit()).observe(plots[0].place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
    const printing = (on) => {
      document.documentElement.toggleAttribute("data-print", on);
      fit(on ? 690 : 0);
      recolour();
    };
    addEventListener("beforeprint", () => printing(true));
    addEventListener("afterprint", () => printing(false));
  };

  if (byId("drawing")) drawCharts(JSON.parse(byId("drawing").textContent));

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

  let filter = filters[0];
  let cause = null;
  let found = rows;
  let page = 0;

  const number = (value) => value.toLocaleString("en");

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
    const all = found.length === rows.length ? `${number(rows.length)} rows` : `${number(found.length)} of ${number(rows.length)} rows${of}`;
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
  show();
  document.documentElement.dataset.ready = "";
})();
