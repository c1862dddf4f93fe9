"""TRL's own DPOTrainer and RewardTrainer on exported preferences, as they are: real steps of a small model from nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from test_trl import TEMPLATE
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM, Qwen3ForSequenceClassification
from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer

from datasets import load_dataset
from lmrl_benchmarks.commands.cli import run

END, PAD = "<|im_end|>", "<|endoftext|>"


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prefs")
    command = ["prefs", "collect", "--env", "lmrl/Headline-v0", "--labels", "24", "--labeller", "gold:k=8,e=.1"]
    assert run([*command, "--out", str(out / "pairs")]) == 0
    for form in ("explicit", "implicit", "messages"):
        assert run(["prefs", "export", str(out / "pairs"), "--form", form, "--out", str(out / f"{form}.jsonl")]) == 0
    return out


@pytest.fixture(scope="module")
def tokenizer(pairs: Path) -> PreTrainedTokenizerFast:
    own = Tokenizer(models.BPE())
    own.pre_tokenizer, own.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    text = [(pairs / "explicit.jsonl").read_text("utf-8")]
    own.train_from_iterator(
        text, trainers.BpeTrainer(vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    )
    found = PreTrainedTokenizerFast(tokenizer_object=own, eos_token=END, pad_token=PAD)
    found.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    found.chat_template = TEMPLATE
    return found


def config(tokenizer: PreTrainedTokenizerFast) -> Qwen3Config:
    torch.manual_seed(0)
    return Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, head_dim=16, num_labels=1, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )  # fmt: skip


COMMON = {"max_steps": 3, "per_device_train_batch_size": 8, "learning_rate": 1e-2, "report_to": "none", "logging_steps": 1,
          "save_strategy": "no", "use_cpu": True, "seed": 0}  # fmt: skip


@pytest.mark.parametrize("form", ["explicit", "implicit", "messages"])
@pytest.mark.parametrize("trainer", ["dpo", "reward"])
def test_an_export_trains_as_it_is(trainer: str, form: str, pairs: Path, tokenizer, tmp_path: Path) -> None:
    path = pairs / f"{form}.jsonl"
    data = load_dataset("json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(data) == sum(1 for _ in path.open()) > 15
    if trainer == "dpo":
        Qwen3ForCausalLM(config(tokenizer)).save_pretrained(tmp_path / "model")  # TRL loads the reference from there
        made = DPOTrainer(
            str(tmp_path / "model"),
            args=DPOConfig(str(tmp_path), **COMMON),
            train_dataset=data,
            processing_class=tokenizer,
        )
    else:
        made = RewardTrainer(
            Qwen3ForSequenceClassification(config(tokenizer)), args=RewardConfig(str(tmp_path), **COMMON), train_dataset=data,
            processing_class=tokenizer,
        )  # fmt: skip
    before = {name: weight.clone() for name, weight in made.model.named_parameters()}
    made.train()
    losses = [row["loss"] for row in made.state.log_history if "loss" in row]
    assert len(losses) == 3 and all(0 < loss < 5 for loss in losses)
    if trainer == "dpo":
        assert losses[0] == pytest.approx(0.693147, abs=2e-3)  # policy and reference are one
    assert any(not torch.equal(before[name], weight) for name, weight in made.model.named_parameters())


def test_what_is_exported_says_which_is_better(pairs: Path) -> None:
    for line in (pairs / "explicit.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        assert row["chosen"] != row["rejected"] and row["prompt"]
