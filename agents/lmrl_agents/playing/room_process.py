"""The process of an agent's room, as its caller sees it: frames over two pipes, waited for, with a time and a memory.

Calls go in as JSON. Answers come out as frames of bounded parts (see `HEAD`), which nothing here executes. The process is started afresh
(``python -c``), not forked and not through `multiprocessing`, so that the caller's main module is not run again.
"""

from __future__ import annotations

import contextlib
import json
import math
import operator
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from lmrl_agents.playing.answers import MAX_ACTION_CHARACTERS, MAX_ERROR, MAX_TOLD

T = TypeVar("T")

HEAD = struct.Struct(">BIIII")
"""Begins a frame of an agent's process: kind, the number of the call, and the bytes of text, of details (JSON) and of error."""
ANSWER, STOPPED, BEAT, FAILED = range(4)
"""Kinds of frames: an action (or the answer to another call), `AgentStopped`, a sign of life with what is done, an error."""
LARGEST = (4 * MAX_ACTION_CHARACTERS, 4 * MAX_TOLD, 4 * MAX_ERROR)
"""Bytes that text, details and error may have."""
_GLANCE = 0.25
"""Seconds between two looks at a process that does not answer yet."""
BRIEF, REST, GAP = 0.003, 1.0, 0.0001
"""Seconds of a brief wait, of a rest, and between two looks on a machine with nothing else to do; see `Watch`."""
_START = "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); from lmrl_agents.playing import room_inside; room_inside.main()"


class Lost(Exception):
    """The process of an agent is gone, or was ended; the text says how."""

    def __init__(self, how: str, hung: bool = False) -> None:
        super().__init__(how)
        self.hung = hung


class Process:
    """The process, and the two pipes to it."""

    def __init__(self, memory: int) -> None:
        flags: Iterable[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # as multiprocessing does
        self._memory, self._number, self._buffer = memory, 0, bytearray()
        self._patience = self._next_look = 0.0
        self._popen = subprocess.Popen(  # noqa: S603 - this interpreter, fixed words, no shell
            [sys.executable, *flags, "-c", _START, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # a Ctrl-C at the terminal is for the run; and its children end with it
        )
        assert self._popen.stdin is not None and self._popen.stdout is not None
        self._in, self._out = self._popen.stdin.fileno(), self._popen.stdout.fileno()
        if _POLLS:
            os.set_blocking(self._in, False)
            self._writable, self._readable = select.poll(), select.poll()
            self._writable.register(self._in, select.POLLOUT)
            self._readable.register(self._out, select.POLLIN)
            self._watch = Watch(self._out)

    def send(self, message: Mapping[str, Any], patience: float) -> int:
        """Send a call; returns its number."""
        self._number, self._patience = self._number + 1, patience
        data = _encoded({**message, "number": self._number})
        self._look()
        with self._guarded(patience):
            self._write(struct.pack(">I", len(data)) + data, time.monotonic() + patience)
        return self._number

    def _write(self, data: bytes, until: float) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._in, left[: 1 << 16]) :]
            except BlockingIOError:
                self._check(until)
                self._wait(False, until)
            except OSError:
                raise Lost(self._how()) from None

    def frame(self, number: int, until: float) -> tuple[int, str, bytes, str | None]:
        """The next frame of a call: kind, text, details, error."""
        with self._guarded(until - time.monotonic()):
            self._fill(HEAD.size, until)
            kind, call, *sizes = HEAD.unpack_from(self._buffer)
            if kind > FAILED or call != number or any(map(operator.gt, sizes, LARGEST)):
                raise Lost("its process breaks the protocol")
            told = HEAD.size + sizes[0]
            wrong = told + sizes[1]
            end = wrong + sizes[2]
            self._fill(end, until)
        frame = bytes(self._buffer[:end])
        del self._buffer[:end]
        try:
            text, error = (str(part, "utf-8", "surrogatepass") for part in (frame[HEAD.size : told], frame[wrong:]))
        except UnicodeDecodeError:
            raise Lost("its process breaks the protocol") from None
        return kind, text, frame[told:wrong], error or None

    def _fill(self, count: int, until: float) -> None:
        """Read until so many bytes are there."""
        while len(self._buffer) < count:
            self._wait(True, until)
            try:
                data = os.read(self._out, 1 << 16)
            except OSError:
                data = b""
            if not data:
                raise Lost(self._how())
            self._buffer += data
            if _POLLS and len(self._buffer) < count:  # whoever drips is never waited for, and has no more time
                self._check(until)

    def _wait(self, reading: bool, until: float) -> None:
        """Until there is something to read, or room to write."""
        if not _POLLS:
            return
        if reading:
            self._watch.wait(lambda: self._sleep(self._readable, until))
        else:
            self._sleep(self._writable, until)

    def _sleep(self, poll: Any, until: float) -> None:
        while not poll.poll(1000 * _GLANCE):
            self._check(until)
            if self._popen.poll() is not None and not poll.poll(0):  # a child of its own holds the pipe
                raise Lost(self._how())

    def _check(self, until: float) -> None:
        """Whether it may go on."""
        if time.monotonic() >= until:
            raise self._impatient()
        used = _resident(self._popen.pid)
        if used > self._memory:
            raise Lost(f"its process used {used / 1e9:.1f} GB (most: {self._memory / 1e9:.1f}, --memory)")

    def _look(self) -> None:
        """Now and then, whether it is still there and within its memory: who answers soon is never waited for."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _GLANCE
            if self._popen.poll() is not None:  # and a child of its own answers in its place
                raise Lost(self._how())
            self._check(math.inf)

    def _guarded(self, seconds: float) -> contextlib.AbstractContextManager[None]:
        return _NOTHING if _POLLS else self._timed(seconds)

    @contextlib.contextmanager
    def _timed(self, seconds: float) -> Iterator[None]:
        """Where pipes cannot be waited for (Windows): the process is ended when its time is over."""
        timer = threading.Timer(max(seconds, 0.0), self.end)
        timer.start()
        try:
            yield
        except Lost:
            raise self._impatient() if timer.finished.is_set() else Lost(self._how()) from None
        finally:
            timer.cancel()

    def _impatient(self) -> Lost:
        return Lost(f"no answer within {self._patience:.3g} s (--patience)", hung=True)

    def _how(self) -> str:
        """How it ended."""
        try:
            status = self._popen.wait(1.0)
        except subprocess.TimeoutExpired:
            return "its process closed its pipes"
        if status < 0:
            name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
            return f"its process was killed ({name}{', out of memory?' if name == 'SIGKILL' else ''})"
        return f"its process ended (exit status {status})"

    def end(self) -> None:
        """End it, and what it started."""
        with contextlib.suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(self._popen.pid, signal.SIGKILL)
            else:
                self._popen.kill()
        self._popen.wait()
        for pipe in (self._popen.stdin, self._popen.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]


_POLLS = hasattr(select, "poll")
_NOTHING = contextlib.nullcontext()
_FAST = msgspec.json.Encoder(enc_hook=str)


class Watch:
    """Waits at the end of a pipe.

    To fall asleep and be woken costs a tenth of a millisecond where a processor has nothing else to do, so after a brief wait it is
    looked again and again, for a brief time. On a busy machine a sleeper is woken at once, and who looks uses up his turn: when
    a look was late, or looking came to nothing, there is none of it for a second.
    """

    def __init__(self, end: int) -> None:
        self._is_brief, self._rests, self._poll = False, 0.0, select.poll() if hasattr(select, "poll") else None
        if self._poll is not None:
            self._poll.register(end, select.POLLIN)

    def wait(self, take: Callable[[], T]) -> T:
        """What ``take`` returns, which sleeps until there is something."""
        began = last = time.perf_counter()
        if self._is_brief and began > self._rests and self._poll is not None:
            while not self._poll.poll(0):
                now = time.perf_counter()
                if now - last > GAP or now - began > BRIEF:
                    self._rests = now + REST
                    break
                last = now
        found = take()
        self._is_brief = time.perf_counter() - began < BRIEF
        return found


def _encoded(message: Mapping[str, Any]) -> bytes:
    try:
        return _FAST.encode(message)
    except (ValueError, TypeError, OverflowError):  # half a pair of UTF-16, integers of more than 64 bits
        return json.dumps(message, default=str).encode()


def _resident(pid: int) -> int:
    """Bytes of memory that a process uses; 0 where that is not told."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0


def machine_memory() -> int:
    """Bytes of memory that processes here can have."""
    found = [1 << 62]
    with contextlib.suppress(OSError, ValueError, AttributeError):
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            found.append(int(Path(name).read_text()))
    return min(found)
