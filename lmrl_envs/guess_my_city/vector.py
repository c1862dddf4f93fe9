"""Many games of Guess My City with one call to the simulator per step."""

from lmrl_envs.guess_my_city.env import GuessMyCityEnv
from lmrl_envs.vector import TextVectorEnv


class GuessMyCityVectorEnv(TextVectorEnv):
    """Vector entry point of Guess My City."""

    env_class = GuessMyCityEnv
