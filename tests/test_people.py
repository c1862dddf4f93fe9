"""Learning from people who watch, compare and correct: credit, COACH, TAMER, asking while playing, votes, revisions, marks."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faulty_server import FaultyServer
from safetensors.torch import load_file

from lmrl_agents.algorithms import christiano, coach, deep_tamer, online_dpo, self_training, tamer
from lmrl_agents.learning.asking import ASKED
from lmrl_agents.learning.feedback import FeedbackConfig, Trainer, credit, credits_of, told_of
from lmrl_agents.learning.losses import policy_gradient_loss
from lmrl_agents.learning.rewarding import GAMES
from lmrl_agents.learning.run import METRICS, TrainingError, TrainingRun
from lmrl_agents.learning.train import train
from lmrl_agents.models.tokens import TokenEpisode
from lmrl_agents.playing.rollout import Played
from lmrl_agents.rewards.judge import JudgeReward
from lmrl_agents.rewards.loading import load_reward
from lmrl_agents.rewards.protocol import RewardError, Trajectory, scored
from lmrl_agents.rewards.revising import Model, load_reviser
from lmrl_benchmarks.running.evaluation import EvaluationSpec, evaluate
from lmrl_datasets.preferences.labellers import Reader, Shown, load_labeller
from lmrl_envs import Transcript, task
from lmrl_envs.headline.rules import HYPE, judge, opening, parse_opening
from lmrl_envs.partners.backend import Completion, Failure, Query

HEADLINE, MAZE = "lmrl/Headline-v0", "lmrl/MazeFullyObserved-v0"
NOTES = (
    ("record", "crowds"),
    ("steady", "rain"),
    ("thin", "smoke"),
    ("violent", "wind"),
    ("low", "prices"),
    ("long", "queues"),
)


def said(*headlines: str) -> list[Transcript]:
    return [Transcript.from_texts([opening("Harwick", NOTES), text, "Printed."], [0.0]) for text in headlines]


def played(transcript: Transcript, episode: int = 0) -> Played:
    return Played(episode, episode, transcript, transcript.actions, True, False, False, {}, 0, 0.0)


# -- credit, COACH, TAMER


def test_the_window_of_deep_tamer() -> None:
    """Uniform from .2 to 4 s, actions of .5 s, feedback at 10 s: .1316 each for those from 6.0 to 9.0, .0789 for 9.5."""
    shares = credit(24, 10.0, FeedbackConfig(step_seconds=0.5, earliest=0.2, latest=4.0))
    assert np.flatnonzero(shares).tolist() == list(range(12, 20))
    assert shares[12:19] == pytest.approx([0.1316] * 7, abs=5e-5) and shares[19] == pytest.approx(0.0789, abs=5e-5)
    assert shares.sum() == pytest.approx(1)
    # By default feedback is the action's that it follows; two steps late it is the one's before the last, unless the window knows.
    assert credits_of(4, FeedbackConfig()).tolist() == np.eye(4).tolist()
    assert credits_of(4, FeedbackConfig(delay=2.0)).tolist() == np.eye(4, k=2).tolist()
    assert credits_of(4, FeedbackConfig(delay=2.0, earliest=2.0, latest=3.0)).tolist() == np.eye(4).tolist()
    with pytest.raises(ValueError, match="not empty"):
        credits_of(1, FeedbackConfig(earliest=2.0, latest=1.0))


@pytest.mark.parametrize(
    ("feedback", "gradient"), [([-0.1, -1.1, 1.9], [-0.02, -0.55, 0.57]), ([-1, -1, 1], [-0.12, -0.30, 0.42])]
)
def test_coach_by_advantages_is_the_policy_gradient(feedback: list[float], gradient: list[float]) -> None:
    """pi = [.2 .5 .3], Q = [1 0 3]: f = A gives the gradient of the return by enumeration, f = sign A another."""
    share = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    logits = share.log().requires_grad_()
    weights = torch.tensor(
        [coach.eligible(told_of([f], coach.Config()), 0.0)[0] for f in feedback], dtype=torch.float64
    )
    (found,) = torch.autograd.grad(-policy_gradient_loss(torch.log_softmax(logits, 0), weights, share), logits)
    assert found.tolist() == pytest.approx(gradient, abs=1e-9)


def test_a_trace_praises_what_came_before() -> None:
    assert coach.eligible(told_of([0, 0, 1], coach.Config()), 0.5).tolist() == [0.25, 0.5, 1]
    late = coach.Config(delay=1.0, earliest=1.0, latest=2.0)
    assert coach.eligible(told_of([0, 4, 0], late), 0.5).tolist() == [2, 4, 0]


def test_tamer_is_least_squares_and_deep_tamer_a_weighed_mean() -> None:
    rng = np.random.default_rng(0)
    shares = torch.tensor(rng.dirichlet(np.ones(3), size=8))
    feedback = torch.tensor(rng.normal(size=8))
    found = {}
    for loss in (tamer.tamer_loss, deep_tamer.deep_tamer_loss):
        h = torch.zeros(3, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([h], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-16)

        def closure(h: torch.Tensor = h, loss: Any = loss, optimizer: Any = optimizer) -> torch.Tensor:
            optimizer.zero_grad()
            value = loss(h, feedback, shares)
            value.backward()
            return value

        optimizer.step(closure)
        found[loss] = h.detach().numpy()
    best = np.linalg.lstsq(shares.numpy(), feedback.numpy(), rcond=None)[0]
    assert found[tamer.tamer_loss] == pytest.approx(best, abs=1e-5)
    weighed = (shares.numpy() * feedback.numpy()[:, None]).sum(0) / shares.numpy().sum(0)
    assert found[deep_tamer.deep_tamer_loss] == pytest.approx(weighed, abs=1e-5)
    # Feedback that reaches no action costs nothing.
    nothing = torch.zeros(8, 3, dtype=torch.float64)
    assert tamer.tamer_loss(torch.zeros(3).double(), feedback, nothing).item() == 0
    assert tamer.mean_of(torch.tensor([1.0, 3.0, 5.0]), torch.tensor([0, 0, 1])).tolist() == [2, 5]


def test_scripted_trainers() -> None:
    good, bad = said("record crowds, violent wind and long queues.", "choking smoke.")
    judge_of = Trainer("action", HEADLINE, {})
    assert judge_of.feedback(played(good)) == [1.0] and judge_of.feedback(played(bad)) == [-1.0]
    paid = Transcript.from_texts([turn.text for turn in bad], [-0.4])
    assert Trainer("task", HEADLINE, {}).feedback(played(paid)) == [-0.4]
    wrong = [Trainer("action", HEADLINE, {}, 0.3, 1).feedback(played(good, k))[0] for k in range(400)]
    assert sum(value < 0 for value in wrong) / 400 == pytest.approx(0.3, abs=0.06)
    with pytest.raises(ValueError, match="action or task"):
        Trainer("odd", HEADLINE, {})


# -- runs


def run_of(algorithm: str, out: Path, overrides: dict[str, Any] | None = None, **changes: Any) -> TrainingRun:
    small = {"model.layers": 1, "model.width": 32, "model.heads": 2, "bc.steps": 150, "bc.batch_size": 64}
    small |= {"bc.learning_rate": 5e-3}
    own = {"iterations": 3, "episodes": 8, "warmup": 0} if algorithm != "bc" else {}
    named = {f"{algorithm}.{key}": value for key, value in {**own, **(overrides or {})}.items()}
    return TrainingRun(
        algorithm, HEADLINE, "headline/mixed-v0", out, sample=True, overrides={**small, **named}, show_progress=False,
        **changes,
    )  # fmt: skip


def weights(folder: Path) -> dict[str, torch.Tensor]:
    files = sorted((folder / "final").glob("*.safetensors"))
    return {f"{file.stem}.{name}": tensor for file in files for name, tensor in load_file(file).items()}


def equal(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def metrics(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]


def has_hype(game: dict) -> bool:
    return any(word in game["actions"][0] for word in HYPE)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("start") / "bc"
    train(run_of("bc", out))
    return out


@pytest.mark.parametrize(
    ("algorithm", "overrides"),
    [
        ("self_training", {"group_size": 4, "vote": "overlap"}),
        ("self_training", {"group_size": 4, "vote": "parts"}),
        ("constitutional", {"revisions": 2}),
    ],
)
def test_what_nobody_rewards_never_reads_gold(
    algorithm: str, overrides: dict, start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lmrl_envs.headline.env as env

    run = run_of(algorithm, tmp_path / "true", overrides, start=start)
    train(run)
    original, noise = env.judge, random.Random(5)
    monkeypatch.setattr(env, "judge", lambda *a: replace(original(*a), gold=noise.uniform(-1, 1)))
    train(replace(run, out=tmp_path / "noise"))
    assert equal(run.out, tmp_path / "noise") and not equal(run.out, start)
    assert [one["return"] for one in metrics(run.out)] != [one["return"] for one in metrics(tmp_path / "noise")]


def test_online_dpo_learns_what_is_preferred_and_writes_down_who_said_what(start: Path, tmp_path: Path) -> None:
    taste = "biased:any_hype=4,e=0,skip=.2"
    run = run_of(
        "online_dpo", tmp_path / "run",
        {"labeller": taste, "iterations": 6, "episodes": 48, "learning_rate": 3e-3, "beta": 0.3, "batch_size": 16}, start=start,
    )  # fmt: skip
    train(run)
    asked = lines(run.out / ASKED)
    assert len(asked) == 6 * 48 and {row["label"]["annotator"] for row in asked} == {taste}
    labels = [row["label"]["label"] for row in asked]
    assert 0.1 < labels.count(None) / len(labels) < 0.3 and {0.0, 1.0} <= set(labels)
    hype = [has_hype(game) for game in lines(run.out / GAMES)]
    assert np.mean(hype[-96:]) > np.mean(hype[:96]) + 0.1
    both = replace(run_of("online_dpo", tmp_path / "both", {"labeller": taste}, start=start), reward="learned:x")
    with pytest.raises((TrainingError, ValueError, RewardError)):
        train(both)
    assert online_dpo.labels_by_reward([TokenEpisode(rewards=[r]) for r in (1, 0, 0, 1, 2, 2)]) == [1, 0, 0.5]


def test_christiano_asks_where_its_members_disagree(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spreads: list[tuple[float, float]] = []
    original = christiano.Preferred._chosen

    def watched(self: Any, games: Any, count: int) -> Any:
        chosen = original(self, games, count)

        def spread(pairs: Any) -> float:
            from lmrl_agents.playing.collecting import fragment_of

            ends = self._ends([fragment_of(*side)[0] for pair in pairs for side in pair])
            every = np.arange(2 * len(pairs))
            told = [
                self.reading.chance(christiano.predict_sums(m, ends, every, self.reading))
                for m in self.members.values()
            ]
            return float(torch.stack(told).var(dim=0).mean())

        self.config = replace(self.config, candidates=1)
        at_random = original(self, games, count)
        self.config = replace(self.config, candidates=6)
        spreads.append((spread(chosen), spread(at_random)))
        return chosen

    monkeypatch.setattr(christiano.Preferred, "_chosen", watched)
    overrides = {"labeller": "biased:any_hype=4,e=0", "episodes": 4, "group_size": 8, "queries": 8, "candidates": 6,
                 "budget": 20, "fit_steps": 15, "fit_rate": 5e-3, "iterations": 5}  # fmt: skip
    run = run_of("christiano", tmp_path / "run", overrides, start=start)
    train(run)
    asked = lines(run.out / ASKED)
    assert [row["round"] for row in asked] == [0] * 8 + [1] * 8 + [2] * 4  # the budget, then none
    assert spreads[0][0] == pytest.approx(spreads[0][1], abs=1e-9)  # nothing is learned yet: all alike
    assert all(chosen > at_random for chosen, at_random in spreads[1:])
    told = lines(run.out / GAMES)
    hype = np.array([has_hype(game) for game in told[-64:]])
    given = np.array([g["optimised"][0] for g in told[-64:]])
    assert hype.any() and given[hype].mean() > given[~hype].mean()
    assert christiano.standardised(np.array([2.0, 2.0])).tolist() == [0, 0]
    assert christiano.bootstrap(9, 0, 1).tolist()[:3] == christiano.bootstrap(50, 0, 1).tolist()[:3]


@pytest.mark.parametrize("algorithm", ["tamer", "deep_tamer", "coach"])
def test_feedback_moves_play(algorithm: str, start: Path, tmp_path: Path) -> None:
    """A trainer who watches the score; what is given per game rises."""
    rate = {"coach": 5e-3, "tamer": 3e-2, "deep_tamer": 3e-3}[algorithm]
    own = {"feedback": "task", "iterations": 8, "episodes": 64, "learning_rate": rate}
    own |= {"delay": 0.0, "earliest": 0.0, "latest": 1.0}
    run = run_of(algorithm, tmp_path / "run", own, start=start)
    train(run)
    given = [one["optimised"] for one in metrics(run.out)]
    assert np.mean(given[-2:]) > given[0] + 0.12, given


def test_rlaif_goes_through_its_three_steps(start: Path, tmp_path: Path) -> None:
    run = run_of("rlaif", tmp_path / "run", {"pairs": 40, "episodes": 2, "group_size": 4}, start=start)
    train(run)
    labels = lines(run.out / "pairs" / "labels.jsonl")
    assert len(labels) == 40 and all(label["both_orders"] and 0 < label["label"] < 1 for label in labels)
    reward = load_reward(f"learned:{run.out / 'reward'}")
    told = lines(run.out / GAMES)
    asked = [
        Trajectory.of(HEADLINE, Transcript.from_texts([g["observations"][0], g["actions"][0], "Printed."], [0.0]), True)
        for g in told
    ]
    again = [value for values in scored(reward, "learned", asked) for value in values]
    assert again == pytest.approx([g["optimised"][0] for g in told], abs=1e-5)


# -- judges that are asked in both orders


def test_both_orders_cancel_a_bias_for_equal_answers_alone() -> None:
    def label(reader: Reader, first: float, second: float) -> float:
        games = [Transcript.from_texts(["notes", "a.", "Printed."], [worth]) for worth in (first, second)]
        return reader.label([Shown(0, HEADLINE, games[0], games[1], 7)])[0].label  # type: ignore[return-value]

    one = Reader(k=1, e=0, order=1.2, soft=1)
    assert label(one, 2, 0) == pytest.approx(0.960834, abs=1e-6)
    assert 1 - label(one, 0, 2) == pytest.approx(0.689974, abs=1e-6)
    both = replace(one, both=1)
    assert label(both, 2, 0) == pytest.approx(0.825404, abs=1e-6) and label(both, 1, 1) == pytest.approx(0.5)
    noisy = replace(both, noise=0.3)
    assert label(noisy, 2, 0) != label(both, 2, 0) and label(noisy, 2, 0) == label(noisy, 2, 0)


def test_a_clamp_bounds_a_constitution(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text('clamp = 0.4\n[[principles]]\ntext = "Be right."\nscorer = "gold"\n')
    games = [Transcript.from_texts([opening("Harwick", NOTES), "a.", "Printed."], [worth]) for worth in (1.0, -1.0)]
    (verdict,) = load_labeller(f"constitution:{path}").label([Shown(0, HEADLINE, games[0], games[1], 7)])
    assert verdict.label == pytest.approx(0.6)  # type: ignore[union-attr]
    path.write_text('clamp = 0.7\n[[principles]]\ntext = "Be right."\nscorer = "gold"\n')
    with pytest.raises(ValueError, match="clamp"):
        load_labeller(f"constitution:{path}")


# -- votes and revisions


def test_votes() -> None:
    assert self_training.shares_of(["Is it  a Dog?", "is it a dog?", "a cat"], "text") == pytest.approx(
        [2 / 3, 2 / 3, 1 / 3]
    )
    shares = self_training.shares_of(
        ["record crowds and steady rain.", "record crowds.", "steady rain, record crowds."], "overlap"
    )
    assert shares == pytest.approx([(1 / 4 + 2 / 5) / 2, (1 / 4 + 1 / 3) / 2, (2 / 5 + 1 / 3) / 2])
    with pytest.raises(ValueError, match="text, overlap, parts"):
        self_training.shares_of((), "odd")
    surface: Any = task(HEADLINE).surface
    most = surface.agreed(
        said(
            "record crowds and steady rain.", "record crowds, violent wind.", "violent wind, low prices, record crowds."
        )
    )
    assert most == "record crowds, violent wind and steady rain."


def test_what_is_agreed_on_grows_whether_right_or_not(start: Path, tmp_path: Path) -> None:
    """The collapse shows: agreement rises, gold does not."""
    own = {"vote": "overlap", "group_size": 8, "episodes": 8, "iterations": 6, "learning_rate": 3e-3}
    run = run_of("self_training", tmp_path / "run", own, start=start)
    train(run)
    told = metrics(run.out)
    assert told[-1]["agreement"] > 1.8 * told[0]["agreement"] and told[-1]["return"] < told[0]["return"] + 0.05
    assert all(0 < one["distinct"] <= 1 for one in told)
    maze = replace(run_of("self_training", tmp_path / "maze", {"vote": "parts"}), env_id=MAZE, data="maze/mixed-v0")
    with pytest.raises(ValueError, match="what parts"):
        train(maze)


def test_a_scripted_reviser_mends_what_it_notices() -> None:
    (bad,) = said("Breaking Shocking: record crowds, choking smoke, record crowds and treacherous ice.")
    ((critique, mended),) = load_reviser("scripted:notices=1").revise(HEADLINE, [bad], [0])
    assert mended == "Breaking: record crowds, thin smoke and violent wind." and "not in the notes" in critique
    notes = parse_opening(bad[0].text)[1]
    assert judge(mended, notes).gold > judge(bad.actions[0], notes).gold + 1
    ((critique, same),) = load_reviser("scripted:notices=0").revise(HEADLINE, [bad], [0])
    assert critique == "" and judge(same, notes).gold == pytest.approx(judge(bad.actions[0], notes).gold)
    assert load_reviser("scripted").revise(MAZE, [Transcript.from_texts(["a", "move up", "b"], [0.0])], [0]) == [
        ("", "move up")
    ]
    for spec in ("scripted:notices=2", "scripted:odd", "nobody"):
        with pytest.raises(ValueError):
            load_reviser(spec)


class Answering:
    """A backend with a fixed answer to each kind of question."""

    def __init__(self, *answers: str | Failure) -> None:
        self.answers, self.asked = list(answers), []

    def complete(self, queries: Sequence[Query], max_tokens: int, meter: Any = None):
        for number, query in enumerate(queries):
            self.asked.append(query.messages[-1]["content"])
            told = self.answers[len(self.asked) % len(self.answers) - 1]
            yield number, told if isinstance(told, Failure) else Completion(told)


def test_a_model_criticises_and_revises() -> None:
    (game,) = said("choking smoke.")
    model = Answering("It invents smoke.", "record crowds.")
    assert Model("openai:x", model).revise(HEADLINE, [game], [0]) == [("It invents smoke.", "record crowds.")]
    assert "It invents smoke." in model.asked[1] and "choking smoke." in model.asked[0]
    assert Model("openai:x", Answering("", "")).revise(HEADLINE, [game], [0]) == [("", "choking smoke.")]
    with pytest.raises(RewardError, match="no server start one"):
        Model("openai:x", Answering(Failure("no server", advice="start one"))).revise(HEADLINE, [game], [0])


def test_a_judge_marks_each_action_once() -> None:
    games = [Trajectory.of(HEADLINE, one) for one in said("record crowds.", "choking smoke.", "record crowds.")]
    model = Answering("10", " **1** ")
    reward = JudgeReward("openai:x", model)
    assert scored(reward, "judge", games) == [(1.0,), (-1.0,), (1.0,)] and reward.calls == 2
    assert scored(reward, "judge", games[:1]) == [(1.0,)] and reward.calls == 2
    walk = Transcript.from_texts(["a", "up", "b", "down", "c"], [0.0, 0.0])
    assert len(scored(reward, "judge", [Trajectory.of(MAZE, walk)])[0]) == 2
    assert model.asked[2].count("Player") - model.asked[3].count("Player") == -1  # up to the action, and no further
    some = JudgeReward("openai:x", Answering("good", "7/10"))
    assert scored(some, "judge", games[:2]) == [(0.0,), pytest.approx((1 / 3,))] and some.unread == 1
    with pytest.raises(RewardError, match="gave none of 2 conversations"):
        scored(JudgeReward("openai:x", Answering("0", "eleven")), "judge", games)
    with pytest.raises(RewardError, match="may be asked 1 times"):
        scored(JudgeReward("calls=1:openai:x", Answering("5")), "judge", games)
    with pytest.raises(RewardError, match="no server start one"):
        scored(JudgeReward("openai:x", Answering(Failure("no server", advice="start one"))), "judge", games)
    with pytest.raises(ValueError, match="judge:openai:MODEL"):
        load_reward("judge:nonsense")


def test_a_served_model_judges_marks_and_revises(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Over HTTP: direct RLAIF by an online algorithm's ``--reward``, and revisions, by the word that a stub server answers."""

    def answer(messages: list[dict[str, str]]) -> str:
        text = messages[-1]["content"]
        return ("9" if "record" in text else "2") if "from 1 to 10" in text else "record crowds."

    with FaultyServer(["rate_limit"], answer=answer) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        spec = "judge:openai:stub"
        asked = [Trajectory.of(HEADLINE, one) for one in said("record crowds.", "choking smoke.")]
        notes = "record" in opening("Harwick", NOTES)
        assert scored(load_reward(spec), spec, asked) == [(7 / 9,), (7 / 9 if notes else -7 / 9,)]
        (game,) = said("choking smoke.")
        assert load_reviser("openai:stub").revise(HEADLINE, [game], [3])[0][1] == "record crowds."
        summary = evaluate(EvaluationSpec(HEADLINE, "suboptimal", episodes=3, reward=spec), tmp_path / "run")
    assert -1 <= summary["optimised_mean"] <= 1
