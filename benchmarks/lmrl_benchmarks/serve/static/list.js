// A scene in words: what is seen, and what can be done as buttons, or in writing where there are none.

import { fill, h } from "./dom.js";

export function list(page) {
  const scene = h("div", { class: "scene", role: "status" });
  const actions = h("div", { class: "choices" });
  const { form, field } = page.line("Your answer");
  let offered = [], shown = 0;
  return {
    element: scene,
    input: h("div", {}, actions, form),
    focus: () => { if (document.activeElement === document.body) (offered.length ? actions.querySelector("button") : field).focus(); },
    pressed(event) {
      const action = offered[Number(event.key) - 1];
      if (/^[1-9]$/.test(event.key) && action) page.play(action);
    },
    update(state) {
      const { picture } = state;
      offered = picture.actions;
      if (state.turn > shown) field.value = "";
      shown = state.turn;
      const last = state.turns.filter(turn => turn.action).at(-1);
      fill(scene, last ? h("p", { class: "did", dir: "auto" }, `> ${last.text}`) : null, picture.lines.map(line => h("p", { dir: "auto" }, line)),
        picture.map ? h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "map" }, h("pre", {}, picture.map)) : null);
      form.hidden = offered.length > 0;
      fill(actions, offered.map((action, i) => h("button", { type: "button", "data-action": action, onclick: () => page.play(action) },
        i < 9 ? h("kbd", {}, i + 1) : null, action)));
    },
  };
}
