"""What is told of an evaluation from its records: the summary, and what was optimised beside the task's own reward."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lmrl_agents.playing.answers import USAGE, is_amount
from lmrl_agents.playing.identity import reward_identity
from lmrl_agents.playing.rollout import Played
from lmrl_agents.rewards.protocol import Reward, Trajectory, scored
from lmrl_benchmarks.running.records import Record
from lmrl_benchmarks.scores.references import lmrl_applies, scale_of
from lmrl_benchmarks.scores.statistics import bootstrap_interval
from lmrl_datasets import summarize
from lmrl_envs import task


def reward_code(name: str) -> dict[str, str]:
    """What a recorded spec says of the code and weights of a reward."""
    found = reward_identity(name)
    return {"reward_fingerprint": found} if found else {}


def optimised_of(
    env_id: str, env_kwargs: dict[str, Any], reward: Reward | None, name: str, games: Sequence[Played]
) -> Iterator[tuple[float, ...]]:
    """What was optimised of each game: by a reward of this name, or as the agent told of each of its actions; nothing of a game that
    ended in an error."""
    whole = [played for played in games if played.error is None]
    if reward is not None:
        blind = [Trajectory.of(env_id, p.transcript, p.terminated, p.truncated, env_kwargs) for p in whole]
        given = iter(scored(reward, name, blind))
    else:
        given = (told_optimised(played.details, len(played.actions)) for played in whole)
    for played in games:
        yield () if played.error is not None else next(given)


def told_optimised(details: Sequence[Mapping[str, Any]], actions: int) -> tuple[float, ...]:
    """What an agent told under ``optimised`` of every one of its actions; nothing if it did not."""
    values = [told.get("optimised") if isinstance(told, Mapping) else None for told in details]
    numbers = [float(v) for v in values if isinstance(v, int | float) and math.isfinite(v)]
    return tuple(numbers) if len(numbers) == len(values) == actions else ()


def summary_of(spec: dict[str, Any], records: Sequence[Record]) -> dict[str, Any]:
    """The summary of an evaluation, a function of spec and records alone.

    ``return_ci95`` is a bootstrap interval over episodes: the noise of this evaluation, not of training. ``reference`` says
    which returns ``normalized_score`` is measured by; both are None for a variant of a task without references.
    """
    minimum = task(spec["env_id"]).return_range[0]
    returns = [record.score(minimum) for record in records]
    turns = sum(len(record.actions) for record in records)
    summary = summarize(
        spec["env_id"], returns, [len(record.actions) for record in records], [record.success for record in records]
    )
    scale = scale_of(spec["env_id"], spec["env_kwargs"])
    summary["normalized_score"] = scale.score(summary["return_mean"]) if scale else None
    if not lmrl_applies(spec["env_id"], spec["env_kwargs"]):
        summary["normalized_score_lmrl"] = None
    low, high = bootstrap_interval(returns, seed=spec["seed"] % 2**32)
    return {
        **summary,
        "reference": vars(scale) if scale else None,
        "return_ci95": [low, high],
        "valid_rate": sum(record.valid_actions for record in records) / turns if turns else 0.0,
        "errors": sum(record.error is not None for record in records),
        **_optimised_summary(spec, records),
        "seconds": round(sum(record.seconds for record in records), 3),
        **_usage_of(records, turns),
        **_profits_of(spec["env_id"], records),
    }


def _optimised_summary(spec: dict[str, Any], records: Sequence[Record]) -> dict[str, Any]:
    """Mean of what was optimised over the games that have it, with its interval; nothing where the task's own reward was."""
    sums = [math.fsum(record.optimised) for record in records if record.optimised]
    if not sums:
        return {}
    low, high = bootstrap_interval(sums, seed=spec["seed"] % 2**32)
    return {"optimised_mean": math.fsum(sums) / len(sums), "optimised_ci95": [low, high]}


def _profits_of(env_id: str, records: Sequence[Record]) -> dict[str, Any]:
    """Where two settle on a price: what each side made of it on the average, and how many talks ended in a deal that is better for both
    than none."""
    found = [profits for record in records if (profits := task(env_id).surface.profits(record.info)) is not None]
    if not found:
        return {}
    sides = {side: math.fsum(one.sides[side] for one in found) / len(found) for side in sorted(found[0].sides)}
    return {
        "profits": sides,
        "better_for_both": sum(min(one.sides.values()) > one.no_deal for one in found) / len(found),
    }


def _usage_of(records: Sequence[Record], turns: int) -> dict[str, Any]:
    """Totals of what agents tell about their actions; nothing for agents that tell nothing."""
    told = [details for record in records for details in record.details]
    if not told:
        return {}
    found: dict[str, Any] = {}
    for key in USAGE:
        values = [details[key] for details in told if is_amount(details.get(key))]
        if values:
            total = math.fsum(values)
            found[key] = round(total, 9) if key == "cost_usd" else int(total)
    if turns:
        found["seconds_per_action"] = round(sum(record.seconds for record in records) / turns, 6)
    return found
