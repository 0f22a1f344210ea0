"use strict";
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// What is not asked for is hidden: contests with their columns, rules with their rows, runs that were not verified.
const form = document.querySelector(".choices"), places = document.getElementById("places");
const rows = [...places.tBodies[0].rows], contests = all(".contest");
const asked = (name) => form.elements[name]?.value ?? "";
function choose() {
  const part = asked("rule").trim().toLowerCase(), verified = form.elements.verified.checked;
  const open = new Set(contests.filter(({dataset}) =>
    ["kind", "budget", "tuning"].every((name) => asked(name) === "" || asked(name) === dataset[name])).map(({dataset}) => dataset.contest));
  for (const cell of all("[data-contest]")) cell.hidden = !open.has(cell.dataset.contest);
  const meant = (row) => row.dataset.rule.toLowerCase().includes(part);
  for (const row of all(".entries tbody tr")) row.hidden = !meant(row) || (verified && row.dataset.verified !== "1");
  const order = rows.map((row, place) => {
    const cells = [...row.cells].filter((cell) => cell.dataset.level && open.has(cell.dataset.contest));
    for (const cell of cells) cell.classList.toggle("dim", verified && cell.dataset.verified !== "1");
    const counted = cells.filter((cell) => !cell.classList.contains("dim"));
    const level = counted.filter((cell) => cell.dataset.level === "1").length;
    row.hidden = !meant(row) || counted.length === 0;
    const words = row.querySelector(".group");
    words.firstChild.textContent = level;
    words.lastChild.textContent = ` of ${counted.length}`;
    return {row, level, counted: counted.length, place};
  });
  order.sort((a, b) => b.level - a.level || a.counted - b.counted || a.place - b.place);
  places.tBodies[0].append(...order.map(({row}) => row));
  const seen = rows.filter((row) => !row.hidden).length;
  const of = (few, many) => (few === many ? `all ${many}` : `${few} of ${many}`);
  form.querySelector("[role=status]").textContent = `${of(open.size, contests.length)} contests, ${of(seen, rows.length)} rules`;
}
form.hidden = false;
form.addEventListener("input", choose);
form.addEventListener("submit", (event) => event.preventDefault());
choose();
