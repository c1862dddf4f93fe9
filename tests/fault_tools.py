"""What the tests of faults share: commands as real processes, disks that fill up, rights that are missing."""

from __future__ import annotations

import contextlib
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec.structs import asdict
from serving import RUN, environment

from lmrl_benchmarks.running.records import RecordFile

FULL = r"No space left on device|File too large"
_WITHOUT_RIGHTS = """
import ctypes, os, sys
# From the bounding set: root too is then held to the rights of files. Others may not do it, and are held to them anyway.
ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def command(*arguments: object, bound: bool = False) -> list[str]:
    """The command line of ``lmrl ...``; ``bound`` to the rights of files, even for root."""
    return [sys.executable, *(["-c", _WITHOUT_RIGHTS] if bound else []), "-c", RUN, *map(str, arguments)]


def lmrl(*arguments: object, bound: bool = False, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run ``lmrl ...`` to its end; ``extra`` goes into its environment."""
    return subprocess.run(
        command(*arguments, bound=bound), capture_output=True, text=True, env=environment(**extra), timeout=300
    )


def start(*arguments: object, **extra: str) -> subprocess.Popen[str]:
    """Start ``lmrl ...``."""
    return subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(**extra)
    )


def failed_with_one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The line of a command that failed as it should."""
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("lmrl: ")]
    return line


def wait_for(condition: Callable[[], object], what: str, seconds: float = 120.0) -> None:
    """Wait until the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not come about within {seconds:g} s"
        time.sleep(0.002)


def stripped(folder: Path) -> list[dict[str, object]]:
    """An evaluation's records by episode, without the one field that is measured."""
    records = sorted(RecordFile(folder).read(), key=lambda record: record.episode)
    assert len({record.episode for record in records}) == len(records)
    return [{**asdict(record), "seconds": 0.0} for record in records]


class SmallDisk:
    """A file system in memory of so many bytes, where this process may mount one; else a folder none of whose files grows beyond
    ``largest`` (by default that, too). Both make a write fail in its midst: with ENOSPC, or with EFBIG.
    """

    def __init__(self, path: Path, size: int, largest: int | None = None) -> None:
        self.path, self._bytes, self._limit = path, size // 4096 * 4096, largest or size
        path.mkdir()
        self._mount = next((how for how in ([], ["sudo", "-n"]) if self._call([*how, "mount", *self._options()])), None)

    def _options(self) -> list[str]:
        return ["-t", "tmpfs", "-o", f"size={self._bytes},mode=1777", "tmpfs", str(self.path)]

    @staticmethod
    def _call(line: list[str]) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return subprocess.run(line, capture_output=True).returncode == 0
        return False

    def lmrl(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run ``lmrl ...``, bound by the disk's size."""
        limit = self._limit if self._mount is None else resource.RLIM_INFINITY

        def bind() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        return subprocess.run(
            command(*arguments), capture_output=True, text=True, env=environment(), timeout=300, preexec_fn=bind
        )

    def grow(self) -> None:
        """Make room: 256 MB."""
        self._bytes = self._limit = 256 << 20
        if self._mount is not None:
            assert self._call([*self._mount, "mount", "-o", f"remount,size={self._bytes}", str(self.path)])

    def close(self) -> None:
        """Give it back."""
        if self._mount is not None:
            assert self._call([*self._mount, "umount", str(self.path)])


@contextlib.contextmanager
def small_disk(path: Path, size: int, largest: int | None = None) -> Iterator[SmallDisk]:
    """A `SmallDisk` for the while."""
    disk = SmallDisk(path, size, largest)
    try:
        yield disk
    finally:
        disk.close()


@contextlib.contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """In this process: no file grows beyond so many bytes; a write that would breaks off there, with EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
