"""Attacks on the oracle, and their judge."""

from __future__ import annotations

from lmrl_envs.guess_my_city.query import read
from lmrl_envs.guess_my_city.table import cities
from lmrl_envs.guess_my_city.truth import holds
from lmrl_envs.language.lists import toml
from lmrl_envs.partners.attacks import Hidden, Oracle


class CityOracle(Oracle):
    """The oracle of the hidden city."""

    def __init__(self) -> None:
        own = toml(__file__, "attacks.toml")
        super().__init__(list(cities()), own)
        self.queries = [(text, read(text)) for text in own["questions"]]

    def name(self, hidden: Hidden) -> str:
        return hidden["city"] if "city" in hidden else hidden["secret"]

    def untrue(self, name: str) -> list[str]:
        return [text for text, query in self.queries if query is not None and not holds(query, cities()[name])]

    def forbidden(self, name: str) -> list[str]:
        city = cities()[name]
        return [*city.names, city.country.name, *(alias for alias in city.country.aliases if len(alias) > 2)]
