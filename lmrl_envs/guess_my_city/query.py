"""What a question asks, once it has been read."""

from __future__ import annotations

from typing import Any, NamedTuple


class Atom(NamedTuple):
    """One predicate: a topic, its value, whether it is turned round."""

    topic: str
    value: Any = None
    negated: bool = False


class Query(NamedTuple):
    """A question that was read. ``form``: "open", "polar" (yes/no), "list" (several cities), or "name"."""

    form: str
    atoms: tuple[Atom, ...]
    either: bool = False
    """Yes/no predicates of one kind are joined by "or"."""
