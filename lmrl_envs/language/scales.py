"""The measures of a table: which things have more than a limit, so many of a part, the most; and the words of comparisons."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lmrl_envs.language.lists import sections, table, words
from lmrl_envs.language.numbers import NUMBERS
from lmrl_envs.language.tokens import Tokenizer
from lmrl_envs.language.truth import Truth, surely

Values = Mapping[str, float | None]
"""Measure -> how much of it a thing has; None, or left out: the thing has none."""

NUMBER_WORDS = {**NUMBERS, "couple": 2, "few": 3, "dozen": 12, "single": 1, "pair": 2, "several": 3}
SLACK = 1.12
"""Within this factor of the limit it depends on the exemplar."""


COMMON = sections(__file__, "quantity.txt")
"""Words of comparisons, whatever the task."""


class Scales:
    """The measures of a table, and the words for them.

    Args:
        lists: sections ``comparatives``, ``adjectives`` and ``units`` (``measure sign: word; word``, ``measure factor: word; word``),
            ``measured`` (``measure: word; word``, what a measure is called), ``counted`` (``measure: noun; noun``).
        columns: measure -> its value for every thing of the table, None for things without it.
        references: what things are compared with: name -> its measures.
        tokenizer: the reader's.
    """

    def __init__(
        self,
        lists: Mapping[str, Sequence[str]],
        columns: Mapping[str, Sequence[float | None]],
        references: Mapping[str, Values],
        tokenizer: Tokenizer,
    ) -> None:
        self.columns = columns
        self._limits: dict[tuple[str, str, float, float], Truth] = {}
        self.now = 2025.0
        """The year in which is asked."""
        self._base = base = tokenizer.base
        own = {title: [*COMMON.get(title, ()), *lists.get(title, ())] for title in {*COMMON, *lists}}

        def keyed(title: str) -> dict[str, tuple[str, str]]:
            return {word: tuple(key.split(" ")) for key, found in table(own[title]).items() for word in found}  # type: ignore[misc]

        self.comparatives, self.adjectives, units = keyed("comparatives"), keyed("adjectives"), keyed("units")
        self.units = {unit: (measure, float(size)) for unit, (measure, size) in units.items()}
        self.measured = {base(word): measure for measure, found in table(own["measured"]).items() for word in found}
        self.counted = {
            base(word): measure for measure, found in table(own.get("counted", ())).items() for word in found
        }
        self.superlatives = {
            word[:-1] + "st": value
            for word, value in self.comparatives.items()
            if word.endswith("er") and value[0] in columns
        }
        self._more, self._less = ([entry.split() for entry in own[title]] for title in ("more", "less"))
        self._signs = frozenset(entry[0] for entry in self._more + self._less)
        self._skip = frozenset(words(own["skip"]))
        self._upright = frozenset(words(own["upright"]))
        self._younger, self._older = frozenset(words(own["younger"])), frozenset(words(own["older"]))
        self.references: dict[str, Values] = {}
        for name, values in references.items():
            key = " ".join(
                token.base for token in tokenizer(name) if token.part != "x" and token.base not in self._skip
            )
            self.references.setdefault(key, values)
        firsts = {key.split(" ")[0] for key in self.references}
        self._reference_starts = firsts
        self.numeric = frozenset(NUMBER_WORDS) | self._signs | {"between"}
        """Words with which an amount may begin."""
        self.triggers = (
            frozenset(self.comparatives) | frozenset(self.measured) | frozenset(self.superlatives) | frozenset(NUMBER_WORDS) - {"million"}
            | self._signs | {"as", "size", "fit", "same", "between", "$", "before", "after", "since", "predate"}
        )  # fmt: skip

    def compare(self, measure: str, sign: str, limit: float, slack: float = SLACK) -> Truth:
        """The things with more (``>=``) or less (``<=``) of a measure than a limit; near it, it depends."""
        key = (measure, sign, limit, slack)
        if key not in self._limits:
            if len(self._limits) > 10_000:
                self._limits.clear()
            self._limits[key] = self._beside_limit(*key)
        return self._limits[key]

    def _beside_limit(self, measure: str, sign: str, limit: float, slack: float) -> Truth:
        yes = possible = usual = 0
        for index, value in enumerate(self.columns[measure]):
            if value is None:
                continue
            high, low = (value, limit) if sign == ">=" else (limit, value)
            usual |= (high > low) << index
            if measure == "year":
                high, low, ratio = high, low + (20 if slack > 1 else 0), 1.0
                yes |= (high >= low) << index
                possible |= (high >= low - (40 if slack > 1 else 0)) << index
                continue
            ratio = slack if high > 0 and low > 0 else 1.0
            yes |= (high > low * ratio) << index
            possible |= (high * ratio > low and high != low) << index  # nothing is bigger than itself
        return Truth(yes, possible, usual & possible & ~yes)

    def count(self, measure: str, sign: str, limit: float) -> Truth:
        """The things with a number of parts: more than, fewer than, or exactly the limit."""
        column = self.columns[measure]

        def where(test: Callable[[float], bool]) -> int:
            return sum(1 << i for i, value in enumerate(column) if value is not None and value == value and test(value))

        tests: dict[str, Callable[[float], bool]] = {
            ">": lambda v: v > limit, "<": lambda v: v < limit, ">=": lambda v: v >= limit, "<=": lambda v: v <= limit, "=": lambda v: v == limit,
        }  # fmt: skip
        unknown = sum(1 << i for i, value in enumerate(column) if value is not None and value != value)
        found = where(tests[sign])
        return Truth(found, found | unknown)

    def relative(self, adjective: str, objects: int) -> Truth:
        """ "A big animal": big as animals go."""
        measure, sign = self.adjectives[adjective]
        values = sorted(v for i, v in enumerate(self.columns[measure]) if objects >> i & 1 and v is not None)
        if not values:
            return Truth(0, 0)
        middle = values[len(values) // 2]
        found = self.compare(measure, sign, middle, 1.6)
        return found & surely(objects)

    def greatest(self, superlative: tuple[str, str], objects: int, among: bool) -> Truth:
        """ "The largest animal": none but the one of these things that has most may be it; "one of the largest": the third that has most."""
        measure, sign = superlative
        owned = [(v, i) for i, v in enumerate(self.columns[measure]) if objects >> i & 1 and v is not None]
        if not owned:
            return Truth(0, 0)
        ranked = [1 << i for _, i in sorted(owned, reverse=sign == ">=")]
        third = len(ranked) // 3
        return Truth(sum(ranked[: third // 2]), sum(ranked[:third])) if among else Truth(0, ranked[0])
