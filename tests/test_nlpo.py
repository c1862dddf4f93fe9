"""NLPO: its mask by hand, and that nothing is played or learned outside it."""

from __future__ import annotations

import pytest
import torch

from lmrl_agents.algorithms.nlpo import Config, MaskedPolicy, likely
from lmrl_agents.learning.losses import chosen
from lmrl_agents.models.model import LanguageModel, ModelConfig
from lmrl_agents.models.sampling import Sampling, generate
from lmrl_agents.models.tokenizer import train_tokenizer
from lmrl_agents.models.tokens import TextFormat


@pytest.mark.parametrize(
    ("share", "keep", "expected"),
    [(0.4, 1, "1000"), (0.5, 1, "1000"), (0.51, 1, "1010"), (0.9, 1, "1011"), (0.4, 2, "1010"), (1.0, 1, "1111")],
)
def test_the_mask_by_hand(share: float, keep: int, expected: str) -> None:
    logits = torch.log(torch.tensor([[0.5, 0.05, 0.25, 0.2]]))
    assert "".join(str(int(x)) for x in likely(logits, share, keep)[0]) == expected


@pytest.fixture
def model() -> LanguageModel:
    tokenizer = train_tokenizer(["go left", "go right"], min_count=1)
    model = LanguageModel.create(ModelConfig(layers=1, width=16, heads=1, max_positions=32), tokenizer, TextFormat(), 0)
    with torch.no_grad():  # some tokens are likely, most are not
        model.lm.get_input_embeddings().weight.mul_(4)
    return model.eval()


def test_what_is_drawn_is_in_the_mask_of_the_copy_until_it_is_set_anew(model: LanguageModel) -> None:
    masked = MaskedPolicy(model, Config(mask=0.5, sync=2))
    drawn = [generate(masked, [[5, 6, 7]], [lambda u=u: u / 200], Sampling(max_tokens=1))[0].ids[0] for u in range(200)]
    with torch.no_grad():
        state = model.lm.base_model(input_ids=torch.tensor([[5, 6, 7]])).last_hidden_state[:, -1]
        allowed = likely(model.logits([state]), 0.5, 1)[0]
        assert 1 < allowed.sum() < len(allowed) and all(allowed[token] for token in drawn)
        assert set(drawn) == set(allowed.nonzero()[:, 0].tolist())
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
        states = [model.lm.base_model(input_ids=torch.tensor([[5, 6, 7]])).last_hidden_state[:, -1], state]
        assert torch.equal(masked.logits(states)[0] > float("-inf"), allowed)
        masked.ended(0)
        assert torch.equal(masked.logits(states)[0] > float("-inf"), allowed)
        masked.ended(1)
        assert torch.equal(
            masked.logits([states[0], states[0]])[0] > float("-inf"), likely(model.logits(states[:1]), 0.5, 1)[0]
        )


def test_tokens_that_cannot_be_drawn_have_no_part_in_entropy_and_gradient() -> None:
    logits = torch.tensor([[1.0, 1.0, 5.0]], requires_grad=True)
    logprob, entropy = chosen(
        logits.masked_fill(torch.tensor([[False, False, True]]), float("-inf")), torch.tensor([0])
    )
    assert logprob.item() == pytest.approx(-0.693147) and entropy.item() == pytest.approx(0.693147)
    (logprob + entropy).sum().backward()
    assert torch.isfinite(logits.grad).all() and logits.grad[0, 2] == 0
