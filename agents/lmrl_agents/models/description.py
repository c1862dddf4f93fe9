"""What a folder says of the model in it, read as anybody's: `lmrl.json`, sizes of the network against those of its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from lmrl_envs.files.untrusted import Schema, checked, read

DESCRIPTION, NETWORK = "lmrl.json", "config.json"
Attention = Literal["", "eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"]
Piece = Annotated[str, Meta(max_length=1 << 16)]
Size = Annotated[int, Meta(ge=1, le=1 << 24)]


@dataclass(frozen=True)
class ModelConfig:
    """What the network is."""

    source: str = "config"
    """"config" for random weights of the size below, else a hub id or folder of a pretrained causal LM."""
    layers: int = 2
    width: int = 128
    heads: int = 4
    max_positions: int = 512
    compose: bool = False
    """Output rows of tokens are a free row plus trained vectors of the token's characters by position, so that words
    share what is learned about their letters. Input and output embeddings are not tied then."""
    outputs: int = 0
    """Only the first so many tokens are ever predicted, where actions are a choice (`TextFormat.choice`); 0: all."""
    dropout: float = 0.0
    """Rate in the transformer while a policy is cloned; nothing else is ever computed with dropout."""
    lora_rank: int = 0
    """Of low-rank adapters beside a checkpoint, which are trained instead of it (`adapters`); 0: the whole network is trained."""
    lora_alpha: float = 32.0
    """Their weight times their rank."""
    attention: Attention = ""
    """What computes a checkpoint's attention, as transformers names it (attn_implementation); "": what transformers chooses."""
    checkpointing: bool = False
    """Whether activations between a checkpoint's layers are computed twice instead of kept for the gradient."""


class ChatValues(Schema, frozen=True):
    """The ``chat`` of a format: see `lmrl_agents.models.chat.ChatLayout`."""

    before: Piece
    opening: Piece
    turn: Piece
    asks: Piece
    told: Piece
    lead: Piece
    end: Annotated[str, Meta(min_length=1, max_length=200)]
    rewrites: bool = False
    opens_thought: bool = False


class FormatValues(Schema, frozen=True):
    """The ``format`` of a model: see `lmrl_agents.models.tokens.TextFormat`."""

    view: str = "plain"
    context_turns: Size | None = None
    max_tokens: Size = 512
    max_action_tokens: Size = 64
    env_id: str = ""
    choice: bool = False
    chat: ChatValues | None = None
    instructions: Annotated[str, Meta(max_length=1 << 16)] = ""


class ModelValues(Schema, frozen=True):
    """The ``model`` of a model: see `lmrl_agents.models.model.ModelConfig`."""

    source: str = "config"
    layers: Size = 2
    width: Size = 128
    heads: Size = 4
    max_positions: Size = 512
    compose: bool = False
    outputs: Annotated[int, Meta(ge=0, le=1 << 24)] = 0
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    lora_rank: Annotated[int, Meta(ge=0, le=1 << 12)] = 0
    lora_alpha: Annotated[float, Meta(ge=0)] = 32.0
    attention: Attention = ""
    checkpointing: bool = False


def read_description(folder: Path) -> dict[str, Any]:
    """The ``lmrl.json`` of a folder, what it must have checked; a training adds to it what it likes.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    path = folder / DESCRIPTION
    try:
        found = read(path, dict[str, Any])
    except OSError as problem:
        raise ValueError(f"{folder} holds no trained model: {problem}") from None
    for key, kind in {"format": FormatValues, "model": ModelValues, "tokenizer": str}.items():
        if key not in found:
            raise ValueError(f"{path}: {key} is missing")
        checked(found[key], kind, f"{path}: {key}")
    checked(found.get("decoding", {}), dict[str, Any], f"{path}: decoding")
    return found


def shapes_of(*weights: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors in files of weights, by name; only their headers are read.

    Raises:
        OSError, safetensors.SafetensorError: it is missing, or no such file.
    """
    from safetensors import safe_open

    found: dict[str, tuple[int, ...]] = {}
    for path in weights:
        with safe_open(path, "pt") as file:
            found |= {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
    return found


def checked_shapes(folder: Path, width: int = 0, files: Sequence[Path] = ()) -> dict[str, tuple[int, ...]]:
    """The shapes of a model's weights, if its ``config.json`` asks for no more layers than there are, before any is made.

    Args:
        folder: of the model.
        width: that its description asks for.
        files: its weights; by default ``weights.safetensors``.

    Raises:
        ValueError: it does, or it is no configuration.
        OSError, safetensors.SafetensorError: see `shapes_of`.
    """
    shapes = shapes_of(*(files or [folder / "weights.safetensors"]))
    try:
        config = read(folder / NETWORK, dict[str, Any])
    except OSError as problem:
        raise ValueError(f"{folder} holds no network: {problem}") from None
    largest = max([len(shapes), *(size for shape in shapes.values() for size in shape)], default=0)
    for key, value in {**config, "width of a layer": width}.items():
        counts = any(part in key for part in ("layer", "expert", "block", "depth", "group", "head"))
        if counts and isinstance(value, int) and value > largest:
            raise ValueError(f"{folder / NETWORK}: {key} is {value}, and its weights are {len(shapes)} tensors")
    return shapes
