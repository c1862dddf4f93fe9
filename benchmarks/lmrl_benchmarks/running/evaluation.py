"""Evaluate one agent on one task: play fixed seeds, record every episode, summarise."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Suppress, arg

from lmrl_agents.playing.answers import introduction, recorded
from lmrl_agents.playing.identity import code_of, identity_of
from lmrl_agents.playing.protocol import Agent, AgentError, AgentStopped
from lmrl_agents.playing.rollout import Played, Rollout
from lmrl_agents.playing.room import close, open_agent
from lmrl_agents.rewards.loading import check_reward, load_reward
from lmrl_agents.rewards.protocol import TASK
from lmrl_agents.settings import KeyValues
from lmrl_benchmarks.running.records import (
    EPISODES,
    PARTNER,
    RUN,
    SUMMARY,
    WRITTEN,
    Record,
    RecordFile,
    claim_records,
    is_partner_recorded,
    keep_last_answers,
    recorded_kwargs,
)  # fmt: skip
from lmrl_benchmarks.running.summary import optimised_of, reward_code, summary_of
from lmrl_datasets.schema import plain
from lmrl_envs import load_task
from lmrl_envs.doors import told
from lmrl_envs.files import locked, write_atomically, write_json
from lmrl_envs.work import Progress

BATCH = 64
"""Episodes that are appended to the records at once: what a kill can lose at most, beside the games under way."""
PATIENCE = 1.0
"""Seconds after which finished episodes are appended although they are fewer."""
ABOUT = "agent.json"


@dataclass(frozen=True)
class EvaluationSpec:
    """What determines an evaluation."""

    env_id: Annotated[str, arg(name="env")]
    """Task id, module:id or file.py:id."""
    agent: str
    """Name (lmrl agents list), openai:MODEL, transformers:PATH-OR-ID, folder of a trained model, module:factory or file.py:factory."""
    episodes: int = 100
    """Number of episodes."""
    seed: int = 0
    """Base seed of the evaluation; episode k is the same game for every agent."""
    env_kwargs: Annotated[KeyValues, arg(name="env-arg")] = field(default_factory=dict)
    """Arguments of the environment, as key=value."""
    agent_kwargs: Annotated[KeyValues, arg(name="agent-arg")] = field(default_factory=dict)
    """Arguments of the agent, as key=value (temperature=0 is greedy)."""
    reward: str = TASK
    """What is recorded beside the task's own reward: the numbers that learned:DIR, module:factory or file.py:factory give."""
    options: Suppress[dict[str, Any]] = field(default_factory=dict)
    each: Suppress[dict[str, Any]] = field(default_factory=dict)
    """Reset options that go round over the episodes (see `lmrl_agents.playing.rollout.episode_options`)."""
    commitment: Suppress[str] = ""
    """Of a sealed suite's secret salt (see `lmrl_benchmarks.running.sealing`)."""
    salt: Suppress[str] = field(default="", repr=False)
    """The salt itself, which is in no record."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        kept = {key: value for key, value in vars(self).items() if key != "salt"}
        plainest = {"each": {}, "commitment": "", "reward": TASK}
        return plain({key: value for key, value in kept.items() if key not in plainest or value != plainest[key]})


def evaluate(
    spec: EvaluationSpec,
    out: Path,
    *,
    agent: Agent | None = None,
    slots: int = 64,
    retry_errors: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Play what is missing, write the records and the summary; returns the summary.

    Args:
        spec: what to evaluate.
        out: folder of the records; a stopped evaluation of the same spec is gone on with.
        agent: the agent, if it is loaded already; otherwise one that does not come with this package plays in its own process.
        slots: games played at once; fewer where the agent asks for fewer.
        retry_errors: play episodes that ended in an error once more.
        progress: called with (episodes done, episodes in all).

    Raises:
        AgentError: the agent cannot be had, or says of itself what no record can hold.
        AgentStopped: it cannot go on; what was played is kept.
        FolderError: the folder holds another evaluation.
    """
    if spec.episodes < 1:
        raise ValueError(f"episodes={spec.episodes} must be at least 1")
    check_reward(spec.reward, spec.env_kwargs)
    load_task(spec.env_id)  # before a folder is taken: a wrong name leaves no trace
    if agent is None:
        agent = open_agent(spec.agent, spec.agent_kwargs)
        try:
            return evaluate(spec, out, agent=agent, slots=slots, retry_errors=retry_errors, progress=progress)
        finally:
            close(agent)
    try:
        said = introduction(agent)
    except AgentError as problem:
        raise AgentError(f"agent {spec.agent!r}: {problem}") from None
    with locked(out / ".lock", "evaluating"):
        identity = identity_of(spec.agent, spec.agent_kwargs)
        if identity not in (said.fingerprint or ""):
            said = replace(said, fingerprint="; ".join(filter(None, (said.fingerprint, identity))))
        claim_records(
            out,
            {**spec.as_dict(), "agent_fingerprint": said.fingerprint, **task_code(spec), **reward_code(spec.reward)},
            said.operational,
        )
        file = RecordFile(out)
        records = file.repair(retry_errors)
        missing = sorted(set(range(spec.episodes)) - {record.episode for record in records})
        if missing:
            (out / SUMMARY).unlink(missing_ok=True)
            _play_missing(agent, spec, missing, out, min(slots, said.slots or slots), file, records, progress)
            if said.about is not None:
                write_json(out / ABOUT, _about_now(agent) or said.about)
        keep_last_answers(out / PARTNER)
        # In order of episodes, whatever order they finished in: equal runs give equal files.
        records.sort(key=lambda record: record.episode)
        text = "".join(f"{record.line()}\n" for record in records)
        write_atomically(out / EPISODES, text)
        summary = {**summary_of(spec.as_dict(), records), WRITTEN: sha256(text.encode()).hexdigest()}
        write_json(out / SUMMARY, summary)
        return summary


def task_code(spec: EvaluationSpec) -> dict[str, str]:
    """What a recorded spec says of the code of a task that does not come with this package."""
    found = code_of(load_task(spec.env_id).place)
    return {"task_fingerprint": found} if found else {}


def _about_now(agent: Agent) -> dict[str, Any] | None:
    """What the agent says of itself after play: servers are known better then."""
    with contextlib.suppress(AgentError):
        return introduction(agent).about
    return None


def _play_missing(
    agent: Agent,
    spec: EvaluationSpec,
    missing: Sequence[int],
    out: Path,
    slots: int,
    file: RecordFile,
    records: list[Record],
    progress: Progress | None,
) -> None:
    """Play episodes; their records are appended to the file and to ``records`` as they finish."""
    tell = progress or (lambda done, total: None)
    keep_in = getattr(agent, "keep_in", None)
    if callable(keep_in):
        try:
            keep_in(out)
        except Exception as problem:
            why = str(problem) if isinstance(problem, AgentError) else told(problem)
            raise AgentError(f"agent {spec.agent!r}: keep_in raised {why}") from problem
    made_with = None
    if is_partner_recorded(spec.env_id, spec.env_kwargs):
        made_with = recorded_kwargs(spec.env_kwargs, out / PARTNER)
    rollout = Rollout(
        agent, spec.env_id, spec.env_kwargs, slots=slots, options=spec.options, each=spec.each, made_with=made_with
    )
    pending: list[Played] = []
    reward = None if spec.reward == TASK else load_reward(spec.reward)
    last = time.monotonic()

    def flush() -> None:
        if pending:
            played, pending[:] = list(pending), []
            fresh = list(
                map(record_of, played, optimised_of(spec.env_id, spec.env_kwargs, reward, spec.reward, played))
            )
            file.append(fresh)
            records.extend(fresh)
        tell(len(records), spec.episodes)

    flush()
    try:
        for played in rollout.play(missing, spec.seed, salt=spec.salt):
            pending.append(played)
            if len(pending) >= BATCH or time.monotonic() - last > PATIENCE:
                flush()
                last = time.monotonic()
    except AgentStopped:
        flush()
        if [entry.name for entry in out.iterdir() if not entry.name.startswith(".")] == [RUN]:
            (out / RUN).unlink()  # nothing was played: another try may be of another agent
        raise
    finally:  # an agent that stops the run, or Ctrl-C: what is finished stays
        flush()


def record_of(played: Played, optimised: tuple[float, ...] = ()) -> Record:
    """The record of a played episode, and what was optimised in it."""
    transcript = played.transcript
    return Record(
        episode=played.episode,
        seed=played.seed,
        observations=transcript.observations,
        actions=played.actions,
        rewards=transcript.rewards,
        terminated=played.terminated,
        truncated=played.truncated,
        success=played.success,
        valid_actions=played.valid_actions,
        seconds=round(played.seconds, 6),
        error=played.error,
        options=played.options,
        info=plain(played.info),
        details=tuple(map(recorded, played.details)),
        optimised=optimised,
    )
