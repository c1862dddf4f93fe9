"""What a critic says of positions, of an action, and of others that might have been taken.

Critics of offline methods (mc, ilql, cql) are trained where the data know more than one way on (`steps.decisions`),
so values are read there alone: at the tokens for which the data's policy supports a second one. Critics of online methods
(ppo, reinforce) have no Q and are trained at every action token: they say what a position is worth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from lmrl_agents.models.critic import Critic, states_of
from lmrl_agents.models.guided import GuidedPolicy
from lmrl_agents.models.steps import StepBatch
from lmrl_agents.models.tokens import TextFormat

MOST_ALTERNATIVES, LONGEST_ALTERNATIVE = 12, 12
"""Actions that are looked at beside the one taken, and their tokens: a longer list is not read by anyone."""


@dataclass(frozen=True)
class Explained:
    """Values of one position and of actions in it, in units of the return that is still to come."""

    value: float | None = None
    """V of the position as the critic was trained: of PPO what the policy can expect, of ILQL an expectile of what the data's actions bring;
    without a V head, the mean of Q under the policy."""
    action: float | None = None
    """Q of the action taken, at its last token that decided anything; None if none did."""
    tokens: tuple[float | None, ...] = ()
    """Q of each token of the action; None where nothing was decided."""
    values: tuple[float, ...] = ()
    """V before each token of the action, whether it decides anything or not."""
    alternatives: tuple[tuple[str, float], ...] = ()
    """The data's likeliest actions with their Q, best first; () where they are too many or too long."""

    @property
    def advantage(self) -> float | None:
        """By how much the action taken is better than the position."""
        return None if self.value is None or self.action is None else self.action - self.value


@dataclass(frozen=True)
class _Path:
    """A beginning of an action."""

    owner: int
    ids: tuple[int, ...] = ()
    logprob: float = 0.0
    value: float | None = None


def explain(
    policy: GuidedPolicy, form: TextFormat, contexts: Sequence[Sequence[int]], actions: Sequence[Sequence[int]]
) -> list[Explained]:
    """Values of actions that were taken, and of others.

    Args:
        policy: the data's policy with its critic.
        form: how conversations become tokens.
        contexts: ids before each action.
        actions: ids of each action.
    """
    taken = taken_values(policy, contexts, actions)
    with torch.inference_mode():
        others = _others(policy, form, contexts)
    return [replace(one, alternatives=found) for one, found in zip(taken, others, strict=True)]


def state_values(critic: Critic, rows: Sequence[Sequence[int]]) -> list[float]:
    """V after the last token of each row of ids."""
    if not rows:
        return []
    device = next(critic.parameters()).device
    places = [(k, len(row) - 1) for k, row in enumerate(rows)]
    with torch.inference_mode():
        return critic.value(critic.states(_batch(rows, places, critic.tokenizer.pad).to(device))).tolist()


def _batch(rows: Sequence[Sequence[int]], places: Sequence[tuple[int, int]], pad: int) -> StepBatch:
    """The states at some places (row, column) of rows of ids."""
    lengths = torch.tensor([len(row) for row in rows])
    tokens = torch.full((len(rows), int(lengths.max())), pad)
    for row, ids in enumerate(rows):
        tokens[row, : len(ids)] = torch.tensor(list(ids))
    place = torch.tensor(list(places))
    none = torch.zeros(0, dtype=torch.int64)
    return StepBatch(tokens, lengths, place[:, 0], place[:, 1], none, none, none, none, none, none, none)


def _read(policy: GuidedPolicy, rows: Sequence[Sequence[int]], places: Sequence[tuple[int, int]]):  # type: ignore[no-untyped-def]
    """At some places (row, column): log-probabilities of the data's policy [N, V], support [N, V], Q [N, V] and V [N]."""
    batch = _batch(rows, places, policy.tokenizer.pad).to(policy.device)
    states = [states_of(network, batch) for network in policy.networks]
    prior, supported, q = policy.parts(states)
    if "value" in policy.critic.heads:
        value = policy.critic.value(states[1])
    else:
        value = (torch.softmax(policy.logits(states), dim=1) * q.masked_fill(~supported, 0.0)).sum(dim=1)
    return prior.cpu(), supported.cpu(), q.cpu(), value.cpu()


@torch.inference_mode()
def taken_values(
    policy: GuidedPolicy, contexts: Sequence[Sequence[int]], actions: Sequence[Sequence[int]]
) -> list[Explained]:
    """As `explain`, without the alternatives."""
    rows = [[*context, *action[:-1]] for context, action in zip(contexts, actions, strict=True)]
    places = [
        (k, len(context) - 1 + i)
        for k, (context, action) in enumerate(zip(contexts, actions, strict=True))
        for i in range(len(action))
    ]
    if not places:
        return [Explained() for _ in contexts]
    _, supported, q, value = _read(policy, rows, places)
    decides = (supported.sum(dim=1) > 1).tolist()
    found, at = [], 0
    for action in actions:
        mine = range(at, at + len(action))
        tokens = tuple(
            float(q[place, token]) if decides[place] else None for place, token in zip(mine, action, strict=True)
        )
        first = next((place for place in mine if decides[place]), None)
        decided = [number for number in tokens if number is not None]
        position = None if first is None else float(value[first])
        values = tuple(value[at : at + len(action)].tolist())
        found.append(Explained(position, decided[-1] if decided else None, tokens, values))
        at += len(action)
    return found


def _others(
    policy: GuidedPolicy, form: TextFormat, contexts: Sequence[Sequence[int]]
) -> list[tuple[tuple[str, float], ...]]:
    """The actions that the data's policy supports, where they are few and short."""
    tokenizer = policy.tokenizer
    open_, done = [_Path(k) for k in range(len(contexts))], []
    too_many: set[int] = set()
    for _ in range(min(LONGEST_ALTERNATIVE, form.max_action_tokens)):
        open_ = [path for path in open_ if path.owner not in too_many]
        if not open_:
            break
        rows = [[*contexts[path.owner], *path.ids] for path in open_]
        prior, supported, q, _ = _read(policy, rows, [(k, len(row) - 1) for k, row in enumerate(rows)])
        fresh = []
        for k, path in enumerate(open_):
            ways = torch.nonzero(supported[k])[:, 0].tolist()
            for token in ways:
                value = float(q[k, token]) if len(ways) > 1 else path.value
                grown = _Path(path.owner, (*path.ids, token), path.logprob + float(prior[k, token]), value)
                (done if token == tokenizer.eoa else fresh).append(grown)
        open_ = fresh
        counts = Counter(path.owner for path in (*open_, *done))
        too_many |= {owner for owner, count in counts.items() if count > MOST_ALTERNATIVES}
    too_many |= {path.owner for path in open_}
    found: list[list[tuple[str, float]]] = [[] for _ in contexts]
    for path in done:
        if path.owner not in too_many and path.value is not None:
            found[path.owner].append((tokenizer.said(path.ids), path.value))
    return [tuple(sorted(pairs, key=lambda pair: -pair[1])) for pairs in found]
