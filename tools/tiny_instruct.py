"""A tiny instruct model (Llama-shaped, 2 layers, ChatML), trained here on rendered games: what docs/train-your-llm.md is run on.

    python tools/tiny_instruct.py OUT [--env ID --data NAME --steps N --width W]

It knows the form of the task's conversations and what the players of the data do; it was trained on nothing else.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import gymnasium
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.learning.train import train
from lmrl_agents.models.model import LanguageModel
from lmrl_datasets import load_dataset

TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def tokenizer_of(texts: list[str], size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE of these texts with a ChatML template."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, clean_up_tokenization_spaces=False)
    tokenizer.add_special_tokens({"eos_token": "<|im_end|>", "additional_special_tokens": ["<|im_start|>"]})
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def blank(folder: Path, env: str, data: str, width: int, layers: int = 2) -> None:
    """Write an untrained checkpoint whose tokenizer knows the words of a task."""
    instructions = gymnasium.make(env).unwrapped.instructions  # type: ignore[attr-defined]
    games = load_dataset(data, split="train", sample=True, env_id=env)
    tokenizer = tokenizer_of([instructions] * 2 + [turn.text for game in games for turn in game.transcript], 1500)
    end: Any = tokenizer.eos_token_id
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=3 * width, num_hidden_layers=layers,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=2048, eos_token_id=end,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main() -> None:
    """Make the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--env", default="lmrl/Wordle-v0")
    parser.add_argument("--data", default="wordle/mixed-v0")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--width", type=int, default=64)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder, "blank")
        blank(start, asked.env, asked.data, asked.width)
        settings = {"model.source": str(start), "bc.steps": asked.steps, "bc.learning_rate": 3e-3, "bc.batch_size": 32}
        run = TrainingRun(
            "bc", asked.env, asked.data, Path(folder, "run"), preset="instruct", sample=True, overrides=settings
        )
        LanguageModel.load(train(run)).export(asked.out)
    print(asked.out)


if __name__ == "__main__":
    main()
