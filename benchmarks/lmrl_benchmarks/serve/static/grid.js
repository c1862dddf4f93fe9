// A map as far as it is known, and four ways to go.

import { fill, h } from "./dom.js";

const MARKS = { "#": "wall", " ": "free", "?": "unknown", ".": "walked", G: "goal", "@": "here" };
const MEANING = { here: "you", goal: "goal", walked: "where you have been", wall: "wall", unknown: "not told yet" };
const LABELS = { up: "\u2191", left: "\u2190", down: "\u2193", right: "\u2192" };

export function grid(page) {
  const { moves } = page.state.picture;
  const map = h("div", { class: "map", role: "img" });
  const told = h("p", { class: "told", role: "status" });
  const pad = h("div", { class: "pad" }, Object.entries(LABELS).map(([way, label]) =>
    h("button", { type: "button", class: `way-${way}`, "data-action": moves[way], "aria-label": moves[way], onclick: () => page.play(moves[way]) }, label)));
  return {
    element: h("div", { class: "board" }, h("div", { class: "land" }, map), told,
      h("p", { class: "legend" }, Object.entries(MEANING).map(([name, text]) => h("span", {}, h("i", { class: name }), text)))),
    input: pad,
    pressed(event) {
      const action = event.key.startsWith("Arrow") && moves[event.key.slice(5).toLowerCase()];
      if (!action) return;
      event.preventDefault();
      page.play(action);
    },
    update(state) {
      const rows = state.picture.rows;
      map.style.gridTemplateColumns = `repeat(${rows[0].length}, 1fr)`;
      map.style.maxWidth = `${Math.min(rows[0].length * 2.4, 34)}rem`;
      map.setAttribute("aria-label", `Map. ${state.turns.at(-1).text}`);
      fill(map, rows.flatMap(row => [...row].map(mark => h("i", { class: MARKS[mark] }))));
      told.textContent = state.turns.at(-1).text;
    },
  };
}
