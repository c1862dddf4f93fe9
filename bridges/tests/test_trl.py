"""GRPO of TRL itself on our tasks: real steps of a small model that has learnt the form of an action."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import trl
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM
from transformers.utils import get_json_schema
from trl import GRPOConfig, GRPOTrainer

import lmrl_envs
from datasets import Dataset
from lmrl_bridges import Game
from lmrl_bridges import trl as bridge
from lmrl_bridges.chat_tokens import answer_ids

WORDLE, MAZE = "lmrl/Wordle-v0", "lmrl/MazeFullyObserved-v0"
WORDS = ("crane", "plant", "house", "light", "water", "place")
TEMPLATE = (Path(trl.__file__).parent / "chat_templates" / "qwen3.jinja").read_text("utf-8")
CALL, END = '\n{"name": "guess", "arguments": {"word": "', '"}}\n'
MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>", "<think>", "</think>")


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    own = Tokenizer(models.BPE())
    own.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    own.decoder = decoders.ByteLevel()
    text = [Game(id).instructions for id in (WORDLE, MAZE)] + [TEMPLATE] * 3 + list(WORDS) * 50
    own.train_from_iterator(
        text, trainers.BpeTrainer(vocab_size=1200, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    )
    found = PreTrainedTokenizerFast(tokenizer_object=own, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    found.add_special_tokens({"additional_special_tokens": [m for m in MARKS[:3] if m not in found.all_special_tokens]})
    found.add_tokens([*MARKS[3:], CALL, END, *WORDS])
    found.chat_template = TEMPLATE
    return found


def rows_to_win(tools: bool) -> list[dict]:
    """Games whose word is one of those that the model says: some are won, so that rewards differ."""
    game, found = Game(WORDLE), []
    for row in bridge.rows(WORDLE, 400, tools=tools):
        game.reset(row_seed(row))
        if game.env.get_state()["game"]["secret"] in WORDS:
            found.append(row)
    return found[:8]


def row_seed(row: dict) -> int:
    return row["seed"] if "seed" in row else json.loads(row["prompt"][-1][bridge.GAME])["seed"]


def model_that(tokenizer, follows: list[tuple[int, list[int]]]) -> Qwen3ForCausalLM:
    """A model of two layers that says after a token one of those that are to follow it: weights set by hand, no training.

    Attention and feed-forward layers add nothing at first, so that logits are products of embeddings and the head's rows.
    """
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer), hidden_size=64, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=2, head_dim=16, max_position_embeddings=4096,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
        )
    )  # fmt: skip
    with torch.no_grad():
        embedded = torch.nn.functional.normalize(torch.randn(len(tokenizer), 64), dim=1)
        model.model.embed_tokens.weight.copy_(embedded)
        model.lm_head.weight.zero_()
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        for token, nexts in follows:
            for other in nexts:
                model.lm_head.weight[other] += 3 * embedded[token]
    return model


def trained(tmp_path: Path, model, tokenizer, rows: list[dict], **arguments) -> tuple[GRPOTrainer, list[dict]]:
    config = GRPOConfig(
        output_dir=str(tmp_path), max_steps=2, per_device_train_batch_size=4, num_generations=4, logging_steps=1,
        max_completion_length=500, report_to=[], use_cpu=True, save_strategy="no", bf16=False, learning_rate=1e-3,
        chat_template_kwargs={"enable_thinking": False}, temperature=1.0,
    )  # fmt: skip
    trainer = GRPOTrainer(
        model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer, **arguments
    )
    before = [p.detach().clone() for p in trainer.model.parameters()]
    trainer.train()
    assert any(not torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))
    return trainer, [log for log in trainer.state.log_history if "reward" in log]


def seen(monkeypatch) -> list[tuple[int, float, tuple[str, ...]]]:
    """Seed, score and actions of every game that is scored from now on."""
    found, real, scored = [], Game.reset, Game.score

    def reset(self, seed=None, options=None):
        self.seed = seed
        return real(self, seed, options)

    def score(self):
        value = scored.fget(self)
        found.append((self.seed, value, self.transcript.actions))
        return value

    monkeypatch.setattr(Game, "reset", reset)
    monkeypatch.setattr(Game, "score", property(score))
    return found


def test_the_tool_is_one_that_a_template_takes() -> None:
    for id in (WORDLE, MAZE, "lmrl/TwentyQuestions-v1"):
        one = bridge.environment(id)()
        tool = lmrl_envs.task(id).surface.answer_form.tool
        schema = get_json_schema(getattr(one, tool.name))["function"]
        assert schema["name"] == tool.name and schema["parameters"]["required"] == [tool.argument]
        assert schema["parameters"]["properties"][tool.argument]["type"] == "string"
        one.reset(seed=1)
        assert getattr(one, tool.name)(**{tool.argument: "nothing that counts"})
        assert one.get_reward() == lmrl_envs.task(id).return_range[0]


def test_two_steps_by_tools(tmp_path: Path, tokenizer, monkeypatch) -> None:
    rows = rows_to_win(tools=True)
    tools = [bridge.environment(WORDLE)().guess]
    opening = Game(WORDLE).reset(0)
    messages = [rows[0]["prompt"][0], {"role": "user", "content": opening}]
    prompt = tokenizer.apply_chat_template(
        messages, tools=tools, add_generation_prompt=True, return_dict=False, enable_thinking=False
    )
    call, end, start, stop = (tokenizer.convert_tokens_to_ids(t) for t in (CALL, END, "<tool_call>", "</tool_call>"))
    words = tokenizer.convert_tokens_to_ids(list(WORDS))
    follows = [(prompt[-1], [start]), (start, [call]), (call, words), *((word, [end]) for word in words), (end, [stop])]
    model = model_that(tokenizer, [*follows, (stop, [tokenizer.eos_token_id])])
    games = seen(monkeypatch)
    _, logs = trained(tmp_path, model, tokenizer, rows, environment_factory=bridge.environment(WORDLE))
    assert len(logs) == 2 and all(log["tools/call_frequency"] > 0 for log in logs)
    assert sum(bool(actions) for _, _, actions in games) >= 6 and len(games) == 8
    groups = [games[:4], games[4:]]
    assert [len({seed for seed, _, _ in group}) for group in groups] == [1, 1]
    assert {seed for group in groups for seed, _, _ in group} <= {row["seed"] for row in rows}
    assert any(log["reward_std"] > 0 for log in logs)
    for log, group in zip(logs, groups, strict=True):
        assert log["reward"] == pytest.approx(sum(score for _, score, _ in group) / 4)


def test_several_tasks_in_one_run(tmp_path: Path, tokenizer) -> None:
    rows = bridge.rows(WORDLE, 4, environment="wordle") + bridge.rows(MAZE, 4, environment="maze")
    model = model_that(tokenizer, [(k, [tokenizer.eos_token_id]) for k in range(len(tokenizer))])
    factories = {"wordle": bridge.environment(WORDLE), "maze": bridge.environment(MAZE)}
    logs = trained_quietly(tmp_path, model, tokenizer, rows, factories)
    names = {name.split("/")[1] for log in logs for name in log if name.startswith("rewards/")}
    assert names == {"lmrlWordlev0", "lmrlMazeFullyObservedv0"}
    least = {lmrl_envs.task(id).return_range[0] for id in (WORDLE, MAZE)}
    assert {log["reward"] for log in logs} <= least  # it calls nothing: every game is unfinished


def trained_quietly(tmp_path, model, tokenizer, rows, factories):
    config = GRPOConfig(
        output_dir=str(tmp_path), max_steps=2, per_device_train_batch_size=4, num_generations=4, logging_steps=1,
        max_completion_length=20, report_to=[], use_cpu=True, save_strategy="no", bf16=False, shuffle_dataset=False,
    )  # fmt: skip
    trainer = GRPOTrainer(
        model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer,
        environment_factory=factories,
    )  # fmt: skip
    trainer.train()
    return [log for log in trainer.state.log_history if "reward" in log]


def test_two_steps_by_messages(tmp_path: Path, tokenizer, monkeypatch) -> None:
    rows = rows_to_win(tools=False)
    messages = [{key: m[key] for key in ("role", "content")} for m in rows[0]["prompt"]]
    prompt = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_dict=False, enable_thinking=False
    )
    words = tokenizer.convert_tokens_to_ids(list(WORDS))
    model = model_that(tokenizer, [(prompt[-1], words), *((word, [tokenizer.eos_token_id]) for word in words)])
    games, kept = seen(monkeypatch), []

    def rollout(prompts, trainer):
        kept.append(bridge.rollout(prompts, trainer))
        return kept[-1]

    _, logs = trained(tmp_path, model, tokenizer, rows, rollout_func=rollout, reward_funcs=bridge.score)
    assert len(logs) == 2 and any(log["reward_std"] > 0 for log in logs)
    for batch, log in zip(kept, logs, strict=True):
        assert log["reward"] == pytest.approx(sum(batch["lmrl_return"]) / 4)
        for ids, mask in zip(batch["completion_ids"], batch["env_mask"], strict=True):
            assert len(ids) == len(mask) <= 500 and mask[0] == 1
    assert {seed for seed, _, _ in games} <= {row_seed(row) for row in rows}


def test_what_follows_a_message_is_what_the_template_writes(tokenizer) -> None:
    asked = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    whole = tokenizer.apply_chat_template(
        [*asked, {"role": "user", "content": "next"}], tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    tail = tokenizer.decode(answer_ids(tokenizer, "next", enable_thinking=False))
    assert whole.endswith(tail) and tail.count("next") == 1 and "a<|im_end|>" not in tail
