"""Seeds of episodes. Streams of different purpose never share seeds, whatever their base seed is."""

from __future__ import annotations

from hashlib import blake2b
from typing import Literal

Stream = Literal["data", "policy", "train", "validation", "evaluation", "agent", "exploit"]


def episode_seed(stream: Stream, base: int, index: int, salt: str = "") -> int:
    """Seed of episode ``index``: 62 bits of a hash of purpose, base seed and index; with a secret ``salt``, keyed by it.

    ``data`` seeds the environments of datasets, ``train`` those of online rollouts, ``validation`` the ones that choose
    hyperparameters, ``evaluation`` the ones that are reported; ``policy`` and ``agent`` seed the players, ``exploit`` the games that are attacked.
    """
    return _seed(f"{stream}/{base}/{index}", salt)


def player_seed(index: int) -> int:
    """Seed of whoever plays episode ``index`` of an evaluation: it does not hold the base seed, from which what is hidden in the
    game could be computed.
    """
    return _seed(f"player/{index}")


def _seed(text: str, salt: str = "") -> int:
    digest = blake2b(text.encode(), digest_size=8, key=bytes.fromhex(salt)).digest()
    return int.from_bytes(digest, "big") >> 2


def label_seed(base: int, annotator: str, pair: int) -> int:
    """Seed of an annotator's label of a pair."""
    return _seed(f"label/{base}/{annotator}/{pair}")
