"""The pieces of a question about a city that no fixed phrase holds: places, languages and nationalities, relations to a place, amounts.

The engine asks `Pieces.match` wherever one of their words stands; what is read counts for the words that it covers, no more.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from functools import reduce

from lmrl_envs.guess_my_city.amounts import Amounts
from lmrl_envs.guess_my_city.names import (
    ACTS,
    BORDER,
    CITY_WORDS,
    COUNTRY_WORDS,
    INDEPENDENCE,
    LANGUAGE,
    LINES,
    MONEY,
    OF_COUNTRY,
    OPPOSITE,
    RULE,
    WHOLE_OF,
    YEARS,
    Entity,
)
from lmrl_envs.guess_my_city.table import City, cities, countries, places
from lmrl_envs.language.grammar import Unread
from lmrl_envs.language.lists import table, words
from lmrl_envs.language.quantity import Match
from lmrl_envs.language.scales import Values
from lmrl_envs.language.tokens import CLEAR, Token
from lmrl_envs.language.truth import Truth

_WHEN = {word: sign for sign, own in table(LINES["when"]).items() for word in own}
_CENTURIES = tuple(words(LINES["centuries"]))
_JOINING = frozenset((",", "or", "and", "nor"))
_WORLD_WARS = {"first": (1914, 1918), "second": (1939, 1945)}
_BESIDE = frozenset(("year", "sometime", "already", "well", "back", "than", "as", "early", "late", "ago", "there"))


class Pieces(Amounts):
    """Reads names, relations to places, comparisons and amounts over the table of cities."""

    # -- what the engine asks

    def match(self, tokens: Sequence[Token], i: int, last: Values | None, last_noun: str = "") -> Match | None:
        """The piece that begins at a token, None where there is none."""
        del last, last_noun
        found = self._match(tokens, i)
        if found is None or found.end + 1 >= len(tokens) or tokens[found.end].word not in _JOINING:
            return found
        return self._with_others(tokens, i, found)

    def _with_others(self, tokens: Sequence[Token], i: int, found: Match) -> Match:
        """A list in the place of a name: "borders Peru, Chile or Bolivia", "a French or British colony".

        Each is read where the first one stands, so that the second of "speak Spanish or Portuguese" is no place.

        Raises:
            Unread: what is asked of the first cannot be asked of another.
        """
        names, joined = self._list_after(tokens, found.end)
        named = ((k, self._entity(tokens, k)) for k in range(i, found.end))
        start = next((k for k, entity in named if entity and entity[1] == found.end), None)
        if not names or start is None:
            return found
        last = names[-1][1]
        truths: list[Truth] = []
        after = 0
        for first, end in ((start, found.end), *names):
            own = self._match([*tokens[:start], *tokens[first:end], *tokens[last:]], i)
            if own is None and start == i:
                return found  # "in France or Paris"
            if own is None:
                raise Unread
            truths.append(own.truth)
            after = own.end - start - (end - first)
        if start == i and not after:
            return found  # names by themselves
        return Match(reduce(operator.and_ if joined == "and" else operator.or_, truths), last + after)

    def _list_after(self, tokens: Sequence[Token], j: int) -> tuple[list[tuple[int, int]], str]:
        """Where the names of a list stand that goes on at a token, and the word that joins the last."""
        names: list[tuple[int, int]] = []
        joined = ""
        while not joined and j + 1 < len(tokens) and tokens[j].word in _JOINING:
            joined = tokens[j].word.replace(",", "")
            j += 1
            if not joined and tokens[j].word in _JOINING:
                joined, j = tokens[j].word, j + 1
            while j < len(tokens) and tokens[j].part == "x":
                j += 1
            if j >= len(tokens) or (found := self._entity(tokens, j)) is None:
                return [], ""
            names.append((j, found[1]))
            j = found[1]
        return (names, joined) if joined else ([], "")

    def _match(self, tokens: Sequence[Token], i: int) -> Match | None:
        if tokens[i].word == "capital":
            return self._capital_of(tokens, i)
        if (greatest := self._greatest_of(tokens, i)) is not None:
            return greatest
        if tokens[i].base in YEARS and (founded := self._when_was(tokens, i, self._founded)) is not None:
            return founded
        if tokens[i].base in INDEPENDENCE and (freed := self._when_was(tokens, i, self._freed)) is not None:
            return freed
        entity = self._entity(tokens, i)
        if entity is not None and entity[1] > i + 1:  # "South Korea", "the north of Italy"
            return self._named(tokens, i, entity) or self._related(tokens, i)
        return self._amount(tokens, i) or self._related(tokens, i) or self._named(tokens, i, entity)

    def _named(self, tokens: Sequence[Token], i: int, found: tuple[Entity, int] | None) -> Match | None:
        """A name by itself, or with what makes a language, a ruler, a neighbour or a currency of it ("French rule", "Chad as a neighbour")."""
        if found is None:
            return None
        entity, end = found
        people = entity.of("people", "country")
        language = entity.of("language")
        if (
            language is not None
            and not (end < len(tokens) and tokens[end].base in ("cuisine", "food", "dish"))
            and ((after := self._swallow(tokens, end, LANGUAGE)) or (people is None and entity.of("currency") is None))
        ):
            return Match(self._speaks(language, self._says_main(tokens)), after or end)
        if people is not None and (after := self._swallow(tokens, end, RULE)):
            return Match(self._ruled(people), after)
        if entity.of("people") is not None and self._acts(tokens, i, end):
            raise Unread  # "did the British build it": who does a thing, not where it is
        if people is not None and (after := self._swallow(tokens, end, BORDER)):
            return Match(self._borders(people), after)
        currency = entity.of("currency")
        if currency is not None and ((after := self._swallow(tokens, end, MONEY)) or people is None):
            return Match(self._pays(currency), after or end)
        if entity.of("city") is not None:
            return None  # the engine's: it may be a guess
        if (water := entity.of("water")) is not None:
            return Match(self._on_water(water, tokens[:i]), self._swallow(tokens, end, frozenset(("coast", "coastline"))) or end)  # fmt: skip
        if {kind for kind, _ in entity.kinds} == {"other"}:
            # A city of its own to some, a part of the larger one beside it to others.
            return Match(self._when(None if away < 40 else False for away in self._away(self._points(entity))), end)
        return Match(self._within(entity), end)

    @staticmethod
    def _acts(tokens: Sequence[Token], i: int, end: int) -> bool:
        """Whether a people is named as such ("the British", "Americans"), and not as what something is ("the British capital")."""
        if end - i > 1 or i == 0:
            return False
        follows = tokens[end] if end < len(tokens) else None
        if tokens[i].word != tokens[i].base and tokens[i].word.endswith("s"):
            return True
        return tokens[i - 1].word in ("the", "by") and (
            follows is None or follows.part in ("P", "a", "b", "c", "v") or follows.base in ACTS
        )

    def _capital_of(self, tokens: Sequence[Token], i: int) -> Match | None:
        """ "The capital of Romania", "the capital of Bavaria"."""
        j = i + 2 if i + 1 < len(tokens) and tokens[i + 1].word == "city" else i + 1
        if j >= len(tokens) or tokens[j].word != "of":
            return None
        found = self._next_entity(tokens, j + 1)
        if found is None:
            return None
        entity, end = found
        if self._swallow(tokens, end, LANGUAGE):
            return None  # "of a French-speaking country"
        if entity.of("country", "continent") is None and entity.of("region") is not None:
            state = self._set("regional capital") & self._within(entity)
            if self._within(entity).possible.bit_count() == 1:
                return Match(state, end)
        return Match(self._set("capital") & self._within(entity), end)

    def _greatest_of(self, tokens: Sequence[Token], i: int) -> Match | None:
        """ "The largest city in Africa", "the largest African city", "Africa's largest city".

        Raises:
            Unread: the largest of something that the table has no row for.
        """
        owner = self._entity(tokens, i)
        found = self._longest_in(self._superlatives, tokens, owner[1] if owner else i) if owner is None or owner[1] < len(tokens) else None  # fmt: skip
        if found is None:
            return None
        rank, j = str(found[0]), found[1]
        if owner is None and j < len(tokens) and (owner := self._entity(tokens, j)) is not None:
            j = owner[1]
        while j < len(tokens) and (tokens[j].base in CITY_WORDS or (tokens[j].part and tokens[j].part in CLEAR)):
            j += 1
        if owner is None and j < len(tokens) and (tokens[j].part == "P" or tokens[j - 1].word in ("of", "the")):
            j += tokens[j].part == "P"
            while j < len(tokens) and (tokens[j].word in WHOLE_OF or (tokens[j].part and tokens[j].part in CLEAR)):
                j += 1
            if j >= len(tokens) or tokens[j].base in OF_COUNTRY:
                return None
            if (owner := self._entity(tokens, j)) is None or (tokens[owner[1] : owner[1] + 1] and tokens[owner[1]].base == "union"):  # fmt: skip
                raise Unread
            return None if owner[0].of("country") and rank != "among" else self._greatest(rank, owner[0], owner[1])
        return None if owner is None or owner[0].of("country") else self._greatest(rank, owner[0], j)

    def _greatest(self, rank: str, of: Entity, end: int) -> Match | None:
        if rank == "among" and of.of("country"):
            return Match(self._set("among the largest in its country") & self._within(of), end)
        if (whole := of.of("continent", "region", "water")) is None:
            country = self._set(f"{rank} in its country") if rank != "among" else self._set("among the largest in its country")  # fmt: skip
            return Match(country & self._within(of), end) if of.of("people") else None
        inside = self._set(whole)
        if rank == "among":
            own = f"among the largest in {whole}"
            if own not in self.knowledge.attributes:
                return Match(Truth(self._set(f"largest in {whole}").possible, inside.possible), end)
            return Match(self._set(own), end)
        if f"{rank} in {whole}" in self.knowledge.attributes or not inside.possible:
            return Match(self._set(f"{rank} in {whole}"), end)
        raise Unread

    def _on_water(self, water: str, before: Sequence[Token]) -> Truth:
        """On a water, of the city or, where the words before name it, of its country."""
        if not any(token.base in COUNTRY_WORDS for token in before):
            return self._set(water)
        if f"country on {water}" not in self.knowledge.attributes:
            raise Unread
        return self._set(f"country on {water}")

    def _when_was(
        self, tokens: Sequence[Token], i: int, test: Callable[[City, str, int, int], bool | None]
    ) -> Match | None:
        """ "Founded before 1500", "established in the 16th century", "independent since 1960"."""
        sign, j = "", i + 1
        while j < len(tokens) and (tokens[j].word in _WHEN or tokens[j].word in _BESIDE or tokens[j].part in CLEAR):
            if not sign or tokens[j].word not in ("to", "about", "around"):
                sign = _WHEN.get(tokens[j].word, sign)
            j += 1
        if not sign or j >= len(tokens):
            return None
        span = self._years(tokens, j)
        if span is None:
            return None
        first, last, j = span
        if sign == "between":
            if j >= len(tokens) or tokens[j].word != "and" or (until := self._years(tokens, j + 1)) is None:
                return None
            (_, last, j), sign = until, "="
        low, high = {"<": (-9999, first), ">": (last, 9999), "=": (first, last)}[sign]
        return Match(self._where(lambda c: test(c, sign, low, high)), j)

    @staticmethod
    def _founded(c: City, sign: str, low: int, high: int) -> bool | None:
        """Whether a city is from some years; within the error of its date it depends."""
        slack = 50 if c.year < 1400 or "centur" in c.founded else 8
        if sign == "=" and slack == 8:
            return low <= c.year <= high or (None if low - slack <= c.year <= high + slack else False)
        inside = low + slack <= c.year <= high - slack
        return True if inside else None if low - slack <= c.year <= high + slack else False

    @staticmethod
    def _freed(c: City, sign: str, low: int, high: int) -> bool | None:
        """Whether its country gained independence in some years."""
        if not c.country.independence:
            return None if sign == "<" else False
        first, last = c.country.independence
        return (low <= first and last <= high) or (None if first <= high and low <= last else False)

    @staticmethod
    def _years(tokens: Sequence[Token], j: int) -> tuple[int, int, int] | None:
        """The first and the last year of a year, a decade or a century, and the token after it."""
        while j < len(tokens) and (tokens[j].word == "year" or tokens[j].part == "x"):
            j += 1
        rest = [token.word for token in tokens[j : j + 4]] + [""] * 4
        number = int(rest[0]) if re.fullmatch(r"\d{1,4}", rest[0]) else 0
        if rest[0] in _CENTURIES and rest[1] == "century":
            first, last, end = 100 * _CENTURIES.index(rest[0]), 100 * _CENTURIES.index(rest[0]) + 100, 2
        elif 0 < number < 22 and rest[1] in ("st", "nd", "rd", "th") and rest[2] == "century":
            first, last, end = 100 * number - 100, 100 * number, 3
        elif rest[1:3] == ["world", "war"] and rest[0] in _WORLD_WARS:
            (first, last), end = _WORLD_WARS[rest[0]], 3
        elif 100 <= number < 2030:
            decade = rest[1] == "s"
            first, last, end = number, number + (100 if number % 100 == 0 else 10) * decade, 1 + decade
        else:
            return None
        if rest[end] == "beforechrist":
            first, last, end = -last, -first, end + 1
        return first, last, j + end

    # -- relations

    def _related(self, tokens: Sequence[Token], i: int) -> Match | None:
        compared = self._compared(tokens, i)
        if compared is not None:
            return compared
        found = self._longest_in(self._relations, tokens, i)
        if found is None:
            return None
        relation, j = str(found[0]), found[1]
        if (
            relation in OPPOSITE
            and tokens[i].word not in ("further", "farther", "more")
            and (part := self._part(tokens, i)) is not None
        ):
            return part
        if relation in OPPOSITE and not any(token.word in ("of", "than", "from") for token in tokens[i + 1 : j + 1]):
            return None  # "South Korea"
        target = self._next_entity(tokens, j)
        if target is None:
            return None
        entity, end = target
        if relation == "border" and (water := entity.of("water")) is not None:
            return Match(self._on_water(water, tokens[:i]), end)
        if relation == "near":
            end = self._swallow(tokens, end, BORDER) or end
        if relation in ("speak", "pay"):
            end = self._swallow(tokens, end, LANGUAGE if relation == "speak" else MONEY) or end
        main = relation == "speak" and self._says_main(tokens)
        truth = self._once((relation, entity, main), lambda: self._relation(relation, entity, main))
        return None if truth is None else Match(truth, end)

    def _relation(self, relation: str, entity: Entity, main: bool) -> Truth | None:
        country = entity.of("country", "people")
        if relation == "speak":
            language = entity.of("language")
            return None if language is None else self._speaks(language, main)
        if relation == "pay":
            currency = entity.of("currency")
            return None if currency is None else self._pays(currency)
        if relation == "border":
            return self._borders(country) if country else None
        if relation == "ruled":
            return self._ruled(country) if country else None
        if relation in ("near", "far"):
            near = self._near(entity)
            if near is None or relation == "near":
                return near
            own = self._set(country).possible if country else 0
            return Truth(self._all & ~near.possible, self._all & ~near.yes & ~own)
        if relation in OPPOSITE:
            return self._beside(relation, entity)
        return self._same(relation.removeprefix("same "), entity)

    def _near(self, entity: Entity) -> Truth | None:
        points = [] if entity.of("continent") else self._points(entity)
        if not points:
            region = entity.of("water", "region", "continent")
            if region is None:
                return None
            inside = self._set(region)
            return Truth(inside.possible, inside.possible) if entity.of("water") else inside
        country = entity.of("country", "people")

        return self._when(
            None if c.country.name == country or 350 <= away < 1200 else away < 350
            for c, away in zip(self._cities, self._away(points), strict=True)
        )

    def _beside(self, way: str, entity: Entity) -> Truth | None:
        points = self._points(entity)
        if not points or entity.of("continent"):
            return None
        axis = 0 if way in ("north", "south") else 1
        sign = 1 if way in ("north", "east") else -1
        edge = max(sign * point[axis] for point in points)
        inner = min(sign * point[axis] for point in points)
        country = entity.of("country", "people")

        def test(c: City) -> bool | None:
            here = sign * (c.lat if axis == 0 else c.lon)
            if country is not None and c.country.name == country:
                return False
            if here > edge + 0.2:
                return True
            return None if (here > inner - 0.2 and edge - inner > 1) or abs(here - edge) <= 0.2 else False

        return self._where(test)

    def _part(self, tokens: Sequence[Token], i: int) -> Match | None:
        """ "In the south of India", "northern Germany"."""
        inside = i >= 2 and tokens[i - 1].word == "the" and tokens[i - 2].word == "in"
        adjective = tokens[i].word.endswith("ern")
        j = i + 1
        while j < len(tokens) and tokens[j].word in ("part", "half", "side", "of", "the", "end", "its"):
            j += 1
        if j >= len(tokens) or not (inside or adjective):
            return None
        if tokens[j].base in COUNTRY_WORDS:
            return Match(self._in_part(tokens[i].base.removesuffix("ern"), None), j + 1)
        found = self._entity(tokens, j)
        if found is None or found[0].of("country", "continent") is None:
            return None
        return Match(self._in_part(tokens[i].base.removesuffix("ern"), found[0]), found[1])

    def _in_part(self, side: str, whole: Entity | None) -> Truth:
        axis, sign = (0 if side in ("north", "south") else 1), (1 if side in ("north", "east") else -1)

        inside = self._all if whole is None else self._within(whole).possible

        def test(c: City) -> bool | None:
            if not inside >> self.knowledge.index[c.name] & 1:
                return False
            points = [sign * point[axis] for point in self._points(whole or Entity((("country", c.country.name),)))]
            low, high = min(points), max(points)
            place = ((sign * (c.lat if axis == 0 else c.lon)) - low) / (high - low) if high > low else 0.5
            return True if place > 0.66 else None if place > 0.4 else False

        found = self._where(test)
        return found if whole is None else found & self._within(whole)

    def _same(self, what: str, entity: Entity) -> Truth | None:
        name = entity.of("city")
        country = cities()[name].country if name else None
        if country is None:
            iso = places()["cities"][other][2] if (other := entity.of("other")) else None
            own = entity.of("country", "people")
            country = next((c for c in countries().values() if c.iso == iso or c.name == own), None)
        if country is None:
            return None
        if what == "zone":
            c = cities().get(name or "")
            return None if c is None else self._where(lambda x: (x.utc, x.utc_summer) == (c.utc, c.utc_summer))
        pick: dict[str, Callable[[City], object]] = {
            "country": lambda c: c.country.name, "continent": lambda c: c.country.continent,
            "language": lambda c: c.country.languages[0], "currency": lambda c: c.country.currency,
        }  # fmt: skip
        wanted = {
            "country": country.name,
            "continent": country.continent,
            "language": country.languages[0],
            "currency": country.currency,
        }[what]
        return self._where(lambda c: pick[what](c) == wanted)
