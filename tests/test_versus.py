"""Agent against agent: one plays the task's partner, and sees the talk from the other side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from lmrl_benchmarks.commands.cli import run
from lmrl_benchmarks.running.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.running.formats import SummaryFile
from lmrl_envs.files.untrusted import read
from lmrl_envs.partners import SimulatorStopped

ID = "lmrl/Negotiation-v0"


def game(other: str, role: str = "seller", seed: int = 5):
    env = gym.make(ID, role=role, simulator=f"agent:{other}").unwrapped
    env.reset(seed=seed)  # type: ignore[attr-defined]
    return env


def test_the_other_side_sees_the_talk_turned_round_and_takes_a_formal_offer() -> None:
    env = game("policy:hold")
    listed = env.get_state()["game"]["hidden"]["card"]["listed"]
    first, _, over, _, _ = env.step("Hello! It's a good one.")
    assert not over
    assert f"${round(listed / 2):,}"[:3] in first  # a buyer that holds proposes half
    text, reward, over, _, info = env.step(f"offer ${listed:,}")
    assert over
    assert info["success"]  # it takes what is formally offered
    assert reward == 1.0
    assert "deal" in text
    assert info["profits"] == {"seller": 1.0, "buyer": -1.0}


def test_a_formal_offer_at_once_is_seen_as_one() -> None:
    env = game("policy:hold", seed=6)
    listed = env.get_state()["game"]["hidden"]["card"]["listed"]
    _, reward, over, _, info = env.step(f"offer ${listed // 2:,}")
    assert over and info["success"]
    assert reward == pytest.approx(0.5, abs=0.01)


def test_a_buyer_offers_formally_and_the_seller_accepts() -> None:
    env = game("policy:offer_now", seed=8)
    text, _, over, _, _ = env.step("Hello!")
    assert not over
    assert "\noffer $" in text
    _, reward, over, _, info = env.step("accept")
    assert over
    assert 0.5 <= reward <= 1.0
    assert info["price"] == round(reward * info["listed"])


def test_nobody_closes_with_words_or_ends_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(
        "class A:\n    def __init__(self, said): self.said = said\n    def act(self, requests): return [self.said] * len(requests)\n"
        "def accept(): return A('accept')\ndef sly(): return A('Fine.\\noffer $1')\ndef dear(): return A('offer $9,999,999')\n"
        "def go(): return A('quit')\ndef few():\n    a = A(''); a.act = lambda requests: []; return a\n"
    )
    for name, over in (("accept", False), ("sly", False), ("dear", False), ("go", True)):
        env = game(f"{tmp_path}/odd.py:{name}")
        text, reward, ended, _, _ = env.step("I want all of it.")
        assert (ended, reward) == (over, 0.0), name
        assert "\noffer $" not in text
        assert not env.step("accept")[4]["valid"] if not over else True
    with pytest.raises(Exception, match="did not answer every talk"):
        game(f"{tmp_path}/odd.py:few").step("Hi.")
    with pytest.raises(ValueError, match="no agent"):
        game("nobody")
    with pytest.raises(SimulatorStopped, match="has no policy"):
        game("policy:nobody").step("Hi.")
    with pytest.raises(ValueError, match="is not one for agents"):
        gym.make("lmrl/TwentyQuestions-v1", simulator="agent:random")


@pytest.mark.parametrize("role", ["seller", "buyer"])
def test_the_summary_tells_both_profits_and_what_is_better_for_both(role: str, tmp_path: Path) -> None:
    spec = EvaluationSpec(ID, "policy:casual", 12, 0, {"role": role, "simulator": "agent:policy:casual"})
    summary = evaluate(spec, tmp_path / "run")
    assert summary["errors"] == 0
    assert sum(summary["profits"].values()) == pytest.approx(-(1 - summary["success_rate"]))
    assert read(tmp_path / "run" / "summary.json", SummaryFile).profits == summary["profits"]
    assert set(summary["profits"]) == {"seller", "buyer"}
    assert 0 <= summary["better_for_both"] <= summary["success_rate"]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "eval",
        "--env",
        ID,
        "--agent",
        "policy:hold",
        "--versus",
        "policy:offer_now",
        "--episodes",
        "4",
        "--out",
        str(tmp_path / "x"),
    ]
    assert run(command) == 0
    assert "deals better for both than none" in capsys.readouterr().out
    assert run([*command[:6], "nobody", *command[7:-1], str(tmp_path / "y")]) != 0


def test_self_play_in_the_persons_seat(tmp_path: Path) -> None:
    """Chat with an agent for the person: it hears the talk from its own side, ten turns always, rewards of words alone; a policy learns from it."""
    (tmp_path / "seat.py").write_text(
        "class A:\n    def act(self, requests):\n"
        "        return [f'You said {r.transcript[-1].text} and\\nI said {len(r.transcript.actions)}, haha' for r in requests]\n"
        "def make(): return A()\n"
    )
    env: Any = gym.make("lmrl/Chat-v0", simulator=f"agent:{tmp_path}/seat.py:make", reward="laughter").unwrapped
    env.reset(seed=0)
    ended, info = False, {}
    for turn in range(10):
        assert not ended
        text, reward, ended, _, info = env.step("You are so annoying.")
        assert text == f"You said You are so annoying. and I said {turn}, haha" and reward == 1.0
    assert ended and info["rewards"]["laughter"] == 10 and not {"gold", "votes"} & info["rewards"].keys()
    assert "person" not in info and not info["success"]
    for reward in ("gold", "votes", {"question": 1.0, "gold": 0.1}):
        with pytest.raises(ValueError, match="enjoys nothing"):
            gym.make("lmrl/Chat-v0", simulator="agent:policy:casual", reward=reward)
    batch: Any = gym.make_vec("lmrl/Chat-v0", 3, simulator="agent:policy:casual", reward="question")
    batch.reset(seed=1)
    assert all(batch.step(("And you?",) * 3)[0])
