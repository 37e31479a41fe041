// The results table: sorted by a click on its heads, filtered by method, control, data and preset.
const table = document.querySelector("#results-table table");
const body = table.tBodies[0];
const rows = [...body.rows];
const filters = [...document.querySelectorAll("[data-filter]")];
const status = document.getElementById("shown");
let sorted = "";

// What a row is sorted by: the first number of its cell, else its text.
function key(row, column) {
  const text = row.cells[column].textContent.trim();
  const number = Number.parseFloat(text.replace(",", ""));
  return Number.isNaN(number) ? text : number;
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en");
}

function sortBy(head) {
  const column = head.cellIndex;
  // Numbers begin with the largest, names with the first.
  const first = head.classList.contains("r") ? "descending" : "ascending";
  const other = first === "ascending" ? "descending" : "ascending";
  const order = head.getAttribute("aria-sort") === first ? other : first;
  for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const known = (row) => row.cells[column].textContent.trim() !== "-";
  rows.sort((a, b) => known(b) - known(a) || sign * compare(key(a, column), key(b, column)));
  for (const row of rows) row.classList.remove("break");
  body.append(...rows);
  sorted = `, by ${head.textContent.trim()}, ${order}`;
  tell();
}

function filter() {
  for (const row of rows) {
    row.hidden = filters.some(
      ({ value, dataset }) => value && row.dataset[dataset.filter] && row.dataset[dataset.filter] !== value,
    );
  }
  tell();
  document.dispatchEvent(new Event("filter"));
}

function tell() {
  const shown = rows.filter((row) => !row.hidden).length;
  status.textContent = `${shown} of ${rows.length} rows${sorted}`;
}

for (const head of table.tHead.rows[0].cells) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...head.childNodes);
  button.addEventListener("click", () => sortBy(head));
  head.append(button);
}
for (const select of filters) select.addEventListener("change", filter);
document.getElementById("filters").hidden = false;
// A link can ask for some rows: page.html?data=human&preset=laptop.
for (const select of filters) {
  const asked = new URLSearchParams(location.search).get(select.dataset.filter);
  if ([...select.options].some(({ value }) => value === asked)) select.value = asked;
}
filter();
