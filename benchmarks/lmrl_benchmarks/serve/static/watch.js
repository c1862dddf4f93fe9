// Watching an agent: it plays by itself or step by step; beside it what it tells of its decisions.

import { fill, h, number } from "./dom.js";

const PAUSES = { slow: 2500, normal: 1000, fast: 150 };

export function watching(page) {
  const told = h("span", { class: "soft", role: "status", "data-told": "" });
  let plus = 0, minus = 0;
  const judge = async value => {
    if (!(await page.feedback(value))) return;
    if (value > 0) plus += 1; else minus += 1;
    told.textContent = `+${plus} \u2212${minus}`;
  };
  const coach = h("div", { class: "buttons coach", hidden: !page.state.coached },
    h("button", { type: "button", "data-judge": 1, onclick: () => judge(1) }, "+ good"),
    h("button", { type: "button", "data-judge": -1, onclick: () => judge(-1) }, "\u2212 bad"), told);
  const toggle = h("button", { type: "button", class: "main", "data-do": "toggle", onclick: () => (timer === null ? start() : stop()) }, "Go");
  const step = h("button", { type: "button", "data-do": "step", onclick: () => { stop(); page.advance(); } }, "One turn");
  const speed = h("select", { id: "speed" }, Object.keys(PAUSES).map(name => h("option", { selected: name === "normal" }, name)));
  const heading = h("h2", {});
  const back = h("button", { type: "button", "data-do": "earlier", "aria-label": "earlier turn", onclick: () => show(shown - 1) }, "\u2039");
  const on = h("button", { type: "button", "data-do": "later", "aria-label": "later turn", onclick: () => show(shown + 1) }, "\u203a");
  const content = h("div", {});
  const panel = h("section", { class: "thoughts", "aria-label": "The agent's decision", hidden: true }, h("div", { class: "bar" }, heading, back, on), content);
  let timer = null, shown = 0, decided = [];

  const stop = () => {
    clearTimeout(timer);
    timer = null;
    toggle.textContent = "Go";
  };

  const start = () => {
    toggle.textContent = "Pause";
    const turn = async () => {
      const went = await page.advance();
      if (timer === null || !went || page.state.over) return stop();
      timer = setTimeout(turn, PAUSES[speed.value]);
    };
    timer = setTimeout(turn, 0);
  };

  const chip = token => {
    const end = token.text === "<eoa>";
    const percent = Math.round(token.probability * 100);
    const shade = h("span", { class: `token ${end ? "end" : ""}`, title: `probability ${token.probability.toFixed(4)}` },
      h("b", {}, end ? "end" : token.text.replaceAll(" ", "\u00b7").replaceAll("\n", "\u21b5") || "\u2205"), h("small", {}, `${percent} %`),
      token.value !== null ? h("small", {}, `V ${number(token.value)}`) : null);
    shade.style.setProperty("--share", token.probability.toFixed(3));
    return shade;
  };

  const bars = (values, taken) => {
    const known = values.map(entry => entry.value);
    const low = Math.min(...known), span = Math.max(...known) - low || 1;
    return h("table", { class: "values" }, h("tbody", {}, values.map(entry => {
      const bar = h("i", {});
      bar.style.width = `${4 + (96 * (entry.value - low)) / span}%`;
      return h("tr", { class: entry.action === taken ? "taken" : "" }, h("td", { dir: "auto" }, entry.action), h("td", { class: "bars" }, bar), h("td", {}, number(entry.value)));
    })));
  };

  const show = turn => {
    shown = Math.max(0, Math.min(decided.length - 1, turn));
    const entry = decided[shown];
    panel.hidden = !entry;
    if (!entry) return;
    const { tokens, alternatives, raw, value, action_value: ofAction } = entry.thoughts;
    const all = tokens.reduce((product, token) => product * token.probability, 1);
    heading.textContent = `Turn ${shown + 1}: what the agent tells`;
    back.disabled = shown === 0;
    on.disabled = shown === decided.length - 1;
    fill(content,
      h("p", { dir: "auto", class: "said" }, entry.text || "(nothing)"),
      tokens.length ? h("p", { class: "tokens" }, tokens.map(chip)) : null,
      tokens.length ? h("p", { class: "soft" }, `Probability of the whole action: ${all < 0.001 ? all.toExponential(1) : all.toFixed(3)}`) : null,
      value === null ? null : h("p", { class: "soft position" }, `Value of the position ${number(value)}`,
        ofAction === null ? null : `, of this action ${number(ofAction)} (advantage ${ofAction < value ? "" : "+"}${number(ofAction - value)})`),
      alternatives.length ? bars(alternatives, entry.text) : null,
      raw ? h("details", { open: true, class: "raw" }, h("summary", {}, "What the model wrote"), h("p", { dir: "auto" }, raw)) : null,
      tokens.length || alternatives.length || raw || value !== null ? null : h("p", { class: "soft" }, "This agent tells no probabilities or values."));
  };

  return {
    element: h("div", { class: "watch" }, h("div", { class: "buttons controls" }, toggle, step, h("label", { for: "speed" }, "Speed"), speed), coach, panel),
    stop,
    pressed(event) {
      if (!page.state.coached || event.repeat || !["+", "-", "="].includes(event.key)) return;
      event.preventDefault();
      judge(event.key === "-" ? -1 : 1);
    },
    update(state) {
      const follow = shown >= decided.length - 1;
      decided = state.turns.filter(turn => turn.action && turn.thoughts);
      if (state.over) stop();
      this.element.firstChild.hidden = state.over;
      show(follow ? decided.length - 1 : shown);
    },
  };
}
