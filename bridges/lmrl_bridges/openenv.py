"""Every task as an OpenEnv server, with sessions and lists of games (read against openenv 0.10).

    python -m lmrl_bridges.openenv --env lmrl/Wordle-v0 --port 8000

A client asks for a game by ``reset(seed=...)`` or ``reset(split="train", index=3)``, of another task by ``env_id=``, and answers with the
one field ``message``: what a language model wrote, or the action itself. OpenEnv has one ``done`` for both ends of Gymnasium; the
metadata of the last observation tells them apart. OpenEnv's trainers add up what they are paid and end games themselves: rewards are changes of the
score (see `Game`), so that a game that they cut off adds up to the task's least; ``reset(rewards="step")`` pays the environment's own.

`bridges/openenv_space` serves the same as a Hugging Face Space.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from uuid import uuid4

import tyro
from openenv.core.env_server import Action, Environment, Observation, State, create_app
from openenv.core.env_server.types import EnvironmentMetadata
from pydantic import Field

from lmrl_bridges.game import Game
from lmrl_datasets.schema import plain
from lmrl_envs import task, task_ids
from lmrl_envs.core import check_choice
from lmrl_envs.files.arguments import from_elsewhere
from lmrl_envs.seeding import Stream, episode_seed

SPLITS: dict[str, Stream] = {"train": "train", "validation": "validation", "test": "evaluation"}
GAMES = 10_000
"""Games of a split."""
LISTED = 100
"""Of them that a list of all shows."""


class Message(Action):
    """What the player says."""

    message: str = Field(description="An action, or a language model's answer that holds one")


class Text(Observation):
    """What the environment says."""

    text: str = Field(description="The environment's text")
    instructions: str | None = Field(
        default=None, description="The task explained to a language model; at the beginning"
    )
    tool: dict[str, Any] | None = Field(default=None, description="An action as a tool; at the beginning")


class GameState(State):
    """How a game stands; nothing hidden is in it."""

    env_id: str
    score: float
    finished: bool


class LmrlEnvironment(Environment[Message, Text, GameState]):
    """One session: games of one task after the other.

    Args:
        env_id: the task that is played when a client names none.
        env_kwargs: its arguments.
    """

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self, env_id: str, env_kwargs: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self._default = self.game = Game(env_id, env_kwargs, rewards="score")
        self._asked: tuple[str, dict[str, Any]] | None = None
        """Task and arguments that the client chose, if ``game`` is of its choice."""
        self._episode: str | None = None

    def reset(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        env_id: str | None = None,
        env_kwargs: Mapping[str, Any] | None = None,
        split: str | None = None,
        index: int | None = None,
        rewards: Literal["score", "step"] = "score",
        **_: Any,
    ) -> Text:
        """Begin a game.

        Args:
            seed: equal seeds are equal games.
            episode_id: the client's name for it.
            env_id: a registered task; by default the server's.
            env_kwargs: its arguments. They come from elsewhere: they name no file, no code and no live partner.
            split: instead of a seed, with ``index``: a game of a list.
            index: which one.
            rewards: what is paid for steps.

        Raises:
            ValueError: arguments that the task does not take, or a game of no list.
            gymnasium.error.NameNotFound: no such task.
        """
        if split is not None:
            seed = self.get_task(split, 0 if index is None else index)["seed"]
        game = self._default
        if env_id is not None or env_kwargs:
            row, given = task(env_id or game.row.id), dict(env_kwargs or {})
            if row.is_live(given):
                raise ValueError(f"{row.id}: a server's clients name no live partner")
            if (row.id, given) == self._asked:
                game = self.game
            else:
                with from_elsewhere():
                    game = Game(row.id, given)
                self._asked = (row.id, given)
        else:
            self._asked = None
        if game is not self.game and self.game is not self._default:
            self.game.close()
        self.game = game
        self.game.rewards = check_choice("rewards", rewards, ("score", "step"))
        opening = self.game.reset(seed)
        self._episode = episode_id or str(uuid4())
        return Text(
            text=opening, instructions=self.game.instructions, tool=self.game.tool.schema(), metadata={"turn": 0}
        )

    def step(self, action: Message, timeout_s: float | None = None, **_: Any) -> Text:
        """Play an action."""
        text, reward, terminated, truncated, info = self.game.step(action.message)
        told = {**plain(info), "terminated": terminated, "truncated": truncated}
        return Text(text=text, reward=reward, done=terminated or truncated, metadata=told)

    @property
    def state(self) -> GameState:
        """How the game stands. Its score is the task's least until it is played to its end."""
        game = self.game
        return GameState(
            episode_id=self._episode, step_count=game.env.turn, env_id=game.row.id, score=game.score, finished=game.over
        )

    def get_metadata(self) -> EnvironmentMetadata:
        """What the server offers."""
        row = self.game.row
        return EnvironmentMetadata(name=row.id, description=f"{row.summary} Tasks: {', '.join(task_ids())}.")

    def close(self) -> None:
        """Release what the games hold."""
        self.game.close()
        self._default.close()

    # -- lists of games (OpenEnv's TaskProvider)

    def list_splits(self) -> list[dict[str, str]]:
        return [{"name": name, "type": name} for name in SPLITS]

    def num_tasks(self, split: str) -> int:
        return GAMES if split in SPLITS else 0

    def get_task(self, split: str, index: int) -> dict[str, Any]:
        if split not in SPLITS:
            raise ValueError(f"split={split!r} is not known; choose one of {', '.join(SPLITS)}")
        if not 0 <= index < GAMES:
            raise IndexError(f"index={index}: {split} has the games 0 to {GAMES - 1}")
        return {"id": f"{split}-{index}", "index": index, "seed": episode_seed(SPLITS[split], 0, index)}

    def list_tasks(self, split: str) -> list[dict[str, Any]]:
        return self.get_task_range(split, 0, LISTED)

    def get_task_range(self, split: str, start: int | None = None, stop: int | None = None) -> list[dict[str, Any]]:
        return [self.get_task(split, k) for k in range(*slice(start, stop).indices(self.num_tasks(split)))]


def create(env_id: str, env_kwargs: Mapping[str, Any] | None = None, sessions: int = 64) -> Any:
    """The server as an ASGI application.

    Args:
        env_id: the task that is played when a client names none.
        env_kwargs: its arguments.
        sessions: most games at once.
    """
    return create_app(
        lambda: LmrlEnvironment(env_id, env_kwargs), Message, Text, env_name="lmrl", max_concurrent_envs=sessions,
        state_cls=GameState,
    )  # fmt: skip


def serve(env: str, host: str = "127.0.0.1", port: int = 8000, sessions: int = 64) -> None:
    """Serve the tasks to OpenEnv's clients.

    Args:
        env: The task that is played when a client names none.
        host: Where to listen; 0.0.0.0 is everywhere.
        port: Of the server.
        sessions: Most games at once.
    """
    import uvicorn

    uvicorn.run(create(env, sessions=sessions), host=host, port=port, log_level="warning")


if __name__ == "__main__":
    tyro.cli(serve)
