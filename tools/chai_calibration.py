"""What CHAI's values say of what the agent said, beside what came of it and beside the exact planner's value of the same act.

python tools/chai_calibration.py EPISODES.jsonl [TALKS]

The planner (`tools/negotiation_plans.py`) is told who the partner is, so its Q is what the act was worth at best: a deal at a share p of
the listed price is 10 (p - 1), none -20, as in CHAI, not discounted. Sellers only.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from negotiation_plans import LISTED, Planner

from lmrl_envs.negotiation.items import TITLES
from lmrl_envs.negotiation.reading import formal_act, hear
from lmrl_envs.negotiation.rules import MAX_TURNS, Act, Hidden, Partner, State


def chai(worth: float) -> float:
    """CHAI's reward of a deal."""
    return 10.0 * (worth - 1.0) if worth >= 0.5 else -20.0


def judged(record: dict[str, Any]) -> list[tuple[str, float, float, float]]:
    """Of each turn: formal act or talk, the agent's Q, the planner's, what came of the talk."""
    hidden, listed = Hidden(**record["info"]["partner"]), record["info"]["listed"]
    title = TITLES[record["info"]["item"]]
    card = {"title": title.name, "spec": title.spec, "category": title.category, "age": 0}
    planner = Planner("seller", hidden.kind, strict=False)
    planner.partners = [Partner(hidden, LISTED, "buyer")]
    real = Partner(hidden, listed, "buyer")
    state, heard_state, found = State(), State(), []
    outcome = chai(sum(record["rewards"]))
    for turn, (line, detail) in enumerate(zip(record["actions"], record["details"], strict=True)):
        formal = formal_act(line)
        said = formal or hear(line, heard_state, real, card).act
        act = Act(said.name, None if said.price is None else said.price * LISTED / listed)
        if act.name in ("accept", "reject") and state.offer is None:
            act = Act("unread")
        step, heard_state = planner.partners[0].answer(act, state), real.answer(said, heard_state).state
        state = step.state
        left = MAX_TURNS - turn - 1
        best = planner.worth(step.deal) if step.ended else planner.best(((0, state),), left, 1)[0]
        found.append((act.name if formal else "talk", detail["value"], chai(best), outcome))
        if step.ended:
            break
    return found


def main(path: Path, talks: int) -> None:
    """Print the table."""
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines()[:talks]]
    groups: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for record in records:
        for name, *numbers in judged(record):
            groups[name].append(tuple(numbers))  # type: ignore[arg-type]
            groups["all"].append(tuple(numbers))  # type: ignore[arg-type]
    print("| turns | number | Q | planner | return | Q with planner | Q with return |\n|---|---|---|---|---|---|---|")
    for name, rows in groups.items():
        table = np.array(rows).T
        pairs = [float(np.corrcoef(table[0], table[k])[0, 1]) if len(rows) > 2 else float("nan") for k in (1, 2)]
        means = " | ".join(f"{mean:.1f}" for mean in table.mean(axis=1))
        print(f"| {name} | {len(rows)} | {means} | {pairs[0]:.2f} | {pairs[1]:.2f} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 100)
