"""The offline losses on the maze without language: a table of Q over (goal, position) learns from the same dataset.

What goes wrong here is wrong in a loss or in the data; what goes wrong in `lmrl train cql` alone has to do with tokens or
networks. Losses, support and schedules are those of `lmrl_agents.algorithms.cql`; in place of a transformer stands a table.

    python benchmarks/sanity/symbolic_maze.py                        # three seeds of every backup
    python benchmarks/sanity/symbolic_maze.py --backups max --conservatism 0.01 --data runs/maze

Backups: "max" (Q-learning over the actions that the data support), "sarsa" (the data's next action), "expectile" (as ILQL).
Printed: the exact mean return over all starts of the greedy policy, and the largest distance of Q from its fixed point.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from lmrl_agents.algorithms.cql import BACKUPS, cql_loss, supported_max
from lmrl_agents.learning.losses import expectile_loss
from lmrl_agents.learning.optimisation import cosine_decay
from lmrl_agents.models.critic import taken, value_of
from lmrl_datasets import generate, load_dataset
from lmrl_envs.maze.rules import ACTIONS, GOAL_REWARD, MAX_MOVES, STEP_REWARD, Maze, named_maze

State = tuple[int, ...]
"""Row and column of the goal, then of the player."""


@dataclass
class Steps:
    """The moves of a dataset; N moves, S states."""

    states: list[State]
    state: torch.Tensor
    """int64 [N]"""
    action: torch.Tensor
    """int64 [N]"""
    reward: torch.Tensor
    """float32 [N]"""
    next_state: torch.Tensor
    """int64 [N]"""
    next_action: torch.Tensor
    """int64 [N]; -1 after a cut-off and at the end"""
    goes_on: torch.Tensor
    """float32 [N]: 0 where the goal was reached."""

    @classmethod
    def of(cls, data: Iterable) -> Steps:
        """The moves of all episodes."""
        numbers: dict[State, int] = {}
        rows = []
        for episode in data:
            seen = [tuple(map(int, re.findall(r"\d+", text))) for text in episode.observations]
            if episode.terminated:
                seen[-1] = seen[-2]  # "Success": no state, and nothing is read from it
            places = [numbers.setdefault(state, len(numbers)) for state in seen]
            moves = [ACTIONS.index(action) for action in episode.actions]
            last = len(moves) - 1
            for k, (move, reward) in enumerate(zip(moves, episode.rewards, strict=True)):
                following = moves[k + 1] if k < last else -1
                rows.append((places[k], move, reward, places[k + 1], following, k < last or not episode.terminated))
        columns = [torch.tensor(column) for column in zip(*rows, strict=True)]
        columns[2], columns[5] = columns[2].float(), columns[5].float()
        return cls(list(numbers), *columns)

    def prior(self) -> torch.Tensor:
        """How often each action was taken, float [S, 4]."""
        counts = torch.zeros(len(self.states), len(ACTIONS))
        counts.index_put_((self.state, self.action), torch.ones(len(self.state)), accumulate=True)
        return counts / counts.sum(1, keepdim=True).clamp(min=1)


@dataclass(frozen=True)
class Config:
    """As `lmrl_agents.algorithms.cql.Config`; the target follows faster, since values of data that walk about travel far."""

    backup: str = "max"
    discount: float = 0.99
    conservatism: float = 0.0
    support: float = 0.02
    expectile: float = 0.8
    polyak: float = 0.3
    steps: int = 2000
    rate: float = 0.2


def train(data: Steps, config: Config, seed: int) -> torch.Tensor:
    """Learn Q, float [S, 4], by `cql_loss`, and V by `expectile_loss` where the backup needs it, from random tables.

    Every step sees all moves, equal ones once with their count: minibatches would leave noise that is none of the losses'.
    """
    columns = [data.state, data.action, data.next_state, data.next_action, data.goes_on.long()]
    _, kind, counts = np.unique(torch.stack(columns).numpy(), axis=1, return_index=True, return_counts=True)
    which, weight = torch.from_numpy(kind), torch.from_numpy(counts).float()
    state, action, after, following, goes_on = (column[which] for column in columns)
    prior = data.prior()
    generator = torch.Generator().manual_seed(seed)
    q = (3 * torch.randn(prior.shape, generator=generator) - 10).requires_grad_()
    v = (3 * torch.randn(len(prior), generator=generator) - 10).requires_grad_()
    slow_q = q.detach().clone()
    optimizer = torch.optim.Adam([q, v], betas=(0.9, 0.95), foreach=True)
    for step in range(config.steps):
        if config.backup == "expectile":
            ahead = v.detach()[after]
        elif config.backup == "max":
            ahead = supported_max(slow_q[after], prior[after], config.support)
        else:
            own = value_of(slow_q[after], following.clamp(min=0))
            ahead = torch.where(following >= 0, own, (prior[after] * slow_q[after]).sum(1))
        y = data.reward[which] + config.discount * goes_on * ahead
        loss, _ = cql_loss([taken(q[state], action)], y, weight, config.conservatism)
        if config.backup == "expectile":
            loss = loss + expectile_loss(v[state], value_of(slow_q[state], action), config.expectile, weight)
        optimizer.param_groups[0]["lr"] = cosine_decay(step, config.steps, config.rate, floor=0.001)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        slow_q.lerp_(q.detach(), config.polyak)
    return slow_q


def fixed_point(data: Steps, config: Config, rounds: int = 4000) -> np.ndarray:
    """What `train` has to find if alpha is 0, float [S, 4], by iterating the backup over the counted data; no loss is used."""
    prior = data.prior().double().numpy()
    state, action, after, following = (x.numpy() for x in (data.state, data.action, data.next_state, data.next_action))
    pair = state * len(ACTIONS) + action
    counts = np.bincount(pair, minlength=prior.size)
    allowed = (prior >= config.support) | (prior == prior.max(1, keepdims=True))
    q = np.zeros_like(prior)
    for _ in range(rounds):
        if config.backup == "max":
            ahead = np.where(allowed, q, -np.inf).max(1)[after]
        elif config.backup == "expectile":
            ahead = expectiles(q, prior, config.expectile)[after]
        else:
            ahead = np.where(following >= 0, q[after, following], (prior * q).sum(1)[after])
        y = data.reward.numpy() + config.discount * data.goes_on.numpy() * ahead
        new = (np.bincount(pair, y, minlength=prior.size) / np.maximum(counts, 1)).reshape(prior.shape)
        if np.abs(new - q).max() < 1e-9:
            break
        q = new
    return q


def expectiles(values: np.ndarray, weights: np.ndarray, tau: float) -> np.ndarray:
    """The tau-expectile of each row's values under its weights, by fixed-point iteration."""
    found = (weights * values).sum(1)
    for _ in range(50):
        pull = weights * np.where(values > found[:, None], tau, 1 - tau)
        found = (pull * values).sum(1) / np.maximum(pull.sum(1), 1e-12)
    return found


def greedy_return(data: Steps, q: np.ndarray, config: Config, maze: Maze) -> float:
    """Exact mean return over all starts of the best supported action in each state."""
    prior = data.prior().numpy()
    allowed = (prior >= config.support) | (prior == prior.max(1, keepdims=True))
    best = dict(zip(data.states, np.where(allowed, q, -np.inf).argmax(1), strict=True))
    total = 0.0
    for cell in maze.starts:
        for _ in range(MAX_MOVES):
            cell = maze.next_cell[ACTIONS[best[*maze.goal, *cell]]][cell]
            total += GOAL_REWARD if cell == maze.goal else STEP_REWARD
            if cell == maze.goal:
                break
    return total / len(maze.starts)


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backups", nargs="+", choices=BACKUPS, default=BACKUPS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--conservatism", type=float, default=0.0, help="alpha; with 0 the fixed point is known")
    parser.add_argument("--data", help="a generated dataset; default: maze/mixed-v0, 1,240 episodes, generated anew")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        if not given.data:
            generate("maze/mixed-v0", Path(folder) / "maze", episodes=1240)
        data = Steps.of(load_dataset(given.data or Path(folder) / "maze", split="train"))
    maze = named_maze("double_t")
    optimum = np.mean([(maze.distance[cell] - 1) * STEP_REWARD + GOAL_REWARD for cell in maze.starts])
    print(f"{len(data.state)} moves; optimum {optimum:.2f}")
    for backup in given.backups:
        config = Config(backup, conservatism=given.conservatism)
        exact = fixed_point(data, config)
        print(f"{backup}: greedy at its fixed point {greedy_return(data, exact, config, maze):.2f}")
        for seed in range(given.seeds):
            started = time.process_time()
            q = train(data, config, seed).numpy()
            wrong = np.abs(q - exact)[data.prior().numpy() > 0].max()
            print(
                f"  seed {seed}: greedy {greedy_return(data, q, config, maze):.2f}, "
                f"Q within {wrong:.3f} of its fixed point, {time.process_time() - started:.1f} CPU s"
            )


if __name__ == "__main__":
    main()
