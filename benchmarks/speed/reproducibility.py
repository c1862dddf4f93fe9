"""How close runs come to each other that are not the same bit for bit (docs/reproducibility.md).

    python benchmarks/speed/reproducibility.py --out runs/closeness

Trains one small model several times (threads, instructions of the processor, precision), then compares weights, losses and
games; then the same games with other numbers of slots, and against Stockfish. A training that is there is not made again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

TASK, DATA, GAMES = "lmrl/MazeFullyObserved-v0", "maze/mixed-v0", 100
SETTINGS = {"bc.steps": 100, "bc.batch_size": 64}
VARIANTS: dict[str, dict[str, Any]] = {
    "once": {},
    "again": {},
    "threads": {"threads": 2},
    "avx2": {"capability": "avx2"},
    "plain": {"capability": "default"},
    "bf16": {"dtype": "bf16"},
}


def train(out: Path, threads: int = 1, dtype: str = "float32", capability: str = "") -> None:
    """One training in a process of its own: the instructions are chosen when PyTorch is loaded."""
    order = ["train", "bc", "--env", TASK, "--data", DATA, "--sample", "--out", str(out), "--threads", str(threads)]
    order += ["--dtype", dtype, "--resume", "--set", *(f"{key}={value}" for key, value in SETTINGS.items())]
    own = {**os.environ, **({"ATEN_CPU_CAPABILITY": capability} if capability else {})}
    subprocess.run([sys.executable, "-m", "lmrl_benchmarks.commands.cli", *order], env=own, check=True)


def weights(run: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(run / "final" / "weights.safetensors")


def losses(run: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]


def games(run: Path, slots: int = 64) -> dict[int, Any]:
    from lmrl_agents import load_agent
    from lmrl_agents.playing.rollout import Rollout

    played = Rollout(load_agent(str(run)), TASK, slots=slots).play(range(GAMES), 0)
    return {game.episode: (game.actions, game.transcript.episode_return) for game in played}


def differing(one: dict[int, Any], other: dict[int, Any]) -> int:
    return sum(one[episode] != other[episode] for episode in one)


def against_stockfish(**strength: Any) -> list[Any]:
    """Transcripts of six short games."""
    import gymnasium

    import lmrl_envs

    env: Any = gymnasium.make("lmrl/Chess-v0", simulator="stockfish", pool_size=1, max_moves=8, **strength).unwrapped
    found = []
    for seed in range(6):
        env.reset(seed=seed)
        player, over = lmrl_envs.make_policy("lmrl/Chess-v0", "random", seed=seed), False
        while not over:
            _, _, terminated, truncated, _ = env.step(player.act(env.transcript))
            over = terminated or truncated
        found.append(env.transcript)
    env.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/closeness"))
    out = parser.parse_args().out
    for name, how in VARIANTS.items():
        train(out / name, **how)
    import torch

    torch.set_num_threads(1)
    mine, told, first = weights(out / "once"), losses(out / "once"), games(out / "once")
    print(f"instructions: {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}")
    for name in list(VARIANTS)[1:]:
        other = weights(out / name)
        apart = max((mine[key] - other[key]).abs().max().item() for key in mine)
        loss = max(abs(a - b) / a for a, b in zip(told, losses(out / name), strict=True))
        played = differing(first, games(out / name))
        print(f"{name}: weights {apart:.1e}, losses {loss:.1e}, {played} of {GAMES} games differ")
    for slots in (1, 7):
        print(f"{slots} slots and 64: {differing(first, games(out / 'once', slots))} of {GAMES} games differ")
    for strength in ({"nodes": 1000}, {"elo": 1350}):
        pairs = zip(against_stockfish(**strength), against_stockfish(**strength), strict=True)
        print(f"Stockfish {strength}: {sum(a != b for a, b in pairs)} of 6 games differ")


if __name__ == "__main__":
    main()
