"""The one reader of what comes from elsewhere: JSON and JSON lines are parsed here and nowhere else, archives in `archives`.

Records, runs, suites, datasets, submissions, model folders and replies of servers are anybody's. What is read here has the
type that its reader asked for, and bounded sizes; what does not is `Refused`, with one line that names the place and the field
and quotes at most 80 printable characters. A reader declares what it takes and says where it came from::

    class RunFile(Schema, frozen=True):
        schema_version: Count
        spec: dict[str, Any]

    run = read(folder / "run.json", RunFile)                # a file; OSError where it cannot be opened
    reply = decode(body, dict[str, Any], "reply of m")      # one text that is in memory
    for number, record in lines(path, Record): ...          # JSON lines, also .zst; one line in memory at a time
    suite = convert(tomllib.loads(text), SuiteFile, path)   # values that are parsed already
    values = checked(read(path, dict[str, Any]), RunFile, path)  # the plain dict, if it is a RunFile

A reader that has an error of its own raises it with the text of `Refused`, a ValueError. A `Schema` stands beside its reader; who
writes a new key into a file adds it there, with a default, so that older files can be read.

Types are strict: ``1.0`` and ``true`` are no integers, ``1`` is no text, keys that a `Schema` does not have are refused. Numbers
are finite and bounded (`Integer`, `Count` from 0, `Number`, `Amount` from 0), wherever they stand, in fields of type Any too; nesting is at most `DEPTH`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import stat
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import IO, Annotated, Any, TypeVar

import msgspec

from lmrl_envs.files.missing import near, needs

T = TypeVar("T")

Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
LARGEST = 1e100
"""Of a number that is no integer: sums and squares of many stay finite."""
Number = Annotated[float, msgspec.Meta(ge=-LARGEST, le=LARGEST)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=LARGEST)]

DEPTH = 32
"""Lists and objects within each other."""
QUOTED = 80
"""Characters of what was refused that are shown."""
FILE, LINE = 16 << 20, 32 << 20
"""Bytes of a JSON file, and of one line of a file of JSON lines. What is parsed weighs up to some 20 times as much."""
RATIO, SMALL = 2000, 64 << 20
"""Bytes that one compressed byte may become, once it is more than the second number in all."""
NAME = re.compile(r"(?!(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$))[A-Za-z0-9_][A-Za-z0-9_.+=-]{0,79}(?<!\.)")
"""One part of the path of an archive's member, and of a run's folders: a file's name on any system."""
_READING = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)


class Refused(ValueError):
    """What came from elsewhere is not what it must be. One line: where, which field, why."""


class Schema(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An object with these fields and no others."""


def shown(value: Any, most: int = QUOTED) -> str:
    """A value from elsewhere as it may be quoted: printable, in one line, at most so many characters.

    Only its beginning is looked at, so that a value of any size may be given.
    """
    text = value if isinstance(value, str) else _short(value, most)
    text = "".join(c if c.isprintable() else "?" for c in text[: most + 1])
    return text if len(text) <= most else text[: most - 3] + "..."


def _short(value: Any, most: int) -> str:
    if isinstance(value, bool | float) or value is None:
        return repr(value)
    if isinstance(value, int):
        return repr(value) if value.bit_length() < 4 * most else f"an integer of {value.bit_length()} bits"
    return f"{type(value).__name__} of {len(value)}" if isinstance(value, list | tuple | dict) else type(value).__name__


# -- JSON


def decode(data: bytes | str, kind: Any = Any, where: object = "", most: int = FILE) -> Any:
    """The value of one JSON text.

    Args:
        data: the text.
        kind: its type: a `Schema`, ``dict[str, Any]``, ``list[str]`` ...
        where: what refusals begin with: a file, a line of it, a server.
        most: bytes (characters of a str) that it may have.

    Raises:
        Refused: it is longer, no JSON, or of another type.
    """
    if len(data) > most:
        raise Refused(_line(where, "", f"{len(data)} bytes, at most {most} are read"))
    try:
        try:
            found = _decoder(kind).decode(data)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            # Half a pair of UTF-16 is legal in JSON, and what some agents say; msgspec refuses it.
            raw = data if isinstance(data, bytes) else data.encode()
            if not _SURROGATE.search(raw):
                raise
            found = msgspec.convert(json.loads(raw, parse_constant=_no_constant), kind)
    except (ValueError, RecursionError, MemoryError) as problem:
        raise Refused(_told(problem, kind, where)) from None
    return _bounded(found, where)


def decode_within(text: str, start: int) -> tuple[Any, int]:
    """The JSON value that begins at a place of a longer text, such as what a language model said, and where it ends.

    Raises:
        Refused: none does.
    """
    try:
        value, end = json.JSONDecoder(parse_constant=_no_constant).raw_decode(text, start)
    except (ValueError, RecursionError) as problem:
        raise Refused(_told(problem, Any, "")) from None
    return _bounded(value, ""), end


def convert(value: Any, kind: Any, where: object = "") -> Any:
    """A value that is parsed already (from TOML, from a larger one), checked as `decode` checks.

    Raises:
        Refused: it is of another type.
    """
    _bounded(value, where)
    try:
        return msgspec.convert(value, kind)
    except (ValueError, TypeError) as problem:
        raise Refused(_told(problem, kind, where)) from None


def checked(value: T, kind: Any, where: object = "") -> T:
    """The value itself, if `convert` takes it: for readers that go on with plain dicts.

    Raises:
        Refused: it is of another type.
    """
    convert(value, kind, where)
    return value


def read(path: Path, kind: Any = Any, most: int = FILE) -> Any:
    """The value of a JSON file.

    Raises:
        OSError: it is not there, or cannot be read.
        Refused: no plain file, larger, no JSON, or of another type.
    """
    return decode(read_bytes(path, most).removeprefix(b"\xef\xbb\xbf"), kind, path, most)


def read_bytes(path: Path, most: int = FILE) -> bytes:
    """The bytes of a plain file.

    Raises:
        OSError: it is not there, or cannot be read.
        Refused: it is a device, a pipe or a folder, or larger.
    """
    with opened(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise Refused(f"{path}: more than {most} bytes, no more are read")
    return data


@contextlib.contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """A plain file, opened for reading; others would hang or never end.

    Raises:
        OSError, Refused: see `read_bytes`.
    """
    with open(os.open(path, _READING), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise Refused(f"{path}: no plain file")
        yield file


def lines(path: Path, kind: Any = Any, most: int = LINE) -> Iterator[tuple[int, Any]]:
    """Numbers (from 1) and values of the lines of a file of JSON lines, of a compressed one if its name ends in ``.zst``.

    A byte order mark at its beginning and blank lines are passed over.

    Raises:
        OSError: it is not there, or cannot be read.
        Refused: a line that is longer or of another type; with its number.
    """
    for number, line in raw_lines(path, most):
        yield number, decode(line, kind, f"{path} line {number}", most)


def raw_lines(path: Path, most: int = LINE) -> Iterator[tuple[int, bytes]]:
    """As `lines`, the lines themselves: for files whose lines may be cut, which are decoded one by one."""
    with opened(path) as file:
        whole = os.fstat(file.fileno()).st_size
        source = _decompressed(file) if path.name.endswith(".zst") else file
        number = total = 0
        while line := source.readline(most + 1):
            number += 1
            total += len(line)
            if len(line) > most:
                raise Refused(f"{path} line {number}: more than {most} bytes")
            if total > SMALL and total > RATIO * whole:
                raise Refused(f"{path} line {number}: {whole} bytes have become {total}, no more are unpacked")
            line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if line.strip():
                yield number, line


def _decompressed(file: IO[bytes]) -> IO[bytes]:
    needs("reading .zst files", "pyarrow")
    import pyarrow as pa

    return io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(file), "zstd"))  # type: ignore[arg-type]


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _bounded(value: Any, where: object, field: str = "", depth: int = 0) -> Any:
    """The value, if all numbers in it are bounded and nothing is nested too deep; fields of other types than Any are typed."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        if not -(2**63) <= value < 2**63:
            raise Refused(_line(where, field, "an integer of more than 64 bits"))
    elif kind is float:
        if not -LARGEST <= value <= LARGEST:
            raise Refused(_line(where, field, f"{value} is no number between {-LARGEST:g} and {LARGEST:g}"))
    elif isinstance(value, msgspec.Struct):
        for name in _open_fields(kind):
            _bounded(getattr(value, name), where, field or name, depth)
    elif depth >= DEPTH:
        raise Refused(_line(where, field, f"more than {DEPTH} lists and objects within each other"))
    elif kind is dict:
        for key, item in value.items():
            _bounded(item, where, field or str(key), depth + 1)
    elif kind is list or kind is tuple:
        for item in value:
            _bounded(item, where, field, depth + 1)
    return value


@cache
def _open_fields(kind: Any) -> tuple[str, ...]:
    """Fields of a Schema that hold values of any type, directly or within other Schemas."""

    def is_open(hint: Any) -> bool:
        return (
            hint is Any or hint is dict or hint is list or any(map(is_open, typing.get_args(hint))) or _is_schema(hint)
        )

    return tuple(name for name, hint in typing.get_type_hints(kind).items() if is_open(hint))


def _is_schema(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


def _line(where: object, field: str, why: str) -> str:
    """The one line of a refusal."""
    return ": ".join(part for part in (str(where), shown(field), why) if part)


def _told(problem: BaseException, kind: Any, where: object) -> str:
    """A refusal in words, from the parser's."""
    if isinstance(problem, RecursionError):
        return _line(where, "", f"more than {DEPTH} lists and objects within each other")
    if isinstance(problem, MemoryError):
        return _line(where, "", "too large for the memory")
    why, _, path = str(problem).partition(" - at `")
    field = path.rstrip("`").removeprefix("$").removeprefix(".")
    if unknown := _UNKNOWN.match(why):
        name = unknown[1]
        known = msgspec.structs.fields(kind) if _is_schema(kind) and not field else ()
        hint = f"; {near(name[:QUOTED], [entry.encode_name for entry in known])}" if known else ""
        why = f"unknown field '{shown(name)}'{hint}"
    return _line(where, field, shown(why.replace("`", ""), 4 * QUOTED))
