"""What a run needs of its device's memory, told before it trains, and refused where it cannot fit."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lmrl_agents.learning.run import TrainingError, TrainingRun
from lmrl_agents.models.chunks import rows_of
from lmrl_agents.models.description import shapes_of
from lmrl_agents.models.distributed import local_tensor
from lmrl_agents.models.families import text_config
from lmrl_agents.models.model import LanguageModel
from lmrl_envs.files.checkpoints import named_checkpoint, weights_of

GIB = 2**30
TOLD_FROM = GIB
"""Smaller runs are not told about."""


@dataclass(frozen=True)
class Memory:
    """Bytes that a run takes on one device."""

    weights: int
    """Of the policy and of what is trained: they are there already."""
    gradients: int
    optimizer: int
    """Adam's two moments."""
    caches: int
    """Keys and values of the games that are played at once, at their longest."""
    activations: int
    """Of a pass at its longest: an estimate, some 34 numbers a token, layer and unit of width (Korthikanti et al., arXiv 2205.05198)
    without those of attention, a layer's inputs alone where they are computed twice."""
    logits: int
    """Of a pass's action tokens, their logarithms and gradient, were every token one; of a piece where they are computed in several."""

    @property
    def certain(self) -> int:
        """What it takes whatever the data are."""
        return self.gradients + self.optimizer

    @property
    def most(self) -> int:
        """All of it that is still to come."""
        return self.certain + max(self.caches, self.activations + self.logits)

    def table(self, available: int) -> str:
        """One line a part, in GiB."""
        lines = [f"{name:12}{size / GIB:9.2f} GiB" for name, size in vars(self).items()]
        lines[0] += ", there already"
        return "\n".join(
            [*lines, f"{'at most':12}{self.most / GIB:9.2f} GiB more of {available / GIB:.2f} that are free"]
        )


def memory_of(
    run: TrainingRun, policy: LanguageModel, optimizers: Iterable[torch.optim.Optimizer], config: Any
) -> Memory:
    """What training and playing will take, see `Memory`.

    Args:
        run: tokens of a pass.
        policy: the language model; networks beside it are taken for its like.
        optimizers: over everything that is trained.
        config: ``slots`` and ``batch_size`` where the algorithm has them.
    """
    trained = {p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}
    size, weights = (
        sum(own.numel() * own.element_size() for own in map(local_tensor, them))
        for them in (trained, trained | set(policy.parameters()))
    )
    shape, form = text_config(policy.lm), policy.form
    heads = getattr(shape, "num_key_value_heads", None) or shape.num_attention_heads
    head = getattr(shape, "head_dim", None) or shape.hidden_size // shape.num_attention_heads
    layers, width = shape.num_hidden_layers, shape.hidden_size
    tokens = run.pass_tokens or getattr(config, "batch_size", 1) * form.max_tokens
    acted = min(tokens, getattr(config, "batch_size", tokens) * form.max_action_tokens)
    each = 2 if run.dtype == "bf16" else 4
    return Memory(
        weights=weights,
        gradients=size,
        optimizer=2 * size,
        caches=getattr(config, "slots", 0) * form.max_tokens * 2 * layers * heads * head * 4,
        activations=tokens * layers * width * (1 if policy.config.checkpointing else 34) * each,
        logits=min(acted, rows_of(policy.vocabulary)) * policy.vocabulary * 4 * 3,
    )


def available(device: str) -> int:
    """Free bytes on a device; of the processor's memory, where that is known."""
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        told = dict(line.split(":") for line in Path("/proc/meminfo").read_text("ascii").splitlines())
        return int(told["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 1 << 62


def check_weights(source: str, device: str) -> None:
    """See that a checkpoint's weights fit, by the headers of its files; one that is not on this machine yet is not looked at.

    Raises:
        TrainingError: they do not.
    """
    from safetensors import SafetensorError

    try:
        shapes = shapes_of(*weights_of(named_checkpoint(Path(), source)))
    except (OSError, ValueError, SafetensorError):
        return  # what reads it will say what is wrong with it
    needs = 4 * sum(map(math.prod, shapes.values()))
    for place in dict.fromkeys(("cpu", device)):  # it is read into the processor's memory first
        if needs > (free := available(place)):
            raise TrainingError(
                f"{place} has {free / GIB:.2f} GiB left; the weights of {source} take {needs / GIB:.2f} in float32: take a smaller model"
            )


def tell_memory(
    run: TrainingRun, policy: LanguageModel, optimizers: Mapping[str, torch.optim.Optimizer], config: Any, tell: bool
) -> None:
    """Tell what the run needs, where that is much.

    Raises:
        TrainingError: its gradients and optimizer alone do not fit.
    """
    needs, free = memory_of(run, policy, optimizers.values(), config), available(run.device)
    if needs.certain > free:
        raise TrainingError(
            f"{run.device} has {free / GIB:.2f} GiB left; gradients take {needs.gradients / GIB:.2f} and Adam's moments "
            f"{needs.optimizer / GIB:.2f} more: train adapters (--set model.lora_rank=16) or a smaller model"
        )
    if tell and needs.most >= TOLD_FROM:
        advice = (
            ""
            if needs.most <= free
            else "\nthis may not fit: lower --pass-tokens, slots or batch_size, --logits-at-once, or set model.checkpointing=true"
        )
        sys.stderr.write(f"memory on {run.device}:\n{needs.table(free)}{advice}\n")
