"use strict";
// The script of the page on jobs: folds, sorts, filters. It makes no markup of texts.
(() => {
  const byId = (id) => document.getElementById(id);
  const table = document.querySelector(".jobs");
  const jobs = [...table.tBodies];
  const line = (job) => job.rows[0];
  const more = (job) => job.rows[1];

  const button = (label, onclick) => {
    const made = Object.assign(document.createElement("button"), { type: "button", onclick });
    made.append(label);
    return made;
  };

  // Folding

  const open = (job, on) => {
    more(job).hidden = !on;
    line(job).querySelector("button").setAttribute("aria-expanded", String(on));
  };
  for (const job of jobs) {
    const head = line(job).cells[0];
    const name = head.firstElementChild;
    const fold = button("", () => open(job, more(job).hidden));
    head.append(fold);
    fold.append(name);
    more(job).id = `${job.id}-more`;
    fold.setAttribute("aria-controls", more(job).id);
    open(job, false);
    // Phones lay rows out as cards; they stay rows for screen readers.
    job.setAttribute("role", "rowgroup");
    for (const row of job.rows) row.setAttribute("role", "row");
    head.setAttribute("role", "rowheader");
    for (const cell of job.querySelectorAll(":scope > tr > td")) cell.setAttribute("role", "cell");
  }
  table.setAttribute("role", "table");

  // Sorting

  const heads = [...table.tHead.rows[0].cells];
  const value = (job, column) => line(job).cells[column].dataset.value;
  const sort = (column) => {
    const was = heads[column].getAttribute("aria-sort");
    // Counts are most interesting from the top.
    const first = column > 1 && column < 7 ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = was === first ? other : first;
    for (const head of heads) head.removeAttribute("aria-sort");
    heads[column].setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const compare = column === 0
      ? (a, b) => value(a, 0).localeCompare(value(b, 0), "en", { numeric: true })
      : (a, b) => Number(value(a, column)) - Number(value(b, column));
    table.append(...jobs.toSorted((a, b) => sign * compare(a, b)));
  };
  heads.forEach((head, column) => head.replaceChildren(button(head.textContent, () => sort(column))));
  heads[1].setAttribute("aria-sort", "ascending");

  // Filtering

  const LOOKS = [["all", null], ["failed", "failed"], ["to correct", "attention"], ["to run again", "stopped"], ["done", "good"]];
  let look = null;
  let hay = null; // made at the first search

  const show = () => {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length) hay ??= new Map(jobs.map((job) => [job, job.textContent.toLowerCase()]));
    let found = 0;
    for (const job of jobs) {
      const taken = (look === null || job.dataset.look === look) && words.every((word) => hay.get(job).includes(word));
      job.hidden = !taken;
      found += taken;
    }
    byId("count").textContent = countOf(found, jobs.length, "job");
    for (const one of byId("filters").children) one.setAttribute("aria-pressed", String(one.look === look));
  };
  for (const [name, wanted] of LOOKS) {
    const count = jobs.filter((job) => wanted === null || job.dataset.look === wanted).length;
    if (!count) continue;
    const one = button(name, () => { look = wanted; show(); });
    one.look = wanted;
    one.dataset.filter = name;
    one.append(Object.assign(document.createElement("span"), { textContent: number(count) }));
    byId("filters").append(one);
  }
  byId("search").addEventListener("input", show);

  // Links to a job open it

  const follow = () => {
    const job = byId(location.hash.slice(1));
    if (!jobs.includes(job)) return;
    look = null;
    byId("search").value = "";
    show();
    open(job, true);
    job.scrollIntoView();
  };
  addEventListener("hashchange", follow);
  for (const link of document.querySelectorAll('a[href^="#job-"]')) {
    link.addEventListener("click", () => { if (link.hash === location.hash) follow(); });
  }

  byId("tools").hidden = false;
  show();
  follow();
  document.documentElement.dataset.ready = "";
})();
