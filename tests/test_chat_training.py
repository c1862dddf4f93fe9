"""Every algorithm trains an instruct model in its own chat template, and what is played is what was learned."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import gymnasium
import pytest
import torch
from chat_tokenizers import tokenizer_of
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from lmrl_agents import Request, load_agent
from lmrl_agents.learning.online import frozen
from lmrl_agents.learning.run import TrainingError, TrainingRun
from lmrl_agents.learning.session import Session
from lmrl_agents.learning.train import train
from lmrl_agents.models.adapters import MARK
from lmrl_agents.models.critic import Critic, CriticConfig
from lmrl_agents.models.description import read_description
from lmrl_agents.models.model import LanguageModel, ModelConfig
from lmrl_agents.models.tokenizer import TaskTokenizer
from lmrl_agents.models.tokens import TextFormat, TokenEpisode
from lmrl_agents.playing.collecting import Collection, collect
from lmrl_agents.playing.policy_agent import LanguageModelAgent
from lmrl_datasets.preferences.labelling import label_pairs
from lmrl_envs import Transcript, Turn

ENV = "lmrl/Wordle-v0"
SHORT = {
    "text.max_tokens": 320,
    "text.max_action_tokens": 8,
    "bc.steps": 2,
    "bc.batch_size": 4,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "bc": {},
    "filtered_bc": {"steps": 2, "batch_size": 4},
    **{name: {"steps": 2, "batch_size": 4, "validation_episodes": 2, "betas": [4.0]} for name in ("mc", "ilql", "cql")},
    **{name: {"iterations": 1, "episodes": 2, "slots": 2} for name in ("ppo", "reinforce", "online_filtered_bc")},
    "grpo": {"iterations": 1, "episodes": 1, "group_size": 2},
    **{name: {"epochs": 1, "batch_size": 4} for name in ("reward_model", "dpl")},
    "dpo": {"steps": 2, "batch_size": 4},
    "online_dpo": {"iterations": 1, "episodes": 1, "slots": 2, "labeller": "gold"},
}
PAIRED = ("reward_model", "dpl", "dpo")


@pytest.fixture(scope="module")
def instruct(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as the hub has them: Llama-shaped, bfloat16, more rows than tokens, a ChatML template."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("instruct")
    tokenizer = tokenizer_of("chatml", [gymnasium.make(ENV).unwrapped.instructions] * 2, size=600)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer) + 13, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def run_of(algorithm: str, source: Path, data: Path, out: Path, **settings: Any) -> TrainingRun:
    own = {f"{algorithm}.{key}": value for key, value in SETTINGS[algorithm].items()}
    return TrainingRun(
        algorithm, ENV, str(data), out, preset="instruct", show_progress=False,
        overrides={"model.source": str(source), **SHORT, **own, **settings},
    )  # fmt: skip


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Games of one secret, compared."""
    folder = tmp_path_factory.mktemp("pairs") / "wordle"
    collect(Collection(ENV, ["suboptimal"], 6), [load_agent("suboptimal")], folder)
    label_pairs(folder, "gold")
    return folder


@pytest.fixture(scope="module")
def clone(instruct, wordle_data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(run_of("bc", instruct, wordle_data, tmp_path_factory.mktemp("clone") / "run"))


@pytest.mark.parametrize("algorithm", SETTINGS)
def test_algorithms_train_in_chats(algorithm, instruct, clone, wordle_data, pairs, tmp_path) -> None:
    run = run_of(algorithm, instruct, pairs if algorithm in PAIRED else wordle_data, tmp_path / "run")
    if algorithm not in ("bc", "filtered_bc"):
        run.start = clone
    folder = train(run)
    model = LanguageModel.load(folder)
    assert model.form.chat is not None and model.form.chat.end == "<|im_end|>"
    assert "five letters" in model.form.instructions
    agent = LanguageModelAgent(folder)
    opening = Transcript((Turn("Guess.", False),))
    request = Request(ENV, 0, 0, opening, "Other instructions.")
    ids = agent.contexts([request])[0]
    assert agent.tokenizer.hf.decode(ids).startswith("<|im_start|>system\nOther instructions.<|im_end|>")
    assert isinstance(agent.act([request])[0], str)
    shown = model.form.context(TokenEpisode.from_transcript(opening, False, False, model.tokenizer, model.form))
    assert model.form.instructions in model.tokenizer.hf.decode(shown)


def test_exported_chats_stop_where_an_action_ends(clone, tmp_path) -> None:
    from transformers import GenerationConfig

    model = LanguageModel.load(clone)
    model.export(tmp_path)
    assert GenerationConfig.from_pretrained(tmp_path).eos_token_id == model.tokenizer.eoa


def test_chats_need_a_checkpoint_and_room(instruct, wordle_data, tmp_path) -> None:
    with pytest.raises(TrainingError, match=r"text\.units=chat needs a checkpoint"):
        train(run_of("bc", Path("config"), wordle_data, tmp_path / "none"))
    with pytest.raises(ValueError, match="leaves no room: the instructions take"):
        train(run_of("bc", instruct, wordle_data, tmp_path / "small", **{"text.max_tokens": 40}))


LORA = {"model.lora_rank": 4, "model.lora_alpha": 8.0}


@pytest.fixture(scope="module")
def adapted(instruct, wordle_data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    rate = {"bc.learning_rate": 1e-2}
    return train(run_of("bc", instruct, wordle_data, tmp_path_factory.mktemp("adapted") / "run", **LORA, **rate))


def base_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name.replace(".base_layer", ""): p for name, p in model.named_parameters() if MARK not in name}


@pytest.mark.parametrize("algorithm", ["ilql", "cql", "mc", "ppo", "reinforce", "grpo", "reward_model", "dpo"])
def test_adapters_are_all_that_is_trained_and_kept(algorithm, instruct, adapted, wordle_data, pairs, tmp_path) -> None:
    run = run_of(algorithm, instruct, pairs if algorithm in PAIRED else wordle_data, tmp_path / "run", **LORA)
    run.start = adapted
    folder = train(run)
    for file in folder.glob("*.safetensors"):
        assert all(MARK in name or "heads." in name for name in load_file(file)), file.name
    model, source = LanguageModel.load(folder), AutoModelForCausalLM.from_pretrained(instruct, dtype=torch.float32)
    for name, weight in source.named_parameters():
        assert torch.equal(base_of(model.lm)[name], weight), name
    moved = any(
        not torch.equal(a, b)
        for (name, a), (_, b) in zip(
            model.named_parameters(), LanguageModel.load(adapted).named_parameters(), strict=True
        )
        if MARK in name
    )
    if algorithm != "grpo":  # whose one group may well teach nothing
        assert moved is (algorithm in ("ppo", "reinforce", "dpo"))  # the others train a critic beside the policy
    agent = LanguageModelAgent(folder)
    assert isinstance(agent.act([Request(ENV, 0, 0, Transcript((Turn("Guess.", False),)), "")])[0], str)


def test_copies_share_the_checkpoint_and_the_reference_is_the_adapter_off(instruct, clone) -> None:
    description = read_description(clone)
    form = TextFormat(**description["format"])
    tokenizer = TaskTokenizer.load(clone, form.chat)
    config = ModelConfig(source=str(instruct), lora_rank=4)
    model = LanguageModel.create(config, tokenizer, form, 0)
    start, critic = frozen(model), Critic.beside(model, CriticConfig(("value", "q1")))
    target = critic.target()
    for other in (start, critic, target):
        inner = other.lm.base_model if isinstance(other, LanguageModel) else other.trunk
        shared = {name: p.data_ptr() for name, p in base_of(inner).items()}
        assert shared == {name: p.data_ptr() for name, p in base_of(model.lm.base_model).items()}
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {
        name for name, _ in model.named_parameters() if MARK in name
    }
    assert all(p.requires_grad is (MARK in name or "heads" in name) for name, p in critic.named_parameters())
    assert not any(p.requires_grad for p in [*start.parameters(), *target.parameters()])
    ids = torch.tensor([[5, 6, 7, 8]])
    source = AutoModelForCausalLM.from_pretrained(instruct, dtype=torch.float32)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if MARK in name:
                parameter.normal_()
        off, on = source(input_ids=ids).logits, model.lm(input_ids=ids).logits
        assert torch.equal(start.lm(input_ids=ids).logits, off) and not torch.allclose(on, off, atol=0.1)
        before = {name: p.clone() for name, p in base_of(target.trunk).items()}
        target.follow(critic, 0.5)
        assert all(torch.equal(before[name], p) for name, p in base_of(target.trunk).items())


def test_exported_adapters_are_the_policy(adapted, instruct, tmp_path) -> None:
    from peft import PeftModel

    model = LanguageModel.load(adapted)
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        own = model.lm(input_ids=ids).logits
        model.export(tmp_path / "adapter")
        LanguageModel.load(adapted).export(tmp_path / "merged", whole=True)
        source = AutoModelForCausalLM.from_pretrained(instruct, dtype=torch.float32)
        plain = source(input_ids=ids).logits
        beside = PeftModel.from_pretrained(source, tmp_path / "adapter")(input_ids=ids).logits
        merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)(input_ids=ids).logits
    assert torch.allclose(own, beside, atol=1e-5) and torch.allclose(own, merged, atol=1e-4)
    assert not torch.allclose(own, plain, atol=1e-3)


def test_a_stopped_run_with_adapters_goes_on_to_the_same_end(instruct, wordle_data, tmp_path) -> None:
    settings = {**LORA, "bc.steps": 4, "bc.checkpoint_every": 2}
    whole = train(run_of("bc", instruct, wordle_data, tmp_path / "whole", **settings))
    run = run_of("bc", instruct, wordle_data, tmp_path / "cut", **settings)
    with pytest.raises(KeyboardInterrupt), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "log", lambda self, **values: _stop(self.done == 3))
        train(run)
    kept = load_file(tmp_path / "cut" / "checkpoint" / "weights.safetensors")
    assert kept and all(MARK in name for name in kept)
    run.resume = True
    cut = train(run)
    one, other = load_file(whole / "weights.safetensors"), load_file(cut / "weights.safetensors")
    assert all(torch.equal(one[name], other[name]) for name in one)


def _stop(now: bool) -> None:
    if now:
        raise KeyboardInterrupt


def test_adapters_need_their_checkpoint_and_a_chat(instruct, adapted, wordle_data, tmp_path) -> None:
    with pytest.raises(TrainingError, match=r"lora_rank needs text\.units=chat"):
        train(run_of("bc", instruct, wordle_data, tmp_path / "run", **LORA, **{"text.units": "pretrained"}))
    other = tmp_path / "other"
    shutil.copytree(instruct, other)
    model = AutoModelForCausalLM.from_pretrained(other)
    with torch.no_grad():
        next(model.parameters()).add_(1.0)
    model.save_pretrained(other)
    folder = tmp_path / "moved"
    shutil.copytree(adapted, folder)
    description = json.loads((folder / "lmrl.json").read_text("utf-8"))
    description["model"]["source"] = str(other)
    (folder / "lmrl.json").write_text(json.dumps(description), "utf-8")
    with pytest.raises(ValueError, match="is another checkpoint than its adapters were trained beside"):
        LanguageModel.load(folder)
