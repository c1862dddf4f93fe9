// Two games side by side, and which is better: by key or button.

import { get, post } from "./api.js";
import { board } from "./board.js";
import { chat } from "./chat.js";
import { fill, h } from "./dom.js";
import { grid } from "./grid.js";
import { list } from "./list.js";
import { tiles } from "./tiles.js";

const VIEWS = { board, chat, grid, list, tiles };
const KEYS = { ArrowLeft: "left", 1: "left", ArrowRight: "right", 2: "right", ArrowDown: "tie", 0: "tie", "=": "tie", s: "skip", u: "undo", Backspace: "undo" };
const LABELS = { left: "\u2190 Left is better", tie: "= Equal", right: "Right is better \u2192", skip: "Skip (s)", undo: "Undo (u)" };

export function showCompare(main) {
  document.title = "lmrl: which is better?";
  let state = null, busy = false;
  const listeners = new AbortController();
  const notice = h("p", { class: "notice", role: "alert", hidden: true });
  const progress = h("p", { class: "soft", role: "status", "data-progress": "" });
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Pairs compared" });
  const sides = h("div", { class: "pair" });
  const how = h("p", {});
  const buttons = h("div", { class: "buttons verdicts" }, Object.entries(LABELS).map(([name, label]) =>
    h("button", { type: "button", "data-say": name, class: ["left", "right"].includes(name) ? "main" : "", onclick: () => say(name) }, label)));

  // The views of games, with nothing to play.
  const drawn = (side, name) => {
    const page = { state: side, busy: true, isWatched: true, play() {}, line: () => ({ form: h("form", {}), field: h("input", {}) }) };
    const view = VIEWS[side.kind](page);
    view.update(side);
    const words = side.kind === "chat" ? null : h("details", {}, h("summary", {}, "Word for word"),
      h("ol", { class: "log" }, side.turns.map(turn => h("li", { class: turn.action ? "mine" : "", dir: "auto" }, turn.text || "(nothing)"))));
    return h("section", { class: "side", "data-side": name, "aria-label": name }, h("h2", {}, name === "left" ? "Left" : "Right"), view.element, words);
  };

  const show = next => {
    state = next;
    progress.textContent = `${state.done} of ${state.of} pairs`;
    bar.max = state.of;
    bar.value = state.done;
    for (const button of buttons.children) button.disabled = button.dataset.say === "undo" ? !state.can_undo : state.over;
    if (state.over) fill(sides, h("p", { class: "done" }, "All pairs are compared. Thank you!"));
    else {
      how.textContent = state.instructions;
      fill(sides, drawn(state.sides[0], "left"), drawn(state.sides[1], "right"));
    }
  };

  const say = async name => {
    if (busy || !state || (name === "undo" ? !state.can_undo : state.over)) return;
    busy = true;
    notice.hidden = true;
    try {
      show(name === "undo" ? await post("/api/compare/undo", { number: state.number }) : await post("/api/compare/say", { number: state.number, answer: name }));
    } catch (problem) {
      notice.textContent = problem.message;
      notice.hidden = false;
      if (problem.status === 409) await load();
    }
    busy = false;
  };

  const load = async () => {
    try {
      show(await get("/api/compare"));
    } catch (problem) {
      notice.textContent = problem.message;
      notice.hidden = false;
    }
  };

  document.addEventListener("keydown", event => {
    const name = KEYS[event.key];
    if (!name || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    event.preventDefault();
    say(name);
  }, { signal: listeners.signal });
  fill(main, h("h1", {}, "Which is better?"), progress, bar, notice, sides, buttons,
    h("details", { class: "instructions" }, h("summary", {}, "How it is played"), how));
  load();
  return () => listeners.abort();
}
