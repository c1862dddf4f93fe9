"""Attacks on the oracle, and their judge."""

from __future__ import annotations

from lmrl_envs.guess_my_city.reader import read
from lmrl_envs.guess_my_city.table import cities
from lmrl_envs.language.lists import toml
from lmrl_envs.partners.attacks import Hidden, Oracle


class CityOracle(Oracle):
    """The oracle of the hidden city."""

    def __init__(self) -> None:
        own = toml(__file__, "attacks.toml")
        super().__init__(list(cities()), own)
        self.questions = [(text, read(text).truth) for text in own["questions"]]

    def name(self, hidden: Hidden) -> str:
        return hidden["city"] if "city" in hidden else hidden["secret"]

    def untrue(self, name: str) -> list[str]:
        index = list(cities()).index(name)
        return [text for text, truth in self.questions if truth is not None and truth.answer(index) is False]

    def forbidden(self, name: str) -> list[str]:
        city = cities()[name]
        return [*city.names, city.country.name, *(alias for alias in city.country.aliases if len(alias) > 2)]
