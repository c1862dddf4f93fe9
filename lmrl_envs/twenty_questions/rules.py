"""20 Questions: the objects, what is true of them, and the numbers of the game. No text is read here (see reader.py).

Sets of objects are ints used as bit sets: bit ``i`` stands for object ``i`` of `Knowledge.names`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from lmrl_envs.language.knowledge import Knowledge, to_set
from lmrl_envs.language.lists import entries, sections

MAX_QUESTIONS = 20
QUESTION_REWARD, WIN_REWARD = -1.0, 0.0
YES, NO, DEPENDS = "Yes.", "No.", "It depends."
UNREAD = "I don't understand the question; please put it another way."
SPLITS = ("all", "train", "test")
MAX_QUESTION_LENGTH = 500
"""Characters of a question; a longer one is not read."""

_MEASURES = ("len", "bulk", "kg", "usd", "tall")


def split_names(text: str) -> tuple[str, ...]:
    """``name (alias, alias)`` to a tuple, the name first."""
    name, _, rest = text.partition("(")
    return (name.strip(), *(alias.strip() for alias in rest.rstrip(") ").split(",") if alias.strip()))


def number(field: str) -> float | None:
    """A measure of the data files, without its marks; ``-`` is None."""
    text = field.partition("^")[0].rstrip("~")
    return None if text == "-" else float(text)


def height(field: str, length: float | None) -> float | None:
    """How tall a thing of references.txt stands: its length, or what is written after ``^``."""
    _, _, written = field.partition("^")
    return number(written) if written else length


class _Attribute(NamedTuple):
    """A line of attributes.txt."""

    question: str
    implied: tuple[str, ...]
    true_of: str
    disputed_of: str


class _Facts(NamedTuple):
    """What is said of one object: attributes listed or implied (True) or taken away (False), and those disputed."""

    known: dict[str, bool]
    disputed: frozenset[str]


def _read_attributes() -> dict[str, _Attribute]:
    found = {}
    for line in entries(__file__, "attributes.txt"):
        head, _, question = line.partition(": ")
        head, _, implied = head.partition(" > ")
        head, _, disputed_of = head.partition(" ? ")
        name, _, true_of = head.partition(" = ")
        found[name] = _Attribute(question, tuple(implied.split()), true_of, disputed_of)
    return found


def _close(wanted: list[str], attributes: dict[str, _Attribute]) -> dict[str, bool]:
    """Attributes of one object: all that is listed and implied; what is taken away implies nothing."""
    last = {name.removeprefix("-"): not name.startswith("-") for name in wanted}
    found = {name: False for name, holds in last.items() if not holds}
    queue = [name for name, holds in last.items() if holds]
    while queue:
        name = queue.pop()
        if name not in found:
            found[name] = True
            queue += attributes[name].implied
    return found


def _read_facts(listed: str, defaults: list[str], attributes: dict[str, _Attribute]) -> _Facts:
    holds, _, disputed = listed.partition("?")
    return _Facts(_close([*defaults, *holds.split()], attributes), frozenset(disputed.split()))


def _read_objects(attributes: dict[str, _Attribute]) -> tuple[list[tuple[str, ...]], list[str], dict, list[_Facts]]:
    """Names, categories, measures and facts of objects.txt."""
    names, categories, facts = [], [], []
    measures: dict[str, list[float | None]] = {key: [] for key in (*_MEASURES, "fit", "speed")}
    category, defaults = "", []
    for line in entries(__file__, "objects.txt"):
        if line.startswith("@"):
            category, _, rest = line[1:].partition(":")
            defaults = [category, *rest.split()]
            continue
        head, _, listed = line.partition(" : ")
        title, _, numbers = head.rpartition(": ")
        fields = numbers.split("/")
        values = [number(field) for field in fields]
        for key, value in zip(_MEASURES, values, strict=True):
            measures[key].append(value)
        length, bulk = values[:2]
        measures["fit"].append(bulk * 1.2 if fields[0].endswith("~") and bulk is not None else length)
        names.append(split_names(title))
        categories.append(category)
        facts.append(_read_facts(listed, defaults, attributes))
    speeds = dict(
        part.strip().rsplit(" ", 1) for part in " ".join(sections(__file__, "references.txt")["speed"]).split(";")
    )
    measures["speed"] = [number(speeds.get(own[0], "-")) for own in names]
    return names, categories, measures, facts


@lru_cache(maxsize=1)
def load_knowledge() -> Knowledge:
    """The bundled table (read once per process).

    Raises:
        KeyError: a data file names an attribute that is not defined.
    """
    defined = _read_attributes()
    names, categories, measures, facts = _read_objects(defined)
    for fact in facts:
        for name in (*fact.known, *fact.disputed):
            defined[name]
    attributes = {name: to_set(i for i, fact in enumerate(facts) if fact.known.get(name)) for name in defined}
    disputed = {name: to_set(i for i, fact in enumerate(facts) if name in fact.disputed) for name in defined}
    knowledge = Knowledge(
        tuple(own[0] for own in names),
        tuple(names),
        tuple(categories),
        {key: tuple(values) for key, values in measures.items()},
        attributes,
        disputed,
        {name: attribute.question for name, attribute in defined.items()},
    )
    for name, attribute in defined.items():
        # An object's own line overrules what is computed.
        open_to = knowledge.everything & ~to_set(i for i, fact in enumerate(facts) if name in fact.known)
        if attribute.true_of:
            attributes[name] |= knowledge.select(attribute.true_of) & open_to
            true, possible, _ = knowledge.judge(attribute.true_of)
            disputed[name] |= possible & ~true & open_to
        if attribute.disputed_of:
            disputed[name] |= knowledge.select(attribute.disputed_of) & open_to
    return knowledge


@lru_cache(maxsize=3)
def split_indices(split: str) -> tuple[int, ...]:
    """Objects of a split: ``all``, ``train`` or ``test`` (the held-out fifth: every fifth object of the table)."""
    everyone = range(len(load_knowledge().names))
    if split == "all":
        return tuple(everyone)
    return tuple(i for i in everyone if (i % 5 == 3) == (split == "test"))
