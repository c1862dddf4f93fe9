"""What is known of the task outside the game: see `lmrl_envs.surface`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmrl_envs.guess_my_city.rules import MAX_QUESTIONS
from lmrl_envs.language.answers import QuestionForm
from lmrl_envs.partners.attacks import Target
from lmrl_envs.partners.judged import Judge, QuestionJudge
from lmrl_envs.surface import Invariants, Surface


class GuessMyCitySurface(Surface):
    """See `lmrl_envs.surface.Surface`."""

    answer_form = QuestionForm()

    def turn_limit(self, env: Any) -> int:
        return MAX_QUESTIONS

    def attacks(self) -> Target:
        from lmrl_envs.guess_my_city.attacks import CityOracle

        return CityOracle()

    def judge(self) -> Judge:
        return QuestionJudge()

    def optimum(self, env_id: str, kwargs: Mapping[str, Any]) -> tuple[float, str, str] | None:
        from lmrl_envs.guess_my_city.policies import question_tree
        from lmrl_envs.guess_my_city.table import cities, split_names
        from lmrl_envs.language.strategy import least_questions

        if kwargs.get("answers") == "open":
            return -1.0, "exact", "the landmarks tell all cities apart: one question, one guess"
        names, order = split_names(kwargs.get("split", "all")), list(cities())
        cost = question_tree().cost(sum(1 << order.index(name) for name in names))
        kind = "exact" if cost == least_questions(len(names)) else "best known"
        return (
            -cost / len(names),
            kind,
            "the best question tree found" + (", which no strategy can beat" if kind == "exact" else ""),
        )

    variants = ({"split": "test", "reveal_country": True}, {"answers": "open"})

    def invariants(self, kwargs: Mapping[str, Any]) -> Invariants:
        hidden = ("secret",) if kwargs.get("reveal_country") else ("secret", "country")
        return Invariants(rewards=frozenset({0.0, -1.0}), truncates=False, hidden=hidden)


SURFACE = GuessMyCitySurface()
