"""The figure on CartPole: its buffers hold real steps, its methods are the library's, and the best known difference shows."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "sanity" / "cartpole_wop.py"
pytestmark = pytest.mark.filterwarnings("ignore:.*out of date.*")


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("cartpole_wop", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = sys.modules["cartpole_wop"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def balancing(states: torch.Tensor) -> torch.Tensor:
    """A controller that holds the pole: push to where it falls."""
    right = (states @ torch.tensor([0.1, 0.5, 10.0, 2.0]) > 0).float()
    return torch.stack([1 - right, right], 1)


def test_a_buffer_holds_steps_of_the_game_and_no_beginnings(script) -> None:
    buffer = script.collect(lambda states: torch.full((len(states), 2), 0.5), 600, seed=0)
    env = gym.make("CartPole-v0").unwrapped
    env.reset(seed=0)
    for state, action, after, goes_on in zip(
        buffer.state.tolist(), buffer.action.tolist(), buffer.after.tolist(), buffer.goes_on.tolist(), strict=True
    ):
        env.state, env.steps_beyond_terminated = tuple(state), None
        reached, _, terminated, *_ = env.step(action)
        assert np.allclose(reached, after, atol=1e-5) and goes_on == 1.0 - float(terminated)
    assert 10 < buffer.mean_return < 40 and (buffer.goes_on == 0).any()


def test_a_cut_off_game_goes_on(script) -> None:
    buffer = script.collect(balancing, 1700, seed=0)
    assert buffer.mean_return == 200 and (buffer.goes_on == 1).all()


def test_on_narrow_data_nothing_holds_plain_q_learning_and_g_stays_with_the_speaker(script) -> None:
    """The figure's main point, small: one expert, 300 steps of training."""
    torch.set_num_threads(1)
    buffer = script.collect(balancing, 2000, seed=1)
    prior = script.clone(buffer, 0, 600)
    held = {name: np.mean(script.train(name, buffer, prior, 0, 300, False)[-2:]) for name in ("Batch Q", "DBCQ", "G")}
    assert held["G"] > 120 and held["DBCQ"] > 120 and held["Batch Q"] < 60, held
    assert {script.rule_of(name).form for name in script.METHODS if script.rule_of(name)} == {"g", "psi", "klq_coded"}


def test_a_run_goes_on_where_its_file_is(script, tmp_path, monkeypatch, capsys) -> None:
    columns = ("data", "BC sampled", "BC greedy", *script.METHODS)
    out, rows = tmp_path / "rows.json", [{"buffer": "expert", "seed": 0, **dict.fromkeys(columns, 9.0)}]
    out.write_text(json.dumps({"steps": 5, "rows": rows}))
    monkeypatch.setattr(script, "buffers_of", None)  # nothing is made anew
    monkeypatch.setattr(sys, "argv", ["x", "--seeds", "1", "--buffers", "expert", "--steps", "5", "--out", str(out)])
    script.main()
    assert "| expert | 9 (9 to 9) |" in capsys.readouterr().out
    sys.argv[6] = "6"
    with pytest.raises(SystemExit):
        script.main()
    assert "has rows of --steps 5" in capsys.readouterr().err and json.loads(out.read_text())["rows"] == rows
