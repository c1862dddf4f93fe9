"""``lmrl eval``."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from gymnasium.envs.registration import load_env_creator
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tyro.conf import OmitArgPrefixes

from lmrl_agents.playing.room import DEFAULT, RoomSettings, close, open_agent
from lmrl_benchmarks import results
from lmrl_benchmarks.commands.terminal import ON_TERMINAL, Listing
from lmrl_benchmarks.running.evaluation import EvaluationSpec
from lmrl_benchmarks.running.evaluation import evaluate as run
from lmrl_benchmarks.running.jobs import problem_of
from lmrl_benchmarks.running.records import RecordFile
from lmrl_envs import load_task
from lmrl_envs.files import printable
from lmrl_envs.files.missing import check_arguments
from lmrl_envs.work import progress_bar


def evaluate(
    spec: OmitArgPrefixes[EvaluationSpec],
    out: Path,
    slots: int = 64,
    retry_errors: bool = False,
    versus: str | None = None,
    room: OmitArgPrefixes[RoomSettings] = DEFAULT,
    listing: OmitArgPrefixes[Listing] = ON_TERMINAL,
) -> int:
    """Evaluate an agent on a task. Stopped, the same command goes on where it was.

    Args:
        spec: What is evaluated.
        out: Folder for run.json, episodes.jsonl and summary.json.
        slots: Most games played at once; fewer where the agent asks for fewer (openai: as many as its concurrency).
        retry_errors: Play the episodes that ended in an error once more.
        versus: Another agent, as --agent takes it, that plays the partner's side (tasks in which somebody bargains).
        room: How agents that do not come with this package are run.
        listing: How it is told: as JSON the summary, as a table a row for each episode.
    """
    if versus is not None:
        spec = replace(spec, env_kwargs={**spec.env_kwargs, "simulator": f"agent:{versus}"})
    row = load_task(spec.env_id)
    made = load_env_creator(row.entry_point) if isinstance(row.entry_point, str) else row.entry_point
    check_arguments(made, spec.env_kwargs, row.id)
    spec = replace(spec, env_id=row.spec)
    player: Any = open_agent(spec.agent, spec.agent_kwargs, room)
    try:
        with progress_bar(f"{spec.agent} on {spec.env_id}") as tell:
            summary = run(
                spec,
                out,
                agent=player,
                slots=slots,
                retry_errors=retry_errors,
                progress=lambda done, total: tell(done, total, _usage(player)),
            )
    finally:
        close(player)
    episodes = results(out).to_dict("records") if listing.csv or listing.parquet else []
    if not listing.tells(episodes, summary):
        Console().print(_table(f"{spec.agent} on {spec.env_id}", summary))
    problem = problem_of(out)
    if summary["errors"] and not problem:
        failed = next(record for record in RecordFile(out).read() if record.error is not None)
        why = " ".join(str(failed.error)[:300].split())
        print(printable(f"the first error, in episode {failed.episode}: {why}"), file=sys.stderr)
    print(f"records in {out}", file=sys.stderr if listing.json else sys.stdout)
    if problem:
        print(printable(f"lmrl: {problem}"), file=sys.stderr)
        return 1
    return 0


def _usage(agent: Any) -> str:
    """Tokens and money so far, of agents that count them."""
    usage = getattr(agent, "usage", None)
    if not isinstance(usage, dict):
        return ""
    parts = []
    if usage.get("cost_usd") is not None:
        parts.append(f"${usage['cost_usd']:.4f}")
    tokens = sum(usage.get(key) or 0 for key in ("prompt_tokens", "completion_tokens"))
    if tokens:
        parts.append(f"{tokens:,} tokens")
    return ", ".join(parts)


_LABELS = {
    "episodes": "episodes",
    "return_mean": "mean return",
    "profits": "profit of each side",
    "better_for_both": "deals better for both than none",
    "return_ci95": "  95 % interval (over these episodes)",
    "optimised_mean": "mean of what was optimised",
    "optimised_ci95": "  95 % interval (over these episodes)",
    "normalized_score": "score (random 0, best 100)",
    "normalized_score_lmrl": "score on LMRL-Gym's scale",
    "success_rate": "won",
    "length_mean": "actions an episode",
    "valid_rate": "valid actions",
    "errors": "errors (scored as the minimum)",
    "prompt_tokens": "tokens in",
    "completion_tokens": "tokens out",
    "cost_usd": "cost in USD",
    "seconds": "seconds of the agent",
    "seconds_per_action": "  an action",
}


def _table(title: str, summary: dict[str, Any]) -> Table:
    table = Table(title=escape(title), title_justify="left", show_header=False)
    for key, label in _LABELS.items():
        if key in summary:
            table.add_row(label, _shown(key, summary[key]))
    return table


def _shown(key: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(name, own)}" for name, own in value.items())
    if key.endswith("_rate"):
        return f"{value:.1%}"
    if key.endswith("_ci95"):
        return f"{value[0]:.4g} to {value[1]:.4g}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}"
