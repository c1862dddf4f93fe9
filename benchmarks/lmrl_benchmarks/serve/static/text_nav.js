// A house of text: what is seen, and what can be done as buttons.

import { fill, h } from "./dom.js";

export function textNav(page) {
  const scene = h("div", { class: "scene", role: "status" });
  const actions = h("div", { class: "choices" });
  let offered = [];
  return {
    element: scene,
    input: actions,
    focus: () => { if (document.activeElement === document.body) actions.querySelector("button")?.focus(); },
    pressed(event) {
      const action = offered[Number(event.key) - 1];
      if (/^[1-9]$/.test(event.key) && action) page.play(action);
    },
    update(state) {
      offered = state.view.actions;
      const last = state.turns.filter(turn => turn.action).at(-1);
      fill(scene, last ? h("p", { class: "did", dir: "auto" }, `> ${last.text}`) : null, state.view.lines.map(line => h("p", { dir: "auto" }, line)));
      fill(actions, offered.map((action, i) => h("button", { type: "button", "data-action": action, onclick: () => page.play(action) },
        i < 9 ? h("kbd", {}, i + 1) : null, action)));
    },
  };
}
