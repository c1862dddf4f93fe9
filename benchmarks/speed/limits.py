"""What the machine can do at most, measured on the spot, one thread."""

from __future__ import annotations

import os
import random
import tempfile
import time
from functools import cache

from table import cpu_rate


@cache
def empty_steps(seconds: float = 1.0) -> float:
    """Steps per CPU second of a Gymnasium environment that does nothing: what `gymnasium.make`'s wrappers cost."""
    import gymnasium as gym

    from lmrl_envs import FreeText

    class Empty(gym.Env):
        observation_space = action_space = FreeText(100)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return "", {}

        def step(self, action):
            return "", 0.0, False, False, {}

    gym.register("lmrl-speed/Empty-v0", entry_point=lambda **_: Empty())
    env = gym.make("lmrl-speed/Empty-v0")
    env.reset(seed=0)

    def work() -> int:
        for _ in range(1000):
            env.step("move up")
        return 1000

    return cpu_rate(work, seconds)


@cache
def chess_plies(seconds: float = 1.0) -> float:
    """Plies per CPU second of python-chess alone: list the legal moves, pick one, push it."""
    import chess

    rng = random.Random(0)

    def work() -> int:
        board, plies = chess.Board(), 0
        while plies < 100 and (moves := list(board.legal_moves)):
            board.push(rng.choice(moves))
            plies += 1
        return plies

    return cpu_rate(work, seconds)


@cache
def matmul_flops(seconds: float = 1.0) -> float:
    """Floating-point operations per CPU second of a float32 product of 1,024 by 1,024 matrices."""
    import torch

    a = torch.randn(1024, 1024)

    def work() -> int:
        _ = a @ a
        return 2 * 1024**3

    work()
    return cpu_rate(work, seconds)


@cache
def memory_bandwidth(seconds: float = 1.0) -> float:
    """Bytes read per CPU second: the sum of 256 MB of float32, far more than caches hold."""
    import torch

    a = torch.ones(64_000_000)

    def work() -> int:
        a.sum()
        return a.numel() * 4

    work()
    return cpu_rate(work, seconds)


def disk_bandwidth(megabytes: int = 256) -> dict[str, float]:
    """Bytes per wall second: written and synchronised, and read again (from the page cache, where it fits)."""
    block = os.urandom(1_000_000)
    with tempfile.NamedTemporaryFile() as file:
        started = time.perf_counter()
        for _ in range(megabytes):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        written = time.perf_counter() - started
        started = time.perf_counter()
        with open(file.name, "rb", buffering=0) as again:
            while again.read(1_000_000):
                pass
        read = time.perf_counter() - started
    return {"write": megabytes * 1e6 / written, "read": megabytes * 1e6 / read}
