"""Agents that do everything an agent must not do: one class a fault, for `lmrl agents check`, `lmrl eval` and leaderboard runs."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import signal
import struct
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import numpy as np

from lmrl_agents import Action, AgentStopped, Request


class Good:
    """Plays the first word that it reads."""

    def act(self, requests: Sequence[Request]) -> Any:
        return [request.transcript[-1].text.split()[0] for request in requests]


class Coroutine(Good):
    """As good, in coroutines."""

    async def act(self, requests: Sequence[Request]) -> Any:
        await asyncio.sleep(0)
        return Good.act(self, requests)


# -- what ends a process, or never answers


class Exits:
    def act(self, requests: Sequence[Request]) -> NoReturn:
        sys.exit(0)


class ExitsWithWords:
    def act(self, requests: Sequence[Request]) -> NoReturn:
        sys.exit("no GPU found")


class CoroutineExits:
    async def act(self, requests: Sequence[Request]) -> NoReturn:
        sys.exit(0)


class Interrupts:
    def act(self, requests: Sequence[Request]) -> NoReturn:
        raise KeyboardInterrupt


class ExitsHard:
    def act(self, requests: Sequence[Request]) -> NoReturn:
        os._exit(0)


class Killed:
    def act(self, requests: Sequence[Request]) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Hangs:
    def act(self, requests: Sequence[Request]) -> list[str]:
        time.sleep(3600)
        return []


class Spins:
    def act(self, requests: Sequence[Request]) -> list[str]:
        while True:
            pass


class Grows:
    def act(self, requests: Sequence[Request]) -> list[str]:
        kept = []
        while True:
            kept.append(bytearray(b"x" * (64 << 20)))


class Leaks(Good):
    """Answers soon, and keeps more each time."""

    def act(self, requests: Sequence[Request]) -> list[str]:
        self.kept = [*getattr(self, "kept", ()), b"x" * 10_000_000]
        time.sleep(0.01)
        return ["word"] * len(requests)


class HandsOver(Good):
    """Ends, and leaves the answers to a child: no memory of its own to be seen."""

    def act(self, requests: Sequence[Request]) -> list[str]:
        if not hasattr(self, "child"):
            self.child = True
            if os.fork():
                os._exit(0)
        time.sleep(0.01)
        return ["word"] * len(requests)


class Endless(Good):
    def act(self, requests: Sequence[Request]) -> Iterator[str]:
        while True:
            yield "word"


class ClosesDescriptors:
    def act(self, requests: Sequence[Request]) -> list[str]:
        os.closerange(0, 256)
        return ["x"] * len(requests)


class Forks:
    """Leaves a process that holds its pipes."""

    def act(self, requests: Sequence[Request]) -> NoReturn:
        if not os.fork():
            time.sleep(60)
        os._exit(4)


class ForksFree:
    """The same, and no signal to the group reaches it."""

    def act(self, requests: Sequence[Request]) -> NoReturn:
        if not os.fork():
            os.setsid()
            time.sleep(10)
            os._exit(0)
        os._exit(4)


class Forges:
    """Writes on every descriptor what is no answer."""

    def act(self, requests: Sequence[Request]) -> list[str]:
        for descriptor in range(3, 32):
            with contextlib.suppress(OSError):
                os.write(descriptor, b"\xff" * 64)
        return ["x"] * len(requests)


class Claims:
    """Claims an answer of 4 GB."""

    def act(self, requests: Sequence[Request]) -> list[str]:
        for descriptor in range(3, 32):
            with contextlib.suppress(OSError):
                os.write(descriptor, struct.pack(">BIIII", 0, 2, 2**32 - 1, 0, 0))
        time.sleep(60)
        return []


class Peeks:
    """Plays what it finds in this process."""

    def act(self, requests: Sequence[Request]) -> list[str]:
        names = {type(thing).__name__ for thing in gc.get_objects()}
        return ["env" if any(name.endswith(("VectorEnv", "MazeEnv")) for name in names) else "none"] * len(requests)


class ExitsWhenMade:
    def __init__(self) -> None:
        sys.exit(0)


class ExitsHardWhenMade:
    def __init__(self) -> None:
        os._exit(0)


class OneGame(Good):
    """Ends its process in one game only."""

    def act(self, requests: Sequence[Request]) -> Any:
        if any(request.episode == 2 for request in requests):
            os._exit(3)
        return super().act(requests)


# -- what raises, and what is no answer


class _Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class TextRaises:
    def act(self, requests: Sequence[Request]) -> NoReturn:
        raise _Silent


class EscapingError:
    def act(self, requests: Sequence[Request]) -> NoReturn:
        raise ValueError("\x1b]52;c;AAAA\x07 evil\nlmrl: another line")


class LongError:
    def act(self, requests: Sequence[Request]) -> NoReturn:
        raise ValueError("long " * 1_000_000)


class ErrorObject(Good):
    def act_with_details(self, requests: Sequence[Request]) -> list[Action]:
        return [Action(text, error=object()) for text in self.act(requests)]  # type: ignore[arg-type]


class OneString:
    def act(self, requests: Sequence[Request]) -> Any:
        return "x" * len(requests)


class Stops:
    def act(self, requests: Sequence[Request]) -> NoReturn:
        raise AgentStopped("no money")


# -- what they tell of themselves


class SlotsText(Good):
    slots = "many"


class DescribeRaises(Good):
    def describe(self) -> NoReturn:
        raise RuntimeError("no words")


class DescribeCycle(Good):
    def describe(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        found["self"] = found
        return found


class DescribeHuge(Good):
    def describe(self) -> dict[str, Any]:
        return {"words": "x" * 2_000_000}


class FingerObject(Good):
    def fingerprint(self) -> object:
        return object()


class FingerRandom(Good):
    def fingerprint(self) -> str:
        return os.urandom(8).hex()


class FingerExits(Good):
    def fingerprint(self) -> NoReturn:
        sys.exit(0)


class KeepInRaises(Good):
    def keep_in(self, folder: object) -> NoReturn:
        raise OSError("no room")


class FinishedRaises(Good):
    def finished(self, episodes: Sequence[int]) -> NoReturn:
        raise KeyError("which?")


class CloseRaises(Good):
    def close(self) -> NoReturn:
        raise RuntimeError("stuck")


# -- what they tell of their actions


class _Tells(Good):
    details: Any = {}

    def act_with_details(self, requests: Sequence[Request]) -> list[Action]:
        return [Action(text, self.details) for text in self.act(requests)]


class DetailsBig(_Tells):
    details = {"value": 10**400}


class DetailsSum(_Tells):
    details = {"cost_usd": 1e99}


class DetailsNan(_Tells):
    details = {"value": float("nan")}


class DetailsDeep(_Tells):
    details = {"value": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}


class DetailsObject(_Tells):
    details = {"value": object()}


class DetailsList(_Tells):
    details = [1]


class DetailsHuge(_Tells):
    details = {"raw": "x" * 2_000_000}


class DetailsNumpy(_Tells):
    """Which is good."""

    details = {"value": np.float32(0.5), "count": np.int64(3), "all": [np.float64(1.0)]}


class SaysTwoThings(Good):
    def act_with_details(self, requests: Sequence[Request]) -> list[Action]:
        return [Action(text + "!") for text in self.act(requests)]


# -- answers that depend on more than their request


class OtherTasks(Good):
    """Knows the two tasks that the check plays most."""

    def act(self, requests: Sequence[Request]) -> Any:
        known = {"lmrl/MazeFullyObserved-v0", "lmrl/Wordle-v0"}
        assert {request.env_id for request in requests} <= known, "what game is this?"
        return super().act(requests)


class LongGame(Good):
    def act(self, requests: Sequence[Request]) -> Any:
        assert all(len(request.transcript) < 11 for request in requests), "so long a game"
        return super().act(requests)


class ByBatch(Good):
    def act(self, requests: Sequence[Request]) -> Any:
        return super().act(requests) if len(requests) < 10 else ["all"] * len(requests)


class TurnCounter(Good):
    """Counts calls as turns."""

    def __init__(self) -> None:
        self.turn = 0

    def act(self, requests: Sequence[Request]) -> Any:
        self.turn += 1
        return [f"{text} {self.turn // 6}" for text in super().act(requests)]


class Unseeded(Good):
    """Now and then."""

    def __init__(self) -> None:
        self.random = random.Random()

    def act(self, requests: Sequence[Request]) -> Any:
        return ["now" if self.random.random() < 0.001 else text for text in super().act(requests)]


class GlobalRandom(Good):
    def act(self, requests: Sequence[Request]) -> Any:
        random.random()
        return super().act(requests)


class GlobalNumpy(Good):
    def act(self, requests: Sequence[Request]) -> Any:
        np.random.seed(3)  # noqa: NPY002
        return super().act(requests)


class LeavesThread(Good):
    def act(self, requests: Sequence[Request]) -> Any:
        if not getattr(self, "thread", None):
            self.thread = threading.Thread(target=time.sleep, args=(30,))
            self.thread.start()
        return super().act(requests)


class Moves(Good):
    """Leaves the folder that it was started in."""

    def act(self, requests: Sequence[Request]) -> Any:
        os.chdir("/")
        return super().act(requests)


class Drips:
    """Begins a frame of a million bytes itself, and sends the rest one by one: there is always something to read."""

    def act(self, requests):
        from lmrl_agents.playing.room_process import ANSWER, HEAD

        (inside,) = (thing for thing in gc.get_objects() if type(thing).__name__ == "_Inside")
        inside.frames.write(HEAD.pack(ANSWER, inside.number, 1_000_000, 0, 0))
        while True:
            inside.frames.write(b"x")
            inside.frames.flush()
            time.sleep(0.01)
