"""Build lmrl_envs/negotiation/plans.json: what the best seller and the best buyer do, against each kind of partner and the hidden one.

Every partner there is (81 of a kind) is as likely; two that have answered alike so far are not told apart. A plan is a search over that
belief: every act on a grid of prices, the partner's answers, and so on to the given depth, with the best act that closes the talk, or
standing firm to the end, as the value of what is not searched. The search is exact over its grid; prices are whole percents.

    python tools/negotiation_plans.py            # depth 2: some ten minutes of one core
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from typing import Any

from lmrl_envs.negotiation.rules import KINDS, MAX_TURNS, ROLES, Act, Partner, Role, State, hidden_partners

LISTED = 1000.0  # prices go in tens, which are percents
Belief = tuple[tuple[int, State], ...]


class Planner:
    """Plans for an agent of a role."""

    def __init__(self, role: Role, kind: str, strict: bool) -> None:
        partner: Role = "buyer" if role == "seller" else "seller"
        self.role = role
        self.partners = [Partner(hidden, LISTED, partner, strict) for hidden in hidden_partners(role, kind)]
        talk = range(50, 101, 10) if role == "seller" else range(10, 101, 10)
        self.proposals = [Act("propose", 10.0 * percent) for percent in talk]
        self.talk = [Act("ask"), Act("agree"), *self.proposals]
        self.offers = [10.0 * percent for percent in (range(40, 103) if role == "seller" else range(10, 101))]
        self.firm = Act("propose", LISTED if role == "seller" else 500.0)
        self.memo: dict[Any, tuple[float, Any]] = {}
        self.cache: dict[Any, Any] = {}

    def worth(self, price: float | None) -> float:
        """Of a deal to the agent, as a share of the listed price."""
        return 0.0 if price is None else price / LISTED if self.role == "seller" else 1 - price / LISTED

    def step(self, i: int, act: Act, state: State) -> Any:
        key = (i, act, state)
        if key not in self.cache:
            self.cache[key] = self.partners[i].answer(act, state)
        return self.cache[key]

    def closing(self, belief: Belief) -> tuple[float, Any]:
        """Sum of worths and the act of the best formal end now."""
        offer = belief[0][1].offer
        if offer is not None:
            return len(belief) * self.worth(offer), ("accept",)
        best: tuple[float, Any] = (0.0, ("quit",))
        for price in self.offers:
            total = sum(self.worth(self.step(i, Act("offer", price), state).deal) for i, state in belief)
            if total > best[0]:
                best = (total, ("offer", price))
        return best

    def standing(self, belief: Belief, left: int) -> float:
        """Sum of worths when the agent repeats its price to the end, and takes what is offered formally."""
        total = 0.0
        for i, state in belief:
            for _ in range(left):
                price = self.firm.price if state.theirs is None else state.theirs
                step = self.step(i, Act("accept") if state.offer is not None else Act("propose", price), state)
                state = step.state
                if step.ended:
                    total += self.worth(step.deal)
                    break
        return total

    def best(self, belief: Belief, left: int, depth: int) -> tuple[float, Any]:
        """The largest sum of worths, and the act for it."""
        if left <= 0:
            return 0.0, ("quit",)
        key = (belief, left, depth)
        if key in self.memo:
            return self.memo[key]
        best = self.closing(belief)
        if left > 1 and belief[0][1].offer is None:
            if depth <= 0:
                firm = self.standing(belief, left)
                if firm > best[0] + 1e-9:
                    price = self.firm.price if belief[0][1].theirs is None else belief[0][1].theirs
                    best = firm, ("propose", price)
            else:
                for act in self.talk:
                    total = sum(self.best(rest, left - 1, depth - 1)[0] for rest, _ in self.after(belief, act).values())
                    if total > best[0] + 1e-9:
                        best = total, act
        self.memo[key] = best
        return best

    def after(self, belief: Belief, act: Act) -> dict[Any, tuple[Belief, Any]]:
        """Answer -> those who give it; who leaves is out."""
        split: dict[Any, list[tuple[int, State]]] = defaultdict(list)
        for i, state in belief:
            step = self.step(i, act, state)
            if not step.ended:
                split[step.act.name, step.act.price].append((i, step.state))
        return {answer: (tuple(rest), answer) for answer, rest in split.items()}

    def plan(self, belief: Belief, left: int, depth: int) -> list[Any]:
        """The tree: [act, percent or None, {answer: tree}]. Each node is searched anew to the full depth."""
        self.memo.clear()
        _, act = self.best(belief, left, depth)
        name, price = act[0], act[1] if len(act) > 1 else None
        percent = None if price is None else round(price / 10)
        if name in ("accept", "offer", "quit"):
            return [name, percent]
        branches = self.after(belief, Act(name, price))
        return [
            name,
            percent,
            {_label(answer): self.plan(rest, left - 1, depth) for answer, (rest, _) in branches.items()},
        ]

    def value(self, tree: list[Any]) -> float:
        """Mean worth of a plan, by playing it against every partner."""
        total = 0.0
        for i in range(len(self.partners)):
            state, node = State(), tree
            while node is not None:
                step = self.step(i, Act(node[0], None if node[1] is None else node[1] * 10.0), state)
                state = step.state
                total += self.worth(step.deal)
                node = None if step.ended else node[2][_label((step.act.name, step.act.price))]
        return total / len(self.partners)


def _label(answer: tuple[str, float | None]) -> str:
    name, price = answer
    return name if price is None else f"{name} {round(price / 10)}"


def make(job: tuple[Role, str, bool], depth: int) -> tuple[str, float, list[Any]]:
    """The plan of one game: its name, its mean worth, its tree."""
    planner = Planner(*job)
    start = tuple((i, State()) for i in range(len(planner.partners)))
    tree = planner.plan(start, MAX_TURNS, depth)
    role, kind, strict = job
    return f"{role} {kind}{' strict' if strict else ''}", planner.value(tree), tree


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--out", default="lmrl_envs/negotiation/plans.json")
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    jobs: list[tuple[Role, str, bool]] = [
        (role, kind, strict) for role in ROLES for kind in (*KINDS, "mixed") for strict in (False, True)
    ]
    jobs = [job for job in jobs if args.only in f"{job[0]} {job[1]} {job[2]}"]
    found = {}
    with Pool(1) as pool:
        for name, value, tree in pool.imap(partial(make, depth=args.depth), jobs):
            print(f"{name}: {value:.4f}", flush=True)
            found[name] = {"value": round(value, 5), "plan": tree}
    Path(args.out).write_text(json.dumps(found, separators=(",", ":"), allow_nan=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
