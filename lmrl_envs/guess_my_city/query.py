"""From a question's text to what it asks: its form (yes/no or open) and its predicates. The same for every city."""

from __future__ import annotations

import itertools
import re
from functools import lru_cache
from typing import Any, NamedTuple

from lmrl_envs.guess_my_city.predicates import Found, atoms, place_of, relations
from lmrl_envs.guess_my_city.rules import MAX_TOKENS
from lmrl_envs.guess_my_city.words import AUXILIARIES, NEGATORS, STOP, WORDS, fact_words, phrase_table, scan, tokens
from lmrl_envs.language.lists import sections, table
from lmrl_envs.language.lists import words as listed
from lmrl_envs.language.words import stem


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


_TOPICS = sections(__file__, "data/topics.txt")
OPEN_ORDER = tuple(listed(_TOPICS["open"]))
"""Topics that have an open answer, the most telling first: a question is about the first one it mentions."""
_RANK = {topic: i for i, topic in enumerate(OPEN_ORDER)}
OPEN_ALIASES = {topic: of for of, topics in table(_TOPICS["belongs to"]).items() for topic in topics}
"""The open topic that a yes/no topic belongs to ("how cold does it get?" asks for the climate)."""
_WEAK, _SOFT, _LOOKED_UP, _POLAR_FRAGMENTS = (
    frozenset(listed(_TOPICS[title])) for title in ("weak", "soft", "looked up", "polar fragments")
)
"""See ``data/topics.txt``."""
_ALTERNATIVES = tuple(set(line.split()) for line in _TOPICS["alternatives"])
_EXHAUSTIVE = tuple(family for family in _ALTERNATIVES if not family & {"religion", "currency"})

_WH, _IMPERATIVES, _LEADS = WORDS["question words"], WORDS["imperatives"], WORDS["leads"]
_PREPOSITIONS = WORDS["prepositions"]


def _form(words: tuple[str, ...]) -> str:
    """ "open", "polar" or "" (a fragment or statement)."""
    i, n = 0, len(words)
    while i < n and words[i] in _LEADS and not (words[i] == "do" and i + 1 < n and words[i + 1] not in ("tell", "say")):
        i += 1
    rest = words[i:] or words
    head = rest[0]
    if rest[:3] in (("would", "you", "say"), ("could", "you", "say"), ("would", "one", "say")):
        return "polar"
    if head in AUXILIARIES:
        start = rest[1:7]
        if head in ("can", "could", "would", "will", "may", "might", "do", "are") and set(start[:3]) & (
            _IMPERATIVES | {"know", "able", "mind"}
        ):
            tail = rest[2:]
            return "polar" if {"whether", "if"} & set(tail) else "open"
        return "open" if _asks_which(rest) else "polar"
    if rest[:2] in (("what", "about"), ("how", "about")) and len(rest) <= 5:
        return ""  # "What about Italy?", "How about the climate?"
    if head in _WH or head in _IMPERATIVES:
        return "polar" if "whether" in rest or rest[:3] in (("tell", "me", "if"), ("how", "about", "in")) else "open"
    if head in _PREPOSITIONS and len(rest) > 1 and rest[1] in _WH:
        return "open"
    if len(rest) <= 5 and head in _PREPOSITIONS and not _WH & set(rest):
        return "polar"  # "on a river?"
    wh = [k for k, word in enumerate(rest) if word in _WH]
    if wh and not any(word in AUXILIARIES for word in rest[: wh[0]]):
        return "open"
    if len(rest) > 2 and rest[-1] in ("right", "correct", "yes", "no", "true", "huh", "it", "there", "from"):
        return "polar"
    auxiliary = next((k for k, word in enumerate(rest) if word in AUXILIARIES), None)
    if auxiliary is not None and wh and auxiliary > 0:
        return "open"
    if auxiliary is not None and len(rest) > 3:
        return "polar"
    return ""


def _asks_which(words: tuple[str, ...]) -> bool:
    """ "Is there a river? Which one?", "Does it have a river, and what is it called?" """
    if words[-1] in ("which", "what", "when", "who", "where") or words[-2:] == ("which", "one"):
        return True
    return any(a in ("and", "so", "river", "yes") and b in ("what", "which") for a, b in itertools.pairwise(words))


_SIDES = frozenset(["north", "south", "east", "west", "northern", "southern", "eastern", "western", "central"])
_OPPOSITES = (
    ("bigger", "smaller"), ("older", "younger"), ("hotter", "colder"), ("higher", "lower"), ("north", "south"), ("east", "west"),
    ("part_north", "south"), ("part_east", "west"), ("part_south", "north"), ("part_west", "east"),
)  # fmt: skip


def _said(items: list[Any]) -> set[str]:
    return {entry["relation"] for _, entry, _ in items if entry and "relation" in entry}


_BREAK = re.compile(r"(?<!\b[A-Za-z]\.)(?<!\b[SsMm]t\.)(?<!\b[Dd]r\.)(?<!prox\.)(?<=[.?!;])[\"')\]]*\s+|\s*\n\s*")
_ABOUT_LAST = re.compile(r"(?:and )?(?:which|what|who|when|where|how)\b(?: \S+){0,4}$", re.IGNORECASE)


def _asking(text: str) -> str:
    """The last sentence that asks, if several sentences are said; with the one before for "Which one?"."""
    sentences = [sentence for sentence in _BREAK.split(text) if sentence.strip(" .,!?;")]
    asked = [i for i, sentence in enumerate(sentences) if sentence.rstrip(" \"')]").endswith("?")]
    if not asked or len(sentences) < 2:
        return text
    last = asked[-1]
    before = len(asked) > 1 and asked[-2] == last - 1 and _ABOUT_LAST.match(sentences[last].rstrip(" ?"))
    return f"{sentences[last - 1]} {sentences[last]}" if before else sentences[last]


def read(text: str) -> Query | None:
    """What a question asks; None when it cannot be read. Of several sentences the last that asks counts."""
    return None if len(text) > 1000 else _read(text)


@lru_cache(maxsize=16384)
def _read(text: str) -> Query | None:
    asking = text
    if "\n" in text or ("?" in text and (". " in text or "? " in text or "! " in text or "; " in text or '" ' in text)):
        asking = _asking(text)
    words = tokens(asking)
    if not words or len(words) > MAX_TOKENS:
        return None
    query = _assemble(words)
    if asking != text and query is not None and any(atom.topic == "is_city" for atom in query.atoms):
        before = tokens(text.replace(asking, " "))[:MAX_TOKENS]
        if any(entry is not None and "city" in entry for _, entry, _ in scan(before)):
            return Query("list", ())  # "Is it Lima? Is it Cairo?"
    return query


_NEIGHBOUR = re.compile(
    r"\b(?:nearest|closest|next) (?:(?:other|big|bigger|large|larger|major|neighbou?ring) )*(?:city|cities|towns?)\b"
)


def _assemble(words: tuple[str, ...]) -> Query | None:
    words = phrase_table().corrected(words)
    items = scan(words)
    form = _form(words)
    if form == "open" and _NEIGHBOUR.search(" ".join(words)):
        return None  # which other city is near is not among the facts, and "big city" is no question about size here
    used: set[int] = set()
    related = relations(items, words, used)
    named = [(k, entry) for k, (_, entry, _) in enumerate(items) if entry and ("city" in entry or "other" in entry)]
    query = _alternatives(words, items, named, used) if "or" in words or named else None
    return query or _build(words, items, form, related, used)


def _alternatives(words: tuple[str, ...], items: list[Any], named: list[Any], used: set[int]) -> Query | None:
    """Questions that put two things up for choice, and lists of cities; None for all others."""
    free = {entry.get("city") or entry["other"] for k, entry in named if k not in used}
    ends = [place_of(entry) for _, entry in named]
    if len(set(ends)) == 2 and {"closer", "nearer"} & set(words):
        return Query("open", (Atom("closer", tuple(dict.fromkeys(ends))),))
    if {"or", "and"} & set(words) and any(k not in used and "city" in entry for k, entry in named):
        return Query("list", ())
    if "or" in words[1:-1] and "either" not in words:
        k = words.index("or", 1)
        sides = words[k - 1] in _SIDES and words[k + 1] in _SIDES and words[k - 2] not in ("middle", "far", "near")
        after = words[k + 2] if sides and len(words) > k + 2 else ""
        if after in ("america", "americas"):
            return Query("open", (Atom("continent"),))
        if after in ("part", "half", "side", "asia", "africa", "europe", "end"):
            return Query("open", (Atom("subregion"),))
    if ends and "or" in words[1:-1]:
        k = words.index("or", 1)
        sides = next((p for p in _OPPOSITES if set(p) == {words[k - 1], words[k + 1]}), None)
        if sides is not None and sides[0] in ("north", "east"):  # "Is it east or west of Moscow?"
            return Query("open", (Atom("compare", (*sides, ends[0])),))
    if ends and "or" in words:
        said = _said(items)
        pair = next((pair for pair in _OPPOSITES if said.issuperset(pair)), None)
        if pair is not None:
            return Query("open", (Atom("compare", (*pair, ends[0])),))
    return Query("list", ()) if len(free) > 1 else None


# -- from predicates to a query

_EMPTY = STOP | NEGATORS | AUXILIARIES


def _content(items: list[Any], used: set[int]) -> list[tuple[int, str]]:
    """Words that no lexicon knows."""
    return [
        (k, text) for k, (text, entry, _) in enumerate(items) if entry is None and text not in _EMPTY and len(text) > 1
    ]


def _build(words: tuple[str, ...], items: list[Any], form: str, relations: list[Found], used: set[int]) -> Query | None:
    """The query of a scanned question, or None."""
    found = [*relations, *atoms(items, words, used)]
    if len(found) > 1:
        found.sort(key=lambda atom: atom[0])
    topics = [topic for _, topic, _ in found]
    if relations and any(topic.startswith(("age", "year")) for topic in topics):  # "young, less than 200 years old"
        found = [atom for atom in found if atom[1] not in ("ancient", "modern")]
        topics = [topic for _, topic, _ in found]
    if "or" in words or "hemisphere_alt" in topics:
        for family in _ALTERNATIVES if form != "polar" else _EXHAUSTIVE:
            values = {(topic, value) for _, topic, value in found if topic in family and (value or len(family) > 1)}
            if len(values) > 1 or "hemisphere_alt" in topics:
                topic = "hemisphere" if "hemisphere_alt" in topics else next(iter(sorted(family & set(topics))))
                return Query("open", (Atom(OPEN_ALIASES.get(topic, topic)),))
    strong = [atom for atom in found if atom[1] not in _WEAK or atom[2] is not None]
    if form == "" and len(words) <= 2 and words[:1] in (("ocean",), ("sea",)):
        form = "open"
    if form == "":
        plain = [topic for topic in topics if topic in OPEN_ORDER and topic not in _POLAR_FRAGMENTS]
        decided = [atom for atom in strong if atom[1] not in OPEN_ORDER or atom[1] in _POLAR_FRAGMENTS or atom[2]]
        form = "open" if plain and not decided else "polar"
    if form == "open":
        return _open(found, words)
    return _polar(words, items, found, strong, used)


def _open(found: list[Found], words: tuple[str, ...]) -> Query | None:
    present: dict[str, Any] = {}
    if {"ocean", "sea", "oceans", "seas", "water"} & set(words) and {"coast", "sea", "country_coast"} & {
        atom[1] for atom in found
    }:
        return Query("open", (Atom("sea"),))
    for _, topic, value in found:
        present.setdefault(OPEN_ALIASES.get(topic, topic), value)
    direct = {atom[1] for atom in found} - {"country", "name", "location", "continent", "province"}
    known = [topic for topic in present if topic in _RANK]
    if not known:
        return None
    topic = min(known, key=lambda topic: (topic not in direct, _RANK[topic]))
    if topic == "name":
        return Query("name", ())
    if topic == "country" and "colony" in present:
        topic = "colony"
    value = _place_of(found) if topic == "distance" else present[topic]
    return None if topic == "distance" and value is None else Query("open", (Atom(topic, value),))


def _place_of(found: list[Found]) -> tuple[str, str] | None:
    return next(
        (
            (topic.removeprefix("in_"), value)
            for _, topic, value in found
            if topic in ("in_country", "is_city") and value
        ),
        None,
    )


def _polar(
    words: tuple[str, ...], items: list[Any], found: list[Found],
    strong: list[Found], used: set[int],
) -> Query | None:  # fmt: skip
    content = _content(items, used)
    vocabulary = fact_words()
    known = [(k, word) for k, word in content if stem(word) in vocabulary]
    firm = [atom for atom in strong if atom[1] not in _SOFT]
    weak = {topic for _, topic, _ in found} & _LOOKED_UP
    if known and not firm:
        unknown = len(content) - len(known)
        if unknown <= 1 + len(known) // 2 or weak:
            stems = tuple(sorted({stem(word) for _, word in known}))
            return Query("polar", (Atom("facts", stems, _negated(items, known[0][0], -1)),))
    if not strong:
        if weak & {"food", "known", "landmark"} and content:
            return Query("polar", (Atom("facts", ("?",), _negated(items, content[0][0], -1)),))
        strong = [atom for atom in found if atom[1] in ("river", "lake", "mountains")] or found
        if not found and not content and {"city", "town", "place", "metropolis"} & set(words):
            return Query("polar", (Atom("a_city"),))
        if not strong or (len(content) > 3):
            return None
        if all(topic in _WEAK for _, topic, _ in strong):
            strong = [min(strong, key=lambda atom: _RANK.get(atom[1], 99))]
    if len(content) > 6:
        return None
    atoms, previous = [], -1
    for k, topic, value in strong:
        atoms.append(Atom(topic, value, _negated(items, k, previous)))
        previous = k
    return Query("polar", tuple(atoms), either="or" in words)


def _negated(items: list[Any], k: int, previous: int) -> bool:
    between = [text for text, entry, _ in items[max(previous + 1, 1) : k] if entry is None]
    return sum(text in NEGATORS for text in between) % 2 == 1
