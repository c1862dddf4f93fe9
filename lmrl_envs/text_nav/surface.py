"""What is known of the task outside the game: see `lmrl_envs.surface`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmrl_envs.surface import Invariants, Surface


class TextNavSurface(Surface):
    """See `lmrl_envs.surface.Surface`."""

    # -- what is tried on it, and what must hold then

    variants = ({"max_moves": 7}, {"layout": "random:5"})

    def invariants(self, kwargs: Mapping[str, Any]) -> Invariants:
        return Invariants(rewards=frozenset({0.0, 1.0}))


SURFACE = TextNavSurface()
