"""Every algorithm trains an instruct model in its own chat template, and what is played is what was learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import pytest
from chat_tokenizers import tokenizer_of

from lmrl_agents import Request
from lmrl_agents.learning.run import TrainingError, TrainingRun
from lmrl_agents.learning.train import train
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.tokens import TokenEpisode
from lmrl_agents.playing.policy_agent import LanguageModelAgent
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
}


@pytest.fixture(scope="module")
def instruct(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as the hub has them: Llama-shaped, bfloat16, more rows than tokens, a ChatML template."""
    import torch
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
def clone(instruct, wordle_data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(run_of("bc", instruct, wordle_data, tmp_path_factory.mktemp("clone") / "run"))


@pytest.mark.parametrize("algorithm", SETTINGS)
def test_algorithms_train_in_chats(algorithm, instruct, clone, wordle_data, tmp_path) -> None:
    run = run_of(algorithm, instruct, wordle_data, tmp_path / "run")
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
