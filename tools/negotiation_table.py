"""Tables of docs/negotiation.md over the games of seeds 0, 1, 2, ...: mean reward of the bundled policies by kind of partner ("policies",
the default), of the plan for one kind against all kinds ("transfer"), and of policies against one another ("versus").

python tools/negotiation_table.py [policies|transfer|versus] [GAMES]
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import gymnasium as gym

from lmrl_envs import make_policy
from lmrl_envs.negotiation.rules import KINDS, NO_DEAL, ROLES

ID = "lmrl/Negotiation-v0"
POLICIES = ("random", "suboptimal", "offer_now", "hold", "expert")
PLAYERS = ("casual", "firm", "hold", "offer_now")


def play(env: Any, seed: int, policy: Any, **options: Any) -> tuple[float, dict[str, Any]]:
    """Reward and last info of a game."""
    env.reset(seed=seed, options=options or None)
    ended, reward, info = False, 0.0, {}
    while not ended:
        _, reward, ended, _, info = env.step(policy.act(env.transcript) or "")
    return reward, info


def row(role: str, name: str, games: int) -> str:
    """A policy's line of its table."""
    env: Any = gym.make(ID, role=role).unwrapped
    rewards: dict[str, list[float]] = defaultdict(list)
    deals = 0
    for seed in range(games):
        reward, info = play(env, seed, make_policy(ID, name, seed=seed, role=role))
        rewards[info["partner"]["kind"]].append(reward)
        deals += info["success"]
    means = [sum(rewards[kind]) / len(rewards[kind]) for kind in KINDS]
    mixed = sum(map(sum, rewards.values())) / games
    figures = [f"{mixed:.3f}", f"{100 * deals / games:.0f} %", *(f"{mean:.2f}" for mean in means)]
    return f"| `{name}` | " + " | ".join(figures) + " |"


def transfer(role: str, known: str, games: int) -> str:
    """The plan for one kind (or for all) against each kind."""
    env: Any = gym.make(ID, role=role).unwrapped
    means = []
    for kind in KINDS:
        rewards = [
            play(env, seed, make_policy(ID, "expert", seed=seed, role=role, partner=known), partner={"kind": kind})[0]
            for seed in range(games)
        ]
        means.append(sum(rewards) / games)
    return f"| {known} | " + " | ".join(f"{mean:.2f}" for mean in (*means, sum(means) / len(means))) + " |"


def versus(seller: str, games: int) -> str:
    """A seller against each buyer: deals, price over listed price, both profits, deals that are better for both than none."""
    cells = []
    for buyer in PLAYERS:
        env: Any = gym.make(ID, simulator=f"agent:policy:{buyer}").unwrapped
        ended = [play(env, seed, make_policy(ID, seller, seed=seed)) for seed in range(games)]
        deals = [info for _, info in ended if info["success"]]
        gains = [info["profits"] or dict.fromkeys(ROLES, NO_DEAL) for _, info in ended]
        sides = " / ".join(f"{sum(gain[side] for gain in gains) / games:.2f}" for side in ROLES)
        pareto = sum(min(gain.values()) > NO_DEAL for gain in gains)
        price = sum(info["price"] / info["listed"] for info in deals) / max(1, len(deals))
        cells.append(f"{100 * len(deals) / games:.0f} % at {price:.2f}; {sides}; **{100 * pareto / games:.0f} %**")
    return f"| `{seller}` | " + " | ".join(cells) + " |"


def table(title: str, columns: tuple[str, ...], rows: Iterable[str]) -> None:
    """Print one."""
    print(f"| {title} | {' | '.join(columns)} |\n|{'---|' * (1 + len(columns))}")
    for line in rows:
        print(line, flush=True)
    print()


if __name__ == "__main__":
    what = sys.argv[1] if len(sys.argv) > 1 else "policies"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else {"policies": 1500, "transfer": 200, "versus": 200}[what]
    if what == "versus":
        table("seller", PLAYERS, (versus(seller, count) for seller in PLAYERS))
    for role in ROLES if what != "versus" else ():
        if what == "transfer":
            table(f"{role}, plan for", (*KINDS, "mean"), (transfer(role, known, count) for known in (*KINDS, "mixed")))
        else:
            table(role, ("mixed", "deals", *KINDS), (row(role, policy, count) for policy in POLICIES))
