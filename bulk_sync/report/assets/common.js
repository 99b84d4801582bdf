"use strict";
// The script of every page.

const number = (count) => count.toLocaleString("en");

// "1 row", "7 rows", "3 of 7 rows"
const countOf = (found, all, noun, of = "") => {
  const whole = `${number(all)} ${noun}${all === 1 ? "" : "s"}`;
  return found === all ? whole : `${number(found)} of ${whole}${of}`;
};

// Charts fold on a phone, and what is folded on a screen opens in print.
(() => {
  const folds = [...document.querySelectorAll("details[data-fold]")];
  if (matchMedia("(max-width: 640px)").matches) {
    for (const fold of folds) if (fold.dataset.fold === "phone") fold.open = false;
  }
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = folds.filter((fold) => !fold.open);
    for (const fold of opened) fold.open = true;
  });
  addEventListener("afterprint", () => {
    for (const fold of opened) fold.open = false;
  });
})();
