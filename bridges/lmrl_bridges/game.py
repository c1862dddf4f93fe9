"""A game as every bridge plays it: messages in, texts out, and one score at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import gymnasium

from lmrl_agents.prompting.extraction import extract
from lmrl_envs import TextEnv, Transcript, load_task
from lmrl_envs.core import Outcome, check_choice
from lmrl_envs.language.answers import Tool
from lmrl_envs.seeding import Stream, episode_seed

OVER = "The game is over."
"""What is answered to whoever goes on after the end; it changes nothing."""


class Game:
    """One environment of a task, for one game after the other.

    Args:
        env_id: task id, ``module:id`` or ``file.py:id``.
        env_kwargs: arguments of the environment.
        read: find the action in what a language model wrote, as this suite's prompted agents do; False plays messages as they are.
        rewards: what `step` pays. ``step``: the environment's own rewards. ``score``: what changes the score, for trainers that add
            up what they are paid and end games themselves: the task's least return with the first action, the difference to the
            game's return with the last one. Of a game that is played to its end both sums are its return.
    """

    def __init__(
        self,
        env_id: str,
        env_kwargs: Mapping[str, Any] | None = None,
        *,
        read: bool = True,
        rewards: Literal["step", "score"] = "step",
    ) -> None:
        self.rewards = check_choice("rewards", rewards, ("step", "score"))
        self.row = load_task(env_id)
        self.env: TextEnv = gymnasium.make(self.row.id, **dict(env_kwargs or {})).unwrapped  # type: ignore[assignment]
        self.read, self._form = read, self.row.surface.answer_form
        self._least = self.row.return_range[0]
        self.info: dict[str, Any] = {}
        """Of the last step."""
        self.terminated = self.truncated = self.over = False
        """``over``: whether the game has ended, by its rules or its limit of actions."""
        self.valid_actions = 0
        self._kind: str | None = None

    @property
    def instructions(self) -> str:
        """The task explained to a language model."""
        return self.env.instructions

    @property
    def tool(self) -> Tool:
        """An action as a call of a tool."""
        return self._form.tool

    @property
    def transcript(self) -> Transcript:
        """The conversation so far."""
        return self.env.transcript

    @property
    def score(self) -> float:
        """The undiscounted return of a game that was played to its end. One that was not has the least that the task knows, as an
        episode with an error has on this suite's leaderboards: to stop while one is ahead is not worth it.
        """
        return float(sum(self.env._rewards)) if self.over else self._least

    @property
    def result(self) -> dict[str, float]:
        """The score and what else is told of a game, as numbers."""
        turns = self.env.turn
        return {
            "return": self.score,
            "success": float(self.over and bool(self.info.get("success", False))),
            "finished": float(self.over),
            "turns": float(turns),
            "valid": self.valid_actions / turns if turns else 0.0,
        }

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> str:
        """Begin a game; returns its opening text. Equal seeds are equal games."""
        opening, self.info = self.env.reset(seed=None if seed is None else int(seed), options=options)
        self.terminated = self.truncated = self.over = False
        self.valid_actions = 0
        return opening

    def step(self, message: str) -> Outcome:
        """Play what a player wrote; what the environment says to it, as `gymnasium.Env.step` does.

        After the end nothing is played any more: `OVER`, 0 and the last info come back.
        """
        if self.over:
            return OVER, 0.0, self.terminated, self.truncated, self.info
        if self.read:
            message = extract(self._form, message, self.env._texts[-1])
        text, _, terminated, truncated, info = outcome = self.env.step(message)
        self.info = info
        self.valid_actions += info["valid"]
        if terminated or truncated:
            self.terminated, self.truncated, self.over = terminated, truncated, True
        if self.rewards == "step":
            return outcome
        first = info["turn"] == 1
        if not self.over:
            return text, self._least if first else 0.0, terminated, truncated, info
        return text, self.score - (0.0 if first else self._least), terminated, truncated, info

    def messages(self) -> list[dict[str, str]]:
        """The chat so far: instructions as the system message, environment as user, player as assistant."""
        return self.transcript.as_messages(self.instructions)

    def close(self) -> None:
        """Release what the environment holds."""
        self.env.close()

    def let_go(self) -> None:
        """Keep a game that was `borrowed` for the next one of its kind; one that holds a partner who lives elsewhere is closed."""
        if self._kind is None:
            self.close()
        else:
            _IDLE.setdefault(self._kind, []).append(self)


_IDLE: dict[str, list[Game]] = {}
"""Games that were let go of, by task and arguments: to make an environment takes as long as ten games of Wordle."""


def borrowed(env_id: str, env_kwargs: Mapping[str, Any] | None = None) -> Game:
    """A game for one player, to be let go of when it is played; what `Game` takes."""
    kwargs = dict(env_kwargs or {})
    kind = f"{env_id} {sorted(kwargs.items())}" if kwargs else env_id
    try:  # in threads the last idle game may be taken between a look and a grasp
        game = _IDLE[kind].pop()
    except (KeyError, IndexError):
        game = Game(env_id, kwargs)
        game._kind = None if game.row.is_live(kwargs) else kind
    game.rewards = "step"
    return game


def game_rows(
    env_id: str,
    games: int,
    seed: int = 0,
    stream: Stream = "train",
    env_kwargs: Mapping[str, Any] | None = None,
    salt: str = "",
) -> list[dict[str, Any]]:
    """Rows of a data set of games: what a trainer repeats for its groups, and a bridge begins a game from.

    Args:
        env_id: task id, ``module:id`` or ``file.py:id``.
        games: how many.
        seed: base seed; game k has ``episode_seed(stream, seed, k)``, as episode k of ``lmrl eval --seed`` has under "evaluation".
        stream: what the games are for. Training never plays what is evaluated.
        env_kwargs: arguments of the environment.
        salt: of a sealed suite.

    Returns:
        dicts of ``env_id``, ``env_kwargs``, ``seed``, ``index`` and ``prompt`` (the instructions as a chat's system message).
    """
    game = Game(env_id, env_kwargs)
    prompt = [{"role": "system", "content": game.instructions}]
    game.close()
    row = {"env_id": env_id, "env_kwargs": dict(env_kwargs or {}), "prompt": prompt}
    return [{**row, "index": k, "seed": episode_seed(stream, seed, k, salt)} for k in range(games)]
