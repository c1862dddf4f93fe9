"""Comparisons with a place and amounts in a question about a city."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lmrl_envs.guess_my_city.names import BETWEEN, BORDER, COUNTRY_WORDS, LINES, PEOPLE, SIGNS, Entity, Names, apart
from lmrl_envs.guess_my_city.table import City, cities, places
from lmrl_envs.language.lists import table
from lmrl_envs.language.numbers import NUMBERS, digits
from lmrl_envs.language.quantity import Match
from lmrl_envs.language.tokens import CLEAR, Token
from lmrl_envs.language.truth import Truth

_SIZES = {"billion": 1e9, "million": 1e6, "m": 1e6, "thousand": 1e3, "k": 1e3}
_METRES = {unit: float(size) for size, own in table(LINES["metres"]).items() for unit in own}
_KILOMETRES = {unit: float(size) for size, own in table(LINES["kilometres"]).items() for unit in own}
_LEVEL = frozenset(("above", "sea", "level", "high", "of", "altitude", "elevation", "over", "in", "up"))
_HIGH = frozenset(("above", "altitude", "elevation", "high", "sea", "elevate", "over", "up"))
_SUBURBS = frozenset(("metropolitan", "metro", "agglomeration", "suburb"))
_LANDS = frozenset(("country", "state", "nation", "neighbor", "other", "sovereign"))
_COMPARED = BETWEEN | PEOPLE
_FARNESS = frozenset(("closer", "nearer", "further", "farther", "close", "near", "far"))
_LATITUDE = frozenset(("latitude", "north", "south", "parallel", "equator", "of"))


class Amounts(Names):
    """Reads "bigger than London", "over 3,000 metres", "two hours behind Greenwich"."""

    # -- comparisons with a place

    def _compared(self, tokens: Sequence[Token], i: int) -> Match | None:
        """ "bigger than London", "more people live there than in London", "closer to X than to Y"."""
        word, found = tokens[i].word, self._longest_in(self._comparisons, tokens, i)
        if found is None and word not in _FARNESS:
            return None
        than = next((j for j in range(i + 1, min(i + 9, len(tokens))) if tokens[j].word in ("than", "as")), None)
        if word in _FARNESS and than is not None:
            first, second = self._next_entity(tokens, i + 1), self._next_entity(tokens, than + 1)
            if first is not None and second is not None and first[1] <= than + 1:
                a, b = self._points(first[0]), self._points(second[0])
                if a and b and len(tokens) >= second[1]:
                    closer = word in ("closer", "nearer", "close", "near")
                    end = second[1]
                    while end < len(tokens) and tokens[end].part in ("b", "a"):
                        end += 1
                    near, far = (a, b) if closer else (b, a)
                    truth = self._once(("closer", near, far), lambda: self._closer(near, far))
                    return None if truth is None else Match(truth, end)
        if found is None or than is None:
            return None
        (measure, sign), after = found[0], found[1]  # type: ignore[misc]
        if any(
            tokens[j].word not in BETWEEN and tokens[j].base not in _COMPARED and tokens[j].part not in CLEAR
            for j in range(after, than)
        ):
            return None
        target = self._next_entity(tokens, than + 1)
        if target is None:
            return self._than_amount(tokens, than + 1, measure, sign)
        return None if (truth := self._compare_with(target[0], measure, sign)) is None else Match(truth, target[1])

    def _closer(self, near: Sequence[tuple[float, float]], far: Sequence[tuple[float, float]]) -> Truth:
        return self._when(
            None if abs(a - b) < 0.05 * max(a, b) else a < b
            for a, b in zip(self._away(near), self._away(far), strict=True)
        )

    def _compare_with(self, entity: Entity, measure: str, sign: str) -> Truth | None:
        name = entity.of("city")
        values: list[float] = []
        if name is not None:
            c = cities()[name]
            values = {
                "people": [c.population, c.metro], "year": [c.year], "elevation": [c.elevation],
                "mean": [c.mean_temperature], "equator": [abs(c.lat)], "rain": [],
            }[measure]  # fmt: skip
        elif (other := entity.of("other")) is not None:
            row = places()["cities"][other]
            values = {"people": [row[3]], "equator": [abs(row[0])], "mean": []}.get(measure, [])
        if not values:
            return None
        return self._compare(measure, sign, values, slack=1)

    def _compare(self, measure: str, sign: str, limits: Sequence[float], slack: float = 0) -> Truth:
        """Cities with more or less than a limit; where the city and its urban area, or a small error, would tell otherwise it depends."""
        margin = {"people": 0.06, "metro": 0.06, "nation": 0.01}.get(measure, 0)
        fixed = {"year": 40, "elevation": 15, "mean": 1.2, "equator": 0.1, "lat": 0.2}.get(measure, 0) * (
            1 if slack else 0.2
        )

        columns = self._columns(measure)
        pairs = [(column, limits[k] if k < len(limits) else limits[0]) for k, column in enumerate(columns)]
        yes = possible = usual = 0
        for column, limit in pairs:
            edge = abs(limit) * margin + fixed
            low, high = limit - edge, limit + edge
            more = [value > high for value in column]
            less = [value < low for value in column]
            surely_, surely_not = (more, less) if sign[0] == ">" else (less, more)
            own_yes = sum(1 << k for k, holds in enumerate(surely_) if holds)
            own_possible = self._all & ~sum(1 << k for k, holds in enumerate(surely_not) if holds)
            if column is columns[0]:
                usual = sum(
                    1 << k for k, value in enumerate(column) if (value > limit if sign[0] == ">" else value < limit)
                )
            yes, possible = (
                (own_yes, own_possible) if column is columns[0] else (yes & own_yes, possible | own_possible)
            )
        return Truth(yes, possible, usual & possible & ~yes)

    def _columns(self, measure: str) -> tuple[tuple[float, ...], ...]:
        """What a measure is of each city: its people within its limits and with its suburbs."""
        own = self.knowledge.measures
        found: dict[str, tuple] = {"people": (own["people"], own["metro"])}
        if measure == "mean":
            found["mean"] = (tuple(c.mean_temperature for c in self._cities),)
        elif measure in ("equator", "lat"):
            found[measure] = (tuple(abs(c.lat) for c in self._cities),)
        return found.get(measure) or (own[measure],)  # type: ignore[return-value]

    # -- amounts

    def _number(self, tokens: Sequence[Token], j: int) -> tuple[float | None, int]:
        if j >= len(tokens):
            return None, j
        word = tokens[j].word
        if word[0].isdecimal():
            value, j = digits(word), j + 1
        elif (
            word in ("a", "an")
            and j + 1 < len(tokens)
            and tokens[j + 1].word in ("hundred", "thousand", "million", "billion", "half")
        ):
            value, j = 1.0, j + 1
        elif word in NUMBERS:
            value, j = float(NUMBERS[word]), j + 1
            if 20 <= value < 100 and j < len(tokens) and 0 < NUMBERS.get(tokens[j].word, 0) < 10:
                value, j = value + NUMBERS[tokens[j].word], j + 1
        else:
            return None, j
        while (
            j < len(tokens)
            and tokens[j].word in ("hundred", "thousand", "million", "billion", "half", "k", "m")
            and (tokens[j].word != "m" or value < 60)
        ):
            if tokens[j].word == "m" and j + 1 < len(tokens) and tokens[j + 1].base in ("above", "high", "over"):
                break
            value, j = (
                value
                * {"hundred": 100, "thousand": 1e3, "k": 1e3, "million": 1e6, "m": 1e6, "billion": 1e9, "half": 0.5}[
                    tokens[j].word
                ],
                j + 1,
            )
        return value, j

    def _direction(self, tokens: Sequence[Token], i: int) -> tuple[str, int]:
        """The sign of an amount and where its number begins."""
        j, sign = i, ""
        while j < len(tokens) and (
            tokens[j].word in SIGNS
            or tokens[j].word in ("at", "than", "to", "about", "around", "exactly", "no", "fewer")
        ):
            if tokens[j].word in SIGNS and (
                tokens[j].word != "up" or (j + 1 < len(tokens) and tokens[j + 1].word == "to")
            ):
                sign = SIGNS[tokens[j].word]
            j += 1
        return sign, j

    def _amount(self, tokens: Sequence[Token], i: int) -> Match | None:
        if tokens[i].word == "between":
            low, j = self._number(tokens, i + 1)
            if low is None and (found := self._on_the_way(tokens, i + 1)) is not None:
                return found
            if low is None or j >= len(tokens) or tokens[j].word != "and":
                return None
            high = self._amount_from(tokens, j + 1, "<")
            if high is None:
                return None
            after = self._number(tokens, j + 1)[1]
            if low < 1000:  # "between 1 and 4 million"
                said = {token.word for token in tokens[j + 1 : after]}
                low *= next((size for word, size in _SIZES.items() if word in said), 1)
            first = self._unit(tokens, after, low, ">")
            return None if first is None else Match(first.truth & high.truth, high.end)
        if tokens[i].word in ("utc", "gmt"):
            return self._zone(tokens, i)
        if tokens[i].word in ("ahead", "behind"):
            return self._ahead(tokens, i)
        sign, j = self._direction(tokens, i)
        return self._amount_from(tokens, j, sign)

    def _on_the_way(self, tokens: Sequence[Token], j: int) -> Match | None:
        """ "Between Paris and Warsaw": the way by it is hardly longer than the way past it."""
        first = self._next_entity(tokens, j)
        if first is None or first[1] >= len(tokens) or tokens[first[1]].word != "and":
            return None
        second = self._next_entity(tokens, first[1] + 1)
        if second is None or any(own[0].of("city", "other") is None for own in (first, second)):
            return None
        ends = self._points(first[0]), self._points(second[0])
        direct = apart(ends[0][0], ends[1][0])
        ways = zip(self._away(ends[0]), self._away(ends[1]), strict=True)
        return Match(
            self._when(
                a > 1 < b and (a + b < 1.12 * direct or (None if a + b < 1.3 * direct else False)) for a, b in ways
            ),
            second[1],
        )

    def _amount_from(self, tokens: Sequence[Token], j: int, sign: str) -> Match | None:
        value, k = self._number(tokens, j)
        if value is None:
            return None
        if (
            not sign
            and k < len(tokens)
            and tokens[k].word == "or"
            and k + 1 < len(tokens)
            and tokens[k + 1].word in ("more", "less", "fewer")
        ):
            sign, k = (">=" if tokens[k + 1].word == "more" else "<="), k + 2
        return self._unit(tokens, k, value, sign)

    def _than_amount(self, tokens: Sequence[Token], j: int, measure: str, sign: str) -> Match | None:
        value, k = self._number(tokens, j)
        if value is None:
            return None
        unit = tokens[k].base if k < len(tokens) else ""
        if measure == "year" and unit in ("year", "century"):
            years = value * (100 if unit == "century" else 1)
            return Match(self._compare("year", "<" if sign == "<" else ">", [2025 - years]), k + 1)
        if measure == "elevation" and unit in _METRES:
            return Match(self._compare("elevation", sign, [value * _METRES[unit]]), _past(tokens, k + 1, _LEVEL))
        found = self._unit(tokens, k, value, sign)
        if found is None and measure == "elevation" and unit in ("", "?"):
            return Match(self._compare("elevation", sign, [value]), k)
        return found

    def _unit(self, tokens: Sequence[Token], k: int, value: float, sign: str) -> Match | None:
        """What an amount is of, by the words about it."""
        bases = {token.base for token in tokens}
        unit = tokens[k].base if k < len(tokens) else ""
        if unit in _KILOMETRES or unit == "nautical":
            away = self._within_reach(tokens, k, value, sign)
            if away is not None:
                return away
        if unit in _METRES and sign and bases & _HIGH:
            return Match(self._compare("elevation", sign, [value * _METRES[unit]]), _past(tokens, k + 1, _LEVEL))
        if unit == "hour":
            return self._hours(tokens, k, value)
        if (unit in _LANDS and bases & BORDER) or unit == "neighbor":
            test = _TESTS[sign or "="]
            return Match(self._where(lambda c: test(len(c.country.neighbours), value)), _past(tokens, k, _LANDS))
        if not sign:
            return None
        if unit == "year" and "old" in bases:
            end = _past(tokens, k + 1, frozenset(("old", "ago")))
            return Match(self._compare("year", ">" if sign[0] == "<" else "<", [2025 - value]), end)
        if unit == "degree" and bases & _LATITUDE:
            side = "n_hemisphere" if "north" in bases else "s_hemisphere" if "south" in bases else "everything"
            return Match(self._compare("lat", sign, [value]) & self._set(side), _past(tokens, k + 1, _LATITUDE))
        if unit in PEOPLE or value >= 1e4:
            end = k + 1 if unit in PEOPLE else k
            of = "nation" if bases & COUNTRY_WORDS else "metro" if bases & _SUBURBS else "people"
            return Match(self._compare(of, sign, [value / 1e6]), end)
        return None

    def _within_reach(self, tokens: Sequence[Token], k: int, value: float, sign: str) -> Match | None:
        """ "Within 500 km of Paris"."""
        unit, end = (tokens[k].base, k + 1) if tokens[k].base != "nautical" else ("nautical mile", k + 2)
        target = self._next_entity(tokens, end)
        points = self._points(target[0]) if target is not None else []
        limit = value * _KILOMETRES[unit]
        if target is None or not points or not sign:
            return None

        truth = self._when(
            None if abs(far - limit) < 0.08 * limit else (far < limit) == (sign[0] == "<") for far in self._away(points)
        )
        return Match(truth, target[1])

    def _hours(self, tokens: Sequence[Token], k: int, value: float) -> Match | None:
        way = next(
            (j for j in range(k, min(k + 3, len(tokens))) if tokens[j].base in ("ahead", "behind", "back")), None
        )
        if way is None:
            return None
        winter = any(token.word in ("january", "winter", "december") for token in tokens)
        target = self._next_entity(tokens, way + 1)
        sign = 1 if tokens[way].base == "ahead" else -1
        if target is None:
            j = next((j for j in range(way + 1, len(tokens)) if tokens[j].base in ("greenwich", "gmt", "utc")), None)
            return None if j is None else Match(self._where(lambda c: _offset(c, 0, 0, sign * value, winter)), j + 1)
        name = target[0].of("city")
        if name is None:
            return None
        other = cities()[name]
        return Match(self._where(lambda c: _offset(c, other.utc, other.utc_summer, sign * value, winter)), target[1])

    def _ahead(self, tokens: Sequence[Token], i: int) -> Match | None:
        """ "Ahead of Tokyo", "behind Greenwich"."""
        sign = 1 if tokens[i].word == "ahead" else -1
        j = next(
            (j for j in range(i + 1, min(i + 4, len(tokens))) if tokens[j].base in ("greenwich", "gmt", "utc")), None
        )
        if j is not None:
            return Match(self._where(lambda c: sign * c.utc > 0), j + 1)
        target = self._next_entity(tokens, i + 1)
        other = cities().get(target[0].of("city") or "") if target else None
        return (
            None
            if target is None or other is None
            else Match(self._where(lambda c: sign * (c.utc - other.utc) > 0), target[1])
        )

    def _zone(self, tokens: Sequence[Token], i: int) -> Match | None:
        value, k = self._number(tokens, i + 1)
        if value is None or value > 14:
            after = tokens[i + 1].word if i + 1 < len(tokens) else ""
            if after in ("in", "time") or (not after and tokens[i].word == "gmt"):
                return Match(self._where(lambda c: c.utc == 0), min(len(tokens), i + 1))
            return None
        east = self._where(
            lambda c: True if c.utc == value == c.utc_summer else None if value in (c.utc, c.utc_summer) else False
        )
        return Match(east, k)


_TESTS: dict[str, Callable[[float, float], bool]] = {
    ">": lambda a, b: a > b, "<": lambda a, b: a < b, ">=": lambda a, b: a >= b, "<=": lambda a, b: a <= b, "=": lambda a, b: a == b,
}  # fmt: skip


def _past(tokens: Sequence[Token], j: int, words: frozenset[str]) -> int:
    """The first token that is none of some words."""
    while j < len(tokens) and tokens[j].base in words:
        j += 1
    return j


def _offset(c: City, utc: float, summer: float, hours: float, only_winter: bool) -> bool | None:
    winter, july = c.utc - utc == hours, c.utc_summer - summer == hours
    if only_winter:
        return winter
    return True if winter and july else None if winter or july else False
