"""Word lists and wordings as text files beside their reader, in one dialect; whole texts as TOML.

``# ...`` is a comment, ``[title]`` begins a section, and every other line that is not empty is an entry of its section. What an entry
is, the reader says: a sentence, words with spaces between them, or ``key: value; value`` (see `table`).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def entries(module: str, name: str) -> list[str]:
    """The entries and titles of a file, by its path from the folder of a module (``__file__``), in order."""
    lines = map(str.strip, (Path(module).parent / name).read_text("utf-8").splitlines())
    return [line for line in lines if line and line[0] != "#"]


def sections(module: str, name: str) -> dict[str, list[str]]:
    """Title of each section -> its entries. What stands before the first title is in section ``""``."""
    found: dict[str, list[str]] = {}
    own = found.setdefault("", [])
    for line in entries(module, name):
        if line[0] == "[" and line[-1] == "]":
            own = found.setdefault(line[1:-1], [])
        else:
            own.append(line)
    return found


def table(lines: Iterable[str]) -> dict[str, list[str]]:
    """``key: value; value`` as key -> values; lines of the same key add up (so that none need be long)."""
    found: dict[str, list[str]] = {}
    for line in lines:
        key, _, values = line.partition(": ")
        found.setdefault(key.rstrip(":"), []).extend(value for part in values.split(";") if (value := part.strip()))
    return found


def words(lines: Iterable[str]) -> list[str]:
    """All words of some entries."""
    return [word for line in lines for word in line.split()]


def toml(module: str, name: str) -> dict[str, Any]:
    """A TOML file, by its path from the folder of a module (``__file__``)."""
    return tomllib.loads((Path(module).parent / name).read_text("utf-8"))
