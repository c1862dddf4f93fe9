"""The games of a server that are under way: a person plays, or an agent is watched. Bounded in number, dropped when idle."""

from __future__ import annotations

import contextlib
import itertools
import logging
import secrets
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from lmrl_agents.playing.protocol import Action, Agent
from lmrl_benchmarks.reporting.thoughts import thoughts_of
from lmrl_benchmarks.running.suite import SuiteTask
from lmrl_benchmarks.serve.coach import Coaching
from lmrl_benchmarks.serve.environments import EnvironmentPool, Refused, name_of
from lmrl_benchmarks.serve.game import Limits, LiveGame, Mode
from lmrl_benchmarks.serve.human_records import HumanRecords
from lmrl_benchmarks.serve.watched import WatchedAgent
from lmrl_envs import SimulatorError, task
from lmrl_envs.seeding import player_seed

LATEST = 30.0
"""Seconds after the last action in which a person may still judge it."""
SIGNALS = 1000
"""Judgements of one game; each after its end is a line of the journal."""
ALONE = 60.0
"""Seconds after which a game that does not count may make room for another."""
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
        coaching: Coaching | None = None,
    ) -> None:
        self.pool, self.records, self.limits = pool, records, limits or Limits()
        self.coaching = coaching
        self.agents = {name: WatchedAgent(name, agent, self.limits.agent_seconds) for name, agent in agents.items()}
        self._games: OrderedDict[str, LiveGame] = OrderedDict()
        self._lock = threading.Lock()
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._games)

    # -- beginning

    def begin(self, entry: SuiteTask, mode: Mode, agent: str | None, seed: int | None, client: str = "") -> LiveGame:
        """Start a game of a client, who may have so many of them.

        Raises:
            Refused: it cannot be started; the text says why.
        """
        if mode == "watch" and agent not in self.agents:
            raise Refused(404, "There is no such agent on this server: agents are named when it is started.")
        if mode == "ranked" and seed is not None:
            raise Refused(422, "A game that counts has no seed of your own.")
        self._make_room(client)
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
        game.agent_name, game.client = (agent or "") if mode == "watch" else "", client
        game.coached = self.coaching is not None and mode == "watch"
        game.shown_state = game.state()
        with self._lock:
            self._games[game.key] = game
        return game

    def _make_room(self, client: str) -> None:
        """Room for one more game: a finished one goes, else one that does not count and was left alone for a minute.

        Raises:
            Refused: there is none that may go.
        """
        self.drop_idle()
        with self._lock:
            own = [game for game in self._games.values() if game.client == client != ""]
            if len(own) >= self.limits.sessions_of_one:
                which, why = own, "Too many games of yours are under way here. End one, or try again in a minute."
            elif len(self._games) >= self.limits.sessions:
                which, why = (
                    list(self._games.values()),
                    "Too many games are being played here just now. Try again in a minute.",
                )
            else:
                return
            now = time.monotonic()
            there = [game for game in which if game.may_go and (game.over or now - game.used > ALONE)]
            if not there:
                raise Refused(503, why)
            crowd = Counter(game.client for game in self._games.values())
            game = min(there, key=lambda game: (not game.over, -crowd[game.client], game.used))
            del self._games[game.key]
        with game.busy:
            if not game.over:
                game.error = LEFT  # kept nowhere: nobody left it
                self._release(game)

    def drop_idle(self) -> None:
        """Drop the games that nothing was asked about for too long, but none that is being answered."""
        before = time.monotonic() - self.limits.idle_seconds
        with self._lock:
            old = [key for key, game in self._games.items() if game.used < before and not game.busy.locked()]
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
                self._release(game)
            elif game.mode != "watch":
                self._keep(game)
            else:
                self._keep_coached(game)

    def _release(self, game: LiveGame) -> None:
        if game.episode is not None and self.records:
            self.records.release(game.entry, game.episode)

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
            game.shown_state = game.state()
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

    async def advance(self, key: str, turn: Any, in_thread: Callable[..., Awaitable[Any]]) -> LiveGame:
        """Let the watched agent play one action; what takes time is done by ``in_thread(function, game, ...)``."""
        with self._turn(key, turn) as game:
            if game.mode != "watch":
                raise Refused(409, "This game is played by you.")
            action = await self.agents[game.agent_name].act(game.request(player_seed(game.number)))
            await in_thread(self._watched, game, action)
            return game

    def _watched(self, game: LiveGame, action: Action) -> None:
        self._step(game, action.text)
        game.acted.append(time.monotonic())
        game.thoughts.append(vars(thoughts_of(action.text, action.details)))
        if game.over:
            self._keep_coached(game)
        game.shown_state = game.state()

    def feedback(self, key: str, value: Any) -> None:
        """Take a person's plus or minus on a watched game, now.

        Raises:
            Refused: nobody is coached here, it is neither, or the game has not begun or long been over.
        """
        game = self.find(key)
        if self.coaching is None or game.mode != "watch":
            raise Refused(409, "Nobody is coached here: lmrl serve --coach does that.")
        if type(value) is not int or value not in (1, -1):  # 1.0 equals 1, and makes a journal that nobody reads
            raise Refused(422, "value must be 1 or -1.")
        if not game.acted or (game.over and time.monotonic() - game.acted[-1] > LATEST):
            raise Refused(409, "This game has long been over." if game.over else "There is nothing to judge yet.")
        if len(game.signals) >= SIGNALS:
            raise Refused(429, "That is all that one game can be told.")
        game.signals.append((time.monotonic(), value))
        if game.over:
            self._keep_coached(game)

    def _keep_coached(self, game: LiveGame) -> None:
        """Write a coached game down; again, if more was said of it after its end."""
        if self.coaching is None or game.mode != "watch" or not game.acted:
            return
        try:
            self.coaching.add(game)
            game.kept = True
        except OSError as problem:
            _LOG.error("a coached game of %s could not be kept: %s", name_of(game.entry), problem)

    def hint(self, key: str) -> str:
        """What the task's expert would do here."""
        with self._turn(key) as game:
            if game.mode != "practice":
                raise Refused(409, "There are no hints in games that count.")
            with self.pool.lock(game.entry):
                action = game.hinter.act([game.request(0)])[0]
            game.hints[-1] += 1
            game.shown_state = game.state()
            return action

    def give_up(self, key: str) -> LiveGame:
        """End a game before its end."""
        with self._turn(key) as game:
            game.error = GIVEN_UP
            if game.mode != "watch":
                self._keep(game)
            else:
                self._keep_coached(game)
            game.shown_state = game.state()
            return game

    def _keep(self, game: LiveGame) -> None:
        if self.records is None or (game.episode is None and not game.env.transcript.actions):
            return
        try:
            self.records.add(game.entry, game.record())
            game.kept = True
        except (OSError, RuntimeError) as problem:
            _LOG.error("a game of %s could not be kept: %s", name_of(game.entry), problem)
            self._release(game)
