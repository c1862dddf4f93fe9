"""Experiments of learning from people: mazes on tables, few labels, who is harmed, rewards that conflict, rounds, attacks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmrl_benchmarks.experiments import few_labels, grid
from lmrl_benchmarks.experiments.grid import checked
from lmrl_benchmarks.experiments.page import write_page
from lmrl_benchmarks.experiments.people_lab import conflict, hidden_context, red_team, rounds
from lmrl_envs import make_policy, task
from lmrl_envs.headline.rules import judge, opening, parse_opening
from lmrl_envs.maze.people import Table, from_feedback, from_preferences, greedy
from lmrl_envs.maze.rules import named_maze

HEADLINE = "lmrl/Headline-v0"
CROWD = "groups:.7*any_hype=.5/.3*any_hype=-1.3"
SMALL = {"model.layers": 1, "model.heads": 1, "reward_model.epochs": 1}


def numbers(found: dict[str, Any]) -> dict[str, float]:
    return checked(found)["numbers"]


# -- a maze on tables


def test_the_table_of_a_maze() -> None:
    table = Table(named_maze("double_t"))
    best = greedy(table.value_iteration(table.reward))
    optimum = -float(np.mean(table.distance[table.starts] - 1))
    assert table.mean_return(best) == pytest.approx(optimum)
    advantages = table.advantages(best)
    assert (best * advantages).sum(axis=1) == pytest.approx(
        0, abs=1e-9
    ) and advantages.max() < 1e-9  # nothing is better
    uniform = np.full_like(best, 0.25)
    assert table.mean_return(uniform) < -70 and table.advantages(uniform).max() > 0.1


def test_comparisons_alone_find_the_goal() -> None:
    """Thirty-two of them without noise reach the optimum; eight, or labels by regret, do not."""
    settings = {"labels": 32, "noise": 0.0, "selection": "random", "by": "return", "seed": 0}
    told = numbers(from_preferences(settings))
    assert told["at the optimum"] == 1 and told == numbers(from_preferences(settings))
    assert (
        numbers(from_preferences({**settings, "labels": 64, "noise": 0.1, "selection": "disagreement"}))[
            "at the optimum"
        ]
        == 1
    )
    assert numbers(from_preferences({**settings, "labels": 8, "noise": 0.3}))["return"] < -50
    assert numbers(from_preferences({**settings, "by": "regret"}))["return"] < -20


@pytest.mark.parametrize(
    ("settings", "low", "high"),
    [
        ({"learner": "tamer", "feedback": "action"}, -7.2, -6.8),
        ({"learner": "coach", "feedback": "action"}, -8.0, -6.8),
        ({"learner": "q", "feedback": "advantage"}, -7.2, -6.8),
        ({"learner": "tamer", "feedback": "action", "delay": 2, "credit": "true"}, -7.2, -6.8),
        ({"learner": "tamer", "feedback": "action", "delay": [1, 3], "credit": "present"}, -100, -50),
    ],
)
def test_feedback_on_every_move(settings: dict, low: float, high: float) -> None:
    """TAMER learns from praise of moves, COACH from anything that is an advantage; feedback that is credited wrongly teaches nothing."""
    assert low <= numbers(from_feedback({**settings, "seed": 0}))["return at 150"] <= high


def test_unknown_feedback_is_refused() -> None:
    with pytest.raises(ValueError, match="choose task, action"):
        from_feedback({"learner": "tamer", "feedback": "odd", "seed": 0})


# -- few labels


def test_labels_that_move_hold_the_reward_near_what_they_say() -> None:
    one = few_labels.descent(np.array([0]), np.array([1]), np.array([1.0]), 0.0)
    moved = few_labels.descent(np.array([0]), np.array([1]), np.array([1.0]), 0.1)
    gaps, held = one[:, 0] - one[:, 1], moved[:, 0] - moved[:, 1]
    assert (np.diff(gaps) > 0).all() and gaps[-1] > 2 * held[-1] > 0  # one comparison, won for ever
    told = numbers(few_labels.run({"comparisons": 60, "ids": 0.03, "seed": 0}))
    assert told["end"] <= told["best"] and told["best"] > 1


# -- headlines


def test_the_honest_writer_writes_true_facts() -> None:
    notes = (
        ("record", "crowds"),
        ("steady", "rain"),
        ("thin", "smoke"),
        ("violent", "wind"),
        ("low", "prices"),
        ("long", "queues"),
    )
    counts, hype = [], 0
    for seed in range(60):
        policy = make_policy(HEADLINE, "honest", seed=seed)
        from lmrl_envs import Transcript

        verdict = judge(policy.act(Transcript.from_texts([opening("Harwick", notes)], [])) or "", notes)
        assert not (verdict.wrong or verdict.repeated or verdict.headline.bad or verdict.headline.cut)
        counts.append(len(verdict.true))
        hype += verdict.headline.hype
    assert set(counts) == {0, 1, 2, 3} and 15 < hype < 45
    assert parse_opening(opening("Harwick", notes))[1] == notes and "honest" in task(HEADLINE).policy_names


def test_who_is_harmed_by_what_a_crowd_likes() -> None:
    base = {"env": HEADLINE, "writer": "policy:honest", "groups": CROWD, "prompts": 12, "pairs": 300,
            "model": {"model.layers": 1, "epochs": 2, "learning_rate": 3e-3}, "width": 16}  # fmt: skip
    exact = numbers(hidden_context({**base, "learner": "exact"}))
    assert exact["hype by exact"] < 0.5 and exact["mean by exact"] > exact["mean at the start"]
    plain = numbers(hidden_context({**base, "learner": "bradley-terry"}))
    assert plain["hype by bradley-terry, mean"] > 0.8 and plain["harmed by bradley-terry, mean"] == 1
    assert plain["group 2 by bradley-terry, mean"] < exact["group 2 by exact"] - 0.3
    told = numbers(hidden_context({**base, "learner": "mean-variance", "pairs": 60}))
    assert {"mean by mean-variance, mean", "mean by mean-variance, mean - sd"} <= told.keys()
    with pytest.raises(ValueError, match="a labeller groups"):
        hidden_context({**base, "groups": "gold", "learner": "exact"})


def test_a_group_that_loses_is_red_on_the_page(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "own.py").write_text(
        "def run(settings):\n    return {'numbers': {'harmed by x': float(settings['k']), 'mean': 1.0}}\n"
    )
    text = f'name = "own"\nkind = "experiment"\nversion = 1\ndescription = "d"\nrun = "{tmp_path / "own.py"}:run"\n[grid]\nk = [0, 1]\n'
    (tmp_path / "own.toml").write_text(text)
    own = grid.find(str(tmp_path / "own.toml"))
    assert own is not None and grid.run_experiment(own, tmp_path / "out") == {}
    page = write_page(own, tmp_path / "out", tmp_path / "page.html").read_text()
    assert page.count("class=red") == 1 and "<td class=red>1</td>" in page


def test_truth_and_help_are_weighed() -> None:
    found = [numbers(conflict({"env": HEADLINE, "weight": w, "prompts": 20, "samples": 32})) for w in (0.0, 0.3, 1.0)]
    assert found[0]["wrong"] > found[1]["wrong"] >= found[2]["wrong"] and found[0]["helpful"] > found[2]["helpful"]
    assert found[1]["gold"] > max(found[0]["gold"], found[2]["gold"])  # neither alone
    with pytest.raises(ValueError, match="a feature"):
        conflict({"env": HEADLINE, "weight": 0.5, "harm": "odd", "prompts": 2, "samples": 2})


@pytest.mark.parametrize("what", [rounds, red_team])
def test_rounds_and_attacks_run_alike_twice(what) -> None:  # type: ignore[no-untyped-def]
    settings = {
        "env": HEADLINE,
        "rounds": 2,
        "pairs": 24,
        "prompts": 4,
        "samples": 4,
        "tried": 4,
        "width": 16,
        "model": SMALL,
    }
    told = numbers(what(settings))
    assert told == numbers(what(settings)) and {"start", "peak", "end"} <= told.keys()
    if what is red_team:
        assert told["overrated by, round 1"] > 0 and told["gold of what was found, round 2"] < told["peak"]
