"""Several processes that train together (started by torchrun): who they are, what they agree on, joined gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch


def distributed() -> tuple[int, int]:
    """Rank and number of the processes that train together (torchrun), (0, 1) when alone."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def agree(value: float, how: Literal["mean", "least"] = "mean") -> float:
    """One number for all processes: what they decide by must be the same, or they would wait for each other for ever."""
    _, world = distributed()
    if world == 1:
        return value
    device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
    tensor = torch.tensor([value], dtype=torch.float64, device=device)
    torch.distributed.all_reduce(
        tensor, torch.distributed.ReduceOp.SUM if how == "mean" else torch.distributed.ReduceOp.MIN
    )
    return tensor.item() / world if how == "mean" else tensor.item()


def join_gradients(parameters: Sequence[torch.nn.Parameter], weight: float) -> None:
    """Replace each process's gradient of its mean by the gradient of the mean over all, as one process would have it."""
    _, world = distributed()
    if world == 1:
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    total = torch.tensor([weight], dtype=torch.float64, device=parameters[0].device)
    torch.distributed.all_reduce(total)
    for parameter in parameters:
        assert parameter.grad is not None
        parameter.grad.mul_(weight / total.item())
        torch.distributed.all_reduce(parameter.grad)
