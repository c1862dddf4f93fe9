"""Comparisons in a question: bigger than a breadbox, as heavy as a car, the size of a cat, fits in a suitcase, weighs more than 2 kg."""

from __future__ import annotations

from collections.abc import Sequence

from lmrl_envs.language.quantity import Match, Quantities
from lmrl_envs.language.scales import Values
from lmrl_envs.language.tokens import Token

_ABOUT = frozenset(("about", "roughly", "around", "approximately", "exactly"))
"""With these "as heavy as" is no more than that, either."""
_ADDING_UP = frozenset(("kg", "usd", "len", "tall"))
"""Measures of which two things have twice as much."""
_BEFORE_AMOUNT = frozenset("xtpbav")
"""Parts of the words between a measure and its amount."""


class Measures(Quantities):
    """Reads comparisons over the measures of a table, with known things and with quantities."""

    def match(self, tokens: Sequence[Token], i: int, last: Values | None, last_noun: str = "") -> Match | None:
        """The comparison that begins at a token, None where there is none."""
        word = tokens[i].word
        base = tokens[i].base
        if word in self.comparatives:
            return self._than(tokens, i + 1, *self.comparatives[word], last)  # "greater" is of no measure by itself
        if word in ("more", "less") and i + 1 < len(tokens) and tokens[i + 1].word in self.adjectives:
            measure, sign = self.adjectives[tokens[i + 1].word]
            if word == "less":
                sign = "<=" if sign == ">=" else ">="
            return self._than(tokens, i + 2, measure, sign, last)
        if word == "as":
            return self._as(tokens, i)
        if word in ("size", "same"):
            return self._same(tokens, i)
        if base == "fit":
            return self._fit(tokens, i)
        if base in self.measured:
            return self._of_measure(tokens, i, self.measured[base], last)
        dated = self._year(tokens, i)
        return dated or self._amount(tokens, i, None, last_noun)

    def _than(self, tokens: Sequence[Token], j: int, measure: str, sign: str, last: Values | None) -> Match | None:
        if j + 1 < len(tokens) and tokens[j].word in ("in", "of") and tokens[j + 1].base in self.measured:
            measure, j = self.measured[tokens[j + 1].base], j + 2
        if j >= len(tokens) or tokens[j].word != "than":
            rest = tokens[j:]
            if last is not None and all(token.part in tuple("tpvhx") for token in rest):
                return self._against(last, measure, sign, len(tokens))
            return None
        j += 1
        if (
            j < len(tokens)
            and tokens[j].word in ("that", "this", "it", "those")
            and (j + 1 == len(tokens) or tokens[j + 1].part == ",")
        ):
            return None if last is None else self._against(last, measure, sign, j + 1)
        value, unit, end = self._quantity(tokens, j, measure if measure in self.columns else None)
        if value is not None:
            return Match(self.compare(unit, sign, value), end, {unit: value})
        found = self._so_many(tokens, j, measure)
        if found is None:
            return None
        values, end = found
        match = self._against(values, measure, sign, end)
        if (
            match is not None
            and end + 1 < len(tokens)
            and tokens[end].part in ("o", "c")
            and tokens[end].word in ("or", "and")
        ):
            other = self.reference(tokens, end + 1)
            if other is not None:
                second = self._against(other[0], measure, sign, other[1])
                if second is not None:
                    both = match.truth | second.truth if tokens[end].word == "or" else match.truth & second.truth
                    return Match(both, second.end, values)
        return match

    def _against(self, reference: Values, measure: str, sign: str, end: int) -> Match | None:
        limit = reference.get(measure)
        if limit is None:
            return None
        return Match(self.compare(measure, sign, limit), end, reference)

    def _of_measure(self, tokens: Sequence[Token], i: int, measure: str, last: Values | None) -> Match | None:
        """ "weigh more than ...", "its height is over ..."."""
        j = i + 1
        while (
            j < len(tokens)
            and (tokens[j].part in _BEFORE_AMOUNT or tokens[j].word in ("up", "at", "to", "me", "back"))
            and not self._begins(tokens, j)
        ):
            j += 1
        if j >= len(tokens):
            return None
        word = tokens[j].word
        if word in self.comparatives:  # "its weight is greater than"
            return self._than(tokens, j + 1, measure, self.comparatives[word][1], last)
        if word in ("same", "as"):
            k = next((k for k in range(j + 1, min(j + 4, len(tokens))) if tokens[k].word == "as"), None)
            found = None if k is None else self.reference(tokens, k + 1)
            limit = None if found is None else found[0].get(measure)
            if found is None or limit is None:
                return None
            about = self.compare(measure, ">=", limit / 1.6) & self.compare(measure, "<=", limit * 1.6)
            return Match(about if word == "same" else self.compare(measure, ">=", limit * 0.9), found[1], found[0])
        direction = self._direction(tokens, j)
        if direction is not None:
            sign, k = direction
            if tokens[k - 1].word == "than" or tokens[k - 1].base in ("exceed", "over", "under", "above", "below"):
                if (
                    k < len(tokens)
                    and tokens[k].word in ("that", "this", "it")
                    and k + 1 == len(tokens)
                    and last is not None
                ):
                    return self._against(last, measure, sign[0] + "=", k + 1)
                found = self._so_many(tokens, k, measure)
                if found is not None and self._quantity(tokens, k, measure)[0] is None:
                    return self._against(found[0], measure, sign[0] + "=", found[1])
        return self._amount(tokens, j, measure, "")

    def _as(self, tokens: Sequence[Token], i: int) -> Match | None:
        """ "as big as a car"."""
        if i + 3 >= len(tokens) or tokens[i + 1].word not in self.adjectives or tokens[i + 2].word != "as":
            return None
        measure, sign = self.adjectives[tokens[i + 1].word]
        found = self.reference(tokens, i + 3)
        limit = None if found is None else found[0].get(measure)
        if found is None or limit is None:
            return None
        if i and tokens[i - 1].word in _ABOUT:
            about = self.compare(measure, ">=", limit / 1.6, 1.2) & self.compare(measure, "<=", limit * 1.6, 1.2)
            return Match(about, found[1], found[0])
        end = found[1]
        if (
            end + 1 < len(tokens)
            and tokens[end].word == "or"
            and (other := self.reference(tokens, end + 1)) is not None
        ):
            end = other[1]
        return Match(self.compare(measure, sign, limit * (0.7 if sign == ">=" else 1.5), 1.25), end, found[0])

    def _same(self, tokens: Sequence[Token], i: int) -> Match | None:
        """ "the size of a car", "the same size as"."""
        j = i + 1 if tokens[i].word == "same" else i
        if (
            j + 1 >= len(tokens)
            or self.measured.get(tokens[j].base) is None
            or tokens[j + 1].word not in ("of", "as", "to")
        ):
            return None
        measure = self.measured[tokens[j].base]
        found = self.reference(tokens, j + 2)
        limit = None if found is None else found[0].get(measure)
        if found is None or limit is None:
            return None
        return Match(
            self.compare(measure, ">=", limit / 1.6, 1.2) & self.compare(measure, "<=", limit * 1.6, 1.2),
            found[1],
            found[0],
        )

    def _fit(self, tokens: Sequence[Token], i: int) -> Match | None:
        """ "fits in a suitcase"."""
        j = i + 1
        while j < len(tokens) and tokens[j].part in ("v", "t"):
            j += 1
        if (
            j + 1 >= len(tokens)
            or tokens[j].word not in ("in", "inside", "into", "on", "through", "within", "under")
            or "fit" not in self.columns
        ):
            return None
        found = self.reference(tokens, j + 1)
        if found is None or not found[0].get("bulk") or not found[0].get("len"):
            return None
        bulk, length = found[0]["bulk"], found[0]["len"]
        assert bulk is not None and length is not None
        return Match(self.compare("bulk", "<=", bulk * 0.9) & self.compare("fit", "<=", length * 1.05), found[1])

    def _so_many(self, tokens: Sequence[Token], j: int, measure: str) -> tuple[Values, int] | None:
        """A known thing, or several of it ("heavier than ten men")."""
        number, k = self._number(tokens, j)
        found = self.reference(tokens, k)
        if found is None or number is None:
            return found
        one = found[0].get(measure)
        return ({measure: number * one}, found[1]) if one and measure in _ADDING_UP else None

    def reference(self, tokens: Sequence[Token], j: int) -> tuple[Values, int] | None:
        """The known thing whose name begins at a token, past articles and the like, and the token after it."""
        while (
            j < len(tokens)
            and (tokens[j].part in ("x", "v") or tokens[j].word in self._skip)
            and tokens[j].base not in self._reference_starts
        ):
            j += 1
        for size in (4, 3, 2, 1):
            if j + size > len(tokens):
                continue
            key = " ".join(
                token.base for token in tokens[j : j + size] if token.part != "x" and token.base not in self._skip
            )
            found = self.references.get(key)
            if found is not None:
                end = j + size
                while end < len(tokens) and tokens[end].part in ("b", "a"):  # "than I am", "than a cat does"
                    end += 1
                return found, end
        return None
