// The list of tasks.

import { get, post } from "./api.js";
import { fill, h, title } from "./dom.js";

export async function showHome(main) {
  document.title = "lmrl: tasks";
  let offered;
  try {
    offered = await get("/api/tasks");
  } catch (problem) {
    fill(main, h("p", { class: "notice", role: "alert" }, problem.message));
    return;
  }
  if (offered.page) {
    location.replace(`#/${offered.page}`);
    return;
  }
  const notice = h("p", { class: "notice", role: "alert", hidden: true });
  const seed = h("input", { id: "seed", inputmode: "numeric", pattern: "[0-9]*", maxlength: 19, placeholder: "a new game each time" });
  const agent = h("select", { id: "agent" }, offered.agents.map(name => h("option", { value: name }, name)));

  const begin = (task, mode) => async event => {
    const button = event.currentTarget;
    button.disabled = true;
    notice.hidden = true;
    const wanted = { task: task.slug, mode };
    if (mode === "watch") wanted.agent = agent.value;
    if (mode !== "ranked" && seed.value.trim()) wanted.seed = seed.value.trim();
    try {
      const state = await post("/api/games", wanted);
      location.hash = `#/game/${state.id}`;
    } catch (problem) {
      button.disabled = false;
      notice.textContent = problem.message;
      notice.hidden = false;
      notice.scrollIntoView({ block: "nearest" });
    }
  };

  const card = task => {
    const ranked = task.ranked;
    const left = ranked && ranked.played < ranked.of;
    return h("article", { class: "card", "data-task": task.slug },
      h("h2", {}, title(task.slug)),
      h("p", {}, task.summary),
      h("p", { class: "tags" }, task.tags.map(tag => h("span", {}, tag)), task.simulator ? h("span", {}, `against ${task.simulator}`) : null),
      h("div", { class: "buttons" },
        h("button", { class: "main", "data-mode": "practice", onclick: begin(task, "practice") }, "Play"),
        left ? h("button", { "data-mode": "ranked", onclick: begin(task, "ranked"), title: `${ranked.played} played` }, "Leaderboard") : null,
        offered.agents.length ? h("button", { "data-mode": "watch", onclick: begin(task, "watch") }, "Watch") : null));
  };

  fill(main,
    h("h1", {}, "Tasks"),
    h("p", { class: "soft" }, offered.coached
      ? "Watch an agent play, and press + for what it does well and \u2212 for what it does badly, as soon as you see it. Games and feedback are kept."
      : offered.recording
      ? "Play against a task's own simulator. Your games are kept. A game for the leaderboard is one of its fixed games: no hints, no seed of your own, and leaving or giving up scores the task's minimum."
      : "Play against a task's own simulator. Games are not kept on this server."),
    notice,
    h("form", { class: "settings", onsubmit: event => event.preventDefault() },
      h("p", {}, h("label", { for: "seed" }, "Seed of the next game: "), seed),
      offered.agents.length ? h("p", {}, h("label", { for: "agent" }, "Agent to watch: "), agent) : null),
    h("div", { class: "cards" }, offered.tasks.map(card)),
    h("p", { class: "soft" }, `lmrl ${offered.version}`));
}
