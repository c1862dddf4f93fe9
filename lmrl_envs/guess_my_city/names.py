"""The names that a question about a city may hold (places, languages, nationalities, currencies), and the cities they mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from lmrl_envs.guess_my_city.knowledge import region_names
from lmrl_envs.guess_my_city.table import City, cities, countries, places
from lmrl_envs.language.comparisons import Measures
from lmrl_envs.language.knowledge import Knowledge
from lmrl_envs.language.lists import sections, table, words
from lmrl_envs.language.numbers import NUMBERS
from lmrl_envs.language.tokens import CLEAR, PARTS, Token, Tokenizer, clean
from lmrl_envs.language.truth import Truth, surely

LINES = sections(__file__, "data/pieces.txt")
LANGUAGE, MAIN, ACTS, BORDER, RULE, BETWEEN, PEOPLE, MONEY, YEARS, INDEPENDENCE, CITY_WORDS, WHOLE_OF, OF_COUNTRY = (
    frozenset(words(LINES[title]))
    for title in (
        "language words", "main language words", "what peoples do", "border words", "rule words", "between", "people words", "money words", "year words", "independence words", "city words",
        "whole of", "of country",
    )
)  # fmt: skip
SIGNS = {"more": ">", "over": ">", "above": ">", "exceed": ">", "greater": ">", "beyond": ">", "least": ">=", "less": "<", "under": "<", "below": "<", "fewer": "<", "most": "<=", "within": "<", "up": "<="}  # fmt: skip
COUNTRY_WORDS = frozenset(("country", "nation"))
OPPOSITE = {"north": "south", "south": "north", "east": "west", "west": "east"}
NONE = Truth(0, 0)


class Entity(NamedTuple):
    """A name: its kinds ("city", "other", "country", "people", "region", "water", "continent", "language", "currency") with their values."""

    kinds: tuple[tuple[str, str], ...]

    def of(self, *kinds: str) -> str | None:
        """The value of the first of some kinds that it has."""
        for wanted in kinds:
            for kind, value in self.kinds:
                if kind == wanted:
                    return value
        return None


def names_of_places() -> dict[str, list[tuple[str, str]]]:
    """Every name that a question may hold, with its kinds and values."""
    found: dict[str, list[tuple[str, str]]] = {}

    def add(names: Iterable[str], kind: str, value: str) -> None:
        for name in names:
            entry = found.setdefault(name.lower(), [])
            if (kind, value) not in entry:
                entry.append((kind, value))

    for city in cities().values():
        add(city.names, "city", city.name)
    for country in countries().values():
        add((country.name, *country.aliases), "country", country.name)
        add(country.adjectives, "people", country.name)
        for language in country.languages:
            add((language.split(" (")[0],), "language", language.split(" (")[0])
        add(country.currency.split(" ")[-1:], "currency", country.currency.split(" ")[-1])
    for name, row in places()["countries"].items():
        if name not in countries():
            add((name,), "country", name)
            if row[1]:
                add((row[1],), "people", name)
    for name in places()["cities"]:
        if name.lower() not in found:
            add((name,), "other", name)
    for name, kind in region_names().items():
        add((name,), kind, name)
    for line in _names("names"):
        kind_and_value, _, own = line.partition(": ")
        kind, _, value = kind_and_value.partition(" ")
        add((name.strip() for name in own.split(";")), kind, value)
    for continent in ("Asia", "Europe", "Africa", "North America", "South America", "Oceania", "Antarctica"):
        add((continent,), "continent", continent)
    return found


@lru_cache(maxsize=4)
def _names(title: str) -> list[str]:
    return sections(__file__, "data/names.txt").get(title, [])


class Names(Measures):
    """Finds names in a question, and the cities that they mean; stands where `Measures` does for things of a size."""

    def __init__(self, knowledge: Knowledge, tokenizer: Tokenizer) -> None:
        self.knowledge = knowledge
        self.columns = knowledge.measures
        self.units, self.adjectives, self.superlatives = {}, {}, {}
        self._all = knowledge.everything
        self._entities: dict[str, Entity] = {}
        for name, kinds in names_of_places().items():
            key = _key(tokenizer(clean(name).replace("-", " ")))
            if key not in PARTS and key != "state":  # "the States" is read by rewrites.txt
                self._entities.setdefault(key, Entity(tuple(kinds)))
        self._relations = {
            _key(tokenizer(phrase)): relation for relation, own in table(LINES["relations"]).items() for phrase in own
        }
        self._comparisons = {
            _key(tokenizer(phrase)): tuple(measure.split(" "))
            for measure, own in table(LINES["comparisons"]).items()
            for phrase in own
        }
        self._superlatives = {
            _key(tokenizer(phrase)): rank for rank, own in table(LINES["superlatives"]).items() for phrase in own
        }
        groups = (self._entities, self._relations, self._comparisons, self._superlatives)
        firsts = (key.split(" ")[0] for group in groups for key in group)
        self.triggers = (
            frozenset(firsts)
            | frozenset(NUMBERS)
            | frozenset(SIGNS)
            | YEARS
            | INDEPENDENCE
            | {"utc", "gmt", "between", "ahead", "behind", "capital"}
        )
        self.numeric = (
            frozenset(NUMBERS)
            | frozenset(SIGNS)
            | {key.split(" ")[0] for group in (self._comparisons, self._superlatives) for key in group}
            | {"between", "closer", "nearer", "close", "further", "farther"}
        ) - {
            "big",
            "small",
            "large",
            "hot",
            "warm",
            "cold",
            "old",
            "new",
            "high",
            "low",
            "wet",
            "many",
            "few",
            "young",
            "modern",
            "late",
        }
        self._cities = tuple(cities().values())
        self._vectors = tuple(_vector(c.lat, c.lon) for c in self._cities)
        self._sizes = {id(group): _longest(group) for group in groups}
        self._places: dict[Entity, tuple[tuple[float, float], ...]] = {}
        self._known: dict[tuple, Truth | None] = {}

    def _once(self, key: tuple, found: Callable[[], Truth | None]) -> Truth | None:
        """What was found for a key before, or is found now."""
        if key not in self._known:
            if len(self._known) > 50_000:
                self._known.clear()
            self._known[key] = found()
        return self._known[key]

    # -- names

    def _longest_in(self, group: dict[str, Any], tokens: Sequence[Token], i: int) -> tuple[Any, int] | None:
        """What the longest phrase of a group means that begins at a token, past words that say nothing, and the token after it."""
        key = tokens[i].base
        size = self._sizes[id(group)].get(key, 0)
        if not size:
            return None
        found = (group[key], i + 1) if key in group else None
        j, n = i + 1, 1
        while n < size and j < len(tokens):
            part = tokens[j].part
            if not part or part not in CLEAR:
                key, n = f"{key} {tokens[j].base}", n + 1
                if key in group:
                    found = group[key], j + 1
            j += 1
        return found

    def entity(self, key: str) -> Entity | None:
        """What a name alone means, by its key."""
        return self._entities.get(key)

    def _entity(self, tokens: Sequence[Token], i: int) -> tuple[Entity, int] | None:
        return self._longest_in(self._entities, tokens, i)

    def _next_entity(self, tokens: Sequence[Token], j: int) -> tuple[Entity, int] | None:
        """The name that follows, past words that may stand between a relation and its place."""
        while j < len(tokens):
            if tokens[j].part not in CLEAR or not tokens[j].part:
                found = self._entity(tokens, j)
                if found is not None:
                    return found
                if tokens[j].word not in BETWEEN and tokens[j].base not in BETWEEN:
                    return None
            j += 1
        return None

    @staticmethod
    def _says_main(tokens: Sequence[Token]) -> bool:
        return any(token.word in MAIN for token in tokens)

    @staticmethod
    def _swallow(tokens: Sequence[Token], j: int, group: frozenset[str]) -> int:
        """The token after the words of a group that follow, past words that say nothing; 0 where there is none."""
        end = 0
        while j < len(tokens) and (
            tokens[j].base in group
            or tokens[j].word in group
            or tokens[j].word in BETWEEN
            or (tokens[j].part in CLEAR and tokens[j].part)
        ):
            if tokens[j].base in group or tokens[j].word in group:
                end = j + 1
            j += 1
        return end

    def _set(self, name: str) -> Truth:
        table = self.knowledge
        if name not in table.attributes:
            return NONE
        true, disputed = table.attributes[name], table.disputed[name]
        return Truth(true & ~disputed, true | disputed, true & disputed)

    def _within(self, entity: Entity) -> Truth:
        kind, value = entity.kinds[0]
        for kind, value in entity.kinds:
            if kind == "city":
                return surely(1 << self.knowledge.index[value])
            if kind in ("country", "people", "region", "water", "continent"):
                return self._set(value)
        if kind == "currency":
            return self._pays(value)
        return self._set(value) if kind != "language" else self._speaks(value, False)

    def _speaks(self, language: str, main: bool) -> Truth:
        plain = (
            self._set(language.lower())
            if language.lower() in self.knowledge.attributes
            else self._set(f"speaks {language}")
        )
        if not main:
            return plain
        first = self._set(f"mainly speaks {language}")
        return Truth(first.yes & plain.possible, plain.possible)

    def _pays(self, currency: str) -> Truth:
        return self._set(currency if currency in self.knowledge.attributes else f"pays {currency}")

    def _borders(self, country: str) -> Truth:
        found = self._set(f"borders {country}")
        overseas = {"Brazil": "France", "Suriname": "France"}.get(country)
        return Truth(found.yes, found.possible | self._set(overseas).possible) if overseas else found

    def _ruled(self, country: str) -> Truth:
        by = {"United Kingdom": "british colony", "France": "french colony", "Spain": "spanish colony", "Portugal": "portuguese colony",
              "The Netherlands": "dutch colony", "Belgium": "belgian colony", "Germany": "german colony", "Italy": "italian colony",
              "Japan": "japanese colony", "Russia": "russian rule", "Turkey": "ottoman empire"}.get(country)  # fmt: skip
        return self._set(by) if by else self._set(f"ruled by {country}")

    def _points(self, entity: Entity) -> Sequence[tuple[float, float]]:
        """Latitudes and longitudes that stand for a place."""
        found = self._places.get(entity)
        if found is None:
            found = self._places[entity] = tuple(self._find_points(entity))
        return found

    def _away(self, points: Sequence[tuple[float, float]]) -> list[float]:
        """Kilometres of each city to the nearest of some points."""
        there = [_vector(*point) for point in points]
        return [
            12742 * math.asin(min(1.0, min(math.dist(here, point) for point in there) / 2)) for here in self._vectors
        ]

    def _find_points(self, entity: Entity) -> list[tuple[float, float]]:
        city = entity.of("city")
        if city is not None:
            return [(cities()[city].lat, cities()[city].lon)]
        other = entity.of("other")
        if other is not None:
            row = places()["cities"][other]
            return [(row[0], row[1])]
        country = entity.of("country", "people")
        continent = entity.of("continent")
        if continent is not None:
            return [(row[3], row[4]) for row in places()["countries"].values() if row[2] == continent]
        if country is None:
            return []
        row = places()["countries"].get(country)
        iso = row[0] if row else countries()[country].iso
        found = [(c.lat, c.lon) for c in self._cities if c.country.name == country]
        found += [(p[0], p[1]) for p in places()["cities"].values() if p[2] == iso]
        return found + ([(row[3], row[4])] if row else [])

    def _where(self, test: Callable[[City], bool | None]) -> Truth:
        return self._when(map(test, self._cities))

    @staticmethod
    def _when(answers: Iterable[bool | None]) -> Truth:
        """The cities by answers in their order."""
        yes = possible = 0
        for index, holds in enumerate(answers):
            if holds is not False:
                possible |= 1 << index
                yes |= (holds is True) << index
        return Truth(yes, possible)


def apart(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Kilometres between two points."""
    return 12742 * math.asin(min(1.0, math.dist(_vector(*one), _vector(*other)) / 2))


def _vector(latitude: float, longitude: float) -> tuple[float, float, float]:
    """A point of the unit sphere: half the length of a chord is the sine of half the angle."""
    a, b = math.radians(latitude), math.radians(longitude)
    return math.cos(a) * math.cos(b), math.cos(a) * math.sin(b), math.sin(a)


def _longest(group: Iterable[str]) -> dict[str, int]:
    """First word -> words of the longest phrase that begins with it."""
    found: dict[str, int] = {}
    for key in group:
        parts = key.split(" ")
        found[parts[0]] = max(found.get(parts[0], 0), len(parts))
    return found


def _key(tokens: Sequence[Token]) -> str:
    return " ".join(token.base for token in tokens if token.part not in CLEAR or not token.part) or " ".join(
        token.base for token in tokens
    )
