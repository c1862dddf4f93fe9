"use strict";
// Tables sort by their cells' data-value (a number) or text; without JavaScript they stand as they are.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") === "descending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = row => {
        const cell = row.cells[column];
        const text = cell.dataset.value ?? cell.textContent.trim();
        const number = text === "" ? NaN : Number(text);
        return Number.isNaN(number) ? text : number;
      };
      const rows = [...body.rows].map(row => [key(row), row]);
      rows.sort(([a], [b]) => {
        if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
        const order = typeof a === "number" ? a - b : a.localeCompare(b);
        return up ? order : -order;
      });
      for (const [, row] of rows) row.classList.remove("first");
      table.classList.add("loose");
      body.replaceChildren(...rows.map(([, row]) => row));
    });
  });
}

// Filters: rows and games of one task, of one agent. What is chosen in one place is chosen in the other.
const filters = [...document.querySelectorAll("select[data-filter]")];
for (const filter of filters) {
  filter.addEventListener("change", () => {
    const chosen = {};
    for (const other of filters) {
      if (other.dataset.filter === filter.dataset.filter) other.value = filter.value;
      chosen[other.dataset.filter] = other.value;
    }
    for (const item of document.querySelectorAll("[data-task]")) {
      item.hidden = Object.entries(chosen).some(([key, value]) => value !== "" && key in item.dataset && item.dataset[key] !== value);
    }
    document.getElementById("rows").classList.add("loose");
  });
}
for (const tools of document.querySelectorAll(".tools")) tools.hidden = false;

// Boards: step through the positions of a game.
const PIECES = { k: "\u265a", q: "\u265b", r: "\u265c", b: "\u265d", n: "\u265e", p: "\u265f" };
for (const steps of document.querySelectorAll(".steps")) {
  const board = steps.parentElement.querySelector(".board");
  const boards = board.dataset.boards.split(" ");
  const slider = steps.querySelector("input");
  const label = steps.querySelector("output");
  const show = () => {
    const at = Number(slider.value), now = boards[at], before = boards[Math.max(0, at - 1)];
    [...board.children].forEach((square, i) => {
      const piece = now[i];
      square.textContent = piece === "." ? "" : PIECES[piece.toLowerCase()] + "\ufe0e";
      square.classList.toggle("w", piece !== "." && piece === piece.toUpperCase());
      square.classList.toggle("m", now[i] !== before[i]);
    });
    label.textContent = at === 0 ? "start" : "after turn " + at;
  };
  const [back, next] = steps.querySelectorAll("button");
  back.addEventListener("click", () => { slider.stepDown(); show(); });
  next.addEventListener("click", () => { slider.stepUp(); show(); });
  slider.addEventListener("input", show);
  steps.hidden = false;
}
