// Conversations: bubbles, and a field to write in.

import { fill, h, number } from "./dom.js";

const LONG = 300;

export function chat(page) {
  const opening = h("div", { class: "opening" });
  const bubbles = h("div", { class: "chat", role: "log", "aria-label": "Conversation", tabindex: 0 });
  const { form, field } = page.line("Your message", { multiline: true });
  let shown = 0;

  const bubble = (turn, over) => h("div", { class: turn.action ? "mine" : "theirs" },
    h("span", { dir: "auto" }, turn.text || "(nothing)"),
    turn.understood === false ? h("small", {}, "not understood") : null,
    over && turn.action ? h("small", { class: "reward" }, number(turn.reward)) : null);

  return {
    element: h("div", {}, opening, bubbles),
    input: form,
    focus: () => field.focus(),
    update(state) {
      const [first, ...rest] = state.turns;
      // A long opening, such as a list of cars, stays at hand above the conversation.
      if (first.text.length > LONG) fill(opening, opening.firstChild ?? h("details", { open: true }, h("summary", {}, first.text.split("\n")[0]), h("p", { tabindex: "0" }, first.text.split("\n").slice(1).join("\n"))));
      else rest.unshift(first);
      if (state.turn > shown) field.value = "";
      shown = state.turn;
      fill(bubbles, rest.map(turn => bubble(turn, state.over)));
      bubbles.hidden = rest.length === 0;
      bubbles.scrollTop = bubbles.scrollHeight;
    },
  };
}
