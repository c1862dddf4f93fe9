"""20 Questions: the objects, what is true of them, and the numbers of the game. No text is read here (see reader.py).

Sets of objects are ints used as bit sets: bit ``i`` stands for object ``i`` of `Knowledge.names`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from lmrl_envs.language.lists import entries, sections

MAX_QUESTIONS = 20
QUESTION_REWARD, WIN_REWARD = -1.0, 0.0
YES, NO = "Yes.", "No."
SPLITS = ("all", "train", "test")
MAX_QUESTION_LENGTH = 500
"""Characters of a question; a longer one is not read."""

_MEASURES = ("len", "bulk", "kg", "usd")
_COMPARISON = re.compile(r"(len|tall|bulk|kg|usd|fit|speed)(<=|>=)([\d.]+)")
_COMPARE = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True)
class Knowledge:
    """The table: every object with its names, measures and attributes."""

    names: tuple[str, ...]
    aliases: tuple[tuple[str, ...], ...]
    """All names of each object, its own first."""
    categories: tuple[str, ...]
    measures: dict[str, tuple[float | None, ...]]
    """len, tall, bulk, fit [cm], kg, usd, speed [km/h] of each object; None where it has none."""
    attributes: dict[str, int]
    """Attribute -> set of objects that have it."""
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
        """The set meant by attributes, object names (``@desk`` where an attribute has that name too) and measures (``kg>=20``) joined with ``&``, ``|`` and ``!``.

        Raises:
            KeyError: a name that is neither.
        """
        found = 0
        for alternative in expression.split("|"):
            objects = self.everything
            for term in alternative.split("&"):
                name = term.strip()
                negated = name.startswith("!")
                chosen = self._term(name.lstrip("! "))
                objects &= ~chosen if negated else chosen
            found |= objects
        return found

    def _term(self, name: str) -> int:
        if name == "none":
            return 0
        if name.startswith("@"):
            return 1 << self.names.index(name[1:])
        if name in self.attributes:
            return self.attributes[name]
        if match := _COMPARISON.fullmatch(name):
            return self.compare(match[1], match[2], float(match[3]))
        return 1 << self.names.index(name) if name in self.names else self._unknown(name)

    @staticmethod
    def _unknown(name: str) -> int:
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


def split_names(text: str) -> tuple[str, ...]:
    """``name (alias, alias)`` to a tuple, the name first."""
    name, _, rest = text.partition("(")
    return (name.strip(), *(alias.strip() for alias in rest.rstrip(") ").split(",") if alias.strip()))


def number(text: str) -> float | None:
    """A measure of the data files; ``-`` is None."""
    return None if text == "-" else float(text)


def height(field: str, length: float | None, bulk: float | None) -> float | None:
    """How tall a thing stands: its length if marked ``^`` or not bulky, else what its bulk suggests."""
    if length is None or bulk is None or field.endswith("^") or bulk < 60:
        return length
    return min(length, 1.1 * bulk)


def _read_attributes() -> tuple[dict[str, str], dict[str, str], dict[str, list[str]]]:
    questions, computed, implied = {}, {}, {}
    for line in entries(__file__, "attributes.txt"):
        head, _, question = line.partition(": ")
        head, _, implies = head.partition(" > ")
        name, _, condition = head.partition(" = ")
        questions[name] = question
        if condition:
            computed[name] = condition
        implied[name] = implies.split()
    return questions, computed, implied


def _close(wanted: list[str], implied: dict[str, list[str]]) -> dict[str, bool]:
    """Attributes of one object: all that is listed and implied, then all that is taken away."""
    found: dict[str, bool] = {}
    queue = [name for name in wanted if not name.startswith("-")]
    while queue:
        name = queue.pop()
        if name not in found:
            found[name] = True
            queue += implied[name]
    for i, name in enumerate(wanted):
        if name.startswith("-") and name[1:] not in wanted[i:]:
            found[name[1:]] = False
    return found


@lru_cache(maxsize=1)
def load_knowledge() -> Knowledge:
    """The bundled table (read once per process).

    Raises:
        KeyError: a data file names an attribute that is not defined.
    """
    questions, computed, implied = _read_attributes()
    names, categories, facts = [], [], []
    measures: dict[str, list[float | None]] = {key: [] for key in (*_MEASURES, "tall", "fit", "speed")}
    category, defaults = "", []
    for line in entries(__file__, "objects.txt"):
        if line.startswith("@"):
            category, _, rest = line[1:].partition(":")
            defaults = [category, *rest.split()]
            continue
        head, _, listed = line.partition(" : ")
        title, _, numbers = head.rpartition(": ")
        fields = numbers.split("/")
        folds = fields[0].endswith("~")
        values = [number(field.rstrip("~^")) for field in fields]
        for key, value in zip(_MEASURES, values, strict=True):
            measures[key].append(value)
        bulk = values[1]
        measures["tall"].append(height(fields[0], values[0], bulk))
        measures["fit"].append(bulk * 1.2 if folds and bulk is not None else values[0])
        names.append(split_names(title))
        categories.append(category)
        facts.append(_close([*defaults, *listed.split()], implied))
    speeds = dict(
        part.strip().rsplit(" ", 1) for part in " ".join(sections(__file__, "references.txt")["speed"]).split(";")
    )
    measures["speed"] = [number(speeds.get(own[0], "-")) for own in names]

    attributes = {name: to_set(i for i, fact in enumerate(facts) if fact.get(name)) for name in questions}
    knowledge = Knowledge(
        tuple(own[0] for own in names),
        tuple(names),
        tuple(categories),
        {key: tuple(values) for key, values in measures.items()},
        attributes,
        questions,
    )
    for name, condition in computed.items():
        denied = to_set(i for i, fact in enumerate(facts) if fact.get(name) is False)
        attributes[name] = (attributes[name] | knowledge.select(condition)) & ~denied
    return knowledge


@lru_cache(maxsize=3)
def split_indices(split: str) -> tuple[int, ...]:
    """Objects of a split: ``all``, ``train`` or ``test`` (the held-out fifth: every fifth object of the table)."""
    everyone = range(len(load_knowledge().names))
    if split == "all":
        return tuple(everyone)
    return tuple(i for i in everyone if (i % 5 == 3) == (split == "test"))
