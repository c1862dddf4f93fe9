"""The generation engine: whatever it is asked, in whatever order, it answers as `generate` does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lmrl_agents.models.engine import SlotEngine
from lmrl_agents.models.gpt2_pass import is_plain_gpt2
from lmrl_agents.models.packed import states_at
from lmrl_agents.models.sampling import Generated, NoNumbers, Sampling, generate

VOCABULARY, EOA, POSITIONS = 24, 3, 48


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Several threads of torch wait for each other longer than these small networks take."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Networks(nn.Module):
    """A policy of one or more networks: the first proposes, the others correct."""

    def __init__(self, *networks: nn.Module, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.networks = nn.ModuleList(networks)
        width = [network.config.hidden_size for network in networks]  # type: ignore[union-attr]
        self.heads = nn.ModuleList(nn.Linear(w, VOCABULARY) for w in width)
        for head in self.heads:
            head.weight.data *= 2  # far from uniform  # type: ignore[union-attr]
        self.tokenizer: Any = SimpleNamespace(pad=0, eoa=EOA)
        self.max_positions = POSITIONS

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def logits(self, states: Sequence[torch.Tensor]) -> torch.Tensor:
        total = self.heads[0](states[0])
        for head, state in zip(list(self.heads)[1:], states[1:], strict=True):
            total = total + 0.5 * torch.tanh(head(state))
        return total


def network(kind: str, seed: int = 0, spread: float = 0.2) -> Any:
    from transformers import AutoModel, GPT2Config, GPTNeoXConfig, LlamaConfig, OPTConfig, Qwen3Config

    torch.manual_seed(seed)
    size: dict[str, Any] = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2}
    size |= {"num_attention_heads": 4, "intermediate_size": 48, "max_position_embeddings": POSITIONS}
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": EOA}
    gpt2 = {"vocab_size": VOCABULARY, "n_positions": POSITIONS, "n_embd": 32, "n_layer": 2, "n_head": 4, **special}
    configs = {
        "gpt2": lambda: GPT2Config(**gpt2),
        "gpt2 with another activation": lambda: GPT2Config(**gpt2, activation_function="relu"),
        "gpt2 eager": lambda: GPT2Config(**gpt2, attn_implementation="eager"),
        "llama": lambda: LlamaConfig(**size, **special, num_key_value_heads=2),
        "llama eager": lambda: LlamaConfig(**size, **special, num_key_value_heads=2, attn_implementation="eager"),
        "qwen3": lambda: Qwen3Config(**size, **special, num_key_value_heads=2, head_dim=16),
        "neox": lambda: GPTNeoXConfig(**size, **special),
        "opt": lambda: OPTConfig(**{**size, "ffn_dim": 48, "word_embed_proj_dim": 32}, **special),
    }
    made = AutoModel.from_config(configs[kind]()).eval()
    for name, parameter in made.named_parameters():
        if parameter.dim() > 1 and "norm" not in name:
            nn.init.normal_(parameter, std=spread)
    return made


KINDS = ["gpt2", "gpt2 with another activation", "gpt2 eager", "llama", "llama eager", "qwen3", "neox", "opt"]


class Games:
    """Conversations that grow, are windowed, end, and are taken up again, in a random order."""

    def __init__(self, seed: int, window: int | None = None) -> None:
        self.rng = np.random.default_rng(seed)
        self.window = window
        self.opening = self.observation()
        self.said: dict[int, list[int]] = {}
        self.next_key = 0

    def observation(self) -> list[int]:
        return [1, *self.rng.integers(4, VOCABULARY, self.rng.integers(1, 7)).tolist(), 2]

    def turn(self, most: int) -> tuple[list[int], list[list[int]]]:
        while len(self.said) < most:
            self.said[self.next_key] = list(self.opening if self.rng.random() < 0.7 else self.observation())
            self.next_key += 1
        keys = list(self.said)
        self.rng.shuffle(keys)
        keys = keys[: self.rng.integers(1, len(keys) + 1)]
        return keys, [self.said[key][-(self.window or 10**9) :] for key in keys]

    def answer(self, keys: list[int], actions: list[Generated]) -> list[int]:
        """Goes on; returns the games that ended."""
        ended = []
        for key, action in zip(keys, actions, strict=True):
            if self.rng.random() < 0.15 or len(self.said[key]) > 60:
                ended.append(key)
                del self.said[key]
            else:
                self.said[key] += [*action.ids, *self.observation()]
        return ended


def sources(keys: Sequence[int], turn: int) -> list[Any]:
    return [np.random.default_rng((key, turn)).random for key in keys]


def assert_same(found: list[Generated], expected: list[Generated]) -> None:
    assert [action.ids for action in found] == [action.ids for action in expected]
    for a, b in zip(found, expected, strict=True):
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-5)


def play(
    policy: Any, sampling: Sampling, seed: int, slots: int, games: int, window: int | None, turns: int = 12
) -> Any:
    engine = SlotEngine(policy, sampling, slots)
    table = Games(seed, window)
    for turn in range(turns):
        keys, contexts = table.turn(games)
        found = engine.generate(keys, contexts, sources(keys, turn))
        assert_same(found, generate(policy, contexts, sources(keys, turn), sampling))
        ended = table.answer(keys, found)
        if table.rng.random() < 0.8:  # an agent that never says so is served as well
            engine.release(ended)
        if table.rng.random() < 0.1:
            engine.clear()
    return engine


@pytest.mark.parametrize("kind", KINDS)
def test_any_order_and_grouping_gives_what_generate_gives(kind: str) -> None:
    play(Networks(network(kind)), Sampling(max_tokens=7), seed=1, slots=6, games=6, window=None)


@pytest.mark.parametrize("seed", range(6))
def test_more_games_than_slots_windows_and_full_contexts(seed: int) -> None:
    play(
        Networks(network("gpt2", seed)),
        Sampling(max_tokens=9),
        seed,
        slots=(1, 4, 16)[seed % 3],
        games=7,
        window=(None, 11)[seed % 2],
    )


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0, max_tokens=6),
        Sampling(temperature=0.5, max_tokens=6),
        Sampling(top_k=3, max_tokens=6),
        Sampling(top_p=0.8, max_tokens=6),
        Sampling(max_tokens=1),
    ],
    ids=str,
)
def test_every_way_of_drawing(sampling: Sampling) -> None:
    play(Networks(network("gpt2")), sampling, seed=3, slots=5, games=5, window=None, turns=6)


@pytest.mark.parametrize("kinds", [("gpt2", "gpt2"), ("llama", "gpt2"), ("gpt2", "qwen3")])
def test_policies_of_two_networks(kinds: tuple[str, str]) -> None:
    policy = Networks(*(network(kind, seed) for seed, kind in enumerate(kinds)))
    play(policy, Sampling(max_tokens=6), seed=4, slots=5, games=6, window=None, turns=8)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_logprobs_equal_teacher_forced_ones(kind: str) -> None:
    policy = Networks(network(kind)).eval()
    engine = SlotEngine(policy, Sampling(max_tokens=6), 4)
    contexts = [[1, 5, 2], [1, 6, 7, 8, 2], [1, 5, 2]]
    for turn in range(3):
        actions = engine.generate(range(3), contexts, sources(range(3), turn))
        for context, action in zip(contexts, actions, strict=True):
            tokens = torch.tensor([[*context, *action.ids]])
            with torch.no_grad():
                states = policy.networks[0](input_ids=tokens).last_hidden_state[0]
                forced = torch.log_softmax(policy.logits([states[len(context) - 1 : -1]]), dim=1)
            assert action.logprobs == pytest.approx(
                [forced[i, token].item() for i, token in enumerate(action.ids)], abs=1e-5
            )
            context += [*action.ids, 1, 9, 2]
    assert engine.counts.kept > 0


@pytest.mark.parametrize("size", [1, 5])
def test_gpt2_in_fewer_operations_is_gpt2(size: int) -> None:
    """Batches at different lengths, after a beginning of their own; a hook sends the same network the long way."""
    plain, changed = network("gpt2"), network("gpt2")
    changed.h[0].mlp.register_forward_hook(lambda *_: None)
    assert is_plain_gpt2(plain) and not is_plain_gpt2(changed)
    actions = []
    for trunk in (plain, changed):
        engine = SlotEngine(Networks(trunk), Sampling(max_tokens=8), 4)
        rng = np.random.default_rng(0)
        contexts = [rng.integers(4, VOCABULARY, 3 + 4 * i).tolist() for i in range(4)]
        found = engine.generate(range(4), contexts, sources(range(4), 0))
        contexts = [[*c, *a.ids, *range(4, 4 + size)] for c, a in zip(contexts, found, strict=True)]
        actions.append(found + engine.generate(range(4), contexts, sources(range(4), 1)))
    assert_same(*actions)


# -- states for training


@pytest.mark.parametrize("kind", KINDS)
def test_chosen_states_and_their_gradients_are_those_of_the_forward_pass(kind: str) -> None:
    """Rows of unequal lengths, one with nothing chosen and one that is cut before its end."""
    rng = np.random.default_rng(0)
    length = torch.tensor([9, 4, 7, 1])
    tokens = torch.from_numpy(rng.integers(4, VOCABULARY, (4, 9)))
    rows, columns = torch.tensor([0, 0, 0, 2, 3]), torch.tensor([0, 5, 8, 3, 0])
    pull = torch.randn(len(rows), 32, generator=torch.Generator().manual_seed(0))
    trunk = network(kind)
    mask = torch.arange(9) < length[:, None]
    whole = trunk(input_ids=tokens, attention_mask=mask.long(), use_cache=False).last_hidden_state[rows, columns]
    found = states_at(trunk, tokens, length, rows, columns)
    assert torch.allclose(found, whole, atol=1e-5)
    parameters = list(trunk.parameters())
    for a, b in zip(*(torch.autograd.grad((s * pull).sum(), parameters) for s in (found, whole)), strict=True):
        assert torch.allclose(a, b, atol=1e-4)


def test_gpt2_is_read_without_padding_and_dropout_is_not_left_out() -> None:
    read = []

    class Watched(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if function is torch.ops.aten.addmm.default:
                read.append(len(args[1]))
            return function(*args, **(kwargs or {}))

    trunk = network("gpt2")
    for module in trunk.train().modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    arguments = torch.full((2, 9), 5), torch.tensor([9, 3]), torch.tensor([0, 1]), torch.tensor([7, 2])
    with Watched():
        states_at(trunk, *arguments)
    # Two layers of four products; after the last attention, the two chosen states alone.
    assert read == [11] * 5 + [2] * 3
    trunk.h[0].mlp.dropout.p = 0.5
    assert not torch.equal(states_at(trunk, *arguments), states_at(trunk, *arguments))
    assert torch.equal(states_at(trunk.eval(), *arguments), states_at(trunk, *arguments))


# -- what it costs


class Long(Networks):
    """Never ends an action before it is cut."""

    def logits(self, states: Sequence[torch.Tensor]) -> torch.Tensor:
        logits = super().logits(states)
        logits[:, EOA] = -1e9
        return logits


def test_a_growing_conversation_costs_its_new_tokens_and_equal_openings_are_read_once() -> None:
    engine = SlotEngine(Long(network("gpt2")), Sampling(max_tokens=4), 8)
    contexts = [[1, 5, 6, 7, 2] for _ in range(8)]
    actions = engine.generate(range(8), contexts, sources(range(8), 0))
    counts = engine.counts
    assert (counts.read, counts.copied, counts.kept, counts.generated, counts.passes) == (5, 35, 0, 32, 4)
    contexts = [[*c, *a.ids, 1, i, 2] for i, (c, a) in enumerate(zip(contexts, actions, strict=True))]
    engine.generate(range(8), contexts, sources(range(8), 1))
    # The last token of an action was drawn, not read.
    assert counts.read == 5 + 8 * 4 and counts.kept == 8 * (5 + 3) and counts.passes == 8
    # A new game takes the slot of one that is over, and its opening with it.
    engine.release([3, 4])
    engine.generate([20, 21], [[1, 5, 6, 7, 2]] * 2, sources(range(2), 2))
    assert counts.read == 5 + 8 * 4 + 1


def test_what_games_say_alike_is_computed_once() -> None:
    """As the proposals of an agent that chooses among many: one context, and beginnings that are often equal."""
    policy, sampling = network("gpt2"), Sampling(temperature=0.3, max_tokens=8)
    engine, plain = SlotEngine(Networks(policy), sampling, 32), Networks(policy)
    context = [1, 5, 6, 7, 2]
    for turn in range(4):
        before = engine.counts.rows
        found = engine.generate(range(32), [context] * 32, sources(range(32), turn))
        assert_same(found, generate(plain, [context] * 32, sources(range(32), turn), sampling))
        going = {a.ids[:n] for a in found for n in range(1, len(a.ids)) if n < sampling.max_tokens}
        # A run of slots may hold one idle row for three that are not.
        assert len(going) <= engine.counts.rows - before <= len(going) * 4 / 3
        context = [*context, *found[turn].ids, 1, 4 + turn, 2]


def test_slots_are_added_and_what_others_hold_stays() -> None:
    policy = Long(network("gpt2"))
    engine = SlotEngine(policy, Sampling(max_tokens=4), 100)
    contexts = [[1, 5 + i, 6, 2] for i in range(9)]
    for some in (range(2), range(2, 9)):
        engine.generate(some, [contexts[i] for i in some], sources(some, 0))
    longer = [[*c, 7, 8, 2] for c in contexts]
    assert_same(
        engine.generate(range(9), longer, sources(range(9), 1)),
        generate(policy, longer, sources(range(9), 1), engine.sampling),
    )
    assert engine.counts.kept >= 9 * 4 and engine.counts.read <= 9 * 4 + 9 * 3
    assert [cache.slots for cache in engine._caches] == [9]


def test_rows_that_have_ended_are_left_out() -> None:
    """One row goes on long after the others: it is moved together, not decoded among idle ones."""

    class Uneven(Networks):
        def logits(self, states: Sequence[torch.Tensor]) -> torch.Tensor:
            return self.first + 0 * super().logits(states)

        first = torch.full((VOCABULARY,), -30.0)

    Uneven.first[[EOA, 5]] = 0.0
    policy = Uneven(network("gpt2"))
    engine = SlotEngine(policy, Sampling(max_tokens=12), 16)
    # The first token above a half is 5, below it is the end.
    numbers = [iter([0.9] * (11 if i % 5 == 0 else 1) + [0.1] * 11) for i in range(16)]
    contexts = [[1, 4 + i, 2] for i in range(16)]
    found = engine.generate(range(16), contexts, [lambda n=n: next(n) for n in numbers])
    assert [len(action.ids) for action in found] == [12 if i % 5 == 0 else 2 for i in range(16)]
    assert engine.counts.rows == 16 + 10 * 4
    again = [[*context, *a.ids, 1, 7, 2] for context, a in zip(contexts, found, strict=True)]
    assert_same(
        engine.generate(range(16), again, sources(range(16), 1)),
        generate(policy, again, sources(range(16), 1), engine.sampling),
    )


# -- weights and failures


@pytest.mark.parametrize("how", ["foreach", "fused", "loop", "load", "ema"])
def test_changed_weights_are_noticed(how: str) -> None:
    policy = Networks(network("gpt2"))
    engine = SlotEngine(policy, Sampling(max_tokens=5), 4)
    contexts = [[1, 4 + i, 5, 6, 2] for i in range(4)]
    before = engine.generate(range(4), contexts, sources(range(4), 0))
    other = network("gpt2", seed=9)
    trunk: Any = policy.networks[0]
    if how == "load":
        trunk.load_state_dict(other.state_dict())
    elif how == "ema":
        with torch.no_grad():
            for mine, theirs in zip(trunk.parameters(), other.parameters(), strict=True):
                mine.lerp_(theirs, 0.5)
    else:
        optimizer = torch.optim.AdamW(policy.parameters(), lr=0.1, foreach=how == "foreach", fused=how == "fused")
        tokens = torch.tensor(contexts)
        policy.logits([trunk(input_ids=tokens).last_hidden_state[:, -1]]).square().sum().backward()
        optimizer.step()
    policy.train()
    after = engine.generate(range(4), contexts, sources(range(4), 0))
    assert policy.training and trunk.training
    assert_same(after, generate(policy, contexts, sources(range(4), 0), engine.sampling))
    assert before != after


def test_a_failure_in_the_middle_leaves_no_wrong_cache() -> None:
    class Failing(Networks):
        left = 10**9

        def logits(self, states: Sequence[torch.Tensor]) -> torch.Tensor:
            self.left -= 1
            if self.left < 0:
                raise MemoryError("out of memory")
            return super().logits(states)

    policy = Failing(network("gpt2"))
    engine = SlotEngine(policy, Sampling(max_tokens=6), 3)
    contexts = [[1, 5, 2], [1, 6, 2], [1, 5, 7, 2]]
    engine.generate(range(3), contexts, sources(range(3), 0))
    longer = [[*c, 8, 9, 2] for c in contexts]
    policy.left = 2
    with pytest.raises(MemoryError):
        engine.generate(range(3), longer, sources(range(3), 1))
    policy.left = 10**9
    assert policy.networks[0].config._attn_implementation == "sdpa"  # type: ignore[union-attr]
    assert_same(
        engine.generate(range(3), longer, sources(range(3), 1)),
        generate(policy, longer, sources(range(3), 1), engine.sampling),
    )


def test_weights_that_were_no_numbers_leave_nothing_behind() -> None:
    policy = Networks(network("gpt2"))
    good = {name: value.clone() for name, value in policy.state_dict().items()}
    engine = SlotEngine(policy, Sampling(max_tokens=6), 3)
    contexts = [[1, 5, 2], [1, 6, 6, 6, 2], [1, 5, 7, 2]]
    engine.generate(range(3), contexts, sources(range(3), 0))
    for parameter in policy.networks.parameters():
        parameter.data.fill_(float("nan"))
    with pytest.raises(NoNumbers):
        engine.generate(range(3), [[*c, 4, 5, 6, 7, 8] for c in contexts], sources(range(3), 0))
    policy.load_state_dict(good)
    assert_same(
        engine.generate(range(3), contexts, sources(range(3), 1)),
        generate(policy, contexts, sources(range(3), 1), engine.sampling),
    )


def test_what_cannot_be_served_is_refused() -> None:
    from transformers import AutoModel, BloomConfig, MistralConfig

    policy = Networks(network("gpt2"))
    with pytest.raises(ValueError, match="slots=0"):
        SlotEngine(policy, Sampling(), 0)
    engine = SlotEngine(policy, Sampling(max_tokens=4), 2)
    draw = sources(range(2), 0)
    with pytest.raises(ValueError, match="twice"):
        engine.generate([1, 1], [[1], [1]], draw)
    with pytest.raises(ValueError, match="2 keys, 1 contexts"):
        engine.generate([1, 2], [[1]], draw)
    with pytest.raises(ValueError, match="empty context"):
        engine.generate([1, 2], [[1], []], draw)
    size = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_attention_heads": 2, "num_key_value_heads": 2}
    windowed = AutoModel.from_config(
        MistralConfig(**size, num_hidden_layers=1, intermediate_size=16, sliding_window=8, pad_token_id=0)
    )
    alibi = AutoModel.from_config(BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=1, n_head=2))
    for trunk, reason in ((windowed, "do not attend to all"), (alibi, "positions from the attention mask")):
        with pytest.raises(ValueError, match=reason):
            SlotEngine(Networks(trunk), Sampling(), 2)


# -- other numbers and machines


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_bfloat16_is_close(kind: str) -> None:
    policy = Networks(network(kind, spread=0.05)).to(torch.bfloat16)
    engine = SlotEngine(policy, Sampling(max_tokens=1), 4)
    contexts = [[1, *range(4, 4 + i), 2] for i in range(4)]
    for turn in range(4):
        found = engine.generate(range(4), contexts, sources(range(4), turn))
        expected = generate(policy, contexts, sources(range(4), turn), engine.sampling)
        for a, b in zip(found, expected, strict=True):
            assert a.ids != b.ids or a.logprobs == pytest.approx(b.logprobs, abs=0.05)
        contexts = [[*c, *range(6, 7 + turn)] for c in contexts]
    assert engine.counts.kept
    with torch.autocast("cpu", torch.bfloat16):
        assert len(SlotEngine(policy.float(), Sampling(), 4).generate(range(4), contexts, sources(range(4), 9))) == 4


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kind", ["gpt2", "llama", "neox"])
def test_any_order_and_grouping_on_cuda(kind: str) -> None:
    torch.backends.cuda.matmul.allow_tf32 = False
    play(Networks(network(kind)).cuda(), Sampling(max_tokens=7), seed=1, slots=6, games=6, window=None)
