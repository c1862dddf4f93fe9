"""Families of causal language models: logits as the model's own forward has them, in training, in play, after save, load and export."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from lmrl_agents.models.critic import Critic, CriticConfig
from lmrl_agents.models.engine import SlotEngine, unsupported
from lmrl_agents.models.families import WORTH, UnknownFamily, check, logits_of, trunk_of, without_dropout
from lmrl_agents.models.model import LanguageModel, ModelConfig
from lmrl_agents.models.packed import states_at
from lmrl_agents.models.sampling import Memo, NoNumbers, Sampling, generate
from lmrl_agents.models.steps import StepStore
from lmrl_agents.models.tokenizer import train_tokenizer
from lmrl_agents.models.tokens import TextFormat, TokenEpisode
from lmrl_agents.playing.policy_agent import PolicyAgent
from lmrl_agents.playing.protocol import AgentStopped

LLAMA = {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2,
         "head_dim": 8, "max_position_embeddings": 96}  # fmt: skip
MOE = {**LLAMA, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
LINEAR = {**LLAMA, "linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
          "linear_conv_kernel_dim": 3, "layer_types": ["linear_attention", "full_attention"]}  # fmt: skip
STATES = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_n_groups": 1, "mamba_d_state": 8}
VISION = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
GPT = {"n_layer": 2, "n_embd": 32, "n_head": 4, "n_positions": 96, "rotary_dim": 4}
FAMILIES: dict[str, dict[str, Any]] = {
    "gpt2": GPT,
    "gpt_neo": {"num_layers": 2, "hidden_size": 32, "num_heads": 4, "max_position_embeddings": 96, "window_size": 8,
                "attention_types": [[["global", "local"], 1]]},
    "gpt_neox": {**LLAMA, "num_key_value_heads": None},
    "gptj": GPT,
    "codegen": GPT,
    "ctrl": {"n_layer": 2, "n_embd": 32, "n_head": 4, "n_positions": 96, "dff": 48},
    "gpt_bigcode": {"n_layer": 2, "n_embd": 32, "n_head": 4, "n_positions": 96},
    "opt": {"num_hidden_layers": 2, "hidden_size": 32, "ffn_dim": 48, "num_attention_heads": 4, "max_position_embeddings": 96,
            "word_embed_proj_dim": 32},
    "bloom": {"n_layer": 2, "hidden_size": 32, "n_head": 4},
    "mpt": {"n_layers": 2, "d_model": 32, "n_heads": 4, "max_seq_len": 96},
    "falcon": {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "max_position_embeddings": 96},
    "llama": LLAMA,
    "mistral": {**LLAMA, "sliding_window": 8},
    "mixtral": {**LLAMA, "num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen2": LLAMA,
    "qwen2_moe": {**MOE, "shared_expert_intermediate_size": 24},
    "qwen3": LLAMA,
    "qwen3_moe": MOE,
    "gemma": LLAMA,
    "gemma2": {**LLAMA, "sliding_window": 8, "final_logit_softcapping": 2.0, "query_pre_attn_scalar": 8},
    "gemma3_text": {**LLAMA, "sliding_window": 8, "query_pre_attn_scalar": 8},
    "phi": {**LLAMA, "num_key_value_heads": 4},
    "phi3": {**LLAMA, "pad_token_id": 0},
    "cohere": {**LLAMA, "logit_scale": 0.0625},
    "cohere2": {**LLAMA, "logit_scale": 0.0625, "sliding_window": 8},
    "granite": {**LLAMA, "logits_scaling": 8.0},
    "olmo": LLAMA,
    "olmo2": LLAMA,
    "smollm3": {**LLAMA, "pad_token_id": 0},
    "stablelm": LLAMA,
    "starcoder2": LLAMA,
    "glm": {**LLAMA, "pad_token_id": 0},
    "glm4": {**LLAMA, "pad_token_id": 0},
    "nemotron": LLAMA,
    "gpt_oss": {**LLAMA, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 8},
    "xglm": {"num_layers": 2, "d_model": 32, "ffn_dim": 48, "attention_heads": 4, "max_position_embeddings": 96},
    "biogpt": {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4,
               "max_position_embeddings": 96},
    "lfm2": {**LLAMA, "layer_types": ["conv", "full_attention"]},
    "qwen3_5_text": LINEAR,
    "olmo_hybrid": {**LINEAR, "pad_token_id": 0},
    "falcon_h1": {**LLAMA, **STATES, "mamba_d_ssm": 32, "mamba_n_heads": 4},
    "jamba": {**LLAMA, "attn_layer_period": 2, "attn_layer_offset": 1, "num_experts": 2, "use_mamba_kernels": False, "mamba_d_state": 4},
    "granitemoehybrid": {**LLAMA, **STATES, "layer_types": ["mamba", "attention"], "num_local_experts": 2, "num_experts_per_tok": 1,
                         "shared_intermediate_size": 24},
    "nemotron_h": {**LLAMA, "layers_block_type": ["mamba", "attention"], "mamba_num_heads": 8, "mamba_head_dim": 8, "n_groups": 1,
                   "ssm_state_size": 8, "moe_shared_expert_intermediate_size": 24},
    "gemma3": {"text_config": {**LLAMA, "sliding_window": 8, "query_pre_attn_scalar": 8}, "vision_config": VISION},
    "deepseek_v3": {**LLAMA, "head_dim": 4, "num_key_value_heads": 4, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1,
                    "topk_group": 1, "moe_intermediate_size": 24, "q_lora_rank": 8, "kv_lora_rank": 8, "qk_rope_head_dim": 4,
                    "qk_nope_head_dim": 4, "v_head_dim": 8, "first_k_dense_replace": 1},
    "llama4_text": {**LLAMA, "num_local_experts": 2, "num_experts_per_tok": 1, "intermediate_size_mlp": 48, "attention_chunk_size": 8},
}  # fmt: skip
REFUSED: dict[str, dict[str, Any]] = {
    "mamba": {"num_hidden_layers": 2, "hidden_size": 32, "state_size": 4},
    "mamba2": {
        "num_hidden_layers": 2,
        "hidden_size": 32,
        "state_size": 4,
        "num_heads": 8,
        "head_dim": 8,
        "n_groups": 1,
    },
    "rwkv": {"num_hidden_layers": 2, "hidden_size": 32, "attention_hidden_size": 32},
    "recurrent_gemma": {
        **LLAMA,
        "lru_width": 32,
        "attention_window_size": 8,
        "block_types": ["recurrent", "attention"],
    },
    "minimax": {
        **LLAMA,
        "num_local_experts": 2,
        "num_experts_per_tok": 1,
        "layer_types": ["linear_attention", "full_attention"],
    },
}
"""State-space models that keep no key-value cache, or one of their own."""
TEXTS = ["move up", "move down", "You are at 1, 2.", "There is a wall."] * 3


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer(TEXTS, units="words")


def tiny(family: str, settings: dict[str, Any], size: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if "text_config" in settings:
            settings = {**settings, "text_config": {**settings["text_config"], "vocab_size": size}}
        config = AutoConfig.for_model(family, vocab_size=size, bos_token_id=1, eos_token_id=2, **settings)
        torch.manual_seed(0)
        lm = AutoModelForCausalLM.from_config(config)
    # Weights large enough, and biases not zero, that what is left out would show.
    with torch.no_grad():
        for parameter in lm.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return lm.eval()


def saved(family: str, settings: dict[str, Any], tokenizer: Any, folder: Path, dtype: Any = torch.float32) -> Any:
    """A pretrained checkpoint on disk, as the hub has it."""
    lm = tiny(family, settings, len(tokenizer))
    lm.to(dtype).save_pretrained(folder)
    return lm


def own_logprobs(lm: Any, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return torch.log_softmax(lm(input_ids=torch.tensor([ids])).logits[0].float(), dim=1)


FORM = TextFormat(max_tokens=80, max_action_tokens=6)
"""Without an end of game, rows of up to 80 tokens: longer than the windows of the sliding families."""


class Plain:
    """What `generate` and `Memo` need of a policy."""

    def __init__(self, lm: Any, tokenizer: Any) -> None:
        self.lm, self.networks, self.tokenizer, self.max_positions = lm, [trunk_of(lm)], tokenizer, 90
        self.device = torch.device("cpu")

    def logits(self, states: Any) -> torch.Tensor:
        return logits_of(self.lm, states[0])


@pytest.mark.parametrize("family", FAMILIES)
def test_what_rows_begin_with_is_read_once_where_that_changes_nothing(family, tokenizer, monkeypatch) -> None:
    lm = tiny(family, FAMILIES[family], len(tokenizer))
    generator = np.random.default_rng(0)
    start, lengths = generator.integers(8, len(tokenizer), WORTH + 5).tolist(), (6, 12, 9)
    rows = [
        [*start, k + 8, *generator.integers(8, len(tokenizer), length - 1).tolist()] for k, length in enumerate(lengths)
    ]
    tokens = torch.tensor([[*row, *[0] * (WORTH + 17 - len(row))] for row in rows])
    number, column = torch.tensor([0, 1, 1, 2]), torch.tensor([WORTH + 8, WORTH + 5, WORTH + 16, WORTH + 13])
    passes: list[int] = []
    network = trunk_of(lm)
    counted = network.register_forward_pre_hook(
        lambda module, args, kwargs: passes.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    found = [
        states_at(network, tokens, torch.tensor([len(row) for row in rows]), number, column),
        torch.stack([network(input_ids=torch.tensor([rows[k]])).last_hidden_state[0, c] for k, c in zip(number, column, strict=True)]),
    ]  # fmt: skip
    counted.remove()
    assert torch.allclose(*found, atol=2e-4), family
    if family in ("llama", "qwen3", "mixtral"):
        assert passes[:2] == [WORTH + 5, 3 * 12]
    learned = []
    for states in found:
        lm.zero_grad()
        states.square().sum().backward()
        learned.append(torch.cat([p.grad.flatten() for p in lm.parameters() if p.grad is not None]))
    assert torch.allclose(*learned, rtol=1e-3, atol=1e-3 * learned[0].abs().max().item()), family
    policy, sampling = Plain(lm, tokenizer), Sampling(1.0, max_tokens=4)
    memo = Memo(policy, sampling)
    plain, kept = (
        [generate(policy, part, [np.random.default_rng(k).random for k in range(3)], sampling, own) for part in ([*rows[:2], rows[0]], rows)]
        for own in (None, memo)
    )  # fmt: skip
    assert [[g.ids for g in games] for games in plain] == [[g.ids for g in games] for games in kept], family


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_the_models_own_in_training_play_after_load_and_export(family, tokenizer, tmp_path) -> None:
    saved(family, FAMILIES[family], tokenizer, tmp_path / "source")
    model = LanguageModel.create(ModelConfig(source=str(tmp_path / "source")), tokenizer, FORM, 0)
    assert not model.training
    reference = AutoModelForCausalLM.from_pretrained(tmp_path / "source", dtype=torch.float32).eval()
    generator = np.random.default_rng(0)
    observation = tuple(int(token) for token in generator.integers(8, len(tokenizer), 30))
    episode = TokenEpisode([observation] * 2, [(9, 10, tokenizer.eoa), (11, tokenizer.eoa)], [0.0, 1.0])
    # in training: log-probabilities of a game's actions
    steps = StepStore.of([episode], FORM, tokenizer.pad)
    batch = steps.batch(np.arange(len(steps)), successors=False)
    with torch.no_grad():
        ours = torch.log_softmax(model.logits([model.action_states(batch)]), dim=1)
    for i in range(len(steps)):
        row = batch.tokens[batch.state_row[batch.state[i]]][: int(batch.state_column[batch.state[i]]) + 1].tolist()
        assert torch.allclose(ours[i], own_logprobs(reference, row)[-1], atol=2e-4), family
    # in play of games of several lengths, by a tree and, where it holds, by slots: what is sampled has the model's own probabilities
    contexts = [FORM.context(TokenEpisode([observation[:length]], [], [])) for length in (30, 21, 12)]
    for play in ("tree", "engine"):
        sampling = Sampling(1.0, max_tokens=12)
        if play == "engine" and unsupported(model):
            continue
        numbers = [np.random.default_rng(k).random for k in range(3)]
        games = (
            SlotEngine(model, sampling, 4).generate([0, 1, 2], contexts, numbers)
            if play == "engine"
            else generate(model, contexts, numbers, sampling)
        )
        for context, game in zip(contexts, games, strict=True):
            told = own_logprobs(reference, [*context, *game.ids])
            for k, token in enumerate(game.ids):
                assert abs(told[len(context) + k - 1, token].item() - game.logprobs[k]) < 2e-4, (family, play)
    # after save and load, and as exported for other tools
    model.save(tmp_path / "saved", {"env_id": "x"})
    model.export(tmp_path / "exported")
    again = LanguageModel.load(tmp_path / "saved")
    with torch.no_grad():
        assert torch.allclose(torch.log_softmax(again.logits([again.action_states(batch)]), dim=1), ours, atol=1e-5)
    exported = AutoModelForCausalLM.from_pretrained(tmp_path / "exported", dtype=torch.float32).eval()
    assert torch.allclose(own_logprobs(exported, list(context)), own_logprobs(reference, list(context)), atol=1e-5)
    # critics read the same states
    critic = Critic.beside(model, CriticConfig(("value",)))
    with torch.no_grad():
        a = critic.states(batch)
        b = states_at(model.networks[0], batch.tokens, batch.length, batch.state_row, batch.state_column)
    assert torch.equal(a, b)


def test_there_are_thirty_families() -> None:
    assert len(FAMILIES) >= 30


@pytest.mark.parametrize("family", REFUSED)
def test_what_cannot_be_played_is_refused_in_one_line(family, tokenizer, tmp_path) -> None:
    saved(family, REFUSED[family], tokenizer, tmp_path)
    with pytest.raises(UnknownFamily, match="cannot be"):
        LanguageModel.create(ModelConfig(source=str(tmp_path)), tokenizer, FORM, 0)


def test_a_head_that_does_something_unknown_is_refused(tokenizer) -> None:
    lm = tiny("llama", LLAMA, len(tokenizer))
    check(lm)
    head = lm.lm_head
    own = head.forward
    # The model's own forward scales its logits where nobody told.
    forward = type(lm).forward

    def scaled(self: Any, *args: Any, **kwargs: Any) -> Any:
        output = forward(self, *args, **kwargs)
        output.logits = output.logits * 1.5
        return output

    lm.forward = scaled.__get__(lm)
    with pytest.raises(UnknownFamily, match="in a way that is not known"):
        check(lm)
    assert own == head.forward


def test_a_model_that_reads_its_padding_is_refused(tokenizer) -> None:
    lm = tiny("llama", LLAMA, len(tokenizer))
    own = lm.model.forward
    lm.model.forward = lambda *args, attention_mask=None, **named: own(*args, **named)
    with pytest.raises(UnknownFamily, match="padding changes what it says"):
        check(lm)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_are_float32_whatever_the_checkpoint_holds(dtype, tokenizer, tmp_path) -> None:
    saved("qwen2", LLAMA, tokenizer, tmp_path / "source", dtype)
    model = LanguageModel.create(ModelConfig(source=str(tmp_path / "source")), tokenizer, FORM, 0)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    model.save(tmp_path / "saved")
    assert {parameter.dtype for parameter in LanguageModel.load(tmp_path / "saved").parameters()} == {torch.float32}


def test_pretrained_models_have_no_dropout_unless_asked(tokenizer, tmp_path) -> None:
    settings = {**GPT, "resid_pdrop": 0.1, "embd_pdrop": 0.1, "attn_pdrop": 0.1}
    saved("gpt2", settings, tokenizer, tmp_path)
    for rate in (0.0, 0.2):
        model = LanguageModel.create(ModelConfig(source=str(tmp_path), dropout=rate), tokenizer, FORM, 0)
        rates = {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}
        assert rates == {rate}
    config = AutoConfig.for_model("llama", attention_dropout=0.3)
    assert without_dropout(config).attention_dropout == 0


def test_playing_leaves_every_module_in_the_mode_it_was_in(tokenizer) -> None:
    model = LanguageModel.create(ModelConfig(width=32, layers=1, heads=2, max_positions=96), tokenizer, FORM, 0)
    model.train()
    model.lm.transformer.h[0].eval()
    before = [module.training for module in model.modules()]
    assert len(set(before)) == 2
    generate(model, [[1, 2, 3]], [np.random.default_rng(0).random], Sampling(max_tokens=3))
    assert [module.training for module in model.modules()] == before


def test_logits_that_are_no_numbers_stop_play(tokenizer) -> None:
    model = LanguageModel.create(ModelConfig(width=32, layers=1, heads=2, max_positions=96), tokenizer, FORM, 0)
    with torch.no_grad():
        model.lm.transformer.ln_f.weight.fill_(float("nan"))
    with pytest.raises(NoNumbers, match="NaN or infinite"):
        generate(model, [[1, 2, 3]], [np.random.default_rng(0).random], Sampling(max_tokens=3))
    agent = PolicyAgent(model, FORM, Sampling(max_tokens=3))
    agent.name = "runs/mine"
    with pytest.raises(AgentStopped, match="runs/mine: the model's logits are NaN"):
        agent.generate([0], [[1, 2, 3]], [np.random.default_rng(0).random])
    assert logits_of(model.lm, torch.zeros(1, 32)).shape == (1, len(tokenizer))


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2", "qwen2_moe"])
def test_activations_that_are_computed_twice_change_no_gradient(family, tokenizer, tmp_path) -> None:
    """Less is kept for the gradient, in the mode that the network is in and after loading, and play goes on with its cache."""
    saved(family, FAMILIES[family], tokenizer, tmp_path / "source")
    episode = TokenEpisode([tuple(range(8, 30))] * 2, [(9, 10, tokenizer.eoa), (11, tokenizer.eoa)], [0.0, 1.0])
    steps = StepStore.of([episode], FORM, tokenizer.pad)
    batch = steps.batch(np.arange(len(steps)), successors=False)
    found = []
    for checkpointing in (False, True):
        config = ModelConfig(source=str(tmp_path / "source"), attention="eager", checkpointing=checkpointing)
        model = LanguageModel.create(config, tokenizer, FORM, 0)
        model.save(tmp_path / f"{checkpointing}", {"env_id": "x"})
        for one in (model, LanguageModel.load(tmp_path / f"{checkpointing}")):
            assert one.lm.config._attn_implementation == "eager"
            kept = [0]

            def count(tensor: torch.Tensor, kept=kept) -> torch.Tensor:
                kept[0] += tensor.numel()
                return tensor

            with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
                loss = torch.log_softmax(one.logits([one.action_states(batch)]), dim=1).square().mean()
            loss.backward()
            assert not one.training and not any(module.training for module in one.modules())
            gradient = torch.cat([p.grad.flatten() for p in one.parameters() if p.grad is not None])
            found.append((gradient, kept[0]))
            sampled = generate(one, [[8, 9, 10]], [np.random.default_rng(0).random], Sampling(1.0, max_tokens=4))
            assert sampled[0].ids
    (plain, much), _, (twice, less), (loaded, loaded_less) = found
    assert less == loaded_less < 0.8 * much
    assert torch.allclose(plain, twice, rtol=1e-4, atol=1e-6) and torch.allclose(plain, loaded, rtol=1e-4, atol=1e-6)
