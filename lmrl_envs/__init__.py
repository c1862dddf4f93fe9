"""Text tasks for multi-turn reinforcement learning with language models, registered with Gymnasium.

Examples:
    >>> import gymnasium as gym, lmrl_envs
    >>> env = gym.make("lmrl/Wordle-v0")
    >>> opening, info = env.reset(seed=0)
    >>> feedback, reward, terminated, truncated, info = env.step("crane")
"""

from lmrl_envs.core import FreeText, PartnerTextEnv, TextEnv, Transcript, Turn
from lmrl_envs.partners import Partner, SimulatorError
from lmrl_envs.tasks import (
    Policy,
    Reference,
    Task,
    load_task,
    make_policy,
    normalized_score,
    register_all,
    register_task,
    task,
    task_ids,
)
from lmrl_envs.vector import TextVectorEnv

__version__ = "0.1.0"

__all__ = [
    "FreeText",
    "Partner",
    "PartnerTextEnv",
    "Policy",
    "Reference",
    "SimulatorError",
    "Task",
    "TextEnv",
    "TextVectorEnv",
    "Transcript",
    "Turn",
    "check_text_env",
    "load_task",
    "make_policy",
    "normalized_score",
    "register_task",
    "task",
    "task_ids",
]


def check_text_env(env_or_id, **kwargs):  # type: ignore[no-untyped-def]
    """Hold an environment to the contract of this package; see `lmrl_envs.contract.check_text_env`."""
    from lmrl_envs.contract import check_text_env as check

    return check(env_or_id, **kwargs)


register_all()
