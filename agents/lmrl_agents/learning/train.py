"""Training by an algorithm's name: one that ships, one of an installed package, ``module:train`` or ``file.py:train``."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import cast

import torch

from lmrl_agents.learning.curves import draw_curves
from lmrl_agents.learning.following import RolloutConfig
from lmrl_agents.learning.run import FINAL, METRICS, ROLLOUT, TrainingError, TrainingRun
from lmrl_agents.learning.trackers import AUTO, SAMPLES, names_of, open_trackers, told_of
from lmrl_agents.models.chunks import bounded
from lmrl_agents.models.distributed import rank, world_size
from lmrl_agents.playing.loading import load_agent
from lmrl_agents.playing.protocol import AgentError
from lmrl_agents.playing.rollout import Rollout
from lmrl_agents.rewards.loading import check_reward
from lmrl_agents.rewards.protocol import TASK
from lmrl_datasets.preferences.store import is_preferences
from lmrl_envs import doors, load_task
from lmrl_envs.files import locked


def algorithms() -> dict[str, str]:
    """Installed algorithms: name -> the first line about it. Nothing is imported for that."""
    return {name: _first_line(point.module) for name, point in doors.installed("lmrl.algorithms").items()}


def _first_line(module: str) -> str:
    """Of a module's docstring, read off its file."""
    spec = importlib.util.find_spec(module)
    source = Path(spec.origin).read_text("utf-8") if spec is not None and spec.origin else ""
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


def load_algorithm(spec: str) -> Callable[[TrainingRun], Path]:
    """An algorithm's ``train(run)``, which returns the folder of the model.

    Args:
        spec: an installed name, ``module:train`` or ``path/file.py:train``.

    Raises:
        lmrl_envs.doors.DoorError: there is none of this name, or it cannot be loaded.
    """
    found, rest = doors.find("lmrl.algorithms", spec)
    if rest or not callable(found):
        raise doors.DoorError(f"{spec!r} is no algorithm: name a function train(run)")
    return cast(Callable[[TrainingRun], Path], found)


def code_of(spec: str) -> str:
    """Hash of the file of an algorithm, kept with what it trained: whether a result is of the present code can be told by it."""
    source = Path(load_algorithm(spec).__code__.co_filename).read_bytes()
    return hashlib.sha256(source).hexdigest()[:16]


def train(run: TrainingRun) -> Path:
    """Train with the algorithm that the run names; returns the folder of the model.

    An algorithm's module says ``SHARDABLE = True`` if its weights may be sharded over processes: all of them must then call the
    networks equally often, or within `distributed.unsharded` (as the games of `online.rounds` are played). It says ``TAKES_REWARD = True`` if it learns from what the run's
    reward gives: those that play by `online.rounds` do, and those whose data come from `TrainingRun.load_data`; ``TAKES_PAIRS = True`` if its data are pairs (`preference_pairs`).

    Raises:
        ValueError: no such algorithm or reward, one that cannot be sharded, or that learns from no reward of one's own.
    """
    load_task(run.env_id)
    algorithm = load_algorithm(run.algorithm)
    said = getattr(algorithm, "__globals__", {})
    if run.shard and not said.get("SHARDABLE", False):
        raise ValueError(f"the weights of {run.algorithm} cannot be sharded: its file does not say SHARDABLE")
    check_reward(run.reward, run.env_kwargs)
    if run.reward != TASK and not said.get("TAKES_REWARD", False):
        raise ValueError(f"{run.algorithm} takes no --reward: it learns from what was said, not from what it was paid")
    if RolloutConfig.of(run).server and not hasattr(said.get("Config"), "iterations"):
        raise ValueError(f"{run.algorithm} plays no games to learn from: {ROLLOUT}.server is for online algorithms")
    if run.shard and run.pass_tokens:
        raise ValueError(
            "pass_tokens goes with whole weights: sharded ones are asked for equally often by all processes"
        )
    if said.get("TAKES_PAIRS", False) != is_preferences(run.data):
        kind = "games" if is_preferences(run.data) else "preference data (lmrl prefs collect)"
        other = "pairs" if is_preferences(run.data) else "none"
        raise ValueError(f"{run.algorithm} learns from {kind}; {run.data} holds {other}")
    names_of(run.report_to)
    torch.set_num_threads(run.threads)
    with process_group(run), locked(run.out / ".lock", "training") if rank() == 0 else nullcontext():
        if rank() == 0:
            run.claim()
        if world_size() > 1:
            torch.distributed.barrier()  # the folder is there for all
        final = run.out / FINAL
        if (final / "lmrl.json").is_file():  # resumed after its end
            return final
        try:
            with bounded(run.logits_at_once):
                final = algorithm(run)
        except torch.OutOfMemoryError as problem:
            raise TrainingError(
                f"{run.device} has no memory left ({str(problem).splitlines()[0]}); lower batch_size "
                f"(--set {run.table}.batch_size=...) or take --dtype bf16"
            ) from problem
        if world_size() > 1:
            torch.distributed.barrier()  # the model is on disk for all
        if rank() == 0:
            draw_curves(run.out / METRICS, run.out / "curves.svg")
            if run.report_to != AUTO and names_of(run.report_to):  # what nobody asked for costs no games
                report_games(run, final)
        return final


def report_games(run: TrainingRun, final: Path) -> None:
    """Show a trained policy's first validation games in the run's trackers; what is trained to judge plays none."""
    try:
        agent = load_agent(str(final))
    except AgentError:
        return
    games = sorted(
        Rollout(agent, run.env_id, run.env_kwargs).play(range(SAMPLES), 0, "validation"), key=lambda g: g.episode
    )
    texts = [f"return {sum(game.transcript.rewards):g}\n\n{game.transcript.as_text()}" for game in games]
    for tracker in open_trackers(run.report_to, run.out, None, told_of(run)):
        tracker.text("games", texts)
        tracker.close()


@contextmanager
def process_group(run: TrainingRun) -> Iterator[None]:
    """Join the processes that torchrun started, if it did.

    Raises:
        TrainingError: not all of them came.
    """
    wanted = int(os.environ.get("WORLD_SIZE", "1"))
    if run.shard and wanted == 1:
        raise TrainingError("there is one process: sharding needs several, started by torchrun")
    if wanted == 1 or world_size() > 1:  # alone, or joined already (training the policy to start from)
        yield
        return
    if run.device.startswith("cuda"):
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if run.device.startswith("cuda") else "gloo")
    try:
        if world_size() != wanted:
            raise TrainingError(f"{world_size()} processes joined, {wanted} were asked for")
        yield
    finally:
        torch.distributed.destroy_process_group()
