"""What is known of the task outside the game: see `lmrl_envs.surface`."""

from __future__ import annotations

from lmrl_envs.surface import Surface


class GuessMyCitySurface(Surface):
    """See `lmrl_envs.surface.Surface`."""


SURFACE = GuessMyCitySurface()
