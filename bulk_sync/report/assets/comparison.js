"use strict";
// The script of a comparison's page: search and filters. It makes no markup of texts.
(() => {
  const byId = (id) => document.getElementById(id);
  const rows = [...document.querySelectorAll(".compared")];
  const fold = document.querySelector(".fold");
  const classes = [...new Set(rows.map((row) => row.dataset.class))];
  let wanted = null;
  let hay = null; // made at the first search

  const show = () => {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length) hay ??= new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
    let found = 0;
    let folded = 0;
    for (const row of rows) {
      const taken = (wanted === null || row.dataset.class === wanted) && words.every((word) => hay.get(row).includes(word));
      row.hidden = !taken;
      found += taken;
      folded += taken && row.parentElement === fold;
    }
    if (fold) {
      fold.hidden = folded === 0;
      fold.open = folded > 0 && (words.length > 0 || wanted !== null);
    }
    byId("count").textContent = countOf(found, rows.length, "row");
    for (const one of byId("filters").children) one.setAttribute("aria-pressed", String(one.wanted === wanted));
  };

  for (const name of classes.length > 1 ? [null, ...classes] : []) {
    const label = name === null ? "all" : name.replace("_", " ");
    const count = rows.filter((row) => name === null || row.dataset.class === name).length;
    const button = Object.assign(document.createElement("button"), { type: "button", wanted: name, onclick: () => { wanted = name; show(); } });
    button.append(label, Object.assign(document.createElement("span"), { textContent: number(count) }));
    button.dataset.filter = label;
    byId("filters").append(button);
  }
  byId("search").addEventListener("input", show);
  byId("tools").hidden = rows.length === 0;
  show();
  document.documentElement.dataset.ready = "";
})();
