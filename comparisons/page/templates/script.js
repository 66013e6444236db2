"use strict";
// A link to a row opens what it is folded into.
function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let e = target; e; e = e.parentElement) if (e.tagName === "DETAILS") e.open = true;
  target.scrollIntoView({ block: target.matches("tr, a") ? "center" : "start" });
}
addEventListener("hashchange", reveal);
reveal();
addEventListener("click", (event) => {
  // The same link again changes no address, but what it opened may have been closed.
  const link = event.target.closest("a[href]");
  if (link && link.getAttribute("href") === location.hash) reveal();
  // A row that is chosen becomes the address, so that it can be cited.
  const row = event.target.closest(".listing tr[id]");
  if (row && !getSelection().toString()) history.replaceState(null, "", "#" + row.id), row.classList.toggle("chosen");
});
// Paper has no folds: the charts and strips are printed open, the long lists of rows stay folded.
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details.strip:not([open]), details.card:not([open])")];
  for (const e of opened) e.open = true;
});
addEventListener("afterprint", () => {
  for (const e of opened) e.open = false;
});
