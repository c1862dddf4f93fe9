"""What an algorithm starts from: a model of random weights or a pretrained one, or a policy that was trained before."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import gymnasium

from lmrl_agents.learning.memory import check_weights
from lmrl_agents.learning.run import FINAL, ROLLOUT, START, TrainingError, TrainingRun
from lmrl_agents.learning.trackers import place_of
from lmrl_agents.learning.train import train
from lmrl_agents.models.chat import examine
from lmrl_agents.models.description import read_description
from lmrl_agents.models.model import LanguageModel, ModelConfig
from lmrl_agents.models.tokenizer import TaskTokenizer, adopt_tokenizer, train_tokenizer
from lmrl_agents.models.tokens import TextFormat
from lmrl_agents.rewards.protocol import TASK
from lmrl_datasets import Dataset
from lmrl_envs import load_task


def fresh_model(run: TrainingRun, data: Dataset) -> LanguageModel:
    """The preset's model, untrained on the task, with the tokenizer of its data."""
    tables = run.tables()
    text = dict(tables["text"])
    units, vocabulary, thinking = text.pop("units"), text.pop("vocabulary", 50_000), text.pop("thinking", "forbid")
    form = TextFormat(**text, env_id=run.env_id)
    config = ModelConfig(**tables["model"])
    if config.lora_rank and units != "chat":
        raise TrainingError(
            f"model.lora_rank needs text.units=chat: with units={units} tokens are new, and adapters learn none"
        )
    if units in ("pretrained", "chat"):
        from transformers import AutoTokenizer

        if config.source == "config":
            raise TrainingError(f"text.units={units} needs a checkpoint: --set model.source=FOLDER")

        check_weights(config.source, run.device)
        pretrained = AutoTokenizer.from_pretrained(config.source, trust_remote_code=False)
        if units == "chat":
            form = replace(form, chat=examine(pretrained, thinking), instructions=instructions_of(run))
            tokenizer = TaskTokenizer(pretrained, form.chat)
        else:
            tokenizer = adopt_tokenizer(pretrained)
    else:
        told, actions = Counter[str](), Counter[str]()
        for episode in data:
            texts = form.reading.texts(episode.transcript)
            told.update(texts[::2])
            actions.update(texts[1::2])
        if form.choice:
            config = replace(config, outputs=len(actions))
            tokenizer = train_tokenizer(told.elements(), units, vocabulary, first=sorted(actions))
        else:
            tokenizer = train_tokenizer((told + actions).elements(), units, vocabulary)
    return _fitting(LanguageModel.create(config, tokenizer, form, run.seed).to(run.device))


def instructions_of(run: TrainingRun) -> str:
    """The task explained to a language model, as the run's environment does."""
    env: Any = gymnasium.make(load_task(run.env_id).id, **run.env_kwargs)
    try:
        return env.unwrapped.instructions
    finally:
        env.close()


def _fitting(model: LanguageModel) -> LanguageModel:
    """The model, if it can read rows as long as the format has them."""
    if model.form.max_tokens > model.max_positions:
        raise TrainingError(
            f"text.max_tokens={model.form.max_tokens} is more than the {model.max_positions} tokens that the model can read"
        )
    return model


def start_policy(run: TrainingRun) -> LanguageModel:
    """The policy that an algorithm starts from: the one in ``run.start``, else behaviour cloning of the run's own data.

    The latter is trained with the preset's ``bc`` table in the folder ``start`` of the run, once.
    """
    if run.start is not None:
        folder = run.start if (run.start / "lmrl.json").is_file() else run.start / FINAL
        model = LanguageModel.load(folder, run.device)
        trained = read_description(folder).get("env_id")
        if trained != run.env_id:
            raise TrainingError(f"the model in {folder} was trained on {trained}, not on {run.env_id}")
        return _fitting(model)
    # The preset need not have a table of the algorithm's own, and cloning asks for none, nor for a server.
    own = {key: value for key, value in run.overrides.items() if key.partition(".")[0] not in (run.table, ROLLOUT)}
    cell = {**(place := place_of(run)), "agent": f"{place['agent']}-{START}"}
    start = replace(run, algorithm="bc", reward=TASK, out=run.out / START, resume=True, overrides=own, cell=cell)
    return LanguageModel.load(train(start), run.device)
