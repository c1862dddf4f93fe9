"""Training in several processes (started by torchrun): ranks, numbers and gradients reduced over all, sharded weights.

Every process holds all weights and optimizer states, or, where the model is too large for that, the weights of the
transformer's blocks are sharded (PyTorch's FSDP2): each process holds its part, and a block is gathered only while it is
computed. Embeddings and heads stay whole, so that logits can be computed at action positions alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict, get_state_dict


def rank() -> int:
    """Number of this process among those that train together, 0 when alone."""
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


def world_size() -> int:
    """How many processes train together."""
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def all_reduce(value: float, how: Literal["mean", "sum", "min"] = "mean") -> float:
    """One number for all processes: what decides how often networks are called must be equal, or processes would wait forever."""
    world = world_size()
    if world == 1:
        return value
    device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
    tensor = torch.tensor([value], dtype=torch.float64, device=device)
    torch.distributed.all_reduce(
        tensor, torch.distributed.ReduceOp.MIN if how == "min" else torch.distributed.ReduceOp.SUM
    )
    return tensor.item() / world if how == "mean" else tensor.item()


def all_reduce_array(values: np.ndarray) -> np.ndarray:
    """Sums over all processes, number by number; every process must bring as many."""
    if world_size() == 1:
        return values
    device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
    tensor = torch.tensor(values, dtype=torch.float64, device=device)
    torch.distributed.all_reduce(tensor)
    return tensor.cpu().numpy()


def moments(values: np.ndarray, ddof: int = 0) -> tuple[float, float]:
    """Mean and standard deviation of what all processes hold together (0 where there are too few)."""
    count, total = all_reduce_array(np.array([len(values), values.sum()]))
    mean = total / max(count, 1)
    squares = all_reduce_array(np.array([((values - mean) ** 2).sum()]))[0]
    return float(mean), float(np.sqrt(squares / (count - ddof))) if count > ddof else 0.0


def gathered(values: Sequence[Any]) -> list[Any]:
    """What all processes hold, in the order in which it was dealt out to them (``all[rank() :: world_size()]``); any Python values."""
    if world_size() == 1:
        return list(values)
    found: list[Any] = [None] * world_size()
    torch.distributed.all_gather_object(found, list(values))
    return [part[i] for i in range(max(map(len, found))) for part in found if i < len(part)]


def backward(loss: torch.Tensor, parameters: Sequence[nn.Parameter], weight: float) -> None:
    """Gradients of the mean over all processes' data, as one process with all of it would have them.

    Args:
        loss: this process's mean.
        parameters: what the loss depends on.
        weight: sum of the weights that the loss is a mean over.
    """
    world = world_size()
    if world == 1:
        loss.backward()
        return
    (loss * (weight / all_reduce(weight, "sum"))).backward()
    for parameter in parameters:
        if is_sharded(parameter):
            if parameter.grad is not None:
                parameter.grad.mul_(world)  # FSDP has averaged it
            continue
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        torch.distributed.all_reduce(parameter.grad)


def join_gradients(parameters: Sequence[nn.Parameter], weight: float) -> None:
    """Gradients of a mean out of those of sums, added up over the passes of this process and then over all processes.

    Args:
        parameters: whose gradients are of sums so far.
        weight: of this process's terms together.
    """
    total = all_reduce(weight, "sum")
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        parameter.grad.div_(total)
        if world_size() > 1:
            torch.distributed.all_reduce(parameter.grad)


def clip_gradients(parameters: Sequence[nn.Parameter], limit: float) -> torch.Tensor:
    """Scale gradients down to a norm of at most ``limit``; returns the norm before."""
    if not any(is_sharded(parameter) for parameter in parameters):
        return nn.utils.clip_grad_norm_(parameters, limit)
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.stack([full_tensor(gradient.norm()) for gradient in gradients]).norm()
    scale = (limit / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scale)
    return norm


# -- sharded weights


def shard(*networks: nn.Module) -> None:
    """Shard the blocks of transformers over the processes, in place. Optimizers are made afterwards.

    Args:
        networks: modules with one transformer each, whose blocks are its longest `torch.nn.ModuleList`.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = None
    for network in networks:
        blocks = max((m for m in network.modules() if isinstance(m, nn.ModuleList)), key=len)
        inner = {parameter for block in blocks for parameter in block.parameters()}
        trunk = next(m for m in network.modules() if blocks in m.children())
        mesh = mesh or init_device_mesh(next(iter(inner)).device.type, (world_size(),))
        for block in blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(trunk, mesh=mesh, ignored_params={p for p in trunk.parameters() if p not in inner})


def by_sharding(parameters: Iterable[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Whole and sharded parameters in lists of their own, which is how optimizers want them; no empty list."""
    kinds: dict[bool, list[nn.Parameter]] = {False: [], True: []}
    for parameter in parameters:
        kinds[is_sharded(parameter)].append(parameter)
    return [own for own in kinds.values() if own]


def is_sharded(tensor: torch.Tensor) -> bool:
    """Whether this process holds only a part of it."""
    return hasattr(tensor, "full_tensor")


def full_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """All of a tensor; of a sharded one on every process, all of which must ask."""
    return tensor.full_tensor() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def local_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """This process's part of a tensor; of a whole one all of it."""
    return tensor.to_local() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def full_state(
    network: nn.Module, *optimizers: torch.optim.Optimizer
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Copies of a network's whole weights, and of the state of its optimizers by parameter, on the first process's CPU.

    All processes must ask; the others are given nothing.
    """
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    if optimizers:
        weights, state = get_state_dict(network, optimizers, options=options)
    else:
        weights, state = get_model_state_dict(network, options=options), {}
    # Tied weights share their memory, which safetensors do not write.
    return {name: w.clone(memory_format=torch.contiguous_format) for name, w in weights.items()}, state  # type: ignore[union-attr]


@contextmanager
def unsharded(*modules: nn.Module) -> Iterator[None]:
    """Within, every process holds all weights and can compute on its own: to play."""
    if world_size() == 1:
        yield
        return
    from torch.distributed.fsdp import FSDPModule

    sharded = [m for module in modules for m in module.modules() if isinstance(m, FSDPModule)]
    for module in sharded:
        module.set_reshard_after_forward(False, recurse=False)
        module.unshard()
    try:
        yield
    finally:
        for module in sharded:
            module.set_reshard_after_forward(True, recurse=False)
            module.reshard()
