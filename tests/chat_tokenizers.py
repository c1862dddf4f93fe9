"""Byte-level tokenizers with the chat templates of data/chat_templates.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

TEMPLATES: dict[str, Any] = tomllib.loads((Path(__file__).parent / "data" / "chat_templates.toml").read_text("utf-8"))
REFUSED = TEMPLATES.pop("refused")
TEXTS = [
    "You are at 1, 2. There is a wall to your left.",
    "move up move down move left move right",
    "system user assistant",
]


def tokenizer_of(family: str, texts: list[str] | None = None, size: int = 400) -> Any:
    """A tokenizer with the family's control tokens and template."""
    row = TEMPLATES.get(family) or REFUSED[family]
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        texts or TEXTS, trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    )
    named = {"eos_token": row["end"], **({"bos_token": row["bos"]} if "bos" in row else {})}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, clean_up_tokenization_spaces=False, **named)
    thoughts = [token for token in row["tokens"] if "think>" in token]
    tokenizer.add_special_tokens({"additional_special_tokens": [t for t in row["tokens"] if t not in thoughts]})
    tokenizer.add_tokens(thoughts)
    tokenizer.chat_template = row["template"]
    return tokenizer
