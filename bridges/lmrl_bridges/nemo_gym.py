"""Every task as a resources server of NeMo Gym, written against the interface of 0.7 as it was read: it needs a newer Python than is
tested here; the tests play against a stub of that interface.

It is a ``GymnasiumServer``, to be used with NeMo Gym's ``gymnasium_agent``; rows of its JSON lines are those of `rows`.
"""

from __future__ import annotations

from typing import Any

from resources_servers.gymnasium.base import GymnasiumServer, extract_text

from lmrl_bridges.game import Game, game_rows
from lmrl_datasets.schema import plain


class LmrlServer(GymnasiumServer):
    """A game a session. Rewards are changes of the score (see `Game`): what the agent adds up is the task's least return until the
    game is played to its end.
    """

    async def reset(self, metadata: dict[str, Any], session_id: str) -> tuple[str, dict[str, Any]]:
        """Begin the game that the row names."""
        game = Game(metadata["env_id"], metadata.get("env_kwargs"), rewards="score")
        await self.close_session(session_id)
        self.session_state[session_id] = game
        return game.reset(metadata["seed"]), {"instructions": game.instructions}

    async def step(
        self, response: Any, metadata: dict[str, Any], session_id: str
    ) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Play what the model wrote."""
        game = self.session_state[session_id]
        text, reward, terminated, truncated, info = game.step(extract_text(response))
        return text, reward, terminated, truncated, {**plain(info), **game.result}

    async def close_session(self, session_id: str | None) -> None:
        """Release what a session's game holds."""
        if (game := self.session_state.pop(session_id, None)) is not None:
            game.close()


def rows(env_id: str, games: int, seed: int = 0, **arguments: Any) -> list[dict[str, Any]]:
    """Rows of NeMo Gym's JSON lines: what the model is asked first; the rest reaches `LmrlServer.reset` as metadata."""
    found = []
    for row in game_rows(env_id, games, seed, **arguments):
        about = {key: row[key] for key in ("env_id", "env_kwargs", "seed")}
        found.append({"responses_create_params": {"input": row["prompt"]}, **about})
    return found


if __name__ == "__main__":
    LmrlServer.run_webserver()
