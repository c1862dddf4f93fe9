"""Seeds of episodes. Streams of different purpose never share seeds, whatever their base seed is."""

from __future__ import annotations

from hashlib import blake2b
from typing import Literal

Stream = Literal["data", "policy", "train", "validation", "evaluation", "agent", "exploit"]


def episode_seed(stream: Stream, base: int, index: int) -> int:
    """Seed of episode ``index``: 62 bits of a hash of purpose, base seed and index.

    ``data`` seeds the environments of datasets, ``train`` those of online rollouts, ``validation`` the ones that choose
    hyperparameters, ``evaluation`` the ones that are reported; ``policy`` and ``agent`` seed the players, ``exploit`` the games that are attacked.
    """
    digest = blake2b(f"{stream}/{base}/{index}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 2
