"""The model and the data that rollouts and training are measured on: Wordle, letter by letter."""

from __future__ import annotations

from typing import Any

from transformers.activations import ACT2FN

from lmrl_agents.models.model import LanguageModel, ModelConfig
from lmrl_agents.models.tokenizer import TaskTokenizer, train_tokenizer
from lmrl_agents.models.tokens import TextFormat, TokenEpisode
from lmrl_datasets import load_dataset

WORDLE, DATA = "lmrl/Wordle-v0", "wordle/mixed-v0"
SIZE = {"layers": 4, "width": 256, "heads": 4, "max_positions": 512}
SLOTS, ACTION, BATCH = 64, 16, 32


def letters(size: int = 0) -> TaskTokenizer:
    """One token per character; unused ones up to a size."""
    texts = [turn.text for episode in load_dataset(DATA, sample=True) for turn in episode.transcript]
    tokenizer = train_tokenizer(texts, units="characters")
    if size > len(tokenizer):
        tokenizer.hf.add_tokens([f"<unused {i}>" for i in range(size - len(tokenizer))])
        tokenizer = TaskTokenizer(tokenizer.hf)
    return tokenizer


def fresh(tokenizer: TaskTokenizer, max_tokens: int = 512, **size: Any) -> LanguageModel:
    """The model, the same each time; other sizes by name."""
    form = TextFormat(max_action_tokens=ACTION, max_tokens=max_tokens)
    return LanguageModel.create(ModelConfig(**{**SIZE, **size}), tokenizer, form, seed=0)


def as_published(model: LanguageModel) -> LanguageModel:
    """The same network with the activation that GPT-2's checkpoints come with: ``gelu_new``, which transformers computes in
    eight operations. Ours of random weights name the same function by its one kernel, for whoever runs them.
    """
    network: Any = model.lm
    network.config.activation_function = "gelu_new"
    for block in network.transformer.h:
        block.mlp.act = ACT2FN["gelu_new"]
    return model


FORM = TextFormat(max_action_tokens=ACTION)


def data_episodes(tokenizer: TaskTokenizer, form: TextFormat = FORM) -> list[TokenEpisode]:
    """The episodes that our trainers read; each is one row."""
    return [
        TokenEpisode.from_transcript(e.transcript, e.terminated, e.truncated, tokenizer, form)
        for e in load_dataset(DATA, split="train", sample=True, env_id=WORDLE)
    ]


def data_rows(tokenizer: TaskTokenizer, form: TextFormat = FORM) -> list[tuple[list[int], list[bool]]]:
    """Ids of each episode, and which of them are the agent's."""
    rows = []
    for episode in data_episodes(tokenizer, form):
        ids, begins = form.join(episode, 0, len(episode.actions))
        mask = [False] * len(ids)
        for begin, action in zip(begins, episode.actions, strict=True):
            mask[begin : begin + len(action)] = [True] * len(action)
        rows.append((ids, mask))
    return rows
