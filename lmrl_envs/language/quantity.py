"""Quantities in a question: under 2 kg, at least four legs, between 10 and 20 cm, before 1900, 200 years ago."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lmrl_envs.language.numbers import digits
from lmrl_envs.language.scales import NUMBER_WORDS, Scales, Values
from lmrl_envs.language.tokens import Token
from lmrl_envs.language.truth import Truth

_SPANS = {"year": 1, "decade": 10, "century": 100, "millennium": 1000}
"""Years of each."""


class Match(NamedTuple):
    """A comparison that was read."""

    truth: Truth
    end: int
    """Index of the token after it."""
    reference: Values | None = None
    """What was compared with."""
    noun: str = ""
    """What was counted."""


class Quantities(Scales):
    """Reads numbers with their units, or of what is counted."""

    def _begins(self, tokens: Sequence[Token], j: int) -> bool:
        return self._direction(tokens, j) is not None or self._number(tokens, j)[0] is not None

    def _direction(self, tokens: Sequence[Token], j: int) -> tuple[str, int] | None:
        if j < len(tokens) and tokens[j].word not in self._signs and tokens[j].base not in self._signs:
            return None
        for sign, entries in ((">", self._more), ("<", self._less)):
            for entry in entries:
                if [token.base if token.base in entry else token.word for token in tokens[j : j + len(entry)]] == entry:
                    strict = (
                        sign
                        if entry[-1] not in ("least", "most") and entry[0] != "no" and entry[-1] != "to"
                        else sign + "="
                    )
                    return strict, j + len(entry)
        return None

    def _amount(self, tokens: Sequence[Token], i: int, measure: str | None, last_noun: str) -> Match | None:
        """A number with a unit or of a counted thing, with "over", "at least" or "or more" about it."""
        if tokens[i].word == "between":
            first, j = self._number(tokens, i + 1)
            if first is None or j >= len(tokens):
                return None
            if tokens[j].word in self.units:
                j += 1
            if j >= len(tokens) or tokens[j].word != "and":
                return None
            high, kind, end = self._quantity(tokens, j + 1, measure)
            second = self._number(tokens, j + 1)[0]
            if high is None or not second:
                return None
            return Match(self.compare(kind, ">=", first * high / second) & self.compare(kind, "<=", high), end)
        direction = self._direction(tokens, i)
        sign, j = direction or ("=", i)
        while j < len(tokens) and tokens[j].word in (
            "exactly",
            "about",
            "around",
            "roughly",
            "approximately",
            "precisely",
        ):
            j += 1
        value, kind, end = self._quantity(tokens, j, measure)
        if value is not None:
            if direction is None:
                after = [token.word for token in tokens[end : end + 2]]
                if (
                    after[:1] != ["or"]
                    or len(after) < 2
                    or after[1] not in ("more", "less", "fewer", "over", "under", *self.comparatives)
                ):
                    return None
                less = after[1] in ("less", "fewer", "under") or self.comparatives.get(after[1], ("", ">="))[1] == "<="
                sign, end = "<" if less else ">", end + 2
            if kind == "year":  # more years: earlier
                sign = "<" if sign[0] == ">" else ">"
            return Match(self.compare(kind, sign[0] + "=", value), end, {kind: value})
        number, k = self._number(tokens, j)
        if number is None or number != int(number):
            return None
        noun = tokens[k].base if k < len(tokens) else last_noun
        if k < len(tokens) and noun not in self.counted and tokens[k].part in ("t", "v"):
            noun = last_noun
        if noun not in self.counted:
            return None
        end = min(k + 1, len(tokens)) if k < len(tokens) and tokens[k].base == noun else k
        if k + 1 < len(tokens) and tokens[k].word == "or" and tokens[k + 1].word in ("more", "less", "fewer"):
            return None
        after = [token.word for token in tokens[end : end + 2]]
        if after[:1] == ["or"] and after[1:] and after[1] in ("more", "less", "fewer"):
            sign, end = (">=" if after[1] == "more" else "<="), end + 2
        return Match(self.count(self.counted[noun], sign, number), end, None, noun)

    def _quantity(self, tokens: Sequence[Token], j: int, measure: str | None) -> tuple[float | None, str, int]:
        """A number with its unit: value, measure, next token; the value is None for anything else."""
        value, k = self._number(tokens, j)
        if value is None:
            return None, "", j
        if "year" in self.columns and k < len(tokens) and tokens[k].base in _SPANS:
            k += 1 + (k + 1 < len(tokens) and tokens[k + 1].word == "old")
            return (
                self.now - value * _SPANS[tokens[k - 1].base if tokens[k - 1].base in _SPANS else tokens[k - 2].base],
                "year",
                k,
            )
        if tokens[j].word.startswith("$"):
            return value, "usd", k
        unit = self.units.get(tokens[k].word) if k < len(tokens) else None
        if unit is None:
            return (value, measure, k) if measure in ("year", "people") else (None, "", j)
        kind, k = unit[0], k + 1
        if k + 1 < len(tokens) and tokens[k].word in ("per", "an", "a", "/") and tokens[k + 1].word in ("hour", "h"):
            kind, unit, k = "speed", ("speed", unit[1] / 100_000), k + 2
        amount = value * unit[1]
        if kind == "len":
            after = tokens[k].word if k < len(tokens) else ""
            if after == "in" and k + 1 < len(tokens):
                after, k = tokens[k + 1].word, k + 1
            if after in self._upright or measure == "tall":
                kind = "tall"
            elif measure in ("bulk", "fit"):
                kind = measure
            elif after in ("wide", "across", "thick", "deep", "width", "diameter"):
                kind = "bulk"
            if after in self._upright or after in (
                "wide",
                "across",
                "thick",
                "deep",
                "width",
                "diameter",
                "long",
                "length",
                "size",
            ):
                k += 1
        elif k < len(tokens) and tokens[k].word in ("heavy", "in") and kind == "kg":
            k += 2 if tokens[k].word == "in" else 1
        return amount, kind, k

    def _number(self, tokens: Sequence[Token], j: int) -> tuple[float | None, int]:
        if j >= len(tokens):
            return None, j
        word = tokens[j].word
        if word[0] in "$0123456789" and word != "$":
            value, k = digits(word), j + 1
        elif word in NUMBER_WORDS and word not in ("hundred", "thousand", "million", "billion", "k", "grand", "thou"):
            value, k = float(NUMBER_WORDS[word]), j + 1
            if value >= 20 and value < 100 and k < len(tokens) and 0 < NUMBER_WORDS.get(tokens[k].word, 0) < 10:
                value, k = value + NUMBER_WORDS[tokens[k].word], k + 1
        elif (
            word in ("a", "an")
            and j + 1 < len(tokens)
            and (tokens[j + 1].word in self.units or tokens[j + 1].word in NUMBER_WORDS)
        ):
            value, k = 1.0, j + 1
            if tokens[k].word in ("half", "couple", "few", "dozen"):
                value, k = float(NUMBER_WORDS[tokens[k].word]), k + 1
        elif word in ("hundred", "thousand", "million", "billion") or (word == "half" and j + 1 < len(tokens)):
            value, k = (1.0, j) if word != "half" else (0.5, j + 1)
        else:
            return None, j
        while k < len(tokens) and tokens[k].word in ("hundred", "thousand", "million", "billion", "k", "grand"):
            value, k = value * float(NUMBER_WORDS[tokens[k].word]), k + 1
        while k < len(tokens) and tokens[k].word in ("a", "an", "of"):
            k += 1
        return value, k

    def _year(self, tokens: Sequence[Token], i: int) -> Match | None:
        """ "before 1900", "in the 19th century", "200 years ago", "within the last fifty years"."""
        if "year" not in self.columns:
            return None
        word = tokens[i].word
        age, end = self._age(tokens, i)
        if age and end < len(tokens) and tokens[end].word == "ago":
            return Match(self.compare("year", "<=", self.now - age), end + 1)
        if word not in self._younger and word not in self._older:
            return None
        sign = ">=" if word in self._younger else "<="
        j = i + 1
        while j < len(tokens) and tokens[j].word in (
            "the",
            "year",
            "about",
            "around",
            "than",
            "to",
            "last",
            "past",
            "early",
            "late",
        ):
            j += 1
        recent = tokens[j - 1].word in ("last", "past")
        if recent:
            age, end = self._age(tokens, j)
            return Match(self.compare("year", ">=", self.now - age), end) if age else None
        number = tokens[j].word.rstrip("s") if j < len(tokens) else ""
        if not number.isdecimal():
            return None
        after = [token.word for token in tokens[j + 1 : j + 3]]
        if after[1:] == ["century"] and after[0] in ("th", "st", "nd", "rd"):
            first = (int(number) - 1) * 100.0
            if word not in ("in", "during"):
                return Match(self.compare("year", sign, first + 100 if word == "after" else first), j + 3)
            if any(token.base in ("invent", "make", "create", "develop", "introduce", "discover") for token in tokens):
                return Match(self.compare("year", ">=", first) & self.compare("year", "<=", first + 100), j + 3)
            return Match(self.compare("year", "<=", first + 100), j + 3)
        return Match(self.compare("year", sign, float(number)), j + 1) if len(number) == 4 else None

    def _age(self, tokens: Sequence[Token], j: int) -> tuple[float, int]:
        """A span of years and the token after it; 0 for anything else."""
        value, k = self._number(tokens, j)
        if value is None:
            value, k = 1.0, j
        if k < len(tokens) and tokens[k].base in _SPANS and (k > j or tokens[k].word in _SPANS):
            return value * _SPANS[tokens[k].base], k + 1
        return 0.0, j
