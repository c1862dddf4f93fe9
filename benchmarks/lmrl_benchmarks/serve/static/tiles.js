// Guesses as tiles, and a keyboard in the colours that the letters have earned.

import { fill, h } from "./dom.js";

const MEANING = { g: "right place", y: "elsewhere in the word", b: "not in the word" };
const CLASS = { g: "placed", y: "elsewhere", b: "absent" };
const KEYS = ["qwertyuiop", "asdfghjkl", "zxcvbnm"];

export function tiles(page) {
  const grid = h("div", { class: "tiles" });
  const keyboard = h("div", { class: "keyboard" });
  const spoken = h("p", { class: "spoken", role: "status" });
  let word = "", state = null;

  const row = (guess, marks, length) => Array.from({ length }, (_, i) => {
    const letter = (guess[i] || "").toUpperCase();
    const mark = marks ? marks[i] : null;
    return h("div", { class: `tile ${mark ? CLASS[mark] : ""} ${letter && !mark ? "typed" : ""}`, role: "img", "aria-label": letter ? `${letter}${mark ? `, ${MEANING[mark]}` : ""}` : "empty" }, letter);
  });

  const draw = () => {
    const { rows, guesses, length } = state.picture;
    const lines = rows.map(r => r.marks
      ? h("div", { class: "word" }, row(r.guess, r.marks, length))
      : h("div", { class: "word invalid" }, h("span", { dir: "auto" }, r.guess || "(nothing)"), h("small", {}, "invalid")));
    for (let i = rows.length; i < guesses; i++) lines.push(h("div", { class: "word" }, row(i === rows.length && !state.over ? word : "", null, length)));
    grid.style.setProperty("--length", length);
    fill(grid, lines);
  };

  const type = key => {
    if (page.busy || state.over || page.isWatched) return;
    if (key === "enter") {
      if (word.length === state.picture.length) page.play(word);
      else spoken.textContent = `A guess has ${state.picture.length} letters.`;
    } else if (key === "back") word = word.slice(0, -1);
    else if (word.length < state.picture.length) word += key;
    draw();
  };

  const key = (label, name, extra = "") => h("button", { type: "button", class: `key ${extra}`, "data-key": name, "aria-label": extra ? label : `${label}${state.picture.keys[name] ? `, ${MEANING[state.picture.keys[name]]}` : ""}`, onclick: () => type(name), onmousedown: event => event.preventDefault() }, label); // the focus stays: Enter is for the word

  return {
    element: h("div", { class: "board" }, grid, spoken),
    input: keyboard,
    pressed(event) {
      if (event.target instanceof HTMLButtonElement && event.key === "Enter") return;
      if (/^[a-zA-Z]$/.test(event.key)) type(event.key.toLowerCase());
      else if (event.key === "Enter") type("enter");
      else if (event.key === "Backspace") type("back");
    },
    update(now) {
      if (state && now.turn > state.turn) word = "";
      state = now;
      const last = state.picture.rows.at(-1);
      spoken.textContent = last && !last.marks ? "The last guess was not taken." : "";
      draw();
      fill(keyboard, KEYS.map((letters, i) => h("div", { class: "keys" },
        i === 2 ? key("Enter", "enter", "wide") : null,
        [...letters].map(letter => key(letter.toUpperCase(), letter, "")),
        i === 2 ? key("\u232b", "back", "wide") : null)));
      for (const button of keyboard.querySelectorAll("[data-key]")) {
        const mark = state.picture.keys[button.dataset.key];
        if (mark) button.classList.add(CLASS[mark]);
      }
      keyboard.querySelector("[data-key=back]").setAttribute("aria-label", "Delete the last letter");
    },
  };
}
