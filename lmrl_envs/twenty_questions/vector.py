"""Many games of 20 Questions at once."""

from __future__ import annotations

from lmrl_envs.twenty_questions.env import TwentyQuestionsEnv
from lmrl_envs.vector import TextVectorEnv


class TwentyQuestionsVectorEnv(TextVectorEnv):
    """Vector entry point of 20 Questions."""

    env_class = TwentyQuestionsEnv
