"""Low-rank adapters (LoRA, Hu et al., arXiv 2106.09685) by peft: the checkpoint stays as it is, and small matrices beside it are trained.

    y = W x + (alpha / rank) B A x,    A [rank, in] random, B [out, rank] zero at first, on every linear layer but the output's

Copies of such a model (the policy it started from, critics and their targets) share the checkpoint's weights and have adapters of
their own, so that they cost next to nothing; files hold the adapters alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from lmrl_agents.models.description import ModelConfig, checked_shapes
from lmrl_envs.files import needs
from lmrl_envs.files.checkpoints import digest_of, named_checkpoint, weights_of

M = TypeVar("M", bound=nn.Module)
MARK = "lora_"
NAME = "default"


def add_adapters(lm: Any, rank: int, alpha: float) -> None:
    """Put an adapter beside every linear layer, in place; they alone require gradients then."""
    needs("model.lora_rank", "peft")
    from peft import inject_adapter_in_model

    inject_adapter_in_model(settings(rank, alpha), lm, NAME)


def settings(rank: int, alpha: float) -> Any:
    """As peft has them."""
    from peft import LoraConfig

    return LoraConfig(r=rank, lora_alpha=alpha, target_modules="all-linear", task_type="CAUSAL_LM")  # type: ignore[arg-type]


def has_adapters(module: nn.Module) -> bool:
    """Whether there are adapters in a module."""
    return any(MARK in name for name, _ in module.named_parameters())


def train_only_adapters(module: M) -> M:
    """Of a module with adapters these are trained, of another everything."""
    adapted = has_adapters(module)
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(not adapted or MARK in name)
    return module


def copied(module: M) -> M:
    """A deep copy that shares the weights which adapters stand beside."""
    if not has_adapters(module):
        return copy.deepcopy(module)
    return copy.deepcopy(module, {id(p): p for name, p in module.named_parameters() if not _is_own(name)})


def without_base(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Of weights by name, where there are adapters among them, what is not the checkpoint's."""
    if not any(MARK in name for name in weights):
        return dict(weights)
    return {name: w for name, w in weights.items() if _is_own(name)}


def _is_own(name: str) -> bool:
    """Whether a parameter is no part of the checkpoint: an adapter's, or a value head's."""
    return MARK in name or "heads." in name


@torch.no_grad()
def merged(lm: Any) -> dict[str, torch.Tensor]:
    """The weights by name, adapters added to those that they stand beside, as a model without adapters has them."""
    weights = dict(lm.state_dict())
    if not has_adapters(lm):
        return weights
    from peft.tuners.lora import LoraLayer

    for name, layer in lm.named_modules():
        if isinstance(layer, LoraLayer):
            own = {
                key.removeprefix(f"{name}."): weights.pop(key) for key in list(weights) if key.startswith(f"{name}.")
            }
            base = {key.removeprefix("base_layer."): w for key, w in own.items() if key.startswith("base_layer.")}
            base["weight"] = base["weight"] + layer.get_delta_weight(NAME)  # type: ignore[operator]
            weights |= {f"{name}.{key}": w for key, w in base.items()}
    return weights


def export_adapters(lm: Any, source: str, rank: int, alpha: float, folder: Path) -> None:
    """Write the adapters as peft and servers read them, beside the name of their checkpoint."""
    from safetensors.torch import save_file

    weights = {
        f"base_model.model.{name.replace(f'.{NAME}.', '.')}": p.detach().clone().contiguous()
        for name, p in lm.named_parameters()
        if MARK in name
    }
    folder.mkdir(parents=True)
    save_file(weights, folder / "adapter_model.safetensors")
    config = settings(rank, alpha)
    config.base_model_name_or_path = source
    # The very layers, by their last names: another reader might understand "all-linear" in another way.
    config.target_modules = {name.split(f".{MARK}")[0].rpartition(".")[2] for name in weights}
    config.inference_mode = True
    config.save_pretrained(str(folder))


def load_adapters(make: Callable[..., M], about: Sequence[Any], folder: Path, description: Mapping[str, Any]) -> M:
    """A checkpoint's model with the adapters of a folder.

    Args:
        make: `LanguageModel.create`.
        about: its arguments, first the configuration as the folder has it.
        folder: of the adapters.
        description: of the folder.

    Raises:
        ValueError: the checkpoint cannot be had (`named_checkpoint`) or is another, or the adapters are damaged.
    """
    from safetensors.torch import load_file

    config: ModelConfig = about[0]
    checkpoint = named_checkpoint(folder, config.source)
    if digest_of(checkpoint) != description.get("checkpoint"):
        raise ValueError(f"{folder}: {config.source} is another checkpoint than its adapters were trained beside")
    checked_shapes(checkpoint, files=weights_of(checkpoint))
    owner: Any = make(replace(config, source=str(checkpoint)), *about[1:])
    owner.config = config
    weights = load_file(folder / "weights.safetensors")
    missing, unexpected = owner.load_state_dict(weights, strict=False)
    if any(MARK in name for name in missing) or unexpected:
        raise ValueError(f"{folder}: the adapters do not fit {config.source}")
    if not all(torch.isfinite(tensor).all() for tensor in weights.values()):
        raise ValueError(f"{folder}: there are weights that are no finite numbers")
    return owner.eval()
