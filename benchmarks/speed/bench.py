"""Where the CPU seconds of the suite `quick` go: data, training and evaluation of every cell, one training seed, in this process."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from msgspec.structs import replace as with_values
from peers import Peers
from table import Table

from lmrl_agents.learning.run import FINAL, TrainingRun
from lmrl_agents.learning.train import train
from lmrl_agents.playing.loading import load_agent
from lmrl_benchmarks.running.cells import cells, evaluation_of
from lmrl_benchmarks.running.evaluation import evaluate
from lmrl_benchmarks.running.suite import load_suite
from lmrl_datasets import generate


def rows(table: Table, _: Peers) -> None:
    """CPU seconds by stage and cell; trained cells count once for each of the suite's training seeds."""
    suite = load_suite("quick")
    seeds = len(suite.training_seeds)
    one = with_values(suite, training_seeds=suite.training_seeds[:1])
    found: dict[str, float] = {}

    def timed(name: str, times: int, work: Callable[[], Any]) -> Any:
        started = time.process_time()
        result = work()
        found[name] = times * (time.process_time() - started)
        print(f"  {name:<60}{found[name]:>8.1f} CPU s", flush=True)
        table.find("CPU seconds", found)
        return result

    with tempfile.TemporaryDirectory() as scratch:
        trained: dict[str, Path] = {}
        for cell in cells(one, one.agents):
            spec = evaluation_of(one, cell)
            source: str | Path = cell.agent.spec or cell.agent.name
            if cell.agent.train:
                data = Path(scratch) / cell.task.slug
                if not data.exists():
                    wanted = cell.task.data
                    timed(
                        f"data: {cell.task.slug}",
                        1,
                        lambda w=wanted, d=data: generate(w["name"], d, episodes=w["episodes"]),
                    )
                if cell.training_folder not in trained:
                    settings: dict[str, Any] = {
                        "algorithm": cell.agent.train,
                        "preset": cell.agent.preset,
                        "overrides": cell.agent.settings,
                    }
                    if cell.agent.start:  # an agent further up in the suite
                        first = replace(cell, agent=one.agent(cell.agent.start))
                        settings["start"] = trained[first.training_folder]
                    if table.quick:
                        length = "iterations" if cell.agent.train == "ppo" else "steps"
                        settings["overrides"] = {**settings["overrides"], f"{cell.agent.train}.{length}": 5}
                    out = Path(scratch) / "training" / str(len(trained))
                    run = TrainingRun(env_id=cell.task.id, data=str(data), out=out, show_progress=False, **settings)
                    trained[cell.training_folder] = out / FINAL
                    timed(f"training: {cell.agent.training_key}, {cell.task.slug}", seeds, lambda run=run: train(run))
                source = trained[cell.training_folder]
            agent = load_agent(str(source), **spec.agent_kwargs)
            times = seeds if cell.agent.train else 1
            spec = replace(spec, episodes=10 if table.quick else spec.episodes)
            folder = Path(scratch) / "cells" / cell.task.slug / cell.agent.name
            timed(
                f"playing: {cell.agent.name}, {cell.task.slug}",
                times,
                lambda spec=spec, folder=folder, agent=agent: evaluate(spec, folder, agent=agent, slots=128),
            )
