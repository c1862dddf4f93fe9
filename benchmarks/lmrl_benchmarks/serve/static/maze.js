// A maze: the map as far as it has been told, and four ways to go.

import { fill, h } from "./dom.js";

const MARKS = { "#": "wall", " ": "free", "?": "unknown", ".": "walked", G: "goal", "@": "here" };
const MOVES = { ArrowUp: "move up", ArrowDown: "move down", ArrowLeft: "move left", ArrowRight: "move right" };
const BUTTONS = [["\u2191", "move up"], ["\u2190", "move left"], ["\u2193", "move down"], ["\u2192", "move right"]];

export function maze(page) {
  const map = h("div", { class: "map", role: "img" });
  const told = h("p", { class: "told", role: "status" });
  const pad = h("div", { class: "pad" }, BUTTONS.map(([label, action]) =>
    h("button", { type: "button", class: action.replace(" ", "-"), "data-action": action, "aria-label": action, onclick: () => page.play(action) }, label)));
  return {
    element: h("div", { class: "board" }, h("div", { class: "land" }, map), told,
      h("p", { class: "legend" }, Object.entries({ here: "you", goal: "goal", walked: "where you have been", wall: "wall", unknown: "not told yet" }).map(([name, text]) => h("span", {}, h("i", { class: name }), text)))),
    input: pad,
    pressed(event) {
      const action = MOVES[event.key];
      if (!action) return;
      event.preventDefault();
      page.play(action);
    },
    update(state) {
      const rows = state.view.rows;
      map.style.gridTemplateColumns = `repeat(${rows[0].length}, 1fr)`;
      map.style.maxWidth = `${Math.min(rows[0].length * 2.4, 34)}rem`;
      map.setAttribute("aria-label", `Map. ${state.turns.at(-1).text}`);
      fill(map, rows.flatMap(row => [...row].map(mark => h("i", { class: MARKS[mark] }))));
      told.textContent = state.turns.at(-1).text;
    },
  };
}
