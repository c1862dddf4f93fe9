"""Value networks: a transformer of their own, started from the policy's, with heads for Q and V, and slow targets."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

import torch
import torch.nn.functional as F
from torch import nn

from lmrl_agents.models.adapters import copied, train_only_adapters
from lmrl_agents.models.chunks import Numbers, in_pieces
from lmrl_agents.models.composition import CharacterComposition, token_texts
from lmrl_agents.models.description import shapes_of
from lmrl_agents.models.families import text_config
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.packed import states_at
from lmrl_agents.models.steps import StepBatch
from lmrl_agents.models.tokenizer import TaskTokenizer
from lmrl_agents.models.value_network import ValueNetwork

WEIGHTS, DESCRIPTION = "critic.safetensors", "critic.json"


@dataclass(frozen=True)
class CriticConfig:
    """Heads of a value network."""

    heads: tuple[str, ...] = ("value", "q1", "q2")
    """Names that begin with q give one number for each token, ``distribution`` so many ``outputs`` a state, others (``value``) one."""
    hidden: int = 0
    """Width of a hidden layer in each head; 0: the head is linear."""
    compose: bool = False
    """Rows of the Q heads are shared by characters, see `CharacterComposition`."""
    outputs: int = 1
    """Numbers of the head ``distribution``."""


class Taken(NamedTuple):
    """What a table over the tokens says of one token in each row: float [N] each."""

    value: torch.Tensor
    surprise: torch.Tensor
    """- log softmax of the row at the token."""


def value_of(table: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
    """A token's number in each row: float [N, V], int64 [N] -> float [N]."""
    return table.gather(1, token[:, None])[:, 0]


def taken(table: torch.Tensor, token: torch.Tensor) -> Taken:
    """Of a token in each row: float [N, V], int64 [N]."""
    return Taken(value_of(table, token), F.cross_entropy(table, token, reduction="none"))


def least(q: Sequence[torch.Tensor]) -> torch.Tensor:
    """The smallest of several heads' values, which all have one shape."""
    return reduce(torch.minimum, q)


class Head(nn.Module):
    """Hidden layer (if any) and an output layer that starts at zero: every value is ``initial`` at first."""

    def __init__(self, width: int, outputs: int, hidden: int, initial: float, texts: list[str] | None) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(width, hidden), nn.GELU()) if hidden else nn.Identity()
        inner = hidden or width
        self.weight = nn.Parameter(torch.zeros(outputs, inner))
        self.bias = nn.Parameter(torch.full((outputs if texts is None else 1,), float(initial)))
        self.composition = CharacterComposition(texts, inner) if texts else None
        if self.composition is not None:
            nn.init.zeros_(self.composition.vectors)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """float [N, width] -> float [N, outputs]"""
        weight = self.weight if self.composition is None else self.composition(self.weight)
        return self.body(states) @ weight.T + self.bias


class Critic(ValueNetwork):
    """Values of states and tokens.

    Args:
        trunk: Hugging Face base model.
        width: of its states.
        tokenizer: what the Q heads' outputs mean.
        config: which heads.
        initial: what every head says before it is trained.
        outputs: of the Q heads; default: as many as the tokenizer has tokens.
    """

    files = WEIGHTS, DESCRIPTION

    def __init__(
        self,
        trunk: Any,
        width: int,
        tokenizer: TaskTokenizer,
        config: CriticConfig,
        initial: float = 0.0,
        outputs: int = 0,
    ) -> None:
        super().__init__()
        self.trunk, self.config, self.tokenizer = trunk, config, tokenizer
        texts = token_texts(tokenizer) if config.compose else None
        self.heads = nn.ModuleDict(
            {
                name: Head(width, outputs or len(tokenizer), config.hidden, initial, texts)
                if name.startswith("q")
                else Head(width, config.outputs if name == "distribution" else 1, config.hidden, initial, None)
                for name in config.heads
            }
        )

    @classmethod
    def beside(cls, model: LanguageModel, config: CriticConfig, initial: float = 0.0, shared: bool = False) -> Self:
        """A critic whose transformer starts as a copy of the policy's, or is the policy's (``shared``)."""
        trunk: Any = model.networks[0]
        if not shared:
            trunk = train_only_adapters(copied(trunk))  # the policy may be frozen
        width = text_config(trunk).hidden_size
        return cls(trunk, width, model.tokenizer, config, initial, model.vocabulary).to(model.device).eval()

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    def states(self, batch: StepBatch) -> torch.Tensor:
        """Hidden states float [S, width] of the batch's states."""
        return states_of(self.trunk, batch)

    def value(self, states: torch.Tensor) -> torch.Tensor:
        """V, float [S]."""
        return self.heads["value"](states)[:, 0].float()

    def q(self, states: torch.Tensor) -> list[torch.Tensor]:
        """Each Q head's values, float [S, V]."""
        return [head(states).float() for name, head in self.heads.items() if name.startswith("q")]

    def least_q(self, states: torch.Tensor) -> torch.Tensor:
        """The smallest of the Q heads, float [S, V]."""
        return least(self.q(states))

    def read_tables(self, of: Callable[..., Numbers], states: torch.Tensor, *rows: torch.Tensor) -> Numbers:
        """``of(q, *rows)`` of states, float [N, width], in pieces, see `chunks.in_pieces`; q is what `q` gives."""
        outputs = next(len(head.weight) for name, head in cast(Any, self.heads).items() if name[0] == "q")
        return in_pieces(lambda own, *more: of(self.q(own), *more), outputs, states, *rows)

    def values_of(self, states: torch.Tensor, token: torch.Tensor) -> list[torch.Tensor]:
        """Each Q head's value of a token in each state: float [N, width], int64 [N] -> float [N] each."""
        return list(self.read_tables(lambda q, own: tuple(value_of(head, own) for head in q), states, token))

    def taken(self, states: torch.Tensor, token: torch.Tensor) -> list[Taken]:
        """Of each Q head `taken`, likewise."""
        told = self.read_tables(lambda q, own: tuple(one for head in q for one in taken(head, own)), states, token)
        return [Taken(*told[k : k + 2]) for k in range(0, len(told), 2)]

    @property
    def has_q(self) -> bool:
        """Whether it values actions: else (`ppo`, `reinforce`) it values positions alone."""
        return any(name.startswith("q") for name in self.heads)

    @property
    def has_value(self) -> bool:
        """Whether it gives states one number."""
        return "value" in self.heads

    @torch.no_grad()
    def scaled(self, factor: float) -> Critic:
        """One with the same transformer whose values are ``factor`` times as large."""
        twin = copy.copy(self)
        twin._modules = {**self._modules, "heads": copy.deepcopy(self.heads).requires_grad_(False)}
        for name, parameter in twin.heads.named_parameters():
            if ".body." not in name:  # the hidden layer
                parameter.mul_(factor)
        return twin

    @classmethod
    def load(cls, folder: Path, model: LanguageModel) -> Self:
        """Read a critic that was saved beside this policy.

        Raises:
            ValueError: the weights do not fit.
        """

        def make(config: CriticConfig) -> Self:
            largest = max((size for shape in shapes_of(folder / WEIGHTS).values() for size in shape), default=0)
            if not max(config.hidden, config.outputs) <= largest or config.hidden < 0 or len(config.heads) > 16:
                raise ValueError(f"{config.hidden} units in {len(config.heads)} heads")
            return cls.beside(model, config)

        return cls.read(folder, CriticConfig, make).to(model.device)


def states_of(trunk: Any, batch: StepBatch) -> torch.Tensor:
    """Hidden states of a batch's states under a base model: float [S, width]."""
    return states_at(trunk, batch.tokens, batch.length, batch.state_row, batch.state_column)
