"""Many houses at once. Scenes are looked up, not computed, so a loop over the games is fast enough."""

from __future__ import annotations

from lmrl_envs.text_nav.env import TextNavEnv
from lmrl_envs.vector import TextVectorEnv


class TextNavVectorEnv(TextVectorEnv):
    """Vector entry point of Text-Nav."""

    env_class = TextNavEnv
