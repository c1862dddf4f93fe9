"""What is known of the task outside the game: see `lmrl_envs.surface`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmrl_envs.surface import Invariants, Surface


class ChessSurface(Surface):
    """See `lmrl_envs.surface.Surface`."""

    # -- what is tried on it, and what must hold then

    variants = (
        {"simulator": "random"},
        {"simulator": "random", "spaced": False, "legal_moves": True, "max_moves": 12},
        {"strength": 0},
        {"simulator": "stockfish", "nodes": 20, "pool_size": 1, "max_moves": 8},
    )

    def invariants(self, kwargs: Mapping[str, Any]) -> Invariants:
        return Invariants(rewards=frozenset({0.0, 1.0, -1.0}), hidden=())


class EndgamesSurface(ChessSurface):
    """The same with other starts."""

    variants = (*ChessSurface.variants, {"simulator": "random", "positions": "evaluation"})


SURFACE, ENDGAMES = ChessSurface(), EndgamesSurface()
