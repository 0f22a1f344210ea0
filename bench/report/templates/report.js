"use strict";
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const rowsOf = (table) => [...table.tBodies[0].rows];

// Tables sort by a click on a column's head; what has no number stands last.
function key(row, column) {
  const cell = row.cells[column];
  return cell.dataset.value ?? cell.textContent.trim();
}
function sort(table, column) {
  const heads = [...table.tHead.rows[0].cells], head = heads[column];
  const sign = head.ariaSort === "ascending" ? -1 : 1;
  const order = (a, b) => {
    const x = key(a, column), y = key(b, column);
    if (x === "" || y === "") return (x === "") - (y === "");
    const [p, q] = [x, y].map((text) => Number(text.replace("inf", "Infinity")));
    return sign * (isNaN(p) || isNaN(q) ? x.localeCompare(y) : p === q ? 0 : p - q);
  };
  heads.forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
  table.tBodies[0].append(...rowsOf(table).sort(order));
}
for (const table of all("table.sortable"))
  [...table.tHead.rows[0].cells].forEach((head, column) =>
    head.querySelector("button").addEventListener("click", () => sort(table, column)));

// What is not asked for is hidden: games with their sections and columns, rules with their rows, other metrics.
const filters = document.querySelector(".filters"), scores = document.getElementById("scores");
const boxes = (name) => all(`input[name=${name}]`, filters);
function hideColumns(table, hidden) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    for (const row of table.rows) if (row.cells[column]) row.cells[column].hidden = hidden(head);
  });
}
function filter() {
  const chosen = {}, words = [];
  for (const [name, many] of [["rule", "rules"], ["game", "games"]]) {
    const ticked = boxes(name).filter((box) => box.checked).map((box) => box.value), count = boxes(name).length;
    chosen[name] = new Set(ticked);
    words.push(ticked.length === count ? `all ${many}` : `${ticked.length} of ${count} ${many}`);
  }
  const known = new Set(boxes("rule").map((box) => box.value)), metric = filters.querySelector("[name=metric]").value;
  for (const part of all("[data-game]:not(th, td)")) part.hidden = !chosen.game.has(part.dataset.game);
  for (const part of all("[data-rule]:not(td)")) part.hidden = !chosen.rule.has(part.dataset.rule);
  boxes("rule").forEach((box, place) => {  // a rule's parts of figures are called by its place
    for (const part of all(`.r${place}`)) part.toggleAttribute("hidden", !box.checked);
  });
  for (const table of all("table.sortable, table.places")) {
    hideColumns(table, ({dataset: {game, metric: own}}) =>
      (game !== undefined && !chosen.game.has(game)) || (own !== undefined && metric !== "" && own !== metric));
    for (const row of rowsOf(table)) {
      const rule = row.cells[0].dataset.value;
      row.hidden = known.has(rule) && !chosen.rule.has(rule);
    }
  }
  filters.querySelector("[role=status]").textContent = words.join(", ");
}

// The overview of another metric, read from the tables of each game.
const given = new Map(all("td[data-rule]", scores).map((cell) => [cell, {value: cell.dataset.value, look: cell.className,
  heat: cell.style.getPropertyValue("--heat"), parts: [...cell.childNodes]}]));
function column(metric, game) {
  const section = all("section[data-game]").find((part) => part.dataset.game === game);
  const table = section && section.querySelector("table.metrics");
  const heads = table ? [...table.tHead.rows[0].cells] : [];
  const at = heads.findIndex((head) => head.dataset.metric === metric);
  if (at < 0) return null;
  return {better: heads[at].dataset.better, of: new Map(rowsOf(table).map((row) => [row.cells[0].dataset.value, row.cells[at]]))};
}
function shade(cells, better) {
  const ranked = cells.filter((cell) => isFinite(cell.dataset.value) && cell.dataset.value !== "");
  const behind = (a, b) => (better === "higher" ? b.dataset.value - a.dataset.value : a.dataset.value - b.dataset.value);
  for (const cell of ranked) {
    const ahead = ranked.filter((other) => behind(other, cell) < 0).length;
    if (better) cell.className = "heat";
    cell.style.setProperty("--heat", ranked.length > 1 ? 1 - ahead / (ranked.length - 1) : 1);
  }
}
function overview() {
  const metric = filters.querySelector("[name=metric]").value, games = Map.groupBy(given.keys(), (cell) => cell.dataset.game);
  for (const [game, cells] of games) {
    const found = metric && column(metric, game);
    for (const cell of cells) {
      const before = given.get(cell), other = found && found.of.get(cell.dataset.rule);
      cell.className = metric ? "" : before.look;
      cell.style.setProperty("--heat", before.heat);
      cell.dataset.value = metric ? (other ? other.dataset.value : "") : before.value;
      cell.replaceChildren(...(metric ? [other ? other.textContent : "–"] : before.parts));
    }
    if (found) shade(cells, found.better);
  }
  scores.dataset.shows = filters.querySelector("[name=shows]").value;
}
filters.hidden = false;
filters.addEventListener("change", () => { overview(); filter(); });
for (const button of all("legend button", filters))
  button.addEventListener("click", () => {
    const checked = !boxes(button.value).every((box) => box.checked);
    boxes(button.value).forEach((box) => { box.checked = checked; });
    filter();
  });

// Pointing at a rule's name, or at its part of a figure, lights it up in every figure; a click on a name keeps it lit.
const lamp = document.head.appendChild(document.createElement("style")), picked = new Set();
const colours = new Map(all("[data-pick]").map((part) => [part.dataset.pick, part.querySelector(".swatch").style.background]));
const ruleAt = (target) => {
  const part = target.closest && target.closest("[data-pick], svg [class^=r]");
  return part && (part.dataset.pick ?? part.classList[0]);
};
function light(keys) {
  const others = `main svg [class^=r]${keys.map((name) => `:not(.${name})`).join("")} { opacity: 0.18; }`;
  const lit = keys.map((name) => `main svg .${name}.faint path { stroke: ${colours.get(name)} !important; stroke-width: 2 !important; }
    main [data-pick=${name}] { background: color-mix(in srgb, var(--hot) 35%, transparent); border-radius: 4px; }`);
  lamp.textContent = keys.length ? [others, ...lit].join("\n") : "";
}
document.addEventListener("pointerover", ({target}) => {
  const name = ruleAt(target);
  light([...new Set(name ? [...picked, name] : picked)]);
});
document.addEventListener("click", ({target}) => {
  const part = target.closest("[data-pick]");
  if (!part || part.closest(".filters, summary, a")) return;
  const name = part.dataset.pick;
  if (!picked.delete(name)) picked.add(name);
  for (const button of all(".legend button")) button.ariaPressed = picked.has(button.dataset.pick);
  light([...picked]);
});

// A figure that scrolls can be reached by the keyboard.
const sized = new ResizeObserver((entries) => {
  for (const {target} of entries) if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
});
all(".card").forEach((card) => sized.observe(card));

// On paper everything is open.
addEventListener("beforeprint", () => all("main details").forEach((part) => { part.open = true; }));
