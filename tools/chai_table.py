"""The tables of CHAI in docs/negotiation.md, from the records of a run of the suite `chai`.

python tools/chai_table.py RUN [JSON]

One table a task: acceptance % / mean reward by kind of partner, over all talks with a 95 % interval (bootstrap over training seeds and
talks), the reward where the thing is of a title that was held out, both sides' profits, fairness 1 - |margin|, the agent's turns.
A talk that failed counts as no deal. The figures are written as JSON, too, where a file is named.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from lmrl_envs.negotiation.items import TITLES
from lmrl_envs.negotiation.rules import KINDS, NO_DEAL, ROLES

Talk = dict[str, Any]


def talks(file: Path) -> list[Talk]:
    """What is told of the talks of one cell."""
    found = []
    for line in file.read_text("utf-8").splitlines():
        record = json.loads(line)
        info = record.get("info") or {}
        partner, item = info.get("partner"), TITLES.get(info.get("item", ""))
        found.append(
            {
                "kind": partner["kind"] if partner else None,
                "deal": bool(record["success"]),
                "reward": float(sum(record["rewards"])),
                "held_out": bool(item and item.held_out),
                "profits": info.get("profits") or dict.fromkeys(ROLES, NO_DEAL),
                "turns": len(record["rewards"]),
            }
        )
    return found


def interval(seeds: list[list[Talk]], draws: int = 2000) -> tuple[float, float]:
    """Of the mean reward: seeds are drawn anew, and in each its talks."""
    rng = np.random.default_rng(0)
    rewards = [np.array([talk["reward"] for talk in seed]) for seed in seeds]
    means = []
    for _ in range(draws):
        chosen = [rewards[k] for k in rng.integers(len(rewards), size=len(rewards))]
        means.append(np.mean([rng.choice(one, len(one)).mean() for one in chosen]))
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def row(agent: str, seeds: list[list[Talk]]) -> str:
    """A line of the table."""
    every = [talk for seed in seeds for talk in seed]

    def mean(key: str, some: list[Talk]) -> float:
        return float(np.mean([talk[key] for talk in some])) if some else float("nan")

    def pair(some: list[Talk]) -> str:
        return f"{100 * mean('deal', some):.0f} / {mean('reward', some):.2f}"

    low, high = interval(seeds)
    seller = float(np.mean([talk["profits"]["seller"] for talk in every]))
    buyer = float(np.mean([talk["profits"]["buyer"] for talk in every]))
    fair = float(np.mean([1 - abs(talk["profits"]["seller"]) for talk in every]))
    cells = [f"`{agent}`", str(len(seeds)), *(pair([t for t in every if t["kind"] == kind]) for kind in KINDS)]
    cells += [f"{100 * mean('deal', every):.1f} / {mean('reward', every):.3f}", f"{low:.3f} to {high:.3f}"]
    cells += [
        f"{mean('reward', [t for t in every if t['held_out']]):.3f}",
        f"{seller:.2f} / {buyer:.2f}",
        f"{fair:.2f}",
    ]
    return "| " + " | ".join([*cells, f"{mean('turns', every):.1f}"]) + " |"


def figures(seeds: list[list[Talk]]) -> dict[str, Any]:
    """What is kept of an agent."""
    every = [talk for seed in seeds for talk in seed]
    groups = {"all": every, "held_out": [t for t in every if t["held_out"]]}
    groups |= {kind: [t for t in every if t["kind"] == kind] for kind in KINDS}
    low, high = interval(seeds)
    found: dict[str, Any] = {"training_seeds": len(seeds), "ci95": [round(low, 4), round(high, 4)]}
    for name, some in groups.items():
        deals, reward = (sum(talk[key] for talk in some) / max(1, len(some)) for key in ("deal", "reward"))
        profits = {side: round(sum(t["profits"][side] for t in some) / max(1, len(some)), 4) for side in ROLES}
        found[name] = {
            "talks": len(some),
            "acceptance": round(deals, 4),
            "reward": round(reward, 4),
            "profits": profits,
        }
    return found


def main(folder: Path, kept: Path | None = None) -> None:
    """Print the tables."""
    tasks: dict[str, dict[str, list[list[Talk]]]] = defaultdict(lambda: defaultdict(list))
    for file in sorted(folder.glob("**/seed-*/episodes.jsonl")):
        agent = file.parent.parent
        tasks[agent.parent.name][agent.name].append(talks(file))
    for name, agents in tasks.items():
        head = [
            "agent",
            "seeds",
            *KINDS,
            "all",
            "95 %",
            "held-out titles",
            "profits (seller / buyer)",
            "fairness",
            "turns",
        ]
        print(f"{name}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
        means = {agent: np.mean([t["reward"] for s in seeds for t in s]) for agent, seeds in agents.items()}
        for agent in sorted(agents, key=lambda one: means[one]):
            print(row(agent, agents[agent]))
        print()
    if kept:
        told = {name: {agent: figures(seeds) for agent, seeds in agents.items()} for name, agents in tasks.items()}
        kept.write_text(json.dumps(told, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
