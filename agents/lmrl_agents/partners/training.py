"""Fine-tune a local language model as a dialogue partner (`lmrl simulator train`).

The partner's turns of recorded episodes become pairs: the prompt that the task's `PartnerPrompt` makes of a request, and what the
partner said. They are cloned as any agent's actions are (`algorithms.bc`), the model is saved with its
tokenizer, and then asked what it was not trained on: turns of known secrets, and secrets it has never seen. Load it
with ``simulator="transformers:<out_dir>"``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.error import DependencyNotInstalled

from lmrl_agents.algorithms import bc
from lmrl_agents.learning.run import METRICS, TrainingRun
from lmrl_agents.models.model import LanguageModel, ModelConfig
from lmrl_agents.models.steps import StepStore
from lmrl_agents.models.tokenizer import TaskTokenizer
from lmrl_agents.models.tokens import TextFormat, TokenEpisode
from lmrl_agents.partners.pairs import (
    Agreement,
    Pair,
    PartnerEpisode,
    make_pairs,
    measure_agreement,
    repeats,
    split_pairs,
)
from lmrl_agents.partners.tokens import train_chat_tokenizer
from lmrl_envs.files import near
from lmrl_envs.files.untrusted import lines
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
    layers: int = 2
    """Layers (from scratch only)."""
    width: int = 128
    """Hidden size, a multiple of 2 x heads (from scratch only)."""
    heads: int = 4
    """Attention heads (from scratch only)."""
    epochs: int = 3
    """Passes over the pairs."""
    max_steps: int | None = None
    """Stop after this many steps."""
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
    checkpoint_every: int = 200
    """Steps between checkpoints."""
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

    @classmethod
    def of(
        cls, overrides: Mapping[str, Any], preset: Mapping[str, Any], model: str | None, seed: int, device: str
    ) -> PartnerTraining:
        """Settings that stand in place of a preset's.

        Raises:
            ValueError: a setting that there is not.
        """
        known = [entry.name for entry in dataclasses.fields(cls) if entry.name not in ("model", "seed", "device")]
        for name in overrides:
            if name not in known:
                raise ValueError(f"partners have no setting {name!r}; {near(name, known)}")
        if "epochs" in overrides:
            preset = {**preset, "max_steps": None}  # so many epochs are asked for
        return cls(**{**preset, **overrides, "model": model, "seed": seed, "device": device})

    def cloning(self, turns: int) -> bc.Config:
        """How so many turns are cloned."""
        steps = self.epochs * math.ceil(turns / self.batch_size)
        steps = min(steps, self.max_steps or steps)
        rate = self.learning_rate or (2e-3 if self.model is None else 5e-5)
        return bc.Config(
            steps, self.batch_size, rate, max(1, steps // 20), self.weight_decay, log_every=1, checkpoint_every=self.checkpoint_every
        )  # fmt: skip


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
        tokenizer = train_chat_tokenizer(prompts, [pair.target for pair in pairs], config.vocab_size, config.context)
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
    if model.get_output_embeddings().bias is not None or getattr(model.config, "final_logit_softcapping", None):
        raise ValueError(f"{config.model} changes its logits after the output matrix; such models are not trained here")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if not tokenizer.chat_template:
        tokenizer.chat_template = PLAIN_TEMPLATE
    return model.to(config.device), tokenizer


class _ChatTokenizer(TaskTokenizer):
    """Any model's tokenizer, without the marks of a conversation between agent and environment."""

    def __init__(self, tokenizer: Any) -> None:
        self.hf, self.pad, self.eoa = tokenizer, tokenizer.pad_token_id, tokenizer.eos_token_id


def _turn(pair: Pair, prompter: Prompter) -> TokenEpisode:
    """A pair as an episode of one turn: the prompt is observed, the reply with its end is the action."""
    tokenizer = prompter.tokenizer
    reply = tokenizer(pair.target, add_special_tokens=False)["input_ids"]
    return TokenEpisode(
        [tuple(prompter.encode(pair.prompt))], [(*reply, tokenizer.eos_token_id)], [0.0], terminated=True
    )


def train_partner(
    episodes: Iterable[PartnerEpisode],
    partner_prompt: PartnerPrompt,
    out_dir: str | os.PathLike[str],
    config: PartnerTraining | None = None,
    show_progress: bool = False,
) -> PartnerReport:
    """Train a partner on recorded episodes, save it, and measure its agreement with the recorded one.

    A training that was stopped goes on from its last checkpoint, in a hidden folder beside ``out_dir``, when the same is asked
    for again.

    Args:
        episodes: conversations; those of a scripted partner give agreement with the scripted partner.
        partner_prompt: the task's `PartnerPrompt`, whose prompts the model will be given in play.
        out_dir: a new or empty folder; holds the model (safetensors), its tokenizer and ``agreement.json``, or nothing.
        config: settings.
        show_progress: show a bar.

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
        network, tokenizer = _make_model(train, [pair.prompt for pair in pairs], config)
        prompter = Prompter(tokenizer)
        encoded = [(pair, _turn(pair, prompter)) for pair in train]
        fitting = [own for own in encoded if len(own[1].observations[0] + own[1].actions[0]) <= config.max_tokens]
        if not fitting:
            raise ValueError(f"every one of the {len(train)} pairs is longer than max_tokens={config.max_tokens}")
        times = repeats([pair.label for pair, _ in fitting], config.balance)
        shown = [turn for (_, turn), n in zip(fitting, times, strict=True) for _ in range(n)]
        settings = config.cloning(len(shown))
        asked = json.dumps([dataclasses.asdict(config), partner_prompt.name, [(p.key, p.target) for p, _ in fitting]])
        work = target.with_name(f".{target.name}.training-{hashlib.sha256(asked.encode()).hexdigest()[:12]}")
        run = TrainingRun(
            "bc", partner_prompt.name, "", work, seed=config.seed, device=config.device, resume=True, show_progress=show_progress,
            report_to="none",
        )  # fmt: skip
        work.mkdir(parents=True, exist_ok=True)
        form = TextFormat()
        model = LanguageModel(network, _ChatTokenizer(tokenizer), form, ModelConfig(source=config.model or "config"))
        bc.fit(run, settings, model, StepStore.of(shown, form, tokenizer.pad_token_id))
        network.eval()
    losses = [entry["loss"] for _, entry in lines(work / METRICS, dict[str, Any])]
    network.generation_config.eos_token_id = tokenizer.eos_token_id
    network.generation_config.pad_token_id = tokenizer.pad_token_id

    building = work / "model"
    shutil.rmtree(building, ignore_errors=True)
    model.export(building)
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
        parameters=sum(p.numel() for p in network.parameters()),
        held_out_turns=measure_agreement(partner, turns, train, config.eval_pairs),
        held_out_secrets=measure_agreement(partner, secrets, train, config.eval_pairs),
        config=dataclasses.asdict(config),
    )
    partner.close()
    (building / REPORT).write_text(json.dumps(dataclasses.asdict(report), indent=2) + "\n")
    if target.exists():
        target.rmdir()
    building.rename(target)
    shutil.rmtree(work)
    return report
