"""``lmrl simulator ...``."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def train(
    data: str,
    out: Path,
    sample: bool = False,
    episodes: int = 1000,
    model: str | None = None,
    layers: int = 2,
    width: int = 128,
    epochs: int = 3,
    max_steps: int | None = None,
    batch_size: int = 32,
    seed: int = 0,
    device: str = "cpu",
    threads: int = 1,
) -> int:
    """Fine-tune a local language model on the partner's turns of a dataset, and measure how often it agrees with the
    scripted partner on turns and secrets that it was not trained on. Play against it with --simulator transformers:OUT.

    Args:
        data: Dataset name or folder of a dialogue task.
        out: A new folder for the model and agreement.json.
        sample: Take the dataset's sample that ships with the package.
        episodes: Episodes to train on at most.
        model: Folder or hub id of a causal model; without it a small one is made, with a tokenizer of its own.
        layers: Layers of the small model.
        width: Width of the small model.
        epochs: Passes over the turns.
        max_steps: Stop after so many steps.
        batch_size: Turns in a step.
        seed: Of split, weights and order.
        device: Where to train.
        threads: CPU threads; one is fastest for small models.
    """
    import torch

    from lmrl_agents.simulator_data import partner_episodes
    from lmrl_agents.simulator_training import SimulatorTraining, train_simulator
    from lmrl_datasets import load_dataset

    torch.set_num_threads(threads)
    dataset = load_dataset(data, sample=sample)[:episodes]
    role = dataset.recover_environment().unwrapped.role  # type: ignore[attr-defined]
    config = SimulatorTraining(
        model=model,
        layers=layers,
        width=width,
        epochs=epochs,
        max_steps=max_steps,
        batch_size=batch_size,
        seed=seed,
        device=device,
    )
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    ) as progress:
        bar = progress.add_task("simulator", total=None)
        report = train_simulator(
            partner_episodes(dataset),
            role,
            out,
            config,
            lambda step, total, loss: progress.update(bar, completed=step, total=total, description=f"loss {loss:.3f}"),
        )
    for key, value in dataclasses.asdict(report).items():
        print(f"{key}: {value}")
    print(f'simulator in {out}: gym.make("{dataset.env_id}", simulator="transformers:{out}")')
    return 0
