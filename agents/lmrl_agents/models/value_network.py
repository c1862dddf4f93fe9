"""Networks of values beside a language model: their files in its folder, and slow copies that follow them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import nn

from lmrl_agents.models.adapters import copied, has_adapters, without_base
from lmrl_agents.models.distributed import full_state, is_sharded, rank
from lmrl_envs.files.untrusted import read


class ValueNetwork(nn.Module):
    """A network with a dataclass of its sizes as ``config``."""

    files: ClassVar[tuple[str, str]]
    """Names of its weights and of its sizes in a model's folder."""
    config: Any

    def target(self) -> Self:
        """A copy that is never trained; `follow` moves it."""
        return copied(self).requires_grad_(False).eval()

    @torch.no_grad()
    def follow(self, source: Self, rate: float) -> None:
        """Move every weight by ``rate`` of its way towards the source's."""
        pairs = [(a, b) for a, b in zip(self.parameters(), source.parameters(), strict=True) if a is not b]
        own: list[torch.Tensor] = [a for a, _ in pairs]
        other: list[torch.Tensor] = [b for _, b in pairs]
        if any(is_sharded(weight) for weight in own):  # the two kinds do not go together in one call
            for weight, goal in zip(own, other, strict=True):
                weight.lerp_(goal, rate)
        else:
            torch._foreach_lerp_(own, other, rate)

    def save(self, folder: Path) -> None:
        """Write weights and sizes beside a saved language model; every process must call."""
        from safetensors.torch import save_file

        weights, _ = full_state(self)
        if rank() != 0:
            return
        save_file(without_base(weights), folder / self.files[0])
        (folder / self.files[1]).write_text(json.dumps(asdict(self.config)) + "\n", "utf-8")

    @classmethod
    def read(cls, folder: Path, kind: type, make: Callable[[Any], Self]) -> Self:
        """Read what `save` wrote.

        Args:
            folder: of the language model.
            kind: of the sizes.
            make: the network of such sizes, from which weights that are not in the file are taken (those that adapters stand
                beside); a ValueError where they cannot be.

        Raises:
            ValueError: it is damaged, or does not fit.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = folder / cls.files[0]
        try:
            network = make(read(folder / cls.files[1], kind))
            weights = load_file(path)
            if has_adapters(network):
                weights = {**network.state_dict(), **weights}
            network.load_state_dict(weights)
        except (RuntimeError, OSError, ValueError, SafetensorError) as problem:
            raise ValueError(f"{path} is damaged or does not fit the model: {problem}") from problem
        return network.eval()
