"""The table of docs/negotiation.md: mean reward of the bundled policies by kind of partner, over the games of seeds 0, 1, 2, ...

python tools/negotiation_table.py [GAMES]
"""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import Any

import gymnasium as gym

from lmrl_envs import make_policy
from lmrl_envs.negotiation.rules import KINDS, ROLES

ID = "lmrl/Negotiation-v0"
POLICIES = ("random", "suboptimal", "offer_now", "hold", "expert")


def row(role: str, name: str, games: int) -> str:
    """A line of the table."""
    env: Any = gym.make(ID, role=role).unwrapped
    rewards: dict[str, list[float]] = defaultdict(list)
    deals = 0
    for seed in range(games):
        env.reset(seed=seed)
        policy, ended = make_policy(ID, name, seed=seed, role=role), False
        while not ended:
            _, reward, ended, _, info = env.step(policy.act(env.transcript) or "")
        rewards[info["partner"]["kind"]].append(reward)
        deals += info["success"]
    means = [sum(rewards[kind]) / len(rewards[kind]) for kind in KINDS]
    mixed = sum(map(sum, rewards.values())) / games
    figures = [f"{mixed:.3f}", f"{100 * deals / games:.0f} %", *(f"{mean:.2f}" for mean in means)]
    return f"| `{name}` | " + " | ".join(figures) + " |"


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1500
    for role in ROLES:
        print(f"| {role} | mixed | deals | {' | '.join(KINDS)} |\n|{'---|' * 8}")
        for policy in POLICIES:
            print(row(role, policy, count), flush=True)
        print()
