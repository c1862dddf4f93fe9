"""What stands in the files of a run, by their types; who writes a new key adds it here, with a default."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from lmrl_benchmarks.running.suite import Commitment, RoundOver
from lmrl_envs.files.untrusted import Amount, Count, Integer, Number, Schema


class Commit(Schema, frozen=True):
    """State of the repository that a run was made in."""

    commit: str
    dirty: bool


class Provenance(Schema, frozen=True):
    """What a run was made with: see `lmrl_envs.files.provenance`."""

    packages: dict[str, str]
    python: str
    platform: str
    processor: str
    cpus: Count | None
    git: Commit | None


class SpecValues(Schema, frozen=True):
    """The ``spec`` of a ``run.json``: see `lmrl_benchmarks.running.evaluation.EvaluationSpec`."""

    env_id: str
    agent: str
    episodes: Annotated[int, Meta(ge=0, le=1_000_000)]
    """0: the games of people, as many as they are."""
    seed: Integer
    env_kwargs: dict[str, Any]
    agent_kwargs: dict[str, Any]
    options: dict[str, Any]
    each: RoundOver = {}
    agent_fingerprint: str | None = None
    task_fingerprint: str = ""
    commitment: Commitment = ""
    reward: str = "task"
    reward_fingerprint: str = ""


class RunFile(Schema, frozen=True):
    """A ``run.json``."""

    schema_version: Count
    spec: SpecValues
    provenance: Provenance


class Reference(Schema, frozen=True):
    """The returns that score 0 and 100."""

    random: Number
    optimum: Number
    optimum_is: str
    source: str


class SummaryFile(Schema, frozen=True):
    """A ``summary.json``: see `lmrl_benchmarks.running.evaluation.summary_of`."""

    episodes: Count
    return_mean: Number
    return_std: Number
    length_mean: Amount
    length_std: Amount
    success_rate: Amount
    valid_rate: Amount
    errors: Count
    seconds: Amount
    return_ci95: tuple[Number, Number]
    normalized_score: Number | None
    normalized_score_lmrl: Number | None
    reference: Reference | None
    optimised_mean: Number | None = None
    optimised_ci95: tuple[Number, Number] | None = None
    profits: dict[str, Number] | None = None
    better_for_both: Amount | None = None
    seconds_per_action: Amount = 0.0
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    cost_usd: Amount = 0.0
    records_sha256: str = ""
