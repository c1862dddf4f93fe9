// A talk with somebody who is not named: thumbs in passing, scales afterwards.

import { get, post } from "./api.js";
import { fill, h } from "./dom.js";

const words = value => Object.entries(value).map(([key, own]) =>
  `${key}: ${own !== null && typeof own === "object" && !Array.isArray(own) ? `(${words(own)})` : Array.isArray(own) ? own.join(", ") : own}`).join("; ");

export function showRate(main) {
  document.title = "lmrl: talk and rate";
  let state = null, busy = false;
  const notice = h("p", { class: "notice", role: "alert", hidden: true });
  const progress = h("p", { class: "soft", role: "status", "data-progress": "" });
  const part = h("p", { "data-part": "" });
  const how = h("p", {});
  const talk = h("ol", { class: "log" });
  const field = h("input", { id: "say", maxlength: 2000, autocomplete: "off", "aria-label": "What you say" });
  const end = h("button", { type: "button", "data-close": "", onclick: () => ask("close", {}) }, "End and rate");
  const line = h("form", { class: "settings", onsubmit: event => { event.preventDefault(); ask("say", { turn: state.turn, text: field.value }); } },
    field, h("button", { class: "main" }, "Say"), end);
  const scales = h("form", { class: "settings", onsubmit: event => {
    event.preventDefault();
    const given = new FormData(scales);
    ask("rate", { scores: Object.fromEntries(state.scales.map(name => [name, Number(given.get(name))])) });
  } });

  const thumb = (own, value, sign, label) => h("button", { type: "button", "aria-label": `${label} line ${own + 1}`, "data-thumb": `${own}:${value}`,
    "aria-pressed": String(state.thumbs[own] === value), onclick: () => ask("thumb", { line: own, value: state.thumbs[own] === value ? 0 : value }) }, sign);

  const show = next => {
    const fresh = !state || state.number !== next.number || state.closed !== next.closed;
    state = next;
    progress.textContent = `${state.number} talks rated`;
    part.textContent = `Your part: ${words(state.part)}`;
    how.textContent = state.instructions;
    fill(talk, state.texts.map((text, k) => h("li", { class: k % 2 ? "" : "mine", dir: "auto" }, text,
      k % 2 ? [" ", thumb((k - 1) / 2, 1, "\u{1F44D}", "Thumb up for"), thumb((k - 1) / 2, -1, "\u{1F44E}", "Thumb down for")] : null)));
    line.hidden = state.closed;
    scales.hidden = !state.closed;
    if (fresh && state.closed) fill(scales, state.scales.map(name => h("fieldset", {}, h("legend", {}, name.replaceAll("_", " ")),
      [1, 2, 3, 4, 5].map(value => h("label", {}, h("input", { type: "radio", name, value, required: true }), String(value), " ")))),
      h("button", { class: "main" }, "Keep, and talk to the next"));
  };

  const ask = async (what, values) => {
    if (busy || !state) return;
    busy = true;
    notice.hidden = true;
    try {
      show(await post(`/api/rate/${what}`, { number: state.number, ...values }));
      if (what === "say" || what === "rate") field.value = "";
    } catch (problem) {
      notice.textContent = problem.message;
      notice.hidden = false;
      if (problem.status === 409) show(await get("/api/rate"));
    }
    busy = false;
  };

  fill(main, h("h1", {}, "Talk, and say how it was"), progress, part, notice, talk, line, scales,
    h("details", { class: "instructions" }, h("summary", {}, "What the other side was told"), how));
  get("/api/rate").then(show, problem => { notice.textContent = problem.message; notice.hidden = false; });
}
