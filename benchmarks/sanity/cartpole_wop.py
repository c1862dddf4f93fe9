"""A figure of Jaques et al. (arXiv 1907.00456, second form: OpenReview rJl5rRVFvH) on CartPole: which offline methods live on which data.

Four buffers of one Q-learner: all that it saw while learning ("full"), the same while it grows ("concurrent"), games of what it became
("expert"), and such games in which three actions in ten are random ("noisy"). Targets, backups and acting rules are those of
`lmrl_agents.algorithms.kl_control`, `batch_q` and `dbcq`; in place of a transformer stands a small network, in place of a language model a
clone of the buffer's actions.

    python benchmarks/sanity/cartpole_wop.py --seeds 5 --out benchmarks/results/kl-control/cartpole.json
    python benchmarks/sanity/cartpole_wop.py --seeds 1 --buffers expert --steps 300        # a look

Printed: for each buffer the mean return in it, of its clone (sampled, greedy), and of each method (mean of the last three of six
evaluations of 20 games), over seeds; at most 200 steps a game.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import nn

from lmrl_agents.algorithms import kl_control
from lmrl_agents.algorithms.dbcq import expected_best
from lmrl_agents.learning.losses import surprise
from lmrl_agents.models.guided import best_of_draws
from lmrl_envs.files import write_atomically

BUFFERS = ("full", "concurrent", "expert", "noisy")
METHODS = ("Batch Q", "Batch Q + MC", "DBCQ", "KL-Q coded", "KL-Psi coded", "Psi", "G")
DISCOUNT, POLYAK, BATCH, RATE, PASSES, DRAWS = 0.99, 0.005, 64, 1e-3, 5, 10
EVALUATIONS, GAMES = 6, 20
SIZES = {"full": 20_000, "concurrent": 20_000, "expert": 10_000, "noisy": 10_000}
"""Steps that each buffer holds."""


@dataclass
class Buffer:
    """Steps in the order in which they were taken, and the mean length of the games that ended in it."""

    state: torch.Tensor
    """float32 [N, 4]"""
    action: torch.Tensor
    """int64 [N]"""
    after: torch.Tensor
    """float32 [N, 4]"""
    goes_on: torch.Tensor
    """float32 [N]: 0 where the pole fell, 1 after a cut-off, too."""
    mean_return: float


def network(dropout: bool = False) -> nn.Sequential:
    """Values or logits of the two actions; with layers of dropout, which are off unless they are switched on."""
    layers: list[nn.Module] = [nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()]
    if dropout:
        layers.insert(4, nn.Dropout(0.2))
        layers.insert(2, nn.Dropout(0.2))
    return nn.Sequential(*layers, nn.Linear(64, 2)).eval()


def games(n: int) -> gym.vector.VectorEnv:
    """Games of at most 200 steps, side by side."""
    return gym.make_vec("CartPole-v0", num_envs=n, vectorization_mode="vector_entry_point")


Acting = Callable[[torch.Tensor], torch.Tensor]
"""States float [N, 4] to the probabilities of the actions, float [N, 2]."""


def collect(acting: Acting, steps: int, seed: int, learn: Callable[[Buffer, int], None] | None = None) -> Buffer:
    """So many steps of a policy, in eight games at once; ``learn`` is called after each with what there is so far, and its length."""
    env, rng = games(8), np.random.default_rng(seed)
    seen, _ = env.reset(seed=seed)
    buffer = Buffer(
        torch.zeros(steps, 4), torch.zeros(steps, dtype=torch.long), torch.zeros(steps, 4), torch.ones(steps), 0.0
    )
    fresh, length, lengths, filled = np.zeros(8, bool), np.zeros(8), [], 0
    while filled < steps:
        chances = acting(torch.from_numpy(seen)).detach().numpy()
        action = (rng.random(8) < chances[:, 1]).astype(np.int64)
        after, _, terminated, truncated, _ = env.step(action)
        for i in np.flatnonzero(~fresh)[: steps - filled]:  # the step after an end only begins a game
            buffer.state[filled], buffer.after[filled] = torch.from_numpy(seen[i]), torch.from_numpy(after[i])
            buffer.action[filled], buffer.goes_on[filled] = int(action[i]), 1.0 - float(terminated[i])
            filled += 1
        length = np.where(fresh, 0, length + 1)
        fresh = terminated | truncated
        lengths += length[fresh].tolist()
        seen = after
        if learn is not None and filled >= 500:
            learn(buffer, filled)
    env.close()
    buffer.mean_return = float(np.mean(lengths)) if lengths else float(length.mean())
    return buffer


def q_learner(seed: int) -> tuple[Buffer, nn.Module]:
    """What an ordinary Q-learner saw, and what it became: its best network, by what it made of the games since the last look."""
    torch.manual_seed(seed)
    q, target = network(), network()
    target.load_state_dict(q.state_dict())
    optimizer = torch.optim.Adam(q.parameters(), RATE)
    rng, best = np.random.default_rng(seed), (-1.0, q.state_dict())
    calls = 0

    def acting(states: torch.Tensor) -> torch.Tensor:
        explore = max(0.05, 1.0 - calls / 1000)
        greedy = nn.functional.one_hot(q(states).argmax(1), 2).float()
        return explore / 2 + (1 - explore) * greedy

    def learn(buffer: Buffer, filled: int) -> None:
        nonlocal calls, best
        calls += 1
        for _ in range(2):
            which = torch.from_numpy(rng.integers(0, filled, BATCH))
            with torch.no_grad():
                y = 1 + DISCOUNT * buffer.goes_on[which] * target(buffer.after[which]).amax(1)
            loss = nn.functional.smooth_l1_loss(q(buffer.state[which]).gather(1, buffer.action[which, None])[:, 0], y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            follow(target, q)
        if calls % 250 == 0:
            score = mean_return(greedy_of(q), seed + 50_000 + calls)
            if score > best[0]:
                best = score, {name: tensor.clone() for name, tensor in q.state_dict().items()}

    buffer = collect(acting, SIZES["full"], seed, learn)
    q.load_state_dict(best[1])
    return buffer, q


def follow(target: nn.Module, source: nn.Module) -> None:
    """Move the slow copy."""
    with torch.no_grad():
        torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), POLYAK)


def greedy_of(values: nn.Module) -> Acting:
    """The largest value's action."""
    return lambda states: nn.functional.one_hot(values(states).argmax(1), 2).float()


@torch.no_grad()
def mean_return(acting: Acting, seed: int) -> float:
    """Mean length of `GAMES` games."""
    env, rng = games(GAMES), np.random.default_rng(seed)
    seen, _ = env.reset(seed=seed)
    length, alive = np.zeros(GAMES), np.ones(GAMES, bool)
    while alive.any():
        action = (rng.random(GAMES) < acting(torch.from_numpy(seen))[:, 1].numpy()).astype(np.int64)
        seen, _, terminated, truncated, _ = env.step(action)
        length += alive
        alive &= ~(terminated | truncated)
    env.close()
    return float(length.mean())


def clone(buffer: Buffer, seed: int, steps: int) -> nn.Module:
    """The buffer's actions, cloned: the prior."""
    torch.manual_seed(seed + 1)
    model, rng = network(), np.random.default_rng(seed + 1)
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    for _ in range(steps):
        which = torch.from_numpy(rng.integers(0, len(buffer.action), BATCH))
        loss = surprise(model(buffer.state[which]), buffer.action[which]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.requires_grad_(False)


def rule_of(method: str) -> kl_control.Config | None:
    """What `kl_control` calls it; None for the others."""
    names = {"KL-Q coded": "klq_coded", "KL-Psi coded": "klq_coded", "Psi": "psi", "G": "g"}
    return kl_control.Config(form=names[method], soft="Psi" in method) if method in names else None


def train(method: str, buffer: Buffer, prior: nn.Module, seed: int, steps: int, grows: bool) -> list[float]:
    """Returns of six evaluations during the training of a method."""
    torch.manual_seed(seed + 2)
    config, mc = rule_of(method), method == "Batch Q + MC"
    q, target = network(mc), network(mc)
    target.load_state_dict(q.state_dict())
    optimizer = torch.optim.Adam(q.parameters(), RATE)
    rng, found, size = np.random.default_rng(seed + 2), [], len(buffer.action)

    def acting(states: torch.Tensor) -> torch.Tensor:
        values, log_prior = q(states), torch.log_softmax(prior(states), 1)
        if config is not None:
            return torch.softmax(values + (log_prior if config.form == "g" else 0), 1)
        if method == "DBCQ":
            return best_of_draws(values, log_prior.exp(), DRAWS).float()
        return nn.functional.one_hot(values.argmax(1), 2).float()

    for step in range(steps):
        # What grows is seen up to where the learner stood at this share of its life.
        limit = max(500, size * (step + 1) // steps) if grows else size
        which = torch.from_numpy(rng.integers(0, limit, BATCH))
        state, action, after = buffer.state[which], buffer.action[which], buffer.after[which]
        values = q(state)
        with torch.no_grad():
            reward, slow = torch.ones(BATCH), target(after)
            log_prior = torch.log_softmax(prior(after), 1)
            if config is not None:
                own = (-surprise(table, action) for table in (prior(state), values))
                reward = kl_control.reward_of(reward, *own, config)
                worth = kl_control.backup(slow, log_prior, config.form, config.soft)
            elif method == "DBCQ":
                worth = expected_best(slow, log_prior.exp(), DRAWS)
            elif mc:
                target.train()
                worth = torch.stack([target(after).amax(1) for _ in range(PASSES)]).amin(0)
                target.eval()
            else:
                worth = slow.amax(1)
            y = reward + DISCOUNT * buffer.goes_on[which] * worth
        loss = nn.functional.smooth_l1_loss(values.gather(1, action[:, None])[:, 0], y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_value_(q.parameters(), 1.0)
        optimizer.step()
        follow(target, q)
        if (step + 1) % max(1, steps // EVALUATIONS) == 0 and len(found) < EVALUATIONS:
            found.append(mean_return(acting, seed + 10_000 * (len(found) + 1)))
    return found


def buffers_of(seed: int, wanted: tuple[str, ...]) -> dict[str, Buffer]:
    """The buffers of one learner."""
    seen, learned = q_learner(seed)
    greedy = greedy_of(learned)
    made: dict[str, Callable[[], Buffer]] = {
        "full": lambda: seen,
        "concurrent": lambda: seen,
        "expert": lambda: collect(greedy, SIZES["expert"], seed + 100),
        "noisy": lambda: collect(lambda states: 0.15 + 0.7 * greedy(states), SIZES["noisy"], seed + 200),
    }
    return {name: made[name]() for name in wanted}


def write(out: Path, options: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """What there is so far."""
    facts = {
        "command": f"python benchmarks/sanity/cartpole_wop.py --seeds {options.seeds} --steps {options.steps}",
        "steps": options.steps,
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "rows": rows,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, json.dumps(facts, indent=1) + "\n")


def main() -> None:
    """All of it, and a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--buffers", nargs="+", choices=BUFFERS, default=BUFFERS)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--out", type=Path, help="file of all figures (JSON); rows that it has already are kept")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    if options.out and options.out.is_file():
        facts = json.loads(options.out.read_text("utf-8"))
        if facts["steps"] != options.steps:
            parser.error(f"{options.out} has rows of --steps {facts['steps']}: take another file")
        rows = facts["rows"]
    done = {(row["buffer"], row["seed"]) for row in rows}
    for seed in range(options.seeds):
        wanted = tuple(name for name in options.buffers if (name, seed) not in done)
        for name, buffer in (buffers_of(seed, wanted) if wanted else {}).items():
            began = time.process_time()
            prior = clone(buffer, seed, options.steps)
            sampled = mean_return(lambda states, prior=prior: torch.softmax(prior(states), 1), seed + 70_000)
            row = {
                "buffer": name,
                "seed": seed,
                "data": buffer.mean_return,
                "BC sampled": sampled,
                "BC greedy": mean_return(greedy_of(prior), seed + 80_000),
            }
            for method in METHODS:
                row[method] = float(
                    np.mean(train(method, buffer, prior, seed, options.steps, name == "concurrent")[-3:])
                )
            row = {key: round(value, 1) if isinstance(value, float) else value for key, value in row.items()}
            print(json.dumps(row), flush=True)
            rows.append({**row, "cpu_seconds": round(time.process_time() - began, 1)})
            if options.out:
                write(options.out, options, rows)
    columns = ["data", "BC sampled", "BC greedy", *METHODS]
    print("\n| buffer | " + " | ".join(columns) + " |\n" + "|---" * (len(columns) + 1) + "|")
    for name in options.buffers:
        own = [row for row in rows if row["buffer"] == name]
        cells = [np.array([row[column] for row in own]) for column in columns]
        print(
            f"| {name} | "
            + " | ".join(f"{cell.mean():.0f} ({cell.min():.0f} to {cell.max():.0f})" for cell in cells)
            + " |"
        )


if __name__ == "__main__":
    main()
