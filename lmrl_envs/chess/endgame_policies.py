"""Players of Endgames: the table of `lmrl_envs.chess.policies` with the recipes for bare kings."""

from lmrl_envs.chess.policies import EndgamesMixedPolicy, EndgamesSuboptimalPolicy, ExpertPolicy, RandomPolicy

POLICIES = {
    "random": RandomPolicy,
    "suboptimal": EndgamesSuboptimalPolicy,
    "expert": ExpertPolicy,
    "mixed": EndgamesMixedPolicy,
}

__all__ = ["POLICIES"]
