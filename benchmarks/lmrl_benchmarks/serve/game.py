"""A game under way, and the bounds of a server."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any, Literal

from lmrl_agents.playing.protocol import Request
from lmrl_agents.playing.scripted import ScriptedAgent
from lmrl_benchmarks.running.records import Record
from lmrl_benchmarks.running.suite import SuiteTask
from lmrl_benchmarks.serve.environments import name_of
from lmrl_datasets.schema import plain
from lmrl_envs import TextEnv, task

Mode = Literal["practice", "ranked", "watch"]
MODES: tuple[Mode, ...] = ("practice", "ranked", "watch")
_ALWAYS = ("turn", "valid", "success", "understood", "legal_moves")


@dataclass(frozen=True)
class Limits:
    """Bounds on what a server gives away."""

    sessions: int = 200
    """Games kept at once."""
    sessions_of_one: int = 200
    """By one client; so that no other is left without."""
    idle_seconds: float = 1800.0
    """A game that nothing is asked about for so long is dropped."""
    action_characters: int = 4000
    body_bytes: int = 32_768
    body_seconds: float = 10.0
    requests_per_second: float = 30.0
    """Per client, after a burst."""
    burst: int = 120
    connections: int = 512
    connections_of_one: int = 256
    header_seconds: float = 10.0
    """For a whole header to come, and for an answer to be taken."""
    agent_seconds: float = 60.0
    """For an action of a watched agent."""


@dataclass
class LiveGame:
    """One game. Every method that changes it is called with ``busy`` held."""

    key: str
    entry: SuiteTask
    mode: Mode
    env: TextEnv
    seed: int
    episode: int | None = None
    """Its number in the evaluation's list, if it counts."""
    agent_name: str = ""
    client: str = ""
    """Who began it; "" for nobody in particular."""
    number: int = 0
    busy: threading.Lock = field(default_factory=threading.Lock)
    used: float = field(default_factory=time.monotonic)
    shown: float = field(default_factory=time.monotonic)
    """When the player was last shown a text to answer."""
    seconds: float = 0.0
    flags: list[dict[str, Any]] = field(default_factory=list)
    thoughts: list[dict[str, Any]] = field(default_factory=list)
    hints: list[int] = field(default_factory=lambda: [0])
    """Asked for before each action, the next one's last."""
    coached: bool = False
    """Whether a person judges the watched agent."""
    acted: list[float] = field(default_factory=list)
    """When a watched agent's actions were shown (monotonic seconds)."""
    signals: list[tuple[float, int]] = field(default_factory=list)
    """A person's plus (1) and minus (-1) on them, with their moments."""
    hinter: ScriptedAgent = field(default_factory=lambda: ScriptedAgent("expert"))
    info: dict[str, Any] = field(default_factory=dict)
    terminated: bool = False
    truncated: bool = False
    error: str | None = None
    kept: bool = False
    shown_state: dict[str, Any] = field(default_factory=dict)
    """What pages show: `state` as it was when the last move was done, so that it can be read while the next is answered."""

    @property
    def may_go(self) -> bool:
        """Whether it may be dropped to make room: never one that counts and was begun, nor one that is being answered."""
        counts = self.episode is not None and bool(self.env.transcript.actions)
        return self.over or not (counts or self.busy.locked())

    @property
    def over(self) -> bool:
        """Whether nothing more can be played."""
        return self.terminated or self.truncated or self.error is not None

    def step(self, action: str) -> None:
        """Play one action; a simulator that fails leaves the game as it was."""
        _, _, self.terminated, self.truncated, info = self.env.step(action)
        self.flags.append({key: info[key] for key in ("valid", "understood") if key in info})
        self.hints.append(0)
        if self.over:
            self.info = info

    def request(self, seed: int) -> Request:
        """What an agent is asked."""
        return Request(self.entry.id, self.number, seed, self.env.transcript, self.env.instructions, self.entry.kwargs)

    def record(self) -> Record:
        """For the records; ``episode`` is below 0 in a game that does not count."""
        transcript = self.env.transcript
        return Record(
            episode=-1 if self.episode is None else self.episode,
            seed=self.seed,
            observations=transcript.observations,
            actions=transcript.actions,
            rewards=transcript.rewards,
            terminated=self.terminated,
            truncated=self.truncated,
            success=bool(self.info.get("success", False)),
            valid_actions=sum(bool(flags["valid"]) for flags in self.flags),
            seconds=round(self.seconds, 3),
            error=self.error,
            info=self.info,
            details=tuple({"hints": count} if count else {} for count in self.hints) if any(self.hints) else (),
        )

    def state(self) -> dict[str, Any]:
        """Everything a page shows. Before the end it is made from the conversation alone."""
        transcript = self.env.transcript
        surface = task(self.entry.id).surface
        turns: list[dict[str, Any]] = []
        for i, turn in enumerate(transcript):
            shown: dict[str, Any] = {"text": turn.text, "action": turn.is_action}
            if turn.is_action:
                shown |= {"reward": turn.reward, **self.flags[i // 2]}
                if self.thoughts:
                    shown["thoughts"] = self.thoughts[i // 2]
            turns.append(shown)
        ended = {**self.info, **surface.layout(self.env)} if self.over else None
        picture = surface.picture(transcript, ended)
        return {
            "id": self.key,
            "task": name_of(self.entry),
            "env_id": self.entry.id,
            "kind": picture["kind"] if picture else "chat",
            "mode": self.mode,
            "agent": self.agent_name,
            "coached": self.coached,
            "instructions": self.env.instructions,
            "turn": len(transcript.actions),
            "limit": surface.turn_limit(self.env),
            "return": transcript.episode_return,
            "turns": turns,
            "picture": picture,
            "over": self.over,
            "hints": sum(self.hints),
            "result": self._result() if self.over else None,
        }

    def _result(self) -> dict[str, Any]:
        hidden = {key: value for key, value in self.info.items() if key not in _ALWAYS}
        if self.error is not None:
            hidden = task(self.entry.id).surface.secret(self.env)
        return {
            "success": bool(self.info.get("success", False)),
            "error": self.error,
            "truncated": self.truncated,
            "rewards": list(self.env.transcript.rewards),
            "hidden": plain(hidden),
            "seed": str(self.seed),  # JavaScript's numbers are too short for it
            "episode": self.episode,
            "kept": self.kept,
        }
