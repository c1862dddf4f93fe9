"""What a run is said to need of memory is what it takes, and what cannot fit is refused before it trains."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from lmrl_agents.learning import memory
from lmrl_agents.learning.memory import available, memory_of
from lmrl_agents.learning.run import TrainingError, TrainingRun
from lmrl_agents.learning.session import Session
from lmrl_agents.learning.train import train

MAZE = "lmrl/MazeFullyObserved-v0"
TINY = {"model.layers": 2, "model.width": 16, "model.heads": 2, "bc.steps": 2, "bc.batch_size": 16,
        "ppo.iterations": 1, "ppo.episodes": 2, "ppo.slots": 2}  # fmt: skip


def run_of(algorithm: str, data: Path, out: Path, **settings) -> TrainingRun:
    return TrainingRun(algorithm, MAZE, str(data), out, show_progress=False, overrides=TINY, **settings)


def test_gradients_and_moments_are_counted_to_the_byte(
    maze_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of policy and value network together: the sizes said at the start are those there at the end."""
    seen: list[tuple[Session, memory.Memory]] = []
    real = Session.__init__

    def watching(self, run, policy, config, modules, optimizers, state=None):
        real(self, run, policy, config, modules, optimizers, state)
        seen.append((self, memory_of(run, policy, optimizers.values(), config)))

    monkeypatch.setattr(Session, "__init__", watching)
    train(run_of("ppo", maze_data, tmp_path / "run", pass_tokens=100, logits_at_once=3000))
    session, said = seen[-1]
    assert session.run.algorithm == "ppo" and len(session.optimizers) == 2
    states = [s for optimizer in session.optimizers.values() for s in optimizer.state.values()]
    moments = [state[name] for state in states for name in ("exp_avg", "exp_avg_sq")]
    assert said.optimizer == sum(m.numel() * m.element_size() for m in moments)
    parameters = [p for o in session.optimizers.values() for g in o.param_groups for p in g["params"]]
    assert said.gradients == sum(p.grad.numel() * p.grad.element_size() for p in parameters if p.grad is not None)
    # Two games, keys and values of two layers of width 16; 100 tokens of 34 numbers; nothing is computed twice.
    assert said.caches == 2 * session.policy.form.max_tokens * 2 * 2 * 16 * 4
    assert said.activations == 100 * 2 * 16 * 34 * 4
    assert said.weights == said.gradients  # all that there is is trained
    # Of so many numbers at once, whole rows, with their logarithms and gradient.
    vocabulary = session.policy.vocabulary
    assert said.logits == 3000 // vocabulary * vocabulary * 4 * 3 < 100 * vocabulary * 4 * 3
    assert said.most == said.certain + max(said.caches, said.activations + said.logits)


def test_what_cannot_fit_is_refused_with_the_numbers(
    maze_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available", lambda device: 1000)
    with pytest.raises(TrainingError, match=r"cpu has 0\.00 GiB left; gradients take .* train adapters"):
        train(run_of("bc", maze_data, tmp_path / "run"))
    assert not (tmp_path / "run" / "final").exists()
    # A checkpoint's weights are weighed before they are read.
    config = GPT2Config(vocab_size=50, n_embd=16, n_layer=1, n_head=1)
    GPT2LMHeadModel(config).to(torch.bfloat16).save_pretrained(tmp_path / "checkpoint")
    run = run_of("bc", maze_data, tmp_path / "other")
    run.overrides = {"model.source": str(tmp_path / "checkpoint"), "text.units": "chat"}
    with pytest.raises(
        TrainingError, match=r"cpu has 0\.00 GiB left; the weights of .*checkpoint take 0\.00 in float32"
    ):
        train(run)


def test_much_is_told_as_a_table(
    maze_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    run = run_of("bc", maze_data, tmp_path / "run")
    train(run)
    assert "memory" not in capsys.readouterr().err  # a small run's is of no interest
    monkeypatch.setattr(memory, "TOLD_FROM", 0)
    run.out, run.show_progress = tmp_path / "other", True
    train(run)
    told = capsys.readouterr().err
    assert "memory on cpu:" in told and "there already" in told and "optimizer" in told and "GiB more of" in told
    assert available("cpu") > 2**20 and isinstance(torch.device("cpu").type, str)
