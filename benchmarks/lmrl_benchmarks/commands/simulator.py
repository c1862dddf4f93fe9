"""``lmrl simulator ...``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import gymnasium
from tyro.conf import arg

from lmrl_agents.settings import KeyValues


def train(
    out: Path,
    env: str | None = None,
    policy: str | None = None,
    data: str | None = None,
    sample: bool = False,
    episodes: int | None = None,
    model: str | None = None,
    overrides: Annotated[KeyValues, arg(name="set")] = {},
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
        model: Folder or hub id of a causal model to fine-tune; without it a small one is made, with a tokenizer of its own.
        overrides: Settings in place of the task's preset, as name=value (epochs=3, layers=4, balance=0.5, holdout_secrets=0).
        seed: Seed of the games, the split, the weights and the order.
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
    if data is not None and policy is not None:
        raise ValueError(f"--policy {policy} goes with --env; the games of {data} are recorded already")
    dataset = load_dataset(data, sample=sample)[: episodes or 1000] if data is not None else None
    env_id = dataset.env_id if dataset is not None else load_task(str(env)).spec
    preset = partner_preset(env_id)
    partner_prompt = getattr(gymnasium.make(task(env_id).id).unwrapped, "partner_prompt", None)
    if partner_prompt is None or (preset is None and dataset is None):
        able = ", ".join(id for id in task_ids() if partner_preset(id))
        raise ValueError(f"{env_id} has no partner that a language model could play; tasks with one: {able}")
    config = PartnerTraining.of(overrides, preset.settings if preset and model is None else {}, model, seed, device)
    if dataset is not None:
        heard = partner_episodes(dataset)
    else:
        assert preset is not None
        heard = played_episodes(env_id, policy or preset.policy, episodes or preset.episodes, seed)
    torch.set_num_threads(threads)
    report = train_partner(heard, partner_prompt, out, config, show_progress=True)
    for key, value in dataclasses.asdict(report).items():
        print(f"{key}: {value}")
    print(f'simulator in {out}: gym.make("{env_id}", simulator="transformers:{out}")')
    return 0
