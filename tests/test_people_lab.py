"""Experiments of learning from people: mazes on tables, few labels, who is harmed, rewards that conflict, rounds, attacks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmrl_benchmarks.experiments import ai_feedback, few_labels, grid, pluralism, rules, shared
from lmrl_benchmarks.experiments.grid import checked
from lmrl_benchmarks.experiments.page import write_page
from lmrl_benchmarks.experiments.people_lab import conflict, hidden_context, red_team, rounds
from lmrl_envs import Transcript, make_policy, task
from lmrl_envs.headline.rules import best_facts, judge, opening, parse_opening
from lmrl_envs.maze import people
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
        ({"learner": "coach", "feedback": "action"}, -7.2, -6.8),
        ({"learner": "coach", "feedback": "improvement"}, -7.3, -6.8),
        ({"learner": "coach", "feedback": "advantage"}, -7.3, -6.8),
        ({"learner": "q", "feedback": "advantage"}, -7.2, -6.8),
        ({"learner": "tamer", "feedback": "action", "delay": 2, "credit": "true"}, -7.2, -6.8),
        ({"learner": "tamer", "feedback": "action", "delay": [1, 3], "credit": "present"}, -100, -50),
    ],
)
def test_feedback_on_every_move(settings: dict, low: float, high: float) -> None:
    """TAMER learns from praise of moves, COACH from anything that is an advantage; feedback that is credited wrongly teaches nothing."""
    assert low <= numbers(from_feedback({**settings, "seed": 0}))["return at 150"] <= high


def test_coach_by_advantages_steps_along_the_policy_gradient_on_average() -> None:
    """pi [.2 .5 .3], Q [1 0 3]: [-.02 -.55 .57]."""
    pi, q = np.array([0.2, 0.5, 0.3]), np.array([1.0, 0.0, 3.0])
    mean = np.zeros(3)
    for move in range(3):
        weights = np.log(pi)[None, :].copy()
        people._learn(weights, "coach", [(0, move, 0)], (0, 0, float(q[move] - pi @ q)), 0, "true")
        mean += pi[move] * (weights[0] - np.log(pi)) / people.COACH_RATE
    assert mean == pytest.approx([-0.02, -0.55, 0.57])


def test_unknown_feedback_is_refused() -> None:
    with pytest.raises(ValueError, match="choose task, action"):
        from_feedback({"learner": "tamer", "feedback": "odd", "seed": 0})


# -- few labels


def test_labels_that_move_hold_the_reward_near_what_they_say() -> None:
    one = few_labels.descent(np.array([0]), np.array([1]), np.array([1.0]), 0.0)
    moved = few_labels.descent(np.array([0]), np.array([1]), np.array([1.0]), 0.1)
    gaps, held = one[:, 0] - one[:, 1], moved[:, 0] - moved[:, 1]
    assert (np.diff(gaps) > 0).all() and gaps[-1] > 2 * held[-1] > 0  # one comparison, won for ever
    told = numbers(few_labels.run({"comparisons": 60, "ids": 0.1, "seed": 0}))
    assert told["end"] <= told["best"] and told["best"] > 0.9
    plain = numbers(few_labels.run({"comparisons": 60, "ids": 0.0, "seed": 0}))
    assert told["end"] > plain["end"] + 0.1 and plain["end"] < plain["best"] - 0.1


# -- headlines


@pytest.mark.parametrize("writer", ["honest", "severe"])
def test_an_honest_writer_writes_true_facts(writer: str) -> None:
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
        said = Transcript.from_texts([opening("Harwick", notes)], [])
        verdict = judge(make_policy(HEADLINE, writer, seed=seed).act(said) or "", notes)
        if writer == "severe":
            assert set(verdict.true) == set(best_facts(notes)[: len(verdict.true)])
        assert not (verdict.wrong or verdict.repeated or verdict.headline.bad or verdict.headline.cut)
        counts.append(len(verdict.true))
        hype += verdict.headline.hype
    assert set(counts) == {0, 1, 2, 3} and 15 < hype < 45
    assert parse_opening(opening("Harwick", notes))[1] == notes and writer in task(HEADLINE).policy_names


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
    assert "calibration error" in told and "calibration error" not in exact
    with pytest.raises(ValueError, match="a labeller groups"):
        hidden_context({**base, "groups": "gold", "learner": "exact"})


def test_what_everybody_would_have_is_among_a_severe_writers_answers() -> None:
    """Chosen by the exact mean, those who hate hype lose little with him, and nearly half of what they could have with an honest one."""
    own = {"env": HEADLINE, "groups": CROWD, "prompts": 40, "learner": "exact"}
    severe, honest = (numbers(hidden_context({**own, "writer": f"policy:{name}"})) for name in ("severe", "honest"))
    assert severe["group 2 by exact"] > 0.8 and severe["mean by exact"] > 0.98 and honest["group 2 by exact"] < 0.5


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


# -- tastes, rules, a judge

OPPOSITE = "groups:.6*any_hype=5/.4*any_hype=-5"


@pytest.mark.parametrize("policy", pluralism.POLICIES)
def test_what_one_reward_for_all_leaves_of_two_tastes(policy: str) -> None:
    """With tastes that are larger than gold: the crowd's policy gives all what six in ten want, the one that is told gives each his own."""
    own = {
        "env": HEADLINE,
        "taste": "any_hype",
        "groups": OPPOSITE,
        "writer": "policy:honest",
        "prompts": 24,
        "answers": 16,
        "tried": 8,
    }
    told = numbers(pluralism.run({**own, "policy": policy, "learner": "exact"}))
    share = told["share of answers with any_hype"]
    assert told["from people's shares"] == pytest.approx(abs(share - 0.6))
    assert told["worth to people"] == pytest.approx(0.6 * told["worth to group 1"] + 0.4 * told["worth to group 2"])
    pleased = told["prompts where 4 answers please all"]
    if policy == "crowd":
        assert share > 0.95 and told["worth to group 1"] > 4.5 and told["worth to group 2"] < -4 and pleased < 0.5
    elif policy == "told":
        assert abs(share - 0.6) < 0.03 and told["worth to group 1"] > 4.5 and told["worth to group 2"] > 0
    elif policy == "drawn":
        assert abs(share - 0.6) < 0.06 and told["worth to people"] < 2 and pleased > 0.7


def test_the_crowds_labels_are_learned() -> None:
    model = {**SMALL, "reward_model.epochs": 3, "reward_model.learning_rate": 3e-3}
    own = {
        "env": HEADLINE,
        "taste": "any_hype",
        "groups": OPPOSITE,
        "writer": "policy:honest",
        "prompts": 8,
        "answers": 8,
        "tried": 8,
    }
    told = numbers(pluralism.run({**own, "policy": "told", "pairs": 600, "width": 16, "model": model}))
    assert told["worth to group 1"] > 3.5 and told["worth to group 2"] > -1.5


def test_pluralism_wants_groups() -> None:
    with pytest.raises(ValueError, match="two or more"):
        pluralism.run({"env": HEADLINE, "policy": "crowd", "taste": "any_hype", "groups": "gold"})


def test_a_rule_beside_a_preference() -> None:
    own = {
        "env": HEADLINE,
        "prompts": 24,
        "samples": 32,
        "reader": "lazy:check=0",
        "pairs": 200,
        "width": 16,
        "model": SMALL,
    }
    told = {way: numbers(rules.run({**own, "way": way, "learner": "exact"})) for way in rules.WAYS}
    broken = {way: one["share that breaks the rule"] for way, one in told.items()}
    assert broken["rule"] == 0 <= broken["both"] <= broken["preference"] > 0.5 and broken["supported"] == 0
    assert told["both"]["gold"] > told["preference"]["gold"] + 0.2 and told["both"]["gold"] > told["rule"]["gold"] + 0.1
    assert all(one["not answered"] == 0 for one in told.values())  # some answer of 32 is true
    few = numbers(rules.run({**own, "samples": 2, "way": "supported", "learner": "exact"}))
    assert 0 < few["not answered"] < 1 and few["share that breaks the rule"] == 0
    learned = numbers(rules.run({**own, "way": "both"}))
    assert learned.keys() == few.keys() and learned["gold"] != told["both"]["gold"]
    made = shared._made.cache_info().misses
    numbers(rules.run({**own, "way": "supported"}))
    assert shared._made.cache_info().misses == made  # by the same two models
    with pytest.raises(ValueError, match="a feature"):
        rules.run({**own, "way": "rule", "breach": "lies"})


def test_a_judge_in_both_orders_prefers_no_place() -> None:
    own = {"env": HEADLINE, "prompts": 8, "samples": 8, "pairs": 600, "width": 16, "model": SMALL}
    one, both = (numbers(ai_feedback.run({**own, "way": f"{way}, soft"})) for way in ("one order", "both orders"))
    assert one["shown first preferred"] > 0.58 and abs(both["shown first preferred"] - 0.5) < 0.04
    assert (
        both["labels agree with gold"] > one["labels agree with gold"]
        and 0 <= both["reward model agrees with gold"] <= 1
    )
    with pytest.raises(ValueError, match="is not one of"):
        ai_feedback.run({**own, "way": "no order"})


def test_ways_without_labels_start_from_one_clone() -> None:
    own = {"env": HEADLINE, "data": "headline/suboptimal-v0", "episodes": 60, "prompts": 4, "start": {"bc.steps": 2, "bc.batch_size": 8},
           "policy": {f"{a}.{k}": v for a in ("constitutional", "self_training") for k, v in (("iterations", 1), ("episodes", 4))}}  # fmt: skip
    told = [numbers(ai_feedback.run({**own, "way": way})) for way in ai_feedback.WITHOUT]
    assert len({one["gold at the start"] for one in told}) == 1 and all(one.keys() == told[0].keys() for one in told)
