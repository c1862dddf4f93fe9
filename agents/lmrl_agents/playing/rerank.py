"""Reranking: several actions are drawn for a position, each is scored, and the best is taken.

Scores of an action x_1 .. x_k, higher is better:

    q              min_i Q_i(s_t, x_t) at the last token that decided anything: the value of the whole action
    advantage      sum_t min_i Q_i(s_t, x_t) - V(s_t) over the tokens that decided something
    value          V(s_k), the position before the last token, which has seen the action but for its end token
    logprob        sum_t log p(x_t | s_t), under the distributions that the tokens were drawn from
    mean_logprob   the same divided by k, so that long actions are not at a disadvantage

"q" and "advantage" need a critic with Q heads (mc, ilql, cql), "value" one without (ppo, reinforce). LMRL-Gym's rerankers
(Abdulhai et al., arXiv 2311.18232) add log p to the advantage and list their candidates; here candidates are drawn from the
policy, which is what log p would do. With N candidates an action of probability p is among them with 1 - (1 - p)^N.

Of equal scores the action that was drawn first is taken.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lmrl_agents.models.critic import Critic
from lmrl_agents.models.guided import GuidedPolicy
from lmrl_agents.models.sampling import Generated, Policy
from lmrl_agents.playing.explain import state_values, taken_values

OF_ACTIONS, OF_POSITIONS, OF_POLICY = ("q", "advantage"), ("value",), ("logprob", "mean_logprob")
ROWS_AT_ONCE = 256
"""Rows that the critic reads at once: each holds a position and an action."""


@dataclass(frozen=True)
class Candidate:
    """A drawn action."""

    action: Generated
    score: float | None = None
    """None: there was nothing to choose between."""
    times: int = 1
    """How often it was drawn."""


def score_for(critic: Critic | None, wanted: str | None) -> str:
    """The score to rank by: the one wanted, or by default the critic's, or else "logprob".

    Raises:
        ValueError: no such score, or the critic cannot give it.
    """
    possible = OF_POLICY if critic is None else (*(OF_ACTIONS if critic.has_q else OF_POSITIONS), *OF_POLICY)
    if wanted is not None and wanted not in possible:
        raise ValueError(f"score={wanted!r} is not one that this model can give; choose one of {', '.join(possible)}")
    return wanted or possible[0]


def rank(
    policy: Policy,
    critic: Critic | None,
    contexts: Sequence[Sequence[int]],
    drawn: Sequence[Sequence[Generated]],
    score: str,
) -> list[list[Candidate]]:
    """The distinct ones of the actions drawn for each context, best first."""
    groups: list[list[Candidate]] = []
    for actions in drawn:
        times = Counter(action.ids for action in actions)
        distinct = {action.ids: action for action in actions}
        groups.append([Candidate(action, times=times[ids]) for ids, action in distinct.items()])
    pairs = [(context, one.action) for context, group in zip(contexts, groups, strict=True) for one in group]
    scores: list[float | None] = []
    for first in range(0, len(pairs), ROWS_AT_ONCE):
        scores += _scores(policy, critic, pairs[first : first + ROWS_AT_ONCE], score)
    each = iter(scores)
    scored = [[replace(one, score=next(each)) for one in group] for group in groups]
    return [sorted(group, key=lambda one: math.inf if one.score is None else -one.score) for group in scored]


def _scores(
    policy: Policy, critic: Critic | None, pairs: Sequence[tuple[Sequence[int], Generated]], score: str
) -> list[float | None]:
    contexts, actions = [context for context, _ in pairs], [action for _, action in pairs]
    if score in OF_POLICY:
        return [sum(a.logprobs) / (len(a.ids) if score == "mean_logprob" else 1) for a in actions]
    assert critic is not None
    if score in OF_POSITIONS:
        return list(state_values(critic, [[*c, *a.ids[:-1]] for c, a in zip(contexts, actions, strict=True)]))
    assert isinstance(policy, GuidedPolicy)
    told = taken_values(policy, contexts, [action.ids for action in actions])
    if score == "q":
        return [one.action for one in told]
    gains = [[q - v for q, v in zip(one.tokens, one.values, strict=True) if q is not None] for one in told]
    return [sum(gain) if gain else None for gain in gains]
