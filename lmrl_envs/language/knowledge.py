"""A table of objects and what is true of them, in three values: yes, no, and what people would dispute.

Sets of objects are ints used as bit sets: bit ``i`` stands for object ``i`` of `Knowledge.names`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from lmrl_envs.language.truth import Truth

_COMPARISON = re.compile(r"(\w+)(<=|>=)(-?[\d.]+)")
_COMPARE = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True)
class Knowledge:
    """The table: every object with its names, measures and attributes."""

    names: tuple[str, ...]
    aliases: tuple[tuple[str, ...], ...]
    """All names of each object, its own first."""
    categories: tuple[str, ...]
    measures: dict[str, tuple[float | None, ...]]
    """Measure -> how much of it each object has, in the table's unit; None where it has none."""
    attributes: dict[str, int]
    """Attribute -> set of objects that have it."""
    disputed: dict[str, int]
    """Attribute -> set of objects of which people would say different things, whatever `attributes` holds of them."""
    questions: dict[str, str]
    """Attribute -> a question that asks for it."""

    @cached_property
    def index(self) -> dict[str, int]:
        """Name -> index."""
        return {name: i for i, name in enumerate(self.names)}

    @property
    def everything(self) -> int:
        """The set of all objects."""
        return (1 << len(self.names)) - 1

    def select(self, expression: str) -> int:
        """The set meant by attributes, object names (``@desk`` where an attribute has that name too) and measures (``kg>=20``) joined with ``&``, ``|``, ``!``
        and ``~`` (people would dispute it of these).

        What is disputed counts as the table has it; `judge` tells it apart.

        Raises:
            KeyError: a name that is neither.
        """
        return self._evaluate(expression, judged=False)[0]

    def judge(self, expression: str) -> Truth:
        """As `select`, in three values (Kleene, 1938).

        Raises:
            KeyError: a name that is neither.
        """
        true, possible = self._evaluate(expression, judged=True)
        return Truth(true, possible, self.select(expression) & possible & ~true)

    def _evaluate(self, expression: str, judged: bool) -> tuple[int, int]:
        """The objects of which an expression is true, and those of which it may be."""
        true = possible = 0
        for alternative in expression.split("|"):
            sure = likely = self.everything
            for term in alternative.split("&"):
                name = term.strip()
                chosen, disputed = self._term(name.lstrip("!~ "))
                if not judged:
                    disputed = 0
                yes, maybe = chosen & ~disputed, chosen | disputed
                if name.startswith("~"):
                    yes, maybe = 0, maybe if judged else 0
                elif name.startswith("!"):
                    yes, maybe = self.everything & ~maybe, self.everything & ~yes
                sure, likely = sure & yes, likely & maybe
            true, possible = true | sure, possible | likely
        return true, possible

    def _term(self, name: str) -> tuple[int, int]:
        """The set of a term, and those of which it is disputed."""
        if name in ("none", "all"):
            return self.everything if name == "all" else 0, 0
        if name.startswith("@"):
            return 1 << self.names.index(name[1:]), 0
        if name in self.attributes:
            return self.attributes[name], self.disputed[name]
        if match := _COMPARISON.fullmatch(name):
            return self.compare(match[1], match[2], float(match[3])), 0
        return (1 << self.names.index(name), 0) if name in self.names else self._unknown(name)

    @staticmethod
    def _unknown(name: str) -> tuple[int, int]:
        raise KeyError(f"{name!r} is neither an attribute nor an object")

    def compare(self, measure: str, sign: str, limit: float) -> int:
        """The objects whose measure is ``<=`` or ``>=`` a limit; those without the measure are never in it."""
        test = _COMPARE[sign]
        return to_set(i for i, value in enumerate(self.measures[measure]) if value is not None and test(value, limit))


def to_set(indices: Iterable[int]) -> int:
    """A set of objects from indices."""
    objects = 0
    for index in indices:
        objects |= 1 << index
    return objects


def members(objects: int) -> list[int]:
    """Indices in a set of objects."""
    return [i for i in range(objects.bit_length()) if objects >> i & 1]
