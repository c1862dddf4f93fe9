"""Several processes that train together (started by torchrun): who they are, what they agree on, joined gradients, shared weights.

Weights and optimizer states are whole on every process, or, where the model is too large for that, the weights of the
transformer's blocks are spread over all of them (PyTorch's FSDP2): each holds its part, and a block is whole only while it is
computed. Embeddings and heads stay whole, so that logits can be computed at action positions alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import nn


def distributed() -> tuple[int, int]:
    """Rank and number of the processes that train together (torchrun), (0, 1) when alone."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def all_reduce(value: float, how: Literal["mean", "sum", "min"] = "mean") -> float:
    """One number for all processes: what they decide by must be the same, or they would wait for each other for ever."""
    _, world = distributed()
    if world == 1:
        return value
    device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
    tensor = torch.tensor([value], dtype=torch.float64, device=device)
    torch.distributed.all_reduce(
        tensor, torch.distributed.ReduceOp.MIN if how == "min" else torch.distributed.ReduceOp.SUM
    )
    return tensor.item() / world if how == "mean" else tensor.item()


def backward(loss: torch.Tensor, parameters: Sequence[nn.Parameter], weight: float) -> None:
    """Gradients of the mean over all processes' data, as one process with all of it would have them.

    Args:
        loss: this process's mean.
        parameters: what the loss depends on.
        weight: sum of the weights that the loss is a mean over.
    """
    _, world = distributed()
    if world == 1:
        loss.backward()
        return
    (loss * (weight / all_reduce(weight, "sum"))).backward()
    for parameter in parameters:
        if is_sharded(parameter):
            if parameter.grad is not None:
                parameter.grad.mul_(world)  # joined block by block on the way back, as a mean
            continue
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
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


# -- spread weights


def shard(networks: Iterable[nn.Module]) -> None:
    """Spread the blocks of transformers over the processes, in place. Optimizers are made afterwards.

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
        mesh = mesh or init_device_mesh(next(iter(inner)).device.type, (distributed()[1],))
        for block in blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(trunk, mesh=mesh, ignored_params={p for p in trunk.parameters() if p not in inner})


def by_sharding(parameters: Iterable[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Whole and spread parameters in lists of their own, which is how optimizers want them; no empty list but the first."""
    own = list(parameters)
    spread = [parameter for parameter in own if is_sharded(parameter)]
    kept = [parameter for parameter in own if not is_sharded(parameter)]
    return [kept, spread] if spread else [kept]


def is_sharded(tensor: torch.Tensor) -> bool:
    """Whether this process holds only a part of it."""
    return hasattr(tensor, "full_tensor")


def full_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """All of a tensor; of a spread one on every process, all of which must ask."""
    return tensor.full_tensor() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def gather_to_first(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copies of whole tensors on the first process, nothing on the others; all of them must ask."""
    kept = {}
    for key, tensor in tensors.items():
        copy = full_tensor(tensor.detach()).contiguous()
        if distributed()[0] == 0:
            kept[key] = copy.cpu() if is_sharded(tensor) else copy.clone()
    return kept


def shard_like(value: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A whole tensor in the form of another: this process's part, where that one is spread."""
    if not is_sharded(like):
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)  # type: ignore[attr-defined]


@contextmanager
def unsharded(*modules: nn.Module) -> Iterator[None]:
    """Within, every process holds all weights and can compute on its own: to play."""
    if distributed()[1] == 1:
        yield
        return
    from torch.distributed.fsdp import FSDPModule

    spread = [m for module in modules for m in module.modules() if isinstance(m, FSDPModule)]
    for module in spread:
        module.set_reshard_after_forward(False, recurse=False)
        module.unshard()
    try:
        yield
    finally:
        for module in spread:
            module.set_reshard_after_forward(True, recurse=False)
            module.reshard()
