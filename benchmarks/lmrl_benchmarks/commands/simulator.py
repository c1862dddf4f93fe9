"""``lmrl simulator ...``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import gymnasium


def train(
    out: Path,
    env: str | None = None,
    policy: str | None = None,
    data: str | None = None,
    sample: bool = False,
    episodes: int | None = None,
    model: str | None = None,
    layers: int | None = None,
    width: int | None = None,
    epochs: int | None = None,
    max_steps: int | None = None,
    batch_size: int | None = None,
    balance: float | None = None,
    holdout_secrets: float | None = None,
    seed: int = 0,
    device: str = "cpu",
    threads: int = 1,
) -> int:
    """Train a local language model as the partner of a dialogue task, and measure how often it agrees with the scripted partner on turns and
    secrets that it was not trained on. Play against it with --simulator transformers:OUT.

    The turns are those of a dataset (--data), or of games played on the spot (--env). With --env alone everything else has values that give a
    usable small model in a few minutes on one CPU core.

    Args:
        out: A new folder for the model and agreement.json.
        env: Task id; the turns are those of games of its --policy.
        policy: Policy that plays these games.
        data: Dataset name or folder of a dialogue task, instead of --env.
        sample: Take the dataset's sample that ships with the package.
        episodes: Episodes to train on at most.
        model: Folder or hub id of a causal model; without it a small one is made, with a tokenizer of its own.
        layers: Layers of the small model.
        width: Width of the small model.
        epochs: Passes over the turns.
        max_steps: Stop after so many steps.
        batch_size: Turns in a step.
        balance: How far kinds of replies (yes and no, a decision) are made equally frequent in training: 0 to 1.
        holdout_secrets: Share of the objects, cities or buyers that are kept out of training; 0 for a partner that knows all.
        seed: Of games, split, weights and order.
        device: Where to train.
        threads: CPU threads; one is fastest for small models.
    """
    import torch

    from lmrl_agents.partners.data import partner_episodes, partner_preset, played_episodes
    from lmrl_agents.partners.training import PartnerTraining, train_partner
    from lmrl_datasets import load_dataset
    from lmrl_envs import load_task, task, task_ids

    if (env is None) == (data is None):
        raise ValueError("name either --env (games are played on the spot) or --data (a dataset)")
    if data is not None:
        if policy is not None:
            raise ValueError(f"--policy {policy} goes with --env; the games of {data} are recorded already")
        dataset = load_dataset(data, sample=sample)[: episodes or 1000]
        env_id, heard = dataset.env_id, partner_episodes(dataset)
    else:
        assert env is not None
        env_id = load_task(env).spec
        preset = partner_preset(env_id)
        if preset is None:
            able = ", ".join(id for id in task_ids() if partner_preset(id))
            raise ValueError(f"{env_id} has no partner that a language model could play; tasks with one: {able}")
        heard = played_episodes(env_id, policy or preset.policy, episodes or preset.episodes, seed)
    partner_prompt = getattr(gymnasium.make(task(env_id).id).unwrapped, "partner_prompt", None)
    if partner_prompt is None:
        raise ValueError(f"{env_id} has no partner that a language model could play")
    settings: dict[str, Any] = {"layers": 2, "width": 128}
    if model is None and (preset := partner_preset(env_id)):
        settings |= preset.settings
    asked = {
        "layers": layers, "width": width, "epochs": epochs, "max_steps": max_steps, "batch_size": batch_size, "balance": balance,
        "holdout_secrets": holdout_secrets,
    }  # fmt: skip
    settings |= {key: value for key, value in asked.items() if value is not None}
    if epochs is not None and max_steps is None:
        settings.pop("max_steps", None)  # so many epochs were asked for
    config = PartnerTraining(model=model, seed=seed, device=device, **settings)
    torch.set_num_threads(threads)
    report = train_partner(heard, partner_prompt, out, config, show_progress=True)
    for key, value in dataclasses.asdict(report).items():
        print(f"{key}: {value}")
    print(f'simulator in {out}: gym.make("{env_id}", simulator="transformers:{out}")')
    return 0
