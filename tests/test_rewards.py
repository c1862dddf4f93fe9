"""Rewards as a door: what is optimised, what is recorded beside it, and the wall in front of gold."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lmrl_agents import load_agent
from lmrl_agents.learning.rewarding import GAMES
from lmrl_agents.learning.run import METRICS, TrainingError, TrainingRun
from lmrl_agents.learning.train import algorithms, load_algorithm, train
from lmrl_agents.playing.identity import identity_of, is_ours, parts_of_best_of, reward_identity
from lmrl_agents.rewards.loading import load_reward
from lmrl_agents.rewards.protocol import RewardError, Trajectory, scored
from lmrl_benchmarks.commands.cli import run as lmrl
from lmrl_benchmarks.reporting.report import write_report
from lmrl_benchmarks.running.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.running.records import RecordFile
from lmrl_benchmarks.running.runner import run_suite
from lmrl_benchmarks.running.suite import suite_from
from lmrl_benchmarks.running.verify import verify_run
from lmrl_datasets import Dataset, load_dataset
from lmrl_envs import Transcript, doors

HEADLINE, MAZE = "lmrl/Headline-v0", "lmrl/MazeFullyObserved-v0"

CODE = """
class Brevity:
    def score(self, trajectories):
        assert not any(turn.reward for t in trajectories for turn in t.transcript), "gold is told"
        return [[-len(action) / 100 for action in t.transcript.actions] for t in trajectories]

class Nan(Brevity):
    def score(self, trajectories):
        return [[float("nan")] * len(t.transcript.actions) for t in trajectories]

class Few(Brevity):
    def score(self, trajectories):
        return [[] for t in trajectories]

class Fewer(Brevity):
    def score(self, trajectories):
        return []

class Broken(Brevity):
    def score(self, trajectories):
        raise KeyError("lost")

class Text(Brevity):
    def score(self, trajectories):
        return [["good"] * len(t.transcript.actions) for t in trajectories]

def weighted(argument):
    class Weighted(Brevity):
        def score(self, trajectories):
            return [[float(argument) * value for value in values] for values in super().score(trajectories)]
    return Weighted()

nothing = object
"""


@pytest.fixture
def place(tmp_path: Path) -> str:
    path = tmp_path / "rewards_here.py"
    path.write_text(CODE)
    return str(path)


def settings(algorithm: str, out: Path, **changes: Any) -> TrainingRun:
    tiny = {"model.layers": 1, "model.width": 16, "model.heads": 1, "bc.steps": 12, "bc.batch_size": 32}
    if algorithm not in ("bc",):
        tiny |= {f"{algorithm}.iterations": 3, f"{algorithm}.episodes": 4, f"{algorithm}.checkpoint_every": 1}
    return TrainingRun(
        algorithm, HEADLINE, "headline/mixed-v0", out, sample=True, overrides=tiny, show_progress=False, **changes
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    files = sorted((folder / "final").glob("*.safetensors"))
    return {f"{file.stem}.{name}": tensor for file in files for name, tensor in load_file(file).items()}


def games(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / GAMES).read_text().splitlines()]


OFFLINE = ("mc", "ilql", "cql", "kl_control", "batch_q", "dbcq", "filtered_bc", "planning")
REWARDED = [
    name
    for name in algorithms()
    if name not in OFFLINE and getattr(load_algorithm(name), "__globals__", {}).get("TAKES_REWARD")
]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("start") / "bc"
    train(settings("bc", out))
    return out


@pytest.mark.parametrize("algorithm", REWARDED)
def test_noise_in_gold_changes_no_weight(
    algorithm: str, start: Path, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wall: a task that pays noise trains the same weights, bit for bit; its records hold that noise, and the reward."""
    import lmrl_envs.headline.env as task

    run = settings(algorithm, tmp_path / "true", reward=f"{place}:Brevity", start=start)
    train(run)
    original, noise = task.judge, random.Random(5)
    monkeypatch.setattr(task, "judge", lambda *a: replace(original(*a), gold=noise.uniform(-1, 1)))
    train(replace(run, out=tmp_path / "noise"))
    true, noisy = weights(tmp_path / "true"), weights(tmp_path / "noise")
    assert true.keys() == noisy.keys() and all(torch.equal(true[name], noisy[name]) for name in true)
    for one, other in zip(games(tmp_path / "true"), games(tmp_path / "noise"), strict=True):
        assert one["actions"] == other["actions"] and one["optimised"] == other["optimised"]
        assert one["gold"] != other["gold"] and len(one["gold"]) == len(one["actions"]) == len(one["optimised"])
        assert one["optimised"] == [-len(action) / 100 for action in one["actions"]]
    metrics = [json.loads(line) for line in (tmp_path / "true" / METRICS).read_text().splitlines()]
    first = games(tmp_path / "true")[: len(games(tmp_path / "true")) // 3]
    assert metrics[0]["optimised"] == pytest.approx(sum(g["optimised"][0] for g in first) / len(first))
    assert metrics[0]["return"] == pytest.approx(sum(g["gold"][0] for g in first) / len(first))
    # Without a reward of one's own the noise is what is learned from.
    train(replace(run, out=tmp_path / "gold", reward="task"))
    assert not all(torch.equal(true[name], other) for name, other in weights(tmp_path / "gold").items())
    assert not (tmp_path / "gold" / GAMES).exists()


def test_a_resumed_run_has_the_games_of_an_uninterrupted_one(
    start: Path, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = settings("grpo", tmp_path / "whole", reward=f"{place}:Brevity", start=start)
    train(run)
    broken, calls = replace(run, out=tmp_path / "broken"), []
    from lmrl_agents.learning.rewarding import Rewarding

    original = Rewarding.apply

    def killed(self: Rewarding, *arguments: Any) -> None:
        original(self, *arguments)
        calls.append(1)
        if len(calls) == 2:  # the games of the second round are written, its learning is lost
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Rewarding, "apply", killed)
        with pytest.raises(KeyboardInterrupt):
            train(broken)
    train(replace(broken, resume=True))
    assert games(broken.out) == games(run.out)
    with pytest.raises(Exception, match="reward"):  # another reward is another run
        train(replace(broken, reward=f"{place}:weighted:2", resume=True))


@pytest.mark.parametrize("algorithm", OFFLINE[:-1])
def test_offline_algorithms_learn_from_the_reward_and_choose_by_it(
    algorithm: str, start: Path, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gold is not learned from: another payment of the same games trains the same weights; nor is it what beta is chosen by."""
    short = {"steps": 4, "batch_size": 8, "checkpoint_every": 4}
    value = {"betas": [1.0], "validation_episodes": 3} if algorithm != "filtered_bc" else {"share": 0.5}
    overrides = {
        "model.layers": 1,
        "model.width": 16,
        "model.heads": 1,
        **{f"{algorithm}.{k}": v for k, v in {**short, **value}.items()},
    }
    run = TrainingRun(algorithm, HEADLINE, "headline/mixed-v0", tmp_path / "true", sample=True, start=start, overrides=overrides,
                      reward=f"{place}:Brevity", show_progress=False)  # fmt: skip
    train(run)
    data = load_dataset("headline/mixed-v0", split="train", sample=True)
    paid = load_dataset(tmp_path / "true" / "rewarded")
    assert len(paid) == len(data)
    for one, other in zip(paid[:50], data[:50], strict=True):
        assert one.actions == other.actions and tuple(one.info["gold"]) == other.rewards
        assert one.rewards == tuple(-len(action) / 100 for action in one.actions)
    if algorithm != "filtered_bc":
        told = json.loads((tmp_path / "true" / "final" / "lmrl.json").read_text())["decoding"]["validation_return"]
        assert all(-3 < value < 0 for value in told.values())
    train(replace(run, out=tmp_path / "gold", reward="task"))
    true, gold = weights(tmp_path / "true"), weights(tmp_path / "gold")
    assert not all(torch.equal(true[name], gold[name]) for name in true)
    original = Dataset.fetch

    def noisy(self: Dataset, indices: Any) -> Any:
        return [replace(episode, rewards=tuple(7.0 for _ in episode.rewards)) for episode in original(self, indices)]

    monkeypatch.setattr(Dataset, "fetch", noisy)
    train(replace(run, out=tmp_path / "noise"))
    monkeypatch.undo()
    assert load_dataset(tmp_path / "noise" / "rewarded")[0].info["gold"][0] == 7.0
    noise = weights(tmp_path / "noise")
    assert all(torch.equal(true[name], noise[name]) for name in true)


def test_cloning_takes_no_reward(place: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="bc takes no --reward"):
        train(settings("bc", tmp_path / "bc", reward=f"{place}:Brevity"))
    with pytest.raises(ValueError, match="give one of them"):
        train(settings("ppo", tmp_path / "ppo", reward=f"{place}:Brevity", env_kwargs={"reward": "deal"}))
    with pytest.raises(ValueError, match="no reward 'nonsense'"):
        train(settings("ppo", tmp_path / "ppo", reward="nonsense"))
    assert not list(tmp_path.glob("bc*")) and not list(tmp_path.glob("ppo*"))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Nan", "gave nan for the action 'a.'"),
        ("Few", "gave 0 numbers for 1 actions"),
        ("Fewer", "scored 0 trajectories, it was given 1"),
        ("Broken", "KeyError: 'lost'"),
        ("Text", "ValueError: could not convert"),
    ],
)
def test_a_reward_that_gives_no_numbers_is_one_clear_line(name: str, why: str, place: str) -> None:
    spec = f"{place}:{name}"
    said = Trajectory.of(HEADLINE, Transcript.from_texts(["notes", "a."], [1.0]))
    with pytest.raises(RewardError, match=why):
        scored(load_reward(spec), spec, [said])


def test_a_reward_that_fails_loses_nothing(place: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    command = ["eval", "--agent", "suboptimal", "--env", HEADLINE, "--episodes", "3", "--out", str(tmp_path / "run")]
    assert lmrl([*command, "--reward", f"{place}:Nan"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "gave nan for the action" in error
    with pytest.raises(RewardError, match="has no method score"):
        load_reward(f"{place}:nothing")


def test_the_task_s_own_reward_is_at_the_door() -> None:
    assert "task" in doors.installed("lmrl.rewards")
    with pytest.raises(RewardError, match="read off its games"):
        load_reward("task").score([])


def test_records_and_summaries_hold_both(place: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    spec = EvaluationSpec(MAZE, "expert", episodes=4, reward=f"{place}:weighted:2")
    summary = evaluate(spec, tmp_path / "run")
    records = RecordFile(tmp_path / "run").read()
    for record in records:
        assert list(record.optimised) == [-2 * len(action) / 100 for action in record.actions]
    assert summary["optimised_mean"] == pytest.approx(sum(sum(r.optimised) for r in records) / 4)
    assert summary["return_mean"] == pytest.approx(sum(sum(r.rewards) for r in records) / 4)
    assert evaluate(replace(spec, reward="task"), tmp_path / "plain").keys() < summary.keys()
    assert "optimised" not in (tmp_path / "plain" / "episodes.jsonl").read_text()
    assert lmrl(["eval", "--agent", "expert", "--env", MAZE, "--episodes", "4", "--out", str(tmp_path / "run"),
                 "--reward", spec.reward]) == 0  # fmt: skip
    assert "optimised" in capsys.readouterr().out
    Path(place).write_text(CODE.replace("/ 100", "/ 10"))
    assert reward_identity(spec.reward) != json.loads((tmp_path / "run" / "run.json").read_text())["spec"][
        "reward_fingerprint"
    ]  # fmt: skip


def test_best_of_n_takes_the_best_of_the_policy_s_own(place: str, tmp_path: Path) -> None:
    means = {}
    for n in (1, 4):
        spec = EvaluationSpec(HEADLINE, f"best_of:{n},{place}:Brevity,suboptimal", episodes=30)
        evaluate(spec, tmp_path / str(n))
        records = RecordFile(tmp_path / str(n)).read()
        assert all(record.optimised == (-len(record.actions[0]) / 100,) for record in records)
        means[n] = [record.optimised[0] for record in records]
    evaluate(EvaluationSpec(HEADLINE, "suboptimal", episodes=30), tmp_path / "alone")
    alone = RecordFile(tmp_path / "alone").read()
    # Best of one is the policy, action for action; the first of four candidates is, too.
    assert [r.actions for r in alone] == [r.actions for r in RecordFile(tmp_path / "1").read()]
    assert all(four >= one for one, four in zip(means[1], means[4], strict=True)) and means[4] != means[1]


def test_best_of_n_asks_in_parts_and_alike(place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import lmrl_agents.playing.best_of as module

    spec = EvaluationSpec(MAZE, f"best_of:3,{place}:Brevity,random", episodes=3)
    agent = load_agent(spec.agent)
    evaluate(spec, tmp_path / "whole", agent=agent)
    monkeypatch.setattr(module, "AT_ONCE", 1)
    evaluate(spec, tmp_path / "parts", agent=load_agent(spec.agent))
    actions = [[r.actions for r in RecordFile(tmp_path / name).read()] for name in ("whole", "parts")]
    assert actions[0] == actions[1]


@pytest.mark.parametrize(
    "argument", ["", "4", "4,x", "0,x,random", "-1,x,random", "four,x,random", "4,,random", "4,x,"]
)
def test_best_of_n_says_how_it_is_written(argument: str) -> None:
    with pytest.raises(ValueError, match="best_of:N,REWARD,POLICY"):
        parts_of_best_of(argument)


def test_best_of_n_is_as_foreign_as_its_parts(place: str) -> None:
    assert parts_of_best_of("4,ensemble:a,b,random") == (4, "ensemble:a,b", "random")
    assert not is_ours(f"best_of:4,{place}:Brevity,random") and is_ours("best_of:4,task,random")
    assert not is_ours(f"best_of:4,task,{place}:agent")
    assert "code" in identity_of(f"best_of:4,{place}:Brevity,random")


def test_a_suite_s_agents_may_have_a_reward(place: str, tmp_path: Path) -> None:
    agents: list[dict] = [
        {"name": "brief", "spec": "suboptimal", "reward": f"{place}:Brevity"},
        {"name": "expert"},
    ]
    values = {"name": "pair", "version": 1, "episodes": 4, "seed": 3, "training_seeds": [0],
              "tasks": [{"id": HEADLINE}], "agents": agents}  # fmt: skip
    out = tmp_path / "board"
    run_suite(suite_from(values), out)
    assert all(not breaches for _, breaches in verify_run(out))
    page = write_report(out, tmp_path / "page.html").read_text()
    assert "optimised" in page
    record = RecordFile(out / "cells" / "Headline" / "brief" / "seed-0").read()[0]
    assert f"optimised {record.optimised[0]:+.3g}" in page
    path = out / "cells" / "Headline" / "brief" / "seed-0" / "episodes.jsonl"
    path.write_text(path.read_text().replace('"optimised":[', '"optimised":[0.5,', 1))
    assert any("optimised rewards" in b for _, found in verify_run(out) for b in found)


def test_training_needs_its_reward_to_be_there(tmp_path: Path, place: str, start: Path) -> None:
    with pytest.raises((RewardError, TrainingError), match="gave nan"):
        train(settings("ppo", tmp_path / "ppo", reward=f"{place}:Nan", start=start))
