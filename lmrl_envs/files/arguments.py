"""Arguments that come from elsewhere: those of a record, an archive or a dataset name no file, no device and no code.

On a person's own command line ``vocabulary=words.txt`` may name a file. In a stranger's archive it would let verification read,
and quote, any file of whoever verifies. What makes environments from recorded arguments does so within `from_elsewhere`; what opens
a file, or imports code, because an argument says so, asks `named_file` or `refuse` first. Plug-in tasks do the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class ForeignArgument(ValueError):
    """An argument that comes from elsewhere names a file, a device or code."""


@dataclass(frozen=True)
class _Elsewhere:
    folder: Path | None
    own: frozenset[str]


_ELSEWHERE: ContextVar[_Elsewhere | None] = ContextVar("arguments from elsewhere", default=None)


@contextlib.contextmanager
def from_elsewhere(folder: Path | None = None, own: Any = ()) -> Iterator[None]:
    """While this lasts, in this thread, arguments come from elsewhere.

    Args:
        folder: plain files that lie in it, not deeper, may be named: recordings that lie with the records.
        own: arguments of the person at the keyboard beside them: what they name is allowed.
    """
    token = _ELSEWHERE.set(_Elsewhere(folder, frozenset(_texts(own))))
    try:
        yield
    finally:
        _ELSEWHERE.reset(token)


def refuse(what: str, name: str) -> None:
    """Refuse to do what a name in an argument asks for, where arguments come from elsewhere.

    Args:
        what: for the message: "a file of words", "a module", ...
        name: as the argument has it.

    Raises:
        ForeignArgument: they do.
    """
    where = _ELSEWHERE.get()
    if where is not None and name not in where.own:
        short = "".join(c if c.isprintable() else "?" for c in name[:60])
        raise ForeignArgument(f"arguments from elsewhere name no files and no code: {short!r} would be {what}")


def named_file(what: str, name: str) -> Path:
    """The file that an argument names.

    Raises:
        ForeignArgument: the argument comes from elsewhere, and names no plain file of the folder that it came with.
    """
    where = _ELSEWHERE.get()
    if where is not None and where.folder is not None and name not in where.own:
        path = where.folder / name
        if path.parent == where.folder and path.name not in ("", "..") and path.is_file() and not path.is_symlink():
            return path
    refuse(what, name)
    return Path(name)


def _texts(value: Any) -> Iterator[str]:
    """All texts in an argument's value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts(value.values())
    elif isinstance(value, Iterable) and not isinstance(value, bytes):
        for item in value:
            yield from _texts(item)
