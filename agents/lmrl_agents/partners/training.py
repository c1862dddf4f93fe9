"""Fine-tune a local language model as a dialogue partner (`lmrl simulator train`).

The partner's turns of recorded episodes become pairs: the prompt that the task's `PartnerPrompt` makes of a request, and what the
partner said. A causal language model is trained on the replies alone (cross-entropy, the prompt masked), saved with its
tokenizer, and then asked what it was not trained on: turns of known secrets, and secrets it has never seen. Load it
with ``simulator="transformers:<out_dir>"``.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.error import DependencyNotInstalled

from lmrl_agents.partners.pairs import (
    Agreement,
    Pair,
    PartnerEpisode,
    make_pairs,
    measure_agreement,
    repeats,
    split_pairs,
)
from lmrl_agents.partners.tokens import train_tokenizer
from lmrl_envs.partners.backend import Messages
from lmrl_envs.partners.base import PartnerPrompt
from lmrl_envs.partners.local_model import Prompter
from lmrl_envs.partners.model_partner import transformers_partner
from lmrl_envs.partners.prompting import PLAIN_TEMPLATE

try:
    import torch
    import transformers
except ImportError as missing:
    raise DependencyNotInstalled(
        f"training a simulator needs PyTorch and transformers ({missing}): pip install 'lmrl[train]'"
    ) from missing

REPORT = "agreement.json"


@dataclass(frozen=True)
class PartnerTraining:
    """Settings of `train_partner`."""

    model: str | None = None
    """Model to fine-tune, a folder or a hub id; None: a small Llama from scratch with a tokenizer trained on the pairs."""
    vocab_size: int = 4096
    """Tokens of the trained tokenizer at most (from scratch only)."""
    layers: int = 4
    """Layers (from scratch only)."""
    width: int = 128
    """Hidden size, a multiple of 2 x heads (from scratch only)."""
    heads: int = 4
    """Attention heads (from scratch only)."""
    epochs: int = 3
    """Passes over the pairs."""
    max_steps: int | None = None
    """Stop after so many steps."""
    batch_size: int = 32
    """Pairs in a step."""
    learning_rate: float | None = None
    """Peak of AdamW's learning rate; None: 2e-3 from scratch, 5e-5 for fine-tuning."""
    weight_decay: float = 0.01
    """AdamW's weight decay."""
    balance: float = 0.0
    """How far the kinds of replies (yes and no, a decision) are made equally frequent in training: 0 not, 1 fully."""
    max_tokens: int = 1024
    """Pairs longer than this many tokens are left out (and counted in the report)."""
    context: int = 8192
    """Longest prompt the model takes in play (from scratch only): hostile texts have many more tokens than plain ones."""
    holdout_secrets: float = 0.1
    """Share of the secrets that are kept out of training."""
    holdout_turns: float = 0.1
    """Share of the distinct prompts about the other secrets that are kept out of training."""
    eval_pairs: int = 500
    """Distinct prompts of each held-out kind that are asked at most."""
    seed: int = 0
    """Seed of the split, the weights and the order."""
    device: str = "cpu"
    """PyTorch device."""

    def __post_init__(self) -> None:
        for name in ("holdout_secrets", "holdout_turns"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 0 and less than 1")
        for name in ("epochs", "batch_size", "layers", "width", "heads", "vocab_size", "max_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        if not 0 <= self.balance <= 1:
            raise ValueError(f"balance={self.balance} must be from 0 to 1")
        if self.model is None and self.width % (2 * self.heads):
            raise ValueError(f"width={self.width} must be a multiple of 2 x heads={self.heads}")


@dataclass(frozen=True)
class PartnerReport:
    """What `train_partner` did and measured; also ``agreement.json`` in the model's folder."""

    partner_prompt: str
    train_pairs: int
    """Distinct turns trained on."""
    left_out: int
    """Turns not used: the partner's prompt cannot read the recorded text, or the pair is too long."""
    steps: int
    first_loss: float
    last_loss: float
    """Mean cross-entropy per token of the reply over the first and last tenth of the steps, in nats."""
    seconds: float
    cpu_seconds: float
    parameters: int
    held_out_turns: Agreement | None
    held_out_secrets: Agreement | None
    config: dict[str, Any] = field(default_factory=dict)


def _make_model(pairs: Sequence[Pair], prompts: Sequence[Messages], config: PartnerTraining) -> tuple[Any, Any]:
    """Model and tokenizer to train; the tokenizer knows all prompts, those that are held out, too."""
    model: Any
    if config.model is not None:
        tokenizer = transformers.AutoTokenizer.from_pretrained(config.model, trust_remote_code=False)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            config.model, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
        )
    else:
        tokenizer = train_tokenizer(prompts, [pair.target for pair in pairs], config.vocab_size, config.context)
        size = transformers.LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.width,
            intermediate_size=3 * config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            max_position_embeddings=config.context,
            initializer_range=config.width**-0.5,  # the usual 0.02 is for wide models; small ones hardly learn from it
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        model = transformers.LlamaForCausalLM(size)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if not tokenizer.chat_template:
        tokenizer.chat_template = PLAIN_TEMPLATE
    return model.to(config.device), tokenizer


def _encode(pairs: Sequence[Pair], tokenizer: Any) -> list[tuple[list[int], int]]:
    """Token ids of prompt, reply and end of each pair, with the length of the prompt."""
    prompter, end = Prompter(tokenizer), tokenizer.eos_token_id
    rows = []
    for pair in pairs:
        prompt = prompter.encode(pair.prompt)
        reply = tokenizer(pair.target, add_special_tokens=False)["input_ids"]
        rows.append(([*prompt, *reply, end], len(prompt)))
    return rows


def _batches(rows: Sequence[tuple[list[int], int]], config: PartnerTraining) -> list[list[int]]:
    """Indices of every step: shuffled each epoch, rows of like length together."""
    rng = np.random.default_rng([config.seed, 1])
    steps: list[list[int]] = []
    for _ in range(config.epochs):
        order = rng.permutation(len(rows))
        pool = 50 * config.batch_size
        batches = []
        for start in range(0, len(order), pool):
            near = sorted(order[start : start + pool].tolist(), key=lambda i: len(rows[i][0]))
            batches += [near[i : i + config.batch_size] for i in range(0, len(near), config.batch_size)]
        steps += [batches[i] for i in rng.permutation(len(batches))]
    return steps[: config.max_steps]


def _loss(model: Any, rows: Sequence[tuple[list[int], int]], pad: int) -> torch.Tensor:
    """Mean cross-entropy over the tokens of the replies (and their ends), in nats."""
    # Padded on the left, so that all replies end in the last columns and logits are computed for those alone.
    longest = max(len(ids) for ids, _ in rows)
    told = max(len(ids) - prompt for ids, prompt in rows)
    tokens, mask = torch.full((len(rows), longest), pad), torch.zeros((len(rows), longest), dtype=torch.long)
    targets = torch.full((len(rows), told), -100)
    for r, (ids, prompt) in enumerate(rows):
        tokens[r, longest - len(ids) :] = torch.tensor(ids)
        mask[r, longest - len(ids) :] = 1
        targets[r, told - (len(ids) - prompt) :] = torch.tensor(ids[prompt:])
    inputs: dict[str, Any] = {
        "input_ids": tokens[:, :-1],
        "attention_mask": mask[:, :-1],
        "position_ids": (mask.cumsum(-1) - 1).clamp(min=0)[:, :-1],
    }
    known = inspect.signature(model.forward).parameters
    inputs = {name: value.to(model.device) for name, value in inputs.items() if name in known}
    if "logits_to_keep" in known:
        inputs["logits_to_keep"] = told
    logits = model(**inputs, use_cache=False).logits[:, -told:]
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten().to(model.device))


def _fit(
    model: Any,
    rows: Sequence[tuple[list[int], int]],
    pad: int,
    config: PartnerTraining,
    on_step: Callable[[int, int, float], None] | None,
) -> list[float]:
    """Train in place; returns the loss of every step."""
    steps = _batches(rows, config)
    rate = config.learning_rate or (2e-3 if config.model is None else 5e-5)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=config.weight_decay)
    warmup = max(1, len(steps) // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda s: min((s + 1) / warmup, 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * s / len(steps)))),
    )
    model.train()
    losses = []
    for step, indices in enumerate(steps, start=1):
        loss = _loss(model, [rows[i] for i in indices], pad)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if on_step is not None:
            on_step(step, len(steps), losses[-1])
    model.eval()
    return losses


def train_partner(
    episodes: Iterable[PartnerEpisode],
    partner_prompt: PartnerPrompt,
    out_dir: str | os.PathLike[str],
    config: PartnerTraining | None = None,
    on_step: Callable[[int, int, float], None] | None = None,
) -> PartnerReport:
    """Train a partner on recorded episodes, save it, and measure its agreement with the recorded one.

    Args:
        episodes: conversations; those of a scripted partner give agreement with the scripted partner.
        partner_prompt: the task's `PartnerPrompt`, whose prompts the model will be given in play.
        out_dir: a new or empty folder; holds the model (safetensors), its tokenizer and ``agreement.json``, or nothing.
        config: settings.
        on_step: called after each step with its number, the number of all steps, and the loss.

    Raises:
        FileExistsError: ``out_dir`` is not empty.
        ValueError: too few usable turns.
    """
    config, begin, cpu_begin = config or PartnerTraining(), time.monotonic(), time.process_time()
    target = Path(out_dir)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(f"{target} exists and is not an empty folder; choose another")
    pairs, left_out = make_pairs(episodes, partner_prompt)
    train, turns, secrets = split_pairs(pairs, config.holdout_secrets, config.holdout_turns, config.seed)
    train = list({(pair.key, pair.target): pair for pair in train}.values())  # asked twice, learned once
    with torch.random.fork_rng(devices=[] if config.device == "cpu" else None):
        torch.manual_seed(config.seed)
        model, tokenizer = _make_model(train, [pair.prompt for pair in pairs], config)
        encoded = _encode(train, tokenizer)
        fitting = [i for i, (ids, _) in enumerate(encoded) if len(ids) <= config.max_tokens]
        times = repeats([train[i].label for i in fitting], config.balance)
        rows = [encoded[i] for i, n in zip(fitting, times, strict=True) for _ in range(n)]
        if not rows:
            raise ValueError(f"every one of the {len(train)} pairs is longer than max_tokens={config.max_tokens}")
        losses = _fit(model, rows, tokenizer.pad_token_id, config, on_step)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id

    building = target.with_name(f"{target.name}.building-{os.getpid()}")
    try:
        model.save_pretrained(building)
        tokenizer.save_pretrained(building)
        partner = transformers_partner(building, partner_prompt, device=config.device)
        tenth = max(1, len(losses) // 10)
        report = PartnerReport(
            partner_prompt=partner_prompt.name,
            train_pairs=len(fitting),
            left_out=left_out + len(train) - len(fitting),
            steps=len(losses),
            first_loss=float(np.mean(losses[:tenth])),
            last_loss=float(np.mean(losses[-tenth:])),
            seconds=round(time.monotonic() - begin, 1),
            cpu_seconds=round(time.process_time() - cpu_begin, 1),
            parameters=sum(p.numel() for p in model.parameters()),
            held_out_turns=measure_agreement(partner, turns, train, config.eval_pairs),
            held_out_secrets=measure_agreement(partner, secrets, train, config.eval_pairs),
            config=dataclasses.asdict(config),
        )
        partner.close()
        (building / REPORT).write_text(json.dumps(dataclasses.asdict(report), indent=2) + "\n")
        if target.exists():
            target.rmdir()
        building.rename(target)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return report
