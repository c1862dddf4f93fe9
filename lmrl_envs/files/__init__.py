"""What every floor does in the same way: whole and growing files, folders of runs, versions, missing extras, suggestions.

What comes from elsewhere is read by `lmrl_envs.files.untrusted` alone.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import platform
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from lmrl_envs.files.missing import EXTRA_OF, closest, near, needs, remedy

__all__ = [
    "EXTRA_OF", "FolderError", "JsonLines", "append_whole", "claim", "closest", "finite", "locked", "near", "needs",
    "package_versions", "printable", "provenance", "remedy", "replacing", "sha256_of", "write_atomically", "write_json",
]  # fmt: skip


class FolderError(RuntimeError):
    """A folder holds something else, or another process works in it; the message says what, and what to do."""


# -- whole files


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends, and is gone when it fails."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        with _naming(path):
            yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """A write that fails, on a full disk for instance, says of which file; the system's error does not."""
    try:
        yield
    except OSError as problem:
        if problem.errno is not None:  # without, the text is all there is, and a name would hide it
            problem.filename = problem.filename or str(path)
        raise


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    # "x": a link of that name, in a folder from elsewhere, is not followed.
    with replacing(path) as temporary, temporary.open("xb") as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)


def finite(value: Any) -> Any:
    """The value with None for NaN and the infinities in it, which JSON has not."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list | tuple) else value


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON for people (indented, sorted): the file is there whole or not at all."""
    write_atomically(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def _write_new(path: Path, content: str) -> bool:
    """Write a file, whole, unless there is one; returns whether it was written. Of several processes one does."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write_atomically(temporary, content)
        os.link(temporary, path)
        return True
    except FileExistsError:
        return False
    except OSError as problem:
        if problem.errno not in (errno.EPERM, errno.ENOTSUP):
            raise
        os.replace(temporary, path)  # a file system without hard links: there the last one gets it
        return True
    finally:
        temporary.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Hex digest of a plain file; a pipe or a device would never end.

    Raises:
        OSError: it is none.
    """
    if not path.is_file():
        raise OSError(f"{path}: no plain file")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- files that grow


def append_whole(path: Path, text: str, *, sync: bool = False, shared: bool = False) -> None:
    """Append whole lines to a file; after a line that a kill cut they begin on a line of their own.

    Args:
        path: the file, made if it is not there; its folder is.
        text: whole lines.
        sync: return only when the disk has it.
        shared: other processes append to it, too. Where it is not, an error (a full disk, Ctrl-C) leaves the file as it was.
    """
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
    try:
        before = os.fstat(file).st_size
        is_cut = before > 0 and os.lseek(file, before - 1, os.SEEK_SET) >= 0 and os.read(file, 1) != b"\n"
        data = memoryview((b"\n" if is_cut else b"") + text.encode("utf-8"))
        try:
            with _naming(path):
                while data:
                    data = data[os.write(file, data) :]
                if sync:
                    os.fsync(file)
        except BaseException:
            if not shared:
                os.ftruncate(file, before)
            raise
    finally:
        os.close(file)


class JsonLines:
    """A file with one JSON value a line that grows at its end, where a kill may cut it.

    Args:
        path: the file.
        shared: see `append_whole`.
    """

    def __init__(self, path: Path, shared: bool = False) -> None:
        self.path, self.shared = path, shared
        self.damaged: list[int] = []
        """Numbers (from 1) of the lines that the last `read` left out."""

    def read(self, kind: Any = Any, strict: bool = False) -> list[Any]:
        """The values of all whole lines; none where there is no file.

        Args:
            kind: their type, see `lmrl_envs.files.untrusted.decode`; a line of another type counts as damaged.
            strict: only the end may be cut: any other damaged line is an error.

        Raises:
            lmrl_envs.files.untrusted.Refused: no plain file, or a damaged line that may not be, with its number.
        """
        from lmrl_envs.files import untrusted  # not needed to make a game, which imports this module

        self.damaged = []
        values = []
        with contextlib.suppress(FileNotFoundError):
            for number, line in untrusted.raw_lines(self.path):
                try:
                    values.append(
                        untrusted.decode(line, kind, f"{self.path}, line {number} is damaged", untrusted.LINE)
                    )
                except untrusted.Refused:
                    if strict and line.endswith(b"\n"):
                        raise
                    self.damaged.append(number)
        return values

    def append(self, lines: Iterable[str], sync: bool = False) -> None:
        """Add lines (without their ends): see `append_whole`."""
        append_whole(self.path, "".join(f"{line}\n" for line in lines), sync=sync, shared=self.shared)

    def rewrite(self, lines: Iterable[str]) -> None:
        """Have these lines in place of all that are there."""
        write_atomically(self.path, "".join(f"{line}\n" for line in lines))


# -- folders


@contextlib.contextmanager
def locked(path: Path, doing: str, shared: bool = False) -> Iterator[None]:
    """Hold a lock on a file, an exclusive one unless ``shared``; the lock goes with the process.

    Raises:
        FolderError: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            lock(file.fileno(), shared)
        except OSError:
            raise FolderError(f"another process is {doing} in {path.parent}") from None
        yield


def lock(file: int, shared: bool = False, wait: bool = False) -> None:
    """Lock an open file until it is closed, by a shared lock or an exclusive one. (Windows has no shared ones: none is taken.)

    Raises:
        OSError: another process holds it, and it is not waited for.
    """
    try:
        import fcntl
    except ImportError:
        import msvcrt

        if not shared:
            msvcrt.locking(file, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        return
    fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))


def claim(
    folder: Path,
    name: str,
    record: Mapping[str, Any],
    what: str,
    differing: Callable[[dict[str, Any]], Iterable[str]],
) -> dict[str, Any] | None:
    """Take a folder for a run (a training, an evaluation, a dataset ...), or go on with the same one that is there.

    Args:
        folder: made if it is not there.
        name: file in it that says what the folder is for.
        record: what that file says of this run.
        what: for errors: "training run", say.
        differing: of the record that is there, in what it is another one; nothing when that run may go on.

    Returns:
        the record of the run that is there; None for a folder taken now, which holds ``record``.

    Raises:
        FolderError: the folder holds another run, or something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    if not path.is_file():
        strangers = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
        if strangers:
            raise FolderError(f"{folder} is not empty ({strangers[0]}) and holds no {what}; choose another folder")
        if _write_new(path, json.dumps(record, indent=1, sort_keys=True, allow_nan=False) + "\n"):
            return None  # otherwise another process was quicker
    from lmrl_envs.files import untrusted

    try:
        there = untrusted.read(path, dict[str, Any])
        found = sorted(differing(there))
    except (ValueError, TypeError, AttributeError, KeyError) as problem:
        raise FolderError(f"{path} is damaged ({problem}); delete the folder to start again") from None
    if found:
        raise FolderError(f"{folder} holds another {what} (differs in {', '.join(found)}); choose another folder")
    return there


# -- what a result was made with


def package_versions(*names: str) -> dict[str, str]:
    """Versions of this package, of those that games are played with, and of those of ``names`` that are installed."""
    versions = {}
    for package in ("lmrl", *_required(), *names):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


@cache
def _required() -> tuple[str, ...]:
    """What this package cannot be installed without, but for what reads arguments and files and draws tables."""
    try:
        lines = metadata.requires("lmrl") or ()
    except metadata.PackageNotFoundError:
        return ()
    names = [re.split(r"[^\w.-]", line)[0] for line in lines if "extra ==" not in line]
    return tuple(name for name in names if name not in ("tyro", "rich", "msgspec"))


def provenance() -> dict[str, Any]:
    """What numbers depend on beside what was asked for: packages, Python, machine, commit."""
    return {
        "packages": package_versions("torch", "transformers", "textworld"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "git": _git(),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()


@cache
def _git() -> dict[str, Any] | None:
    def git(*arguments: str) -> str:
        return subprocess.run(  # noqa: S603 - a fixed list of words, no shell
            ["git", "-C", str(Path(__file__).parent), *arguments],  # noqa: S607 - whichever git the user has
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None


# -- what may be shown

_CONTROLS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"}
_CONTROLS |= {0x7F: 0x2421, **dict.fromkeys((*range(0x80, 0xA0), *range(0xD800, 0xE000)), 0xFFFD)}
_CONTROLS |= dict.fromkeys((0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xFEFF), 0xFFFD)


def printable(text: str) -> str:
    """A text from anywhere (a model, a file) as a terminal may show it: pictures in place of control characters.

    A terminal obeys escape sequences: they write over what is shown, and into the clipboard. Marks of direction turn lines
    round.
    """
    return text.translate(_CONTROLS)
