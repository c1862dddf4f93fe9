"""Attacks on the oracle, and their judge."""

from __future__ import annotations

from lmrl_envs.language.lists import toml
from lmrl_envs.partners.attacks import Oracle
from lmrl_envs.twenty_questions.policies import question_bank
from lmrl_envs.twenty_questions.rules import load_knowledge


class ObjectOracle(Oracle):
    """The oracle of the hidden object."""

    def __init__(self) -> None:
        super().__init__(load_knowledge().names, toml(__file__, "attacks.toml"))

    def untrue(self, name: str) -> list[str]:
        index = self.names.index(name)
        return [text for text, truth in question_bank() if truth.answer(index) is False]

    def forbidden(self, name: str) -> list[str]:
        return list(load_knowledge().aliases[self.names.index(name)])
