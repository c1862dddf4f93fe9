"""What is known of the task outside the game: see `lmrl_envs.surface`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmrl_envs.language.answers import QuestionForm
from lmrl_envs.language.knowledge import to_set
from lmrl_envs.partners.attacks import Target
from lmrl_envs.partners.judged import Judge, QuestionJudge
from lmrl_envs.surface import Invariants, Surface
from lmrl_envs.twenty_questions.policies import best_question
from lmrl_envs.twenty_questions.rules import MAX_QUESTIONS, split_indices


class TwentyQuestionsSurface(Surface):
    """See `lmrl_envs.surface.Surface`."""

    answer_form = QuestionForm()

    def turn_limit(self, env: Any) -> int:
        return MAX_QUESTIONS

    def attacks(self) -> Target:
        from lmrl_envs.twenty_questions.attacks import ObjectOracle

        return ObjectOracle()

    def judge(self) -> Judge:
        return QuestionJudge()

    def optimum(self, env_id: str, kwargs: Mapping[str, Any]) -> tuple[float, str, str] | None:
        indices = split_indices(kwargs.get("split", "all"))
        return -best_question(to_set(indices))[1] / len(indices), "best known", "the best question tree found"

    variants = ({"split": "test"},)

    def invariants(self, kwargs: Mapping[str, Any]) -> Invariants:
        return Invariants(rewards=frozenset({0.0, -1.0}), truncates=False)


SURFACE = TwentyQuestionsSurface()
