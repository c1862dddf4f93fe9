// One game: the frame around its picture.

import { get, post } from "./api.js";
import { board } from "./board.js";
import { chat } from "./chat.js";
import { fill, h, number, points, title } from "./dom.js";
import { grid } from "./grid.js";
import { list } from "./list.js";
import { tiles } from "./tiles.js";
import { watching } from "./watch.js";

// By kind of picture, whatever the task: see lmrl_envs/surface.py.
const VIEWS = { board, chat, grid, list, tiles };

export function showGame(main, key) {
  const page = new GamePage(main, key);
  page.load();
  return () => page.close();
}

class GamePage {
  constructor(main, key) {
    this.main = main;
    this.path = `/api/games/${key}`;
    this.state = null;
    this.busy = false;
    this.open = true;
    this.listeners = new AbortController();
  }

  close() {
    this.open = false;
    this.listeners.abort();
    this.watch?.stop();
  }

  async load() {
    try {
      this.state = await get(this.path);
    } catch (problem) {
      if (this.open) this.lost(problem);
      return;
    }
    if (!this.open) return;
    this.build();
    this.update();
  }

  lost(problem) {
    fill(this.main,
      h("p", { class: "notice", role: "alert" }, problem.message),
      h("p", {}, h("a", { href: "#/", class: "button" }, "All tasks")));
  }

  // -- the frame

  build() {
    const state = this.state;
    document.title = `lmrl: ${title(state.task)}`;
    document.getElementById("where").textContent = title(state.task);
    this.isWatched = state.mode === "watch";
    this.view = VIEWS[state.kind](this);
    this.count = h("span", { class: "count" });
    this.total = h("span", { class: "total" });
    this.notice = h("div", { class: "notice", role: "alert", hidden: true });
    this.result = h("section", { class: "result", "aria-live": "polite", hidden: true });
    this.buttons = h("div", { class: "buttons" });
    this.log = h("ol", { class: "log" });
    this.watch = this.isWatched ? watching(this) : null;
    const wide = matchMedia("(min-width: 60rem)").matches;
    const kinds = { practice: "practice", ranked: "for the leaderboard", watch: `watching ${state.agent}` };
    fill(this.main,
      h("div", { class: "game", "data-kind": state.kind },
        h("div", { class: "bar" }, h("h1", {}, title(state.task)), h("span", { class: "mode" }, kinds[state.mode]), this.count, this.total),
        h("div", { class: "play" },
          h("div", { class: "stage" }, this.view.element),
          h("div", { class: "below" }, this.notice, this.watch?.element, this.isWatched ? null : this.view.input, this.result, this.buttons)),
        h("div", { class: "beside" },
          h("details", { class: "instructions", open: wide },
            h("summary", {}, "How it is played"), h("p", {}, unwrapped(state.instructions))),
          h("details", { class: "words" }, h("summary", {}, "Word for word, as an agent reads it"), this.log))));
    document.addEventListener("keydown", event => this.pressed(event), { signal: this.listeners.signal });
  }

  pressed(event) {
    const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement || event.target instanceof HTMLSelectElement;
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (this.isWatched) return this.watch.pressed(event);
    if (this.busy || this.state.over) return;
    this.view.pressed?.(event);
  }

  update() {
    const state = this.state;
    const shown = state.over ? state.turn : state.turn + 1;
    this.count.textContent = state.limit ? `turn ${Math.min(shown, state.limit)} of ${state.limit}` : `turn ${shown}`;
    this.total.textContent = points(state.return);
    this.view.update(state);
    this.view.input?.toggleAttribute("hidden", state.over);
    this.watch?.update(state);
    fill(this.log, state.turns.map(turn => h("li", { class: turn.action ? "mine" : "", dir: "auto" },
      h("span", { dir: "auto" }, turn.text || "(nothing)"), turn.action ? h("small", {}, number(turn.reward)) : null)));
    this.showResult();
    this.showButtons();
  }

  showButtons() {
    const state = this.state;
    const again = () => this.begin();
    fill(this.buttons, state.over
      ? [h("button", { class: "main", "data-do": "again", onclick: again }, "Again"), h("a", { class: "button", href: "#/" }, "All tasks")]
      : [
        state.mode === "practice" ? h("button", { "data-do": "hint", onclick: () => this.hint() }, "Hint") : null,
        h("button", { "data-do": "give-up", onclick: () => this.giveUp() }, this.isWatched ? "Stop" : "Give up"),
      ]);
    this.setBusy(this.busy);
  }

  setBusy(busy) {
    this.busy = busy;
    this.main.querySelector(".game")?.toggleAttribute("aria-busy", busy);
    for (const button of this.main.querySelectorAll(".below button, .stage button")) {
      // Pausing and judging are for the time in which the agent thinks, too.
      if (!button.closest(".thoughts, .coach, [data-do=toggle]")) button.disabled = busy || (this.state.over && !button.closest(".buttons"));
    }
  }

  showResult() {
    const result = this.state.result;
    this.result.hidden = !result;
    if (!result) return;
    const verdict = result.success ? "Done!" : result.error ? "Given up" : result.truncated ? "Cut off" : "Not this time";
    const kept = this.isWatched ? "" : result.kept ? (result.episode === null ? "This game is kept." : `This game is kept as episode ${result.episode} of the leaderboard's list.`) : "This game is not kept.";
    fill(this.result,
      h("h2", { class: result.success ? "good" : "bad" }, verdict),
      h("p", {}, `Return ${number(this.state.return)} after ${this.state.turn} ${this.state.turn === 1 ? "turn" : "turns"}. `, kept),
      Object.keys(result.hidden).length ? h("dl", { class: "revealed" }, pairs(result.hidden)) : null,
      h("details", {}, h("summary", {}, "Reward of every turn"),
        h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "rewards" }, h("table", {},
          h("thead", {}, h("tr", {}, h("th", {}, "turn"), h("th", {}, "action"), h("th", {}, "reward"))),
          h("tbody", {}, this.state.turns.filter(turn => turn.action).map((turn, i) =>
            h("tr", {}, h("td", {}, i + 1), h("td", { dir: "auto" }, turn.text || "(nothing)"), h("td", {}, number(turn.reward)))))))),
      h("p", { class: "soft" }, `Seed ${result.seed}`));
  }

  // -- doing things

  async send(work) {
    if (this.busy) return;
    this.notice.hidden = true;
    this.setBusy(true);
    try {
      const state = await work();
      if (!this.open) return false;
      if (state.doubt) {
        this.setBusy(false);
        return state.doubt;
      }
      this.state = state;
      this.busy = false;
      this.update();
      this.view.focus?.();
      return true;
    } catch (problem) {
      if (!this.open) return false;
      this.setBusy(false);
      throw problem;
    }
  }

  async play(action, sure = false) {
    try {
      const answer = await this.send(() => post(`${this.path}/actions`, { action, sure, turn: this.state.turn }));
      if (typeof answer === "string") this.say([answer], [["Change it", () => this.quiet()], ["Send it anyway", () => this.play(action, true)]]);
    } catch (problem) {
      this.tell(problem, problem.retry ? [["Try again", () => this.play(action, sure)], ["Give up", () => this.giveUp()]] : []);
    }
  }

  async advance() {
    try {
      return await this.send(() => post(`${this.path}/advance`, { turn: this.state.turn }));
    } catch (problem) {
      this.tell(problem, problem.retry ? [["Try again", () => this.advance()]] : []);
      return false;
    }
  }

  // A person's plus or minus, at this moment; the agent goes on.
  async feedback(value) {
    try {
      await post(`${this.path}/feedback`, { value });
      return true;
    } catch (problem) {
      this.say([problem.message], []);
      return false;
    }
  }

  async hint() {
    try {
      this.setBusy(true);
      const { hint } = await post(`${this.path}/hint`);
      this.setBusy(false);
      const shown = this.state.kind === "board" ? hint.replaceAll(" ", "") : hint;
      this.say([h("span", {}, "The expert would answer: ", h("strong", { class: "hint", dir: "auto" }, shown))], []);
    } catch (problem) {
      this.setBusy(false);
      this.tell(problem, []);
    }
  }

  giveUp() {
    const text = this.state.mode === "ranked" ? "Giving up scores this game with the task's minimum." : "End this game?";
    const end = async () => {
      try {
        await this.send(() => post(`${this.path}/give-up`));
      } catch (problem) {
        this.tell(problem, []);
      }
    };
    if (this.isWatched) return end();
    this.say([text], [["Give up", end], ["Go on", () => this.quiet()]]);
  }

  async begin() {
    try {
      const { task, mode, agent } = this.state;
      const state = await post("/api/games", mode === "watch" ? { task, mode, agent } : { task, mode });
      location.hash = `#/game/${state.id}`;
    } catch (problem) {
      this.tell(problem, []);
    }
  }

  // -- messages

  tell(problem, choices) {
    if (problem.status === 410) choices = [["All tasks", () => { location.hash = "#/"; }]];
    if (problem.status === 409 && !problem.retry) choices = [["Load again", () => this.load()]];
    this.say([problem.message], choices);
  }

  say(content, choices) {
    fill(this.notice, h("p", {}, content), choices.length
      ? h("div", { class: "buttons" }, choices.map(([label, act], i) => h("button", { class: i ? "" : "main", onclick: act }, label))) : null);
    this.notice.hidden = false;
    this.notice.scrollIntoView({ block: "nearest" });
  }

  quiet() {
    this.notice.hidden = true;
    this.view.focus?.();
  }

  // A line to type an action into, for views that want one.
  line(label, { multiline = false, button = "Send" } = {}) {
    const field = multiline
      ? h("textarea", { id: "say", rows: 2, maxlength: 4000, autocomplete: "off" })
      : h("input", { id: "say", maxlength: 4000, autocomplete: "off", autocapitalize: "off", spellcheck: "false" });
    const form = h("form", {
      class: "say",
      onsubmit: event => {
        event.preventDefault();
        this.play(field.value);
      },
    }, h("label", { for: "say" }, label), h("div", { class: "row" }, field, h("button", { type: "submit", class: "main" }, button)));
    if (multiline) {
      field.addEventListener("keydown", event => {
        if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
          event.preventDefault();
          form.requestSubmit();
        }
      });
    }
    return { form, field };
  }
}

// Lines that end in the midst of a sentence were broken for a terminal.
const unwrapped = text => text.replace(/([^.:!?)"])\n(?=\S)/g, "$1 ");

function pairs(values, prefix = "") {
  return Object.entries(values).flatMap(([name, value]) => {
    const label = prefix + name.replaceAll("_", " ");
    if (value && typeof value === "object" && !Array.isArray(value)) return pairs(value, `${label}: `);
    const text = Array.isArray(value) ? value.join(", ") : typeof value === "number" ? number(value) : String(value);
    return [h("div", {}, h("dt", {}, label), h("dd", { dir: "auto" }, text || "nothing"))];
  });
}
