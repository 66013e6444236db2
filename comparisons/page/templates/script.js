"use strict";
// A link to a row opens what it is folded into.
function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let e = target; e; e = e.parentElement) if (e.tagName === "DETAILS") e.open = true;
  target.scrollIntoView({ block: "center" });
}
addEventListener("hashchange", reveal);
reveal();
// A row that is chosen becomes the address, so that it can be cited.
addEventListener("click", (event) => {
  const row = event.target.closest(".listing tr[id]");
  if (row && !getSelection().toString()) history.replaceState(null, "", "#" + row.id), row.classList.toggle("chosen");
});
// Paper has no folds: the charts and strips are printed open, the long lists of rows stay folded.
addEventListener("beforeprint", () => {
  for (const e of document.querySelectorAll("details.strip, details.card")) e.open = true;
});
