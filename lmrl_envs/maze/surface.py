"""What is known of the task outside the game: see `lmrl_envs.surface`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmrl_envs.surface import Invariants, Surface


class MazeSurface(Surface):
    """See `lmrl_envs.surface.Surface`."""

    # -- what is tried on it, and what must hold then

    variants = (
        *({"layout": name} for name in ("umaze", "medium", "large", "random:3x4")),
        {"max_moves": 3},
    )

    def invariants(self, kwargs: Mapping[str, Any]) -> Invariants:
        return Invariants(rewards=frozenset({0.0, -1.0, -4.0}))


SURFACE = MazeSurface()
