"""What a dataset lets an agent learn: where its games start, how good its actions are, what stitching can gain.

Three players made of nothing but counts tell what kind of dataset it is. Each sees what a trained agent of the task sees
(the last observation, in tasks where that is enough) and plays from every start state of the data:

* the *majority* plays the most frequent action: what greedy behaviour cloning converges to. Where it is as good as the
  optimum, the dataset cannot tell algorithms apart;
* the *majority of successes* counts only episodes that succeeded: filtered behaviour cloning;
* the *stitcher* plays the action of highest value after value iteration over the recorded transitions: what offline
  reinforcement learning can get from these data without a guess about what they do not show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from lmrl_datasets.schema import DatasetError, Episode, to_json
from lmrl_envs import Policy, Transcript, make_policy, task
from lmrl_envs.files.arguments import from_elsewhere

if TYPE_CHECKING:
    from lmrl_datasets.reading.dataset import Dataset

EPISODES, ACTIONS, JUDGED, STARTS = 20_000, 100_000, 1_000, 500
OFTEN = 5
"""An observation seen this often has a most frequent action that means something."""
DISCOUNT = 0.99
_TABLE_SHARE = 0.5


def coverage(data: Dataset, episodes: int = EPISODES, judged: int = JUDGED) -> dict[str, Any]:
    """Facts on what a dataset covers.

    Args:
        data: the dataset.
        episodes: how many episodes (the first ones) are looked at; fewer when they hold more than 100,000 actions.
        judged: on how many of them every action is compared with the expert's.

    Returns:
        ``episodes``, ``start_states`` (distinct games dealt, hidden parts included), ``openings`` (distinct first
        observations), ``start_states_solved`` (those from which some episode succeeds), ``best_return`` (of one finished
        episode), ``best_action_share`` (actions as good as the exact expert's; None without one) of ``actions_judged``,
        ``repeated_share`` (actions taken at an observation seen at least five times), and of these ``majority_best_share``
        and ``best_seen_share``: at how many the most frequent action is a best one, and at how many a best one occurs.
        Where observations repeat enough for tables: ``returns``, the mean returns from the ``starts_played`` start states
        of ``best_episode``, ``majority``, ``majority_of_successes``, ``stitcher`` and ``expert``, and
        ``starts_improved``: from how many the stitcher does better than every single episode.
    """
    seen: list[Episode] = []
    actions = 0
    for episode in islice(data.iter_episodes(), episodes):
        seen.append(episode)
        actions += len(episode)
        if actions >= ACTIONS:
            break
    if not seen:
        raise DatasetError(f"{data.name} has no episodes")
    env: Any = data.recover_environment().unwrapped
    try:
        with from_elsewhere(own=data.own_kwargs):  # the dataset may be anybody's
            return _facts(data, env, seen, judged)
    finally:
        env.close()


def _facts(data: Dataset, env: Any, seen: list[Episode], judged: int) -> dict[str, Any]:
    starts = _starts(env, seen)
    counts = ActionCounts(task(data.env_id).context == "last")
    for episode in seen:
        counts.add(episode)
    judge = _judge(data)
    verdicts = [] if judge is None else _verdicts(judge, seen[:judged])
    often = [entry for entry in counts.entries.values() if entry.visits >= OFTEN]
    share = sum(entry.visits for entry in often) / max(1, counts.decisions)
    known = [] if judge is None else [(entry.visits, *found) for entry in often if (found := _judged(judge, entry))]
    visits = sum(times for times, _, _ in known)
    facts: dict[str, Any] = {
        "episodes": len(seen),
        "start_states": len(starts),
        "openings": len({episode.observations[0] for episode in seen}),
        "start_states_solved": sum(any(e.success for e in group) for group in starts.values()),
        "best_return": max((e.episode_return for e in seen if not e.stopped), default=None),
        "actions_judged": len(verdicts),
        "best_action_share": float(np.mean(verdicts)) if verdicts else None,
        "repeated_share": share,
        "majority_best_share": sum(times for times, best, _ in known if best) / visits if visits else None,
        "best_seen_share": sum(times for times, _, seen_too in known if seen_too) / visits if visits else None,
        "returns": None,
    }
    if counts.markov and share >= _TABLE_SHARE and {"random", "expert"} <= set(task(data.env_id).policy_names):
        facts |= _played(data, env, counts, list(starts.values()))
    return facts


def _starts(env: Any, seen: list[Episode]) -> dict[str, list[Episode]]:
    """Episodes by the game they were dealt."""
    groups: dict[str, list[Episode]] = {}
    for episode in seen:
        opening, _ = env.reset(seed=episode.seed, options=dict(episode.options))
        game = {key: value for key, value in env.get_state()["game"].items() if key != "seed"}  # of a partner's chances
        groups.setdefault(opening + to_json(game), []).append(episode)
    return groups


# -- what the expert says

Judge = Callable[[Transcript, str], bool | None]


def _judge(data: Dataset) -> Judge | None:
    """Whether an action is a best one; None where nobody knows.

    Experts with several best actions say so themselves (``is_best``); elsewhere the expert's own action is the best one.
    """
    row = task(data.env_id)
    if "expert" not in row.policy_names:
        return None
    expert: Any = make_policy(data.env_id, "expert", **data.env_kwargs)
    if hasattr(expert, "is_best"):
        return expert.is_best
    if row.reference is None or row.reference.optimum_is != "exact":
        return None
    # An expert's state is its reading of one conversation: a fresh one each time.
    return lambda transcript, action: (
        make_policy(data.env_id, "expert", **data.env_kwargs).act(transcript) == action.strip()
    )


def _verdicts(judge: Judge, seen: list[Episode]) -> list[bool]:
    found = []
    for episode in seen:
        whole = episode.transcript
        for turn, action in enumerate(episode.actions):
            verdict = judge(Transcript(whole[: 2 * turn + 1]), action)
            if verdict is not None:
                found.append(verdict)
    return found


def _judged(judge: Judge, entry: Entry) -> tuple[bool, bool] | None:
    """Whether the most frequent action at an observation is a best one, and whether any is; None where it is not known."""
    episode, turn = entry.example
    before = Transcript(episode.transcript[: 2 * turn + 1])
    majority = judge(before, most_frequent(entry.counts))
    if majority is None:
        return None
    return majority, majority or any(judge(before, action) for action in entry.counts)


# -- tables


@dataclass
class Entry:
    """What happened at one observation."""

    example: tuple[Episode, int]
    """An episode and the turn at which it was seen."""
    counts: Counter[str] = field(default_factory=Counter)
    successes: Counter[str] = field(default_factory=Counter)
    """Actions of episodes that succeeded."""
    outcomes: dict[str, Counter[tuple[float, str | None]]] = field(default_factory=dict)
    """action -> (reward, next observation or None at the end) -> how often"""

    @property
    def visits(self) -> int:
        """How often it was seen."""
        return self.counts.total()


class ActionCounts:
    """Counts of actions and their outcomes by observation (``markov``) or by whole conversation."""

    def __init__(self, markov: bool) -> None:
        self.markov = markov
        self.entries: dict[Any, Entry] = {}
        self.decisions = 0

    def add(self, episode: Episode) -> None:
        """Count an episode."""
        key: Any = episode.observations[0]
        last = len(episode.actions) - 1
        for turn, (action, reward) in enumerate(zip(episode.actions, episode.rewards, strict=True)):
            entry = self.entries.get(key)
            if entry is None:
                entry = self.entries[key] = Entry((episode, turn))
            entry.counts[action] += 1
            after = episode.observations[turn + 1]
            if episode.success:
                entry.successes[action] += 1
            if self.markov:
                end = turn == last and episode.terminated
                entry.outcomes.setdefault(action, Counter())[reward, None if end else after] += 1
            key = after if self.markov else hash((key, action, after))
        self.decisions += len(episode.actions)

    def values(self, low: float) -> dict[str, dict[str, float]]:
        """Value iteration over the recorded transitions (actions not recorded are not there); observation -> action -> value.

        Args:
            low: the value of an observation from which nothing was recorded.
        """
        index = {key: i for i, key in enumerate(self.entries)}
        pairs = [(key, action) for key, entry in self.entries.items() for action in entry.outcomes]
        state = np.array([index[key] for key, _ in pairs])
        pair, rewards, after, count = [], [], [], []
        for k, (key, action) in enumerate(pairs):
            for (reward, text), times in self.entries[key].outcomes[action].items():
                pair.append(k)
                rewards.append(reward)
                after.append(len(index) + 1 if text is None else index.get(text, len(index)))
                count.append(times)
        weight = np.array(count) / np.bincount(pair, count)[pair]
        values = np.append(np.full(len(index) + 1, low), 0.0)  # ..., nothing recorded, the end
        while True:
            action_values = np.bincount(pair, weight * (np.array(rewards) + DISCOUNT * values[after]))
            fresh = np.full(len(index), -np.inf)
            np.maximum.at(fresh, state, action_values)
            fresh = np.maximum(fresh, low)
            change = np.abs(fresh - values[: len(index)]).max()
            values[: len(index)] = fresh
            if change < 1e-4:
                break
        found: dict[str, dict[str, float]] = {}
        for (key, action), value in zip(pairs, action_values.tolist(), strict=True):
            found.setdefault(key, {})[action] = value
        return found


def most_frequent(counts: Counter[str]) -> str:
    """The most frequent action; of equals the first in the alphabet."""
    return min(counts, key=lambda action: (-counts[action], action))


# -- playing the tables


def _played(data: Dataset, env: Any, counts: ActionCounts, starts: list[list[Episode]]) -> dict[str, Any]:
    starts = starts[:STARTS]
    low = min(e.episode_return for group in starts for e in group)
    tables = {
        "majority": {key: most_frequent(entry.counts) for key, entry in counts.entries.items()},
        "majority_of_successes": {
            key: most_frequent(entry.successes) for key, entry in counts.entries.items() if entry.successes
        },
        "stitcher": {
            key: max(actions, key=lambda action: (actions[action], action))
            for key, actions in counts.values(low).items()
        },
    }
    best = [max((e.episode_return for e in group if not e.stopped), default=low) for group in starts]
    returns = {name: [_play(data, env, group[0], table) for group in starts] for name, table in tables.items()}
    returns["expert"] = [_play(data, env, group[0], None) for group in starts]
    improved = sum(a > b + 1e-9 for a, b in zip(returns["stitcher"], best, strict=True))
    return {
        "returns": {"best_episode": float(np.mean(best)), **{k: float(np.mean(v)) for k, v in returns.items()}},
        "starts_played": len(starts),
        "starts_improved": improved,
    }


def _play(data: Dataset, env: Any, dealt: Episode, table: dict[str, str] | None) -> float:
    """The return of a table (the expert without one) in a game; where the table is empty it plays at random."""
    name = "expert" if table is None else "random"
    policy: Policy = make_policy(data.env_id, name, seed=dealt.seed, **data.env_kwargs)
    observation, _ = env.reset(seed=dealt.seed, options=dict(dealt.options))
    over = False
    while not over:
        action = table.get(observation) if table else None
        observation, _, terminated, truncated, _ = env.step(action or policy.act(env.transcript) or "")
        over = terminated or truncated
    return env.transcript.episode_return


# -- in words


def in_words(facts: dict[str, Any]) -> Iterator[str]:
    """The facts as sentences for people, one a line of a list."""
    starts = "start state" if facts["start_states"] == 1 else "start states"
    yield (
        f"{facts['start_states']:,} {starts} (what is hidden counted), {facts['openings']:,} by what is seen of them, "
        f"in {facts['episodes']:,} episodes; from {facts['start_states_solved']:,} of them some episode succeeds."
    )
    if facts["best_return"] is None:
        yield "No episode was recorded to its end."
    else:
        yield f"The best finished episode has a return of {facts['best_return']:.4g}."
    if facts["best_action_share"] is not None:
        yield (
            f"{facts['best_action_share']:.1%} of {facts['actions_judged']:,} actions judged are as good as the exact "
            "expert's."
        )
    yield f"{facts['repeated_share']:.1%} of the actions are taken at an observation that occurs at least {OFTEN} times."
    if facts["majority_best_share"] is not None:
        yield (
            f"Of these, the most frequent action is a best one at {facts['majority_best_share']:.1%}; a best one occurs "
            f"in the data at {facts['best_seen_share']:.1%}."
        )
    if facts["returns"] is None:
        yield (
            "Observations repeat too little, or hide too much, for a player made of counts: what is to be gained "
            "over imitation comes from generalising, and luck with what is hidden makes single episodes no measure."
        )
        return
    returns = facts["returns"]
    yield (
        f"Mean return from {facts['starts_played']:,} start states: best single episode {returns['best_episode']:.4g}, "
        f"most frequent action (greedy BC) {returns['majority']:.4g}, most frequent action of successes (filtered BC) "
        f"{returns['majority_of_successes']:.4g}, values stitched from the recorded transitions {returns['stitcher']:.4g}, "
        f"expert {returns['expert']:.4g}."
    )
    yield f"Stitching beats every single episode from {facts['starts_improved']:,} of these start states."
    low = min(returns.values())
    if returns["majority"] >= returns["expert"] - 0.05 * (returns["expert"] - low):
        yield "**Greedy BC is already optimal on these data: they cannot tell algorithms apart that act greedily.**"
    else:
        yield "Greedy BC is not optimal on these data: they tell algorithms apart."
