"""Games under way: a person who plays, or an agent that is watched. Bounded in number, dropped when idle."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import gymnasium

from lmrl_agents.api import Agent, Request
from lmrl_agents.scripted import ScriptedAgent
from lmrl_benchmarks.records import Record
from lmrl_benchmarks.suite import SuiteTask
from lmrl_benchmarks.web.recording import GameRecord, Recorder, name_of
from lmrl_benchmarks.web.views import doubt, kind_of, turn_limit, view_of
from lmrl_benchmarks.web.watching import decide
from lmrl_datasets import DatasetError
from lmrl_datasets.schema import to_json
from lmrl_envs import SimulatorError, TextEnv, task
from lmrl_envs.seeding import episode_seed

Mode = Literal["practice", "ranked", "watch"]
MODES: tuple[Mode, ...] = ("practice", "ranked", "watch")
GIVEN_UP, LEFT = "given up by the player", "left by the player"
_ALWAYS = ("turn", "valid", "success", "understood", "legal_moves")
_LOG = logging.getLogger("lmrl.serve")


class Refused(RuntimeError):
    """A request that cannot be fulfilled; the text is for the player. ``extra`` goes into the answer."""

    def __init__(self, status: int, text: str, **extra: Any) -> None:
        super().__init__(text)
        self.status, self.extra = status, extra


@dataclass(frozen=True)
class Limits:
    """Bounds on what a server gives away."""

    sessions: int = 200
    """Games kept at once."""
    idle_seconds: float = 1800.0
    """A game that nothing is asked about for so long is dropped."""
    action_characters: int = 4000
    body_bytes: int = 32_768
    body_seconds: float = 10.0
    requests_per_second: float = 30.0
    """Per client address, after a burst."""
    burst: int = 120


class Tables:
    """The environments that games are played in: one per task, of which every game gets a sibling."""

    def __init__(self, tasks: Sequence[SuiteTask]) -> None:
        self.tasks = {name_of(entry): entry for entry in tasks}
        self._environments: dict[str, TextEnv] = {}
        self._making = threading.Lock()
        families = {task(entry.id).family: threading.RLock() for entry in tasks}
        self._locks = {name: families[task(entry.id).family] for name, entry in self.tasks.items()}

    def entry(self, name: Any) -> SuiteTask:
        """A task by its name on this server."""
        if not isinstance(name, str) or name not in self.tasks:
            raise Refused(404, "There is no such task on this server.")
        return self.tasks[name]

    def using(self, entry: SuiteTask) -> contextlib.AbstractContextManager[Any]:
        """Held while a game of this task is stepped: knowledge and simulator are shared by all of its games."""
        if str(entry.kwargs.get("simulator", "")).partition(":")[0] in ("openai", "stockfish"):
            return contextlib.nullcontext()  # these answer many threads at once, and take their time
        return self._locks[name_of(entry)]

    def seat(self, entry: SuiteTask) -> TextEnv:
        """A fresh environment of a task."""
        with self._making:
            if name_of(entry) not in self._environments:
                try:
                    environment: Any = gymnasium.make(entry.id, **entry.kwargs).unwrapped
                except gymnasium.error.DependencyNotInstalled as problem:
                    raise Refused(503, f"This task cannot be played here: {problem}") from None
                self._environments[name_of(entry)] = environment
            return self._environments[name_of(entry)].sibling()

    def close(self) -> None:
        """Release the simulators."""
        for environment in self._environments.values():
            environment.close()


@dataclass
class Game:
    """One game. Every method that changes it is called with ``busy`` held."""

    key: str
    entry: SuiteTask
    mode: Mode
    env: TextEnv
    seed: int
    episode: int | None = None
    """Its number in the evaluation's list, if it counts."""
    agent_name: str = ""
    agent: Agent | None = None
    number: int = 0
    busy: threading.Lock = field(default_factory=threading.Lock)
    used: float = field(default_factory=time.monotonic)
    shown: float = field(default_factory=time.monotonic)
    """When the player was last shown a text to answer."""
    seconds: float = 0.0
    flags: list[dict[str, Any]] = field(default_factory=list)
    thoughts: list[dict[str, Any]] = field(default_factory=list)
    hints: int = 0
    hinter: ScriptedAgent = field(default_factory=lambda: ScriptedAgent("expert"))
    info: dict[str, Any] = field(default_factory=dict)
    terminated: bool = False
    truncated: bool = False
    error: str | None = None
    kept: bool = False
    shown_state: dict[str, Any] = field(default_factory=dict)
    """What pages show: `state` as it was when the last move was done, so that it can be read while the next is answered."""

    @property
    def over(self) -> bool:
        """Whether nothing more can be played."""
        return self.terminated or self.truncated or self.error is not None

    def step(self, action: str) -> None:
        """Play one action; a simulator that fails leaves the game as it was."""
        _, _, self.terminated, self.truncated, info = self.env.step(action)
        self.flags.append({key: info[key] for key in ("valid", "understood") if key in info})
        if self.over:
            self.info = info

    def request(self, seed: int) -> Request:
        """What an agent is asked."""
        return Request(self.entry.id, self.number, seed, self.env.transcript, self.env.instructions, self.entry.kwargs)

    def record(self) -> GameRecord:
        """For the journal."""
        transcript = self.env.transcript
        record = Record(
            episode=self.episode or 0,
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
        )
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return GameRecord(record, self.episode is not None, self.hints, now)

    def state(self) -> dict[str, Any]:
        """Everything a page shows. Before the end it is made from the conversation alone."""
        transcript = self.env.transcript
        kind = kind_of(self.entry.id)
        turns: list[dict[str, Any]] = []
        for i, turn in enumerate(transcript):
            shown: dict[str, Any] = {"text": turn.text, "action": turn.is_action}
            if turn.is_action:
                shown |= {"reward": turn.reward, **self.flags[i // 2]}
                if self.thoughts:
                    shown["thoughts"] = self.thoughts[i // 2]
            turns.append(shown)
        ended = self._ended() if self.over else None
        return {
            "id": self.key,
            "task": name_of(self.entry),
            "env_id": self.entry.id,
            "kind": kind,
            "mode": self.mode,
            "agent": self.agent_name,
            "instructions": self.env.instructions,
            "turn": len(transcript.actions),
            "limit": turn_limit(self.env, self.entry.id),
            "return": transcript.episode_return,
            "turns": turns,
            "view": view_of(kind, transcript, ended),
            "over": self.over,
            "hints": self.hints,
            "result": self._result() if self.over else None,
        }

    def _ended(self) -> dict[str, Any]:
        """What the last view may show."""
        ended: dict[str, Any] = {"info": self.info}
        maze: Any = getattr(self.env, "maze", None)
        if maze is not None and (self.info or getattr(self.env, "observability", "") == "full"):
            ended["maze"] = {"rows": maze.rows, "goal": maze.goal}
        return ended

    def _result(self) -> dict[str, Any]:
        hidden = {key: value for key, value in self.info.items() if key not in _ALWAYS}
        if self.error is not None:
            hidden = _hidden_of(self.env)
        return {
            "success": bool(self.info.get("success", False)),
            "error": self.error,
            "truncated": self.truncated,
            "rewards": list(self.env.transcript.rewards),
            "hidden": json.loads(to_json(hidden)),
            "seed": str(self.seed),  # JavaScript's numbers are too short for it
            "episode": self.episode,
            "kept": self.kept,
        }


def _hidden_of(env: TextEnv) -> dict[str, Any]:
    """What was hidden in a game that did not come to its end."""
    game: Mapping[str, Any] = env.get_state()["game"] or {}
    found = {"secret": game["secret"]} if "secret" in game else {}
    hidden = game.get("hidden")
    if isinstance(hidden, Mapping) and "buyer" in hidden:
        found["buyer"] = hidden["buyer"]
    return found


class Sessions:
    """All games of a server."""

    def __init__(
        self, tables: Tables, recorder: Recorder | None, agents: Mapping[str, Agent], limits: Limits | None = None
    ) -> None:
        self.tables, self.recorder, self.agents = tables, recorder, dict(agents)
        self.limits = limits or Limits()
        self._games: OrderedDict[str, Game] = OrderedDict()
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._agent_locks = {name: threading.Lock() for name in self.agents}

    def __len__(self) -> int:
        return len(self._games)

    # -- beginning

    def begin(self, entry: SuiteTask, mode: Mode, agent: str | None, seed: int | None) -> Game:
        """Start a game.

        Raises:
            Refused: it cannot be started; the text says why.
        """
        if mode == "watch" and agent not in self.agents:
            raise Refused(404, "There is no such agent on this server: agents are named when it is started.")
        if mode == "ranked" and seed is not None:
            raise Refused(422, "A game that counts has no seed of your own.")
        self._make_room()
        with self.tables.using(entry):
            env = self.tables.seat(entry)
            episode, game_seed = None, secrets.randbits(62) if seed is None else seed
            if mode == "ranked":
                taken = self.recorder.take(entry) if self.recorder else None
                if taken is None:
                    raise Refused(409, "No more games of this task count here; practice is always possible.")
                episode, game_seed = taken[0], episode_seed("evaluation", taken[1], taken[0])
            try:
                env.reset(seed=game_seed)
            except Exception:
                if episode is not None and self.recorder:
                    self.recorder.release(entry, episode)
                raise
        game = Game(secrets.token_urlsafe(18), entry, mode, env, game_seed, episode, number=next(self._numbers))
        if mode == "watch" and agent is not None:
            game.agent_name, game.agent = agent, self.agents[agent]
        game.shown_state = game.state()
        with self._lock:
            self._games[game.key] = game
        return game

    def _make_room(self) -> None:
        self.drop_idle()
        with self._lock:
            if len(self._games) < self.limits.sessions:
                return
            # Oldest first: a finished game, else one that has been left alone for a minute.
            now = time.monotonic()
            key = next((k for k, g in self._games.items() if g.over), None) or next(
                (k for k, g in self._games.items() if now - g.used > 60), None
            )
            game = self._games.pop(key) if key else None
        if game is None:
            raise Refused(503, "Too many games are being played here just now. Try again in a minute.")
        self._leave(game)

    def drop_idle(self) -> None:
        """Drop the games that nothing was asked about for too long."""
        before = time.monotonic() - self.limits.idle_seconds
        with self._lock:
            old = [key for key, game in self._games.items() if game.used < before]
            dropped = [self._games.pop(key) for key in old]
        for game in dropped:
            self._leave(game)

    def _leave(self, game: Game) -> None:
        """A game that counts and was begun is kept as one that failed; one that was only looked at is played by the next."""
        with game.busy:
            if game.over:
                return
            game.error = LEFT
            if game.episode is not None and not game.env.transcript.actions:
                if self.recorder:
                    self.recorder.release(game.entry, game.episode)
            elif game.mode != "watch":
                self._keep(game)

    # -- playing

    @contextlib.contextmanager
    def _turn(self, key: str, turn: Any = None) -> Iterator[Game]:
        """Hold a game for one move."""
        game = self.find(key)
        if not game.busy.acquire(blocking=False):
            raise Refused(409, "The last move is still being answered.")
        try:
            if game.over:
                raise Refused(409, "This game is over.")
            if turn is not None and turn != len(game.env.transcript.actions):
                raise Refused(409, "This game has gone on elsewhere, in another window perhaps. Load the page again.")
            yield game
            game.shown_state = game.state()
        finally:
            game.used = time.monotonic()
            game.busy.release()

    def find(self, key: str) -> Game:
        """A game by its key.

        Raises:
            Refused: there is none.
        """
        with self._lock:
            game = self._games.get(key)
        if game is None:
            minutes = f"{self.limits.idle_seconds / 60:g}"
            raise Refused(
                410,
                f"This game is no longer here: nothing was played for {minutes} minutes, or the server was started "
                "again. Please begin a new one.",
            )
        game.used = time.monotonic()
        return game

    def act(self, key: str, action: str, turn: Any, sure: bool) -> Game | str:
        """Play a person's action; of one that would be wasted, unless ``sure``, only say why it would be."""
        with self._turn(key, turn) as game:
            if game.mode == "watch":
                raise Refused(409, "This game is played by an agent.")
            if not sure:
                why = doubt(kind_of(game.entry.id), game.env, game.env.transcript, action)
                if why is not None:
                    return why
            thinking = time.monotonic() - game.shown
            self._step(game, action)
            game.seconds += thinking
            game.shown = time.monotonic()
            if game.over:
                self._keep(game)
            return game

    def _step(self, game: Game, action: str) -> None:
        try:
            with self.tables.using(game.entry):
                game.step(action)
        except SimulatorError as problem:
            # Not the text: it may name what only the simulator knows.
            _LOG.warning("%s: the simulator failed (--verbose shows why)", name_of(game.entry))
            _LOG.info("%s", problem)
            raise Refused(
                502,
                "The other side gave no usable answer. Nothing was lost: try the same again, or give the game up.",
                retry=True,
            ) from None

    def advance(self, key: str, turn: Any) -> Game:
        """Let the watched agent play one action."""
        with self._turn(key, turn) as game:
            if game.agent is None:
                raise Refused(409, "This game is played by you.")
            try:
                with self._agent_locks[game.agent_name]:
                    decision = decide(game.agent, game.request(episode_seed("agent", game.seed, 0)))
            except Exception as problem:
                _LOG.warning("agent %s failed: %s: %s", game.agent_name, type(problem).__name__, problem)
                raise Refused(
                    502, f"The agent failed ({type(problem).__name__}); the server's terminal shows more.", retry=True
                ) from None
            self._step(game, decision.action)
            game.thoughts.append(decision.as_json())
            return game

    def hint(self, key: str) -> str:
        """What the task's expert would do here."""
        with self._turn(key) as game:
            if game.mode != "practice":
                raise Refused(409, "There are no hints in games that count.")
            with self.tables.using(game.entry):
                action = game.hinter.act([game.request(0)])[0]
            game.hints += 1
            return action

    def give_up(self, key: str) -> Game:
        """End a game before its end."""
        with self._turn(key) as game:
            game.error = GIVEN_UP
            if game.mode != "watch":
                self._keep(game)
            return game

    def _keep(self, game: Game) -> None:
        if self.recorder is None or (game.episode is None and not game.env.transcript.actions):
            return
        try:
            self.recorder.add(game.entry, game.record())
            game.kept = True
        except (OSError, RuntimeError, DatasetError) as problem:
            _LOG.error("a game of %s could not be kept: %s", name_of(game.entry), problem)
            if game.episode is not None:
                self.recorder.release(game.entry, game.episode)


def tasks_of(ids: Sequence[str], kwargs: Mapping[str, Any], suite_tasks: Sequence[SuiteTask] = ()) -> list[SuiteTask]:
    """What a server offers: the suite's tasks, and every id as it is."""
    named = [SuiteTask(id, dict(kwargs)) for id in ids]
    offered = [SuiteTask(entry.id, entry.kwargs) for entry in suite_tasks if entry.id in ids and not kwargs]
    return list({name_of(entry): entry for entry in [*offered, *named]}.values())
