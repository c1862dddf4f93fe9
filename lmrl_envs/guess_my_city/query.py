"""What a question asks, once it has been read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Atom:
    """One predicate: a topic, its value, whether it is turned round."""

    topic: str
    value: Any = None
    negated: bool = False


@dataclass(frozen=True)
class Query:
    """A question that was read. ``form``: "open", "polar" (yes/no), "list" (several cities), or "name"."""

    form: str
    atoms: tuple[Atom, ...]
    either: bool = False
    """Yes/no predicates of one kind are joined by "or"."""
