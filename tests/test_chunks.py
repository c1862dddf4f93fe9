"""A large vocabulary's logits and values in pieces: losses and gradients of every algorithm are those of one table, and no table is larger
than it was to be, forward and backward."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lmrl_agents import load_agent
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.learning.session import Session
from lmrl_agents.learning.train import train
from lmrl_agents.models.chunks import AT_ONCE, bounded, by_state, in_pieces, rows_of
from lmrl_agents.models.model import LanguageModel, ModelConfig
from lmrl_agents.models.tokenizer import train_tokenizer
from lmrl_agents.models.tokens import TextFormat
from lmrl_agents.playing.collecting import Collection, collect
from lmrl_datasets import load_dataset
from lmrl_datasets.preferences.labelling import label_pairs

ENV, DATA = "lmrl/Wordle-v0", "wordle/mixed-v0"
ROWS = 24
"""Of a piece. More than the states are wide: a transposed output layer is no larger a table."""

OFFLINE = {"steps": 2, "batch_size": 16}
VALUES = {**OFFLINE, "compose": False}
"""A composition's matrix of characters is as long as the vocabulary, transposed for the gradient: no table of rows."""
ONLINE = {"iterations": 3, "episodes": 6, "slots": 6}
CASES: dict[str, dict[str, Any]] = {
    "filtered_bc": OFFLINE,
    "mc": VALUES,
    "ilql": VALUES,
    "cql": VALUES,
    "cql sarsa": {**VALUES, "backup": "sarsa"},
    "cql expectile": {**VALUES, "backup": "expectile"},
    "kl_control": OFFLINE,
    "kl_control coded": {**OFFLINE, "form": "klq_coded", "conservatism": 0.1},
    "batch_q": OFFLINE,
    "dbcq": OFFLINE,
    "ppo": {**ONLINE, "pretraining_weight": 0.5, "pretraining_rows": 8, "kl_stop": 0.0},
    "nlpo": {**ONLINE, "kl_stop": 0.0},
    "reinforce": {**ONLINE, "entropy": 0.1},
    "grpo": {**ONLINE, "episodes": 3, "group_size": 2, "kl_weight": 0.1},
    "archer": {**ONLINE, "critic_updates": 1, "critic_rounds": 0, "positions": 24, "batch_size": 8},
    "online_filtered_bc": {**ONLINE, "updates": 2, "batch_size": 8},
    "online_dpo": {**ONLINE, "episodes": 3},
    "dpo": {"steps": 2, "batch_size": 8},
    "tamer": {**ONLINE, "updates": 2},
    "vhrl": ONLINE,
}
LEARNERS = ("policy", "critic", "worker")
"""Optimizers of what has tables, the first of these that an algorithm has."""


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained policy of some 5,000 tokens."""
    texts = [turn.text for episode in list(load_dataset(DATA, sample=True))[:40] for turn in episode.transcript]
    tokenizer = train_tokenizer(texts, max_size=8000, min_count=1, first=[f"word{k}" for k in range(4600)])
    assert 4900 < len(tokenizer) < 6000
    form = TextFormat(max_tokens=256, max_action_tokens=3, env_id=ENV)
    config = ModelConfig(layers=1, width=16, heads=1, max_positions=256)
    folder = tmp_path_factory.mktemp("start") / "model"
    LanguageModel.create(config, tokenizer, form, 0).save(folder, {"env_id": ENV})
    return folder


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs") / "wordle"
    collect(Collection(ENV, ["suboptimal"], 12), [load_agent("suboptimal")], folder)
    label_pairs(folder, "gold")
    return folder


class Largest(TorchDispatchMode):
    """The numbers of the largest tensor over the vocabulary that an operation gives."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs, self.found = outputs, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = func(*args, **(kwargs or {}))
        for one in tree_leaves(given):
            if isinstance(one, torch.Tensor) and one.dim() and one.shape[-1] == self.outputs:
                self.found = max(self.found, one.numel())
        return given


class Enough(Exception):
    """Two steps of every learner were seen."""


def watched(run: TrainingRun, outputs: int, monkeypatch: pytest.MonkeyPatch) -> tuple[list[torch.Tensor], int]:
    """Losses and gradients of the first updates, each a tensor, and the largest table. Weights move by noise, not by the gradient: what
    rounding makes of that would be made larger by Adam."""
    seen: list[torch.Tensor] = []
    counts: dict[str, int] = {}

    def update(self: Session, name: str, loss: torch.Tensor, rate: float, batch: Any, more: bool = False) -> float:
        parameters = [p for group in self.optimizers[name].param_groups for p in group["params"]]
        for p in parameters:
            p.grad = None
        loss.backward()
        seen.append(torch.cat([loss.detach()[None], *(p.grad.flatten() for p in parameters if p.grad is not None)]))
        counts[name] = counts.get(name, 0) + 1
        if counts.get(next(name for name in LEARNERS if name in self.optimizers)) == 2:
            raise Enough
        noise = torch.Generator().manual_seed(len(seen))
        with torch.no_grad():
            for p in parameters:
                p.add_(0.1 * torch.randn(p.shape, generator=noise))
        return 0.0

    monkeypatch.setattr(Session, "update", update)
    with pytest.raises(Enough), Largest(outputs) as largest:
        train(run)
    return seen, largest.found


@pytest.mark.parametrize("case", CASES)
def test_pieces_have_the_losses_and_gradients_of_one_table_and_none_is_larger(
    case: str, start: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Games that all end alike teach nothing.
    monkeypatch.setattr("lmrl_agents.algorithms.grpo.advantages_of", lambda e, s, c: np.arange(len(s)) % 3 - 1.0)
    monkeypatch.setattr("lmrl_agents.algorithms.online_dpo.labels_by_reward", lambda episodes: [1.0, 0.0, 1.0])
    algorithm = case.partition(" ")[0]
    outputs, overrides = (
        len(LanguageModel.load(start).tokenizer),
        {f"{algorithm}.{k}": v for k, v in CASES[case].items()},
    )
    data = {"data": str(pairs)} if algorithm == "dpo" else {"data": DATA, "sample": True}
    found = []
    for name, at_once in (("whole", 0), ("pieces", ROWS * outputs)):
        run = TrainingRun(
            algorithm, ENV, **data, out=tmp_path / name, start=start, overrides=overrides, logits_at_once=at_once,
            show_progress=False, report_to="none",
        )  # fmt: skip
        found.append(watched(run, outputs, monkeypatch))
    (whole, once), (joined, piece) = found
    assert piece <= ROWS * outputs < once
    assert len(whole) == len(joined)
    for a, b in zip(whole, joined, strict=True):
        assert torch.allclose(a[0], b[0], rtol=1e-5, atol=1e-7)
        assert torch.allclose(a[1:], b[1:], rtol=1e-4, atol=1e-5 * float(a[1:].abs().max()))
        assert float(a[1:].norm()) > 0


def test_what_fits_is_one_piece_and_states_are_read_once_a_piece() -> None:
    calls: list[int] = []

    def of(states: list[torch.Tensor], state: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor]:
        calls.append(len(states[0]))
        return (states[0][state, 0] * weight,)

    states, state, weight = torch.randn(4, 2), torch.tensor([2, 0, 2, 1, 2, 3, 0]), torch.arange(7.0)
    (whole,) = by_state(of, 10, [states], state, weight)
    with bounded(39):
        assert rows_of(10) == 3 and rows_of(100) == 1
        (pieces,) = by_state(of, 10, [states], state, weight)
        assert in_pieces(lambda x: (x + 1, x.flip(0)), 20, torch.arange(2))[1].tolist() == [0, 1]
    assert torch.equal(whole, pieces) and calls == [4, 2, 1, 1]
    assert rows_of(10) == AT_ONCE // 10
    with bounded(0):
        assert rows_of(10) > 10**9
