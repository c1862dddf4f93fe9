"""The games of a server that are under way: a person plays, or an agent is watched. Bounded in number, dropped when idle."""

from __future__ import annotations

import contextlib
import itertools
import logging
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from lmrl_agents.playing.answers import actions_of
from lmrl_agents.playing.protocol import Agent, AgentStopped
from lmrl_benchmarks.reporting.thoughts import thoughts_of
from lmrl_benchmarks.running.suite import SuiteTask
from lmrl_benchmarks.serve.environments import EnvironmentPool, Refused, name_of
from lmrl_benchmarks.serve.game import Limits, LiveGame, Mode
from lmrl_benchmarks.serve.human_records import HumanRecords
from lmrl_envs import SimulatorError, task
from lmrl_envs.seeding import player_seed

GIVEN_UP, LEFT = "given up by the player", "left by the player"
_LOG = logging.getLogger("lmrl.serve")


class LiveGames:
    """The games of a server that are under way, and those that were finished not long ago."""

    def __init__(
        self,
        pool: EnvironmentPool,
        records: HumanRecords | None,
        agents: Mapping[str, Agent],
        limits: Limits | None = None,
    ) -> None:
        self.pool, self.records, self.agents = pool, records, dict(agents)
        for agent in self.agents.values():
            if hasattr(agent, "tell_all"):
                agent.tell_all()  # type: ignore[attr-defined]
        self.limits = limits or Limits()
        self._games: OrderedDict[str, LiveGame] = OrderedDict()
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._agent_locks = {name: threading.Lock() for name in self.agents}

    def __len__(self) -> int:
        return len(self._games)

    # -- beginning

    def begin(self, entry: SuiteTask, mode: Mode, agent: str | None, seed: int | None) -> LiveGame:
        """Start a game.

        Raises:
            Refused: it cannot be started; the text says why.
        """
        if mode == "watch" and agent not in self.agents:
            raise Refused(404, "There is no such agent on this server: agents are named when it is started.")
        if mode == "ranked" and seed is not None:
            raise Refused(422, "A game that counts has no seed of your own.")
        self._make_room()
        with self.pool.lock(entry):
            env = self.pool.fresh(entry)
            episode, game_seed = None, secrets.randbits(62) if seed is None else seed
            if mode == "ranked":
                taken = self.records.take(entry) if self.records else None
                if taken is None:
                    raise Refused(409, "No more games of this task count here; practice is always possible.")
                episode, game_seed = taken
            try:
                env.reset(seed=game_seed)
            except Exception:
                if episode is not None and self.records:
                    self.records.release(entry, episode)
                raise
        game = LiveGame(secrets.token_urlsafe(18), entry, mode, env, game_seed, episode, number=next(self._numbers))
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

    def _leave(self, game: LiveGame) -> None:
        """A game that counts and was begun is kept as one that failed; one that was only looked at is played by the next."""
        with game.busy:
            if game.over:
                return
            game.error = LEFT
            if game.episode is not None and not game.env.transcript.actions:
                if self.records:
                    self.records.release(game.entry, game.episode)
            elif game.mode != "watch":
                self._keep(game)

    # -- playing

    @contextlib.contextmanager
    def _turn(self, key: str, turn: Any = None) -> Iterator[LiveGame]:
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

    def find(self, key: str) -> LiveGame:
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

    def act(self, key: str, action: str, turn: Any, sure: bool) -> LiveGame | str:
        """Play a person's action; of one that would be wasted, unless ``sure``, only say why it would be."""
        with self._turn(key, turn) as game:
            if game.mode == "watch":
                raise Refused(409, "This game is played by an agent.")
            if not sure:
                why = task(game.entry.id).surface.doubt(game.env.transcript, action, game.env)
                if why is not None:
                    return why
            thinking = time.monotonic() - game.shown
            self._step(game, action)
            game.seconds += thinking
            game.shown = time.monotonic()
            if game.over:
                self._keep(game)
            return game

    def _step(self, game: LiveGame, action: str) -> None:
        try:
            with self.pool.lock(game.entry):
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

    def advance(self, key: str, turn: Any) -> LiveGame:
        """Let the watched agent play one action."""
        with self._turn(key, turn) as game:
            if game.agent is None:
                raise Refused(409, "This game is played by you.")
            try:
                with self._agent_locks[game.agent_name]:
                    (action,) = actions_of(game.agent, [game.request(player_seed(game.number))])
                    why = action.error
            except AgentStopped as problem:
                why = f"AgentStopped: {problem}"
            if why is not None:
                _LOG.warning("agent %s failed: %s", game.agent_name, why)
                kind = re.match(r"\w*", why)[0]  # type: ignore[index]
                raise Refused(502, f"The agent failed ({kind}); the server's terminal shows more.", retry=True)
            self._step(game, action.text)
            game.thoughts.append(vars(thoughts_of(action.text, action.details)))
            return game

    def hint(self, key: str) -> str:
        """What the task's expert would do here."""
        with self._turn(key) as game:
            if game.mode != "practice":
                raise Refused(409, "There are no hints in games that count.")
            with self.pool.lock(game.entry):
                action = game.hinter.act([game.request(0)])[0]
            game.hints[-1] += 1
            return action

    def give_up(self, key: str) -> LiveGame:
        """End a game before its end."""
        with self._turn(key) as game:
            game.error = GIVEN_UP
            if game.mode != "watch":
                self._keep(game)
            return game

    def _keep(self, game: LiveGame) -> None:
        if self.records is None or (game.episode is None and not game.env.transcript.actions):
            return
        try:
            self.records.add(game.entry, game.record())
            game.kept = True
        except (OSError, RuntimeError) as problem:
            _LOG.error("a game of %s could not be kept: %s", name_of(game.entry), problem)
            if game.episode is not None:
                self.records.release(game.entry, game.episode)
