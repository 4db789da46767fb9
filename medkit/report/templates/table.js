// Search, sort, filter and page through the table of results. Without this script all rows are shown.
const table = document.querySelector("table"), body = table.tBodies[0], page = 100;
const rows = [...body.rows].map(row => ({row, text: row.textContent.toLowerCase(), status: row.dataset.status}));
const find = document.getElementById("find"), status_ = document.getElementById("status");
const back = document.getElementById("back"), next = document.getElementById("next"), said = document.getElementById("said");
let shown = rows, from = 0, sorted = null, way = 1;

function value(entry, column) {
  const cell = entry.row.cells[column], text = cell.dataset.value ?? cell.textContent.trim(), number = Number(text);
  return text === "" ? null : Number.isNaN(number) ? text : number;
}
function compare(a, b) {  // numbers before words, empty cells last
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return way * (typeof a === "number" ? a - b : a.localeCompare(b));
}
function draw() {
  body.replaceChildren(...shown.slice(from, from + page).map(entry => entry.row));
  back.disabled = from === 0;
  next.disabled = from + page >= shown.length;
  said.textContent = shown.length ? `${from + 1} to ${Math.min(from + page, shown.length)} of ${shown.length} reports` : "No report fits.";
}
function choose() {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  shown = rows.filter(r => (!status_.value || r.status === status_.value) && words.every(w => r.text.includes(w)));
  if (sorted !== null) {
    const keyed = shown.map(r => [value(r, sorted), r]);
    shown = keyed.sort((a, b) => compare(a[0], b[0])).map(pair => pair[1]);
  }
  from = 0;
  draw();
}
[...table.tHead.rows[0].cells].forEach((head, column) => {
  const button = document.createElement("button");
  button.append(...head.childNodes);
  head.append(button);
  button.addEventListener("click", () => {
    way = sorted === column ? -way : 1;
    sorted = column;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
    choose();
  });
});
find.addEventListener("input", choose);
status_.addEventListener("change", choose);
back.addEventListener("click", () => { from -= page; draw(); });
next.addEventListener("click", () => { from += page; draw(); });
document.addEventListener("keydown", event => {
  if (event.key === "/" && document.activeElement !== find) { event.preventDefault(); find.focus(); }
});
document.getElementById("tools").hidden = false;
draw();
body.style.display = "table-row-group";  // hidden so far: a browser takes ten seconds to lay out 10,000 rows
