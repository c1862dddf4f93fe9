"""``lmrl eval``."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from lmrl_benchmarks.arguments import KeyValues, key_values


def evaluate(
    agent: str,
    env: str,
    out: Path,
    episodes: int = 100,
    seed: int = 0,
    agent_arg: KeyValues = (),
    env_arg: KeyValues = (),
    slots: int = 64,
) -> int:
    """Evaluate an agent on a task. Stopped, the same command goes on where it was.

    Args:
        agent: Name (lmrl agents list), folder of a trained model, or file.py:factory.
        env: Task id.
        out: Folder for run.json, episodes.jsonl and summary.json.
        episodes: Number of episodes.
        seed: Base seed of the evaluation; episode k is the same game for every agent.
        agent_arg: Arguments of the agent, as key=value (temperature=0 is greedy).
        env_arg: Arguments of the environment, as key=value.
        slots: Games played at once.
    """
    from lmrl_benchmarks.evaluation import EvaluationSpec
    from lmrl_benchmarks.evaluation import evaluate as run
    from lmrl_envs import task

    spec = EvaluationSpec(task(env).id, agent, episodes, seed, key_values(env_arg), key_values(agent_arg))
    with Progress(
        TextColumn(escape(f"{agent} on {env}")),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    ) as progress:
        bar = progress.add_task("", total=episodes)
        summary = run(spec, out, slots=slots, progress=lambda done, total: progress.update(bar, completed=done))
    table = Table(title=escape(f"{agent} on {env}"), title_justify="left", show_header=False)
    for key, value in summary.items():
        if isinstance(value, dict):  # the reference of the score
            value = value["source"]
        table.add_row(key, "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value))
    Console().print(table)
    print(f"records in {out}")
    return 0
