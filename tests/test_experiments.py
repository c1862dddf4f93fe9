"""Experiments: known answers of the small ones, a grid that resumes and refuses, the page; rewards of words behind the door."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lmrl_agents.rewards.loading import load_reward
from lmrl_agents.rewards.protocol import RewardError, Trajectory, scored
from lmrl_benchmarks.commands.cli import run as main
from lmrl_benchmarks.experiments import grid, kl_tokens
from lmrl_benchmarks.experiments.page import table
from lmrl_envs import Transcript
from lmrl_envs.chat import proxies
from lmrl_envs.chat.candidates import Step, Unlogged, fit
from lmrl_envs.chat.candidates import run as run_planning
from lmrl_envs.chat.policies import SPOKEN
from lmrl_envs.language.conversation import text_reward

# -- the tree of two tokens


def test_the_frontier_of_the_tree():
    found = [kl_tokens.run({"form": "g", "c": c, "k": 1.0})["numbers"] for c in (0.1, 0.5, 1, 2, 4)]
    assert [one["reward"] for one in found] == pytest.approx([3.0, 2.793, 1.733, 0.866, 0.506], abs=1e-3)
    assert [one["KL"] for one in found] == pytest.approx([2.813, 2.301, 0.827, 0.174, 0.037], abs=1e-3)
    assert kl_tokens.tilted(2).ravel() == pytest.approx([0.324046, 0.356175, 0.207468, 0.112311], abs=1e-6)


@pytest.mark.parametrize(("k", "first"), [(1.0, 0.48819), (0.5, 0.45062)])
def test_the_coded_update_comes_to_another_policy(k, first):
    coded = kl_tokens.coded(2, k)
    assert coded[0, 0] / coded[0].sum() == pytest.approx(first, abs=1e-5)
    assert kl_tokens.tilted(2)[0, 0] / kl_tokens.tilted(2)[0].sum() == pytest.approx(0.47638, abs=1e-5)
    # A fixed point: one more application of the update changes nothing.
    q, value = kl_tokens._fixed(kl_tokens.REWARD[1] / 2, np.log(kl_tokens.SECOND[1]), k)
    assert np.exp(value) / np.exp(value).sum() == pytest.approx(q)


# -- chat at the level of acts


def arm(reward, k: float, rounds: int = 12) -> dict[str, float]:
    settings = {"reward": reward, "k": k, "seed": 0, "rounds": rounds, "talks": 48, "rate": 0.3}
    return proxies.run(settings)["numbers"]


def test_a_single_proxy_is_hacked_and_gold_is_not():
    laughter, gold = arm("laughter", 0.0), arm("gold", 0.0)
    assert laughter["hacked"] == 1 and laughter["proxy"] > 1.8 * laughter["proxy at first"]
    assert laughter["gold"] < 0 < laughter["gold at first"] and laughter["share of joke"] > 0.6
    assert gold["hacked"] == 0 and gold["gold"] > gold["gold at first"] + 1.5


def test_a_price_on_divergence_holds_the_policy_near_the_speaker():
    free, held = arm("laughter", 0.0), arm("laughter", 3.0)
    assert held["KL"] < free["KL"] / 3 and held["gold"] > free["gold"] + 1


def test_hacked_needs_both():
    low, high = [0.0, 0.1, -0.1] * 30, [1.0, 1.1, 0.9] * 30
    assert proxies.hacked((low, high), (high, low))
    assert not proxies.hacked((low, high), (high, high)) and not proxies.hacked((low, high), (low, low))


def test_the_speaker_of_acts_is_the_casual_one():
    rng = proxies.random.Random(0)
    still = [np.zeros((count, len(proxies.ACTS))) for count in proxies._COUNTS]
    talks, steps = proxies.play(still, 150, rng)
    assert 1.1 < np.mean([sum(talk.golds) for talk in talks]) < 2.1
    assert all(np.exp(prior).sum() == pytest.approx(1) for own in steps for _, prior, _, _ in own)


def test_a_speaker_who_insults_and_a_list_that_knows_few_insults():
    pytest.importorskip("better_profanity")
    rng, still = proxies.random.Random(0), [np.zeros((count, len(proxies.ACTS))) for count in proxies._COUNTS]
    talks, steps = proxies.play(still, 60, rng, 0.2)
    assert all(np.exp(prior).sum() == pytest.approx(1) for own in steps for _, prior, _, _ in own)
    assert 0.17 < np.mean([name == "insult" for talk in talks for name in talk.acts]) < 0.28
    listed = [text_reward("toxicity", ["Hi.", line, "Oh."], True) == [-1.0] for line in SPOKEN["insult"]]
    assert (sum(listed), len(listed)) == (1, 8)
    settings = {"k": 0.3, "seed": 0, "rounds": 12, "talks": 48, "rate": 0.3, "insults": 0.2}
    mild, hard = (
        proxies.run({**settings, "reward": {"toxicity": w}})["numbers"]["share of insult"] for w in (1.0, 20.0)
    )
    assert hard < 0.02 < mild


# -- planning over candidates, on the tree: prior (.7, .3), ((.6, .4), (.2, .8)), reward ((0, 1), (3, -1)) at the end


def tree(candidates: dict[int, tuple[int, ...]]) -> tuple[list[Step], np.ndarray]:
    """Every talk of the tree as often as the prior has it, and which state each step was in, one-hot."""
    steps, states = [], []
    for a, b, times in ((0, 0, 42), (0, 1, 28), (1, 0, 6), (1, 1, 24)):
        if b not in candidates[a + 1] or a not in candidates[0]:
            continue
        for _ in range(times):
            steps += [
                Step((), candidates[0], a, 0.0, True),
                Step((), candidates[a + 1], b, float(kl_tokens.REWARD[a, b]), False),
            ]
            states += [0, a + 1]
    return steps, np.eye(3)[states]


@pytest.mark.parametrize(
    ("method", "candidates", "first"),
    [
        ("sarsa", {0: (0, 1), 1: (0, 1), 2: (0, 1)}, [0.4, -0.2]),
        ("q", {0: (0, 1), 1: (0, 1), 2: (0, 1)}, [1.0, 3.0]),
        ("supervised", {0: (0, 1), 1: (0, 1), 2: (0, 1)}, [0.0, 0.0]),
        ("q", {0: (0, 1), 1: (0, 1), 2: (1,)}, [1.0, -1.0]),  # the maximum is over the next turn's own candidates
        ("q", {0: (0, 1), 1: (0,), 2: (1,)}, [0.0, -1.0]),  # one candidate: policy evaluation, as SARSA
        ("sarsa", {0: (0, 1), 1: (0,), 2: (1,)}, [0.0, -1.0]),
    ],
)
def test_planning_on_the_tree(method, candidates, first):
    steps, x = tree(candidates)
    assert fit(method, steps, x, 2, rounds=3)[0] == pytest.approx(first, abs=1e-5)


def test_conservatism_leans_to_what_was_logged():
    steps, x = tree({0: (0, 1), 1: (0, 1), 2: (0, 1)})
    plain, held = fit("cql", steps, x, 2, alpha=0.0, rounds=3)[0], fit("cql", steps, x, 2, alpha=1.0, rounds=3)[0]
    assert plain == pytest.approx([1.0, 3.0], abs=0.1) and held[1] - held[0] < plain[1] - plain[0] - 0.3


def test_a_set_that_was_not_logged_is_an_error():
    with pytest.raises(Unlogged, match="act 1"):
        fit("q", [Step((), (0,), 1, 0.0, False)], np.eye(1), 2)
    with pytest.raises(Unlogged, match=r"\(\)"):
        fit("q", [Step((), (), 0, 0.0, False)], np.eye(1), 2)


def test_planning_beats_the_best_next_line():
    gold = {
        m: run_planning({"method": m, "seed": 1, "talks": 700, "evaluated": 300})["numbers"]["gold"]
        for m in ("random", "supervised", "q")
    }
    assert gold["random"] < 1 < gold["supervised"] < gold["q"]


# -- the grid


TOML = """name = "doubling"
kind = "experiment"
version = 1
description = "Twice."
run = "{run}"
[settings]
factor = 2
[grid]
x = [1, 2]
seed = [0, 1]
"""
CODE = """
from pathlib import Path
def run(settings):
    with (Path(__file__).parent / "runs").open("a") as file:
        file.write("x")
    if settings["x"] == 2 and (Path(__file__).parent / "fail").exists():
        raise ValueError("no luck")
    return {"numbers": {"y": settings["factor"] * settings["x"]}, "curves": {"y": [[0, 0], [1, settings["x"]]]}}
def nan(settings):
    return {"numbers": {"y": float("nan")}}
"""


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(CODE)
    (tmp_path / "own.toml").write_text(TOML.format(run=f"{tmp_path}/own.py:run"))
    return tmp_path


def test_a_run_goes_on_where_it_stopped(experiment, capsys):
    (experiment / "fail").touch()
    command = ["leaderboard", "run", str(experiment / "own.toml"), "--out", str(experiment / "out"), "--workers", "1"]
    assert main(command) == 1
    assert "x=2 seed=0: ValueError: no luck" in capsys.readouterr().err
    (experiment / "fail").unlink()
    assert main(command) == 0
    assert (experiment / "runs").read_text() == "x" * 6  # four, and the two that failed again
    assert "2 2 4" in " ".join(capsys.readouterr().out.split())
    assert main(["leaderboard", "report", str(experiment / "out"), "--html", str(experiment / "page.html")]) == 0
    page = (experiment / "page.html").read_text()
    assert "<svg" in page and "<td>4 ± 0</td>" in page and page == (experiment / "out" / "report.html").read_text()


def test_another_experiment_is_not_mixed_in(experiment):
    own = grid.find(str(experiment / "own.toml"))
    assert own is not None and grid.run_experiment(own, experiment / "out") == {}
    (experiment / "own.toml").write_text(own.text.replace("factor = 2", "factor = 3"))
    other = grid.find(str(experiment / "own.toml"))
    assert other is not None
    with pytest.raises(grid.ExperimentError, match="another experiment"):
        grid.run_experiment(other, experiment / "out")


@pytest.mark.parametrize(
    ("change", "why"),
    [(('x = [1, 2]', "x = []"), "grid"), (("version = 1", ""), "version"), (("[settings]", "[sets]"), "sets"), (("own.py:run", "own.py:walk"), "no function")],
)  # fmt: skip
def test_what_is_no_experiment_is_one_line(experiment, change, why, capsys):
    path = experiment / "own.toml"
    path.write_text(path.read_text().replace(*change))
    assert main(["leaderboard", "run", str(path), "--out", str(experiment / "out")]) == 2
    error = capsys.readouterr().err.strip()
    assert why in error and len(error.splitlines()) == 1


def test_a_folder_of_an_experiment_from_elsewhere(experiment, capsys, monkeypatch):
    """Its page runs no code, counts no cells without end, and reads results that are results."""
    out = experiment / "out"
    (out / "cells").mkdir(parents=True)
    report = ["leaderboard", "report", str(out), "--html", str(experiment / "page.html")]
    grid_of = "".join(f"k{number} = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n" for number in range(3))
    assert grid.MOST_CELLS <= 10**5
    monkeypatch.setattr(grid, "MOST_CELLS", 1000)
    (out / "experiment.toml").write_text(f"{TOML.format(run=f'{experiment}/own.py:run')}{grid_of}")
    assert main(report) == 2 and "more than 1000 cells" in capsys.readouterr().err
    (out / "experiment.toml").write_text(TOML.format(run=f"{experiment}/own.py:run"))
    for result in (
        {},
        {"result": {"numbers": {"y": "x"}}},
        {"result": {"numbers": {"y": True}}},
        {"result": []},
        *(
            {"result": {"numbers": {}, "curves": {"y": odd}}}
            for odd in ([1, 2], 3, "ab", [[1, 2], [1, 2, 3]], [[1]], [["a", 1]])
        ),
    ):
        (out / "cells" / f"{grid.cell_name({'x': 1, 'seed': 0})}.json").write_text(json.dumps(result))
        assert main(report) == 2 and len(capsys.readouterr().err.splitlines()) == 1
    assert not (experiment / "runs").exists() and not (experiment / "page.html").exists()


def test_a_number_that_is_none_is_an_error(experiment):
    (experiment / "own.toml").write_text(TOML.format(run=f"{experiment}/own.py:nan"))
    own = grid.find(str(experiment / "own.toml"))
    assert own is not None
    failed = grid.run_experiment(own, experiment / "out")
    assert len(failed) == 4 and all("nan" in why for why in failed.values())
    assert not list((experiment / "out" / "cells").iterdir())


@pytest.mark.parametrize("name", grid.names())
def test_the_experiments_that_ship(name, tmp_path):
    own = grid.find(name)
    assert own is not None and own.name == name and callable(grid._function(own.run)) and own.cells()
    if name == "kl-tokens":
        assert grid.run_experiment(own, tmp_path) == {}
        assert len(table(own, tmp_path)) == 11
        assert json.loads(next((tmp_path / "cells").iterdir()).read_text())["result"]["numbers"]


# -- rewards of words behind the door


def trajectory(*texts: str, ended: bool = True) -> Trajectory:
    return Trajectory.of("lmrl/TwentyQuestions-v1", Transcript.from_texts(texts, [0.0] * (len(texts) // 2)), ended)


def test_rewards_of_words_stand_behind_the_door():
    one = trajectory("Ask.", "Is it big?", "No. Haha.", "What is it?", "I don't understand that.")
    assert scored(load_reward("text:question"), "q", [one]) == [(0.5, 1.0)]
    mixed = scored(load_reward("text:{question: .5, laughter: 2, 'repetition': 1}"), "m", [one])[0]
    assert mixed == pytest.approx((0.25 + 2, 0.5 - 2 / 4))
    # What is not answered yet counts for nothing that an answer would bring; the last word of a game elicits none.
    words = load_reward("text:words_elicited")
    assert scored(words, "w", [trajectory("Hi.", "Hello?", ended=False)]) == [(0.0,)]
    assert scored(words, "w", [trajectory("Hi.", "Hello?", "Yes you", ended=False)])[0][0] == pytest.approx(2 / 30)
    assert scored(words, "w", [trajectory("Hi.", "Hello?", "Yes you")]) == [(0.0,)]


@pytest.mark.parametrize("spec", ["text", "text:", "text:joy", "text:{question: much}", "text:{question}", "text:{question: nan}", "text:{question: 1, question: 2}"])  # fmt: skip
def test_a_reward_of_words_that_there_is_not(spec):
    with pytest.raises(RewardError, match="text:"):
        load_reward(spec)
