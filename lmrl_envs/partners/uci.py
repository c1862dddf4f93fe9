"""Stockfish, or another UCI engine, as an opponent: a pool of processes that are watched, restarted and never left behind.

Requests need ``replayed()`` (a `chess.Board` with its past on the move stack) and ``seed``; replies are moves in UCI
notation. An engine that dies is started again and given the same position; one that hangs is killed first.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import random
import shutil
import signal
import threading
import time
import weakref
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import chess
import chess.engine
from gymnasium.error import DependencyNotInstalled

from lmrl_envs.partners.base import SimulatorError

INSTALL = "install it (apt-get install stockfish, brew install stockfish) or set $STOCKFISH_PATH to a UCI engine"
DEBIAN_FOLDER = "/usr/games"
"""Where Debian puts games; often not on PATH."""

DEFAULT_NODES = 1000
ELO_NODES = 5000
"""Nodes of a move at limited strength; the engine's own weakening decides much earlier."""
LINES = 4
SPREAD = 40.0
"""A line that is this many hundredths of a pawn worse than the best is 1/e times as likely to be picked."""
START_SECONDS, STOP_SECONDS = 15.0, 2.0
ATTEMPTS = 6

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")


def find_engine() -> str:
    """Path of the engine: $STOCKFISH_PATH, or ``stockfish`` on PATH.

    Raises:
        gymnasium.error.DependencyNotInstalled: there is none; the message tells how to get one.
    """
    named = os.environ.get("STOCKFISH_PATH")
    if named:
        found = shutil.which(named)
        if found is None:
            raise DependencyNotInstalled(f"STOCKFISH_PATH={named!r} is no program that can be run: {INSTALL}")
        return found
    found = shutil.which("stockfish") or shutil.which("stockfish", path=DEBIAN_FOLDER)
    if found is None:
        raise DependencyNotInstalled(f"simulator='stockfish' needs Stockfish, and it is not on PATH: {INSTALL}")
    return found


class _Loop:
    """One event loop in a daemon thread: engines can be awaited from anywhere, and none can keep Python from exiting."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        # Futures of engines that died: the failure has been dealt with where it was met.
        self.loop.set_exception_handler(lambda _, context: _LOG.debug("%s", context))
        threading.Thread(target=self.loop.run_forever, name="lmrl-uci", daemon=True).start()

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


_loop: _Loop | None = None
_loop_lock = threading.Lock()


def _shared_loop() -> _Loop:
    global _loop
    with _loop_lock:
        if _loop is None or _loop.pid != os.getpid():  # threads do not survive a fork
            _loop = _Loop()
        return _loop


Engine = tuple[asyncio.SubprocessTransport, chess.engine.UciProtocol]


class _LeanProtocol(chess.engine.UciProtocol):
    """Reads of a line of analysis only the first move.

    python-chess plays every move of every reported variation on a board; with many lines that took half a core, which the
    engines of the pool then lacked.
    """

    def _line_received(self, line: str) -> None:
        if line.startswith("info "):
            head, found, variation = line.partition(" pv ")
            if found:
                line = f"{head} pv {variation.split(' ', 1)[0]}"
        super()._line_received(line)


class _Processes:
    """The running engines of one pool, and who may use them."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.idle: list[Engine] = []
        self.all: set[asyncio.SubprocessTransport] = set()
        self.free: asyncio.Semaphore | None = None

    def kill(self) -> None:
        """End all engines at once (a stopped process too); processes of a forked parent are left alone."""
        if self.pid == os.getpid():
            for transport in list(self.all):
                _kill(transport)
        self.idle.clear()


def _kill(transport: asyncio.SubprocessTransport) -> None:
    pid = transport.get_pid()
    if transport.get_returncode() is None and pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))


class UciPartner:
    """A UCI engine as a `Partner`.

    Args:
        path: the engine; None looks for Stockfish (see `find_engine`).
        elo: the engine's own strength limit (``UCI_Elo``). Such games are not reproducible, nor is there a seed for it.
        nodes: full strength with that many nodes a move, and a choice among the best lines by the request's seed: the
            same request has the same reply in every process. Default: 1000.
        pool_size: engines that think at the same time; default: one per core, 4 at most.
        timeout: seconds after which a silent engine counts as hung.

    Raises:
        ValueError: ``elo`` out of the engine's range, or options that exclude each other.
        gymnasium.error.DependencyNotInstalled: no engine.
        SimulatorError: the program is no UCI engine.
    """

    def __init__(
        self,
        path: str | None = None,
        *,
        elo: int | None = None,
        nodes: int | None = None,
        pool_size: int | None = None,
        timeout: float | None = None,
    ) -> None:
        if elo is not None and nodes is not None:
            raise ValueError(f"elo={elo!r} and nodes={nodes!r} exclude each other: give one")
        for name, value in (("elo", elo), ("nodes", nodes), ("pool_size", pool_size)):
            if value is not None and (type(value) is not int or value < 1):
                raise ValueError(f"{name}={value!r} must be an int of at least 1")
        self.path = path or find_engine()
        self.elo, self.nodes = elo, ELO_NODES if elo is not None else nodes or DEFAULT_NODES
        self.pool_size = pool_size or min(4, os.cpu_count() or 1)
        self.timeout = timeout or 10.0 + self.nodes / 10_000
        self._processes = _Processes()
        self._finalizer = weakref.finalize(self, self._processes.kill)
        # The first engine is started now: what cannot work is to be told when the environment is made.
        try:
            self._processes.idle.append(_shared_loop().run(self._start(self._processes)))
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> list[int]:
        """Process ids of the running engines."""
        return [t.get_pid() or 0 for t in self._processes.all if t.get_returncode() is None]

    def reply(self, requests: Sequence[Any]) -> list[str]:
        """One legal move per request, thought about by as many engines as the pool holds.

        Raises:
            SimulatorError: an engine failed again and again on the same position.
        """
        if self._processes.pid != os.getpid():  # a forked child gets engines of its own
            self._finalizer.detach()
            self._processes = _Processes()
            self._finalizer = weakref.finalize(self, self._processes.kill)
        return _shared_loop().run(self._reply(self._processes, requests))

    def close(self) -> None:
        """End all engines and wait until they are gone. A later request starts new ones."""
        processes = self._processes
        processes.kill()
        if processes.pid == os.getpid():
            deadline = time.monotonic() + STOP_SECONDS
            while self.pids and time.monotonic() < deadline:
                time.sleep(0.005)

    # -- on the loop's thread

    async def _reply(self, processes: _Processes, requests: Sequence[Any]) -> list[str]:
        if processes.free is None:
            processes.free = asyncio.Semaphore(self.pool_size)
        # All requests are finished before an error is raised, so that no engine is left thinking.
        replies = await asyncio.gather(*(self._one(processes, r) for r in requests), return_exceptions=True)
        for reply in replies:
            if isinstance(reply, BaseException):
                raise reply
        return replies  # type: ignore[return-value]

    async def _one(self, processes: _Processes, request: Any) -> str:
        board = request.replayed()
        problem = ""
        async with processes.free:  # type: ignore[union-attr]
            for attempt in range(ATTEMPTS):
                engine = None
                try:
                    engine = processes.idle.pop() if processes.idle else await self._start(processes)
                    move = await self._watched(engine[1], board, request.seed)
                except (chess.engine.EngineError, OSError, SimulatorError, TimeoutError) as error:
                    problem = str(error) or f"no answer within {self.timeout:g} s"
                    self._drop(processes, engine)
                    await asyncio.sleep(0.02 * 2**attempt)
                except BaseException:
                    self._drop(processes, engine)
                    raise
                else:
                    processes.idle.append(engine)
                    return move
        raise SimulatorError(f"{self.path} failed {ATTEMPTS} times on {board.fen()!r}: {problem}")

    @staticmethod
    def _drop(processes: _Processes, engine: Engine | None) -> None:
        if engine is not None:
            _kill(engine[0])
            engine[0].close()
            processes.all.discard(engine[0])

    async def _start(self, processes: _Processes) -> Engine:
        try:
            return await asyncio.wait_for(self._launch(processes), START_SECONDS)
        except (chess.engine.EngineError, OSError, TimeoutError) as error:
            reason = str(error) or f"no answer within {START_SECONDS:g} s"
            raise SimulatorError(f"{self.path} does not answer as a UCI engine ({reason}): {INSTALL}") from None

    async def _launch(self, processes: _Processes) -> Engine:
        engine = await _LeanProtocol.popen(self.path, stderr=asyncio.subprocess.DEVNULL, setpgrp=True)
        try:
            await engine[1].initialize()
        except BaseException:
            engine[0].close()
            raise
        processes.all.add(engine[0])
        try:
            options: dict[str, Any] = {"Threads": 1, "Hash": 1}
            if self.elo is not None:
                self._check_elo(engine[1])
                options |= {"UCI_LimitStrength": True, "UCI_Elo": self.elo}
            await engine[1].configure({key: value for key, value in options.items() if key in engine[1].options})
        except BaseException:
            self._drop(processes, engine)
            raise
        return engine

    def _check_elo(self, engine: chess.engine.UciProtocol) -> None:
        name = engine.id.get("name", self.path)
        if "UCI_Elo" not in engine.options or "UCI_LimitStrength" not in engine.options:
            raise ValueError(f"elo={self.elo}: {name} cannot limit its strength; use nodes=")
        option = engine.options["UCI_Elo"]
        least, most = option.min or 0, option.max or 9999
        if not least <= self.elo <= most:  # type: ignore[operator]
            raise ValueError(f"elo={self.elo} is out of the range of {name}: {least} to {most}")

    async def _watched(self, engine: chess.engine.UciProtocol, board: chess.Board, seed: int) -> str:
        """`_think`, until the engine dies (python-chess may miss that and wait for ever) or says nothing for too long."""
        thinking = asyncio.ensure_future(self._think(engine, board, seed))
        try:
            done, _ = await asyncio.wait(
                {thinking, engine.returncode}, timeout=self.timeout, return_when=asyncio.FIRST_COMPLETED
            )
            if thinking in done:
                return thinking.result()
            if done:
                raise chess.engine.EngineTerminatedError(
                    f"engine process ended (exit code {engine.returncode.result()})"
                )
            raise TimeoutError
        finally:
            thinking.cancel()

    async def _think(self, engine: chess.engine.UciProtocol, board: chess.Board, seed: int) -> str:
        limit = chess.engine.Limit(nodes=self.nodes)
        if self.elo is None and "MultiPV" in engine.options:
            # A game of its own makes the engine forget all it knows, so the reply depends on the request alone.
            lines = await engine.analyse(board, limit, multipv=LINES, game=object())
            move = _pick(lines, seed)
            if move is not None:
                return move
        result = await engine.play(board, limit, game=object() if self.elo is None else None)
        if result.move is None:
            raise SimulatorError("no move")
        return result.move.uci()


def _pick(lines: Sequence[chess.engine.InfoDict], seed: int) -> str | None:
    """A first move of the lines, drawn with weights that fall with the distance from the best score."""
    scored = [
        (line["pv"][0].uci(), line["score"].relative.score(mate_score=10_000))  # type: ignore[typeddict-item]
        for line in lines
        if line.get("pv") and "score" in line
    ]
    if not scored:
        return None
    best = max(score for _, score in scored)
    weights = [math.exp((score - best) / SPREAD) for _, score in scored]
    left = random.Random(seed).random() * sum(weights)
    for (move, _), weight in zip(scored, weights, strict=True):
        left -= weight
        if left < 0:
            return move
    return scored[0][0]
