"""Many games of chess at once, with one call to the opponent per step."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmrl_envs.chess.env import ChessEndgamesEnv, ChessEnv
from lmrl_envs.vector import Texts, TextVectorEnv


class ChessVectorEnv(TextVectorEnv):
    """Vector entry point of Chess."""

    env_class = ChessEnv

    def reset(self, **kwargs: Any) -> tuple[Texts, dict[str, Any]]:  # type: ignore[override]
        """See `TextVectorEnv.reset`; with ``legal_moves=True`` the infos list them."""
        texts, infos = super().reset(**kwargs)
        for slot in np.flatnonzero(infos["_turn"]).tolist():
            moves = self.envs[slot]._with_moves({})  # type: ignore[attr-defined]
            if moves:
                infos = self._add_info(infos, moves, slot)
        return texts, infos


class ChessEndgamesVectorEnv(ChessVectorEnv):
    """Vector entry point of Endgames."""

    env_class = ChessEndgamesEnv
