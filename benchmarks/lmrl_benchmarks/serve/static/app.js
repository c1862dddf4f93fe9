// Which page is shown: #/ lists the tasks, #/game/<key> is a game, #/compare shows pairs, #/rate is a talk that is rated.

import { showCompare } from "./compare.js";
import { fill, h } from "./dom.js";
import { showGame } from "./game.js";
import { showHome } from "./home.js";
import { showRate } from "./rate.js";

let leave = () => {};

function route() {
  leave();
  leave = () => {};
  const main = document.getElementById("main");
  const found = location.hash.match(/^#\/game\/([\w-]+)$/);
  document.getElementById("where").textContent = "";
  fill(main, h("p", { class: "soft" }, "Loading\u2026"));
  if (location.hash === "#/compare") leave = showCompare(main);
  else if (location.hash === "#/rate") showRate(main);
  else if (found) leave = showGame(main, found[1]);
  else showHome(main);
  window.scrollTo(0, 0);
}

window.addEventListener("hashchange", route);
route();
