// A chessboard to click on, drawn from the FEN.

import { fill, h } from "./dom.js";

const NAMES = { k: "king", q: "queen", r: "rook", b: "bishop", n: "knight", p: "pawn" };
// The filled glyphs for both sides, as text and not as pictures; colours come from the style sheet.
const GLYPHS = { k: "\u265a", q: "\u265b", r: "\u265c", b: "\u265d", n: "\u265e", p: "\u265f" };
const FILES = "abcdefgh";

function read(fen) {
  const pieces = {};
  fen.split(" ")[0].split("/").forEach((row, i) => {
    let file = 0;
    for (const mark of row) {
      if (/\d/.test(mark)) file += Number(mark);
      else pieces[FILES[file++] + (8 - i)] = mark;
    }
  });
  return pieces;
}

export function board(page) {
  const squares = h("div", { class: "chessboard", role: "grid", "aria-label": "Chess board" });
  const moves = h("p", { class: "moves", "aria-label": "Moves", "aria-live": "polite" });
  const promote = h("div", { class: "promote", role: "group", "aria-label": "Promote to", hidden: true });
  const { form, field } = page.line("Or type a move (Nf3, e7e8q)", { button: "Move" });
  let state = null, chosen = null, cursor = "e2";

  const squareOf = name => squares.querySelector(`[data-square=${name}]`);

  const play = move => {
    chosen = null;
    promote.hidden = true;
    page.play(move);
  };

  const choose = name => {
    if (page.busy || state.over || page.isWatched) return;
    cursor = name;
    const targets = chosen ? state.picture.legal[chosen] || [] : [];
    if (targets.includes(name)) {
      if (state.picture.promotions.includes(chosen + name)) {
        const move = chosen + name;
        fill(promote, ["q", "r", "b", "n"].map(piece => h("button", { type: "button", "data-piece": piece, "aria-label": NAMES[piece], onclick: () => play(move + piece) }, GLYPHS[piece] + "\ufe0e")));
        promote.hidden = false;
        promote.firstChild.focus();
        return;
      }
      play(chosen + name);
      return;
    }
    promote.hidden = true;
    chosen = name !== chosen && state.picture.legal[name] ? name : null;
    draw();
    squareOf(cursor).focus();
  };

  const draw = () => {
    const pieces = read(state.picture.fen);
    const targets = chosen ? state.picture.legal[chosen] || [] : [];
    const rows = [];
    for (let rank = 8; rank >= 1; rank--) {
      rows.push(h("div", { role: "row", class: "rank" }, [...FILES].map((file, i) => {
        const name = file + rank, piece = pieces[name];
        const isWhite = piece && piece === piece.toUpperCase();
        const label = piece ? `${name}, ${isWhite ? "white" : "black"} ${NAMES[piece.toLowerCase()]}` : name;
        const marks = [(i + rank) % 2 ? "light" : "dark", name === chosen ? "chosen" : "", targets.includes(name) ? "target" : "",
          state.picture.last.includes(name) ? "last" : "", state.picture.check === name ? "check" : ""].join(" ");
        return h("div", { role: "gridcell", class: "cell" }, h("button", {
          type: "button", class: `square ${marks}`, "data-square": name, "aria-label": label + (targets.includes(name) ? ", can go here" : ""),
          "aria-pressed": name === chosen ? "true" : null, tabindex: name === cursor ? 0 : -1, onclick: () => choose(name),
        },
        piece ? h("span", { class: isWhite ? "white" : "black", "data-glyph": GLYPHS[piece.toLowerCase()] + "\ufe0e" }) : null,
        file === "a" ? h("small", { class: "rank-name", "aria-hidden": "true" }, rank) : null,
        rank === 1 ? h("small", { class: "file-name", "aria-hidden": "true" }, file) : null));
      })));
    }
    fill(squares, rows);
  };

  squares.addEventListener("keydown", event => {
    const step = { ArrowUp: [0, 1], ArrowDown: [0, -1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    const file = Math.min(7, Math.max(0, FILES.indexOf(cursor[0]) + step[0]));
    const rank = Math.min(8, Math.max(1, Number(cursor[1]) + step[1]));
    squareOf(cursor).tabIndex = -1;
    cursor = FILES[file] + rank;
    squareOf(cursor).tabIndex = 0;
    squareOf(cursor).focus();
  });

  return {
    element: h("div", { class: "board" }, squares, promote, moves),
    input: form,
    focus: () => { if (document.activeElement === document.body) squareOf(cursor).focus({ preventScroll: true }); },
    update(now) {
      if (state && now.turn > state.turn) field.value = "";
      state = now;
      chosen = null;
      promote.hidden = true;
      draw();
      moves.textContent = state.picture.moves.length ? state.picture.moves.map(move => move.text).join("  ") : "White to move: that is you.";
      moves.scrollTop = moves.scrollHeight;
    },
  };
}
