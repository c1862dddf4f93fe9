"""Learning from pairs: losses of known value, reward models, DPO and its kin, and the wall in front of gold, offline."""

from __future__ import annotations

import itertools
import json
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from msgspec.structs import replace as changed
from safetensors.torch import load_file

from lmrl_agents import load_agent
from lmrl_agents.learning.preference_losses import (
    bradley_terry,
    categorical_preference,
    centring,
    direct,
    kto,
    normal_preference,
    smoothed,
)
from lmrl_agents.learning.preference_pairs import episodes_of
from lmrl_agents.learning.rewarding import GAMES
from lmrl_agents.learning.run import METRICS, TrainingError, TrainingRun
from lmrl_agents.learning.train import algorithms, load_algorithm, train
from lmrl_agents.models.action_ends import ActionEnds
from lmrl_agents.playing.best_of_n import kl_regularised_optimum
from lmrl_agents.playing.collecting import Collection, collect
from lmrl_agents.playing.policy_agent import LanguageModelAgent
from lmrl_agents.playing.rollout import Rollout
from lmrl_agents.rewards.distributions import moments, quantile
from lmrl_agents.rewards.loading import load_reward
from lmrl_agents.rewards.protocol import RewardError, Trajectory, scored
from lmrl_benchmarks.scores.overoptimisation import best_of_n_means, fitted, is_overoptimised
from lmrl_datasets.preferences import load_gold, load_preferences
from lmrl_datasets.preferences.labelling import label_pairs
from lmrl_datasets.preferences.store import LABELS, write_pairs
from lmrl_envs.headline.rules import TINY, judge, tiny_answers

HEADLINE, MAZE = "lmrl/Headline-v0", "lmrl/MazeFullyObserved-v0"
READER = "biased:any_hype=2,soft=1,e=0,k=4"
"""His taste is in one word: the smallest network can learn it."""


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def near(found: torch.Tensor, *values: float) -> None:
    assert found.tolist() == pytest.approx(list(values), abs=1e-6)


# -- losses


def test_bradley_terry() -> None:
    gap, first = tensor(0, 1, -2), tensor(1, 1, 1)
    near(bradley_terry(gap, first), 0.693147, 0.313262, 2.126928)
    near(bradley_terry(gap, first, margin=1.0), 1.313262, 0.693147, 3.048587)
    near(bradley_terry(gap, 0.8 * first), 0.693147, 0.513262, 1.726928)
    near(bradley_terry(-gap, 1 - 0.8 * first), 0.693147, 0.513262, 1.726928)  # the mirrored row
    near(centring(tensor(2), tensor(1)), 0.09)


def test_an_error_rate_bounds_the_loss() -> None:
    """Christiano's 10 %: losses, gradients, and the bound -log .05."""
    gap = tensor(0, 2, 10, -10).requires_grad_()
    loss = bradley_terry(gap, torch.ones(4, dtype=torch.float64), error=0.1)
    near(loss, 0.693147, 0.171124, 0.051336, 2.994915)
    (slope,) = torch.autograd.grad(loss.sum(), gap)
    assert slope.tolist() == pytest.approx([-0.45, -0.11213, -4.3e-5, -8.2e-4], rel=0.02)
    assert bradley_terry(tensor(-1000), tensor(1), error=0.1).item() == pytest.approx(2.995732, abs=1e-6)
    tie = tensor(0).requires_grad_()
    assert torch.autograd.grad(bradley_terry(tie, tensor(0.5), error=0.1).sum(), tie)[0].item() == 0


def test_distributions_over_utilities() -> None:
    one, two = tensor(1), tensor(2)
    loss = normal_preference((one, one), (tensor(0), two), one)
    near(loss, 0.396546)
    near(torch.exp(-loss), 0.672640)
    both = torch.stack([tensor(0.1, 0.2, 0.7)]), torch.stack([tensor(0.5, 0.25, 0.25)])
    loss = categorical_preference(*both, one)
    near(loss, 0.271153)
    near(torch.exp(-loss), 0.7625)
    # As spread vanishes it is a step; two atoms are Bradley-Terry of coins.
    assert normal_preference((one, 1e-4 * one), (tensor(0.9), 1e-4 * one), one).item() < 1e-6
    p, q = 0.7, 0.4
    atoms = torch.stack([tensor(1 - p, p)]), torch.stack([tensor(1 - q, q)])
    near(torch.exp(-categorical_preference(*atoms, one)), p * (1 - q) + 0.5 * (p * q + (1 - p) * (1 - q)))


def test_smoothing_of_labels() -> None:
    near(smoothed(tensor(1), tensor(0), 0.3), 0.85)
    gap, label, gaps, labels = tensor(0), tensor(1), [], []
    for _ in range(3):
        gap = gap + (label - torch.sigmoid(gap))  # one pair, step 1
        label = smoothed(label, gap, 0.1)
        gaps.append(gap.item())
        labels.append(label.item())
    assert gaps == pytest.approx([0.5, 0.839787, 1.077230], abs=1e-6)
    assert labels == pytest.approx([0.962246, 0.935863, 0.916874], abs=1e-6)
    gap, label = 0.0, 1.0
    for _ in range(100_000):
        gap += label - 1 / (1 + np.exp(-gap))
        label = 0.99 * label + 0.01 / (1 + np.exp(-gap))
    assert (gap, label) == pytest.approx((3.4745, 0.9700), abs=1e-4)


@pytest.mark.parametrize(
    ("kind", "losses"),
    [
        ("dpo", (0.693147, 0.644397, 0.474077, 0.854355)),
        ("ipo", (25, 16, 0, 64)),
        ("conservative", (0.693147, 0.654397, 0.524077, 0.824355)),
        ("robust", (0.693147, 0.631897, 0.411577, 0.891855)),
    ],
)
def test_direct_losses(kind: str, losses: tuple[float, ...]) -> None:
    near(direct(tensor(0, 1, 5, -3), 0.1, kind, 0.1), *losses)


def test_kto_and_unknown_losses() -> None:
    near(kto(tensor(2, 2), tensor(1, 0), 0.1, tensor(0.5)), 0.462570, 0.537430)
    with pytest.raises(ValueError, match="dpo, ipo"):
        direct(tensor(0), 0.1, "nonsense")


def test_population_optima_of_dpo_and_ipo() -> None:
    """Three answers, r = [1, 0, 2]: descent on all pairs, labelled by Bradley-Terry, finds DPO's tilt and IPO's own optimum."""
    reward, reference = tensor(1, 0, 2), tensor(0.5, 0.3, 0.2)
    pairs = list(itertools.permutations(range(3), 2))

    def optimum(loss: Any) -> list[float]:
        logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([logits], max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-16)

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            ratio = torch.log_softmax(logits, 0) - reference.log()
            total = torch.stack(
                [
                    reference[a] * reference[b] * torch.sigmoid(reward[a] - reward[b]) * loss(ratio[a] - ratio[b])
                    for a, b in pairs
                ]
            ).sum()
            total.backward()
            return total

        optimizer.step(closure)
        return torch.softmax(logits, 0).tolist()

    dpo = optimum(lambda h: direct(h, 0.5))
    tilt, value = kl_regularised_optimum(reference.numpy(), reward.numpy(), 0.5)
    assert dpo == pytest.approx(tilt.tolist(), abs=1e-5) == [0.247720, 0.020115, 0.732165]
    assert value == pytest.approx(1.351155, abs=1e-6)
    ipo = optimum(lambda h: direct(h, 0.5, "ipo"))
    assert ipo == pytest.approx([0.501203, 0.195703, 0.303095], abs=1e-4)


# -- how gold goes


def test_best_of_n_from_samples_is_the_enumeration() -> None:
    scores, gold = np.array([[0.3, -1, 2, 0.5]]), np.array([[1, 0, -1, 0.5]])
    found = best_of_n_means(scores, gold, (1, 2, 3, 4))[0]
    assert found.tolist() == pytest.approx([0.125, -0.166667, -0.625, -1], abs=1e-6)
    for n in (1, 2, 3, 4):
        drawn = [gold[0][max(chosen, key=lambda i: scores[0][i])] for chosen in itertools.combinations(range(4), n)]
        assert found[n - 1] == pytest.approx(np.mean(drawn))
    tied = best_of_n_means(np.array([[1.0, 1.0, 0.0]]), np.array([[1.0, 0.0, 5.0]]), (1, 3))[0]
    assert tied.tolist() == pytest.approx([2.0, 0.5])
    with pytest.raises(ValueError, match="from 1 to"):
        best_of_n_means(scores, gold, (5,))


def test_the_two_forms_are_fitted() -> None:
    d = np.linspace(0.2, 4, 12)
    bon = fitted(d, d * (0.3 - 0.14 * d), "best of n")
    assert (bon.a, bon.b, bon.r2) == pytest.approx((0.3, 0.14, 1)) and bon.peak == pytest.approx(
        (1.0714, 0.1607), abs=1e-4
    )
    rl = fitted(d, d * (0.3 - 0.14 * np.log(d)), "rl")
    assert (rl.a, rl.b) == pytest.approx((0.3, 0.14)) and rl.peak == pytest.approx((3.1357, 0.4390), abs=1e-4)
    with pytest.raises(ValueError, match="three points"):
        fitted([1, 2], [1, 2], "rl")
    assert is_overoptimised([0, 1, 2], [0.2, 0.4, 0.1], [0.01] * 3)
    assert not is_overoptimised([0, 1, 2], [0.2, 0.4, 0.38], [0.02] * 3)  # within the noise
    assert not is_overoptimised([0, 1, 0.5], [0.2, 0.4, 0.1], [0.01] * 3)  # the proxy fell, too


# -- trained on pairs


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs") / "tiny"
    collect(Collection(HEADLINE, ["random"], 400, env_kwargs={"tiny": True}), [load_agent("random")], folder)
    label_pairs(folder, READER)
    return folder


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("start") / "bc"
    train(run_of("bc", "headline/mixed-v0", out, sample=True))
    return out


def run_of(
    algorithm: str, data: Path | str, out: Path, overrides: dict[str, Any] | None = None, **changes: Any
) -> TrainingRun:
    small = {"model.layers": 1, "model.width": 16, "model.heads": 1, "bc.steps": 12, "bc.batch_size": 32}
    own = {f"{algorithm}.epochs": 1} if algorithm in ("reward_model", "dpl") else {}
    if algorithm in ("dpo", "ipo", "kto"):
        own = {f"{algorithm}.steps": 4, f"{algorithm}.batch_size": 16}
    return TrainingRun(
        algorithm,
        HEADLINE,
        str(data),
        out,
        overrides={**small, **own, **(overrides or {})},
        show_progress=False,
        **changes,
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    files = sorted((folder / "final").glob("*.safetensors"))
    return {f"{file.stem}.{name}": tensor for file in files for name, tensor in load_file(file).items()}


def equal(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


METHODS = [
    ("reward_model", {}),
    ("reward_model", {"reward_model.ids": 0.3, "reward_model.epochs": 2, "reward_model.bootstrap": True}),
    ("reward_model", {"reward_model.margin": 0.5, "reward_model.centring": 0.01, "reward_model.error": 0.1}),
    *(("dpo", {"dpo.loss": loss}) for loss in ("dpo", "ipo", "conservative", "robust", "kto")),
    ("dpo", {"dpo.reference_free": True}),
    ("ipo", {}),
    ("kto", {"kto.bad_weight": 0.5}),
    ("dpl", {"dpl.ids": 0.1, "dpl.epochs": 2}),
    ("dpl", {"dpl.kind": "categorical"}),
]


def test_every_method_that_takes_pairs_is_tried() -> None:
    takes = {n for n in algorithms() if getattr(load_algorithm(n), "__globals__", {}).get("TAKES_PAIRS")}
    assert takes == {name for name, _ in METHODS}


@pytest.mark.parametrize(("algorithm", "overrides"), METHODS)
def test_noise_in_the_side_file_changes_no_weight(
    algorithm: str, overrides: dict, pairs: Path, start: Path, tmp_path: Path
) -> None:
    """The wall, offline: gold replaced by noise, and then gone; the same weights bit for bit."""
    folder = tmp_path / "pairs"
    folder.mkdir()
    found, noise = load_preferences(pairs), random.Random(3)
    gold = [changed(g, first=(noise.uniform(-1, 1),), second=(noise.uniform(-1, 1),)) for g in load_gold(pairs)]
    write_pairs(folder, found.manifest["spec"], found.pairs, gold)
    (folder / LABELS).write_bytes((pairs / LABELS).read_bytes())
    run = run_of(algorithm, pairs, tmp_path / "true", overrides, start=start)
    train(run)
    train(replace(run, data=str(folder), out=tmp_path / "noise"))
    assert equal(run.out, tmp_path / "noise")
    assert (run.out / "train.json").read_text() == (tmp_path / "noise" / "train.json").read_text()
    other = tmp_path / "other"
    label_pairs(folder, "biased:any_hype=-2")  # while other labels do change them
    train(replace(run, data=str(folder), out=other))
    assert not equal(run.out, other)


@pytest.mark.parametrize(("algorithm", "overrides"), [*METHODS[1:4], *METHODS[-4:]])
def test_a_stopped_training_goes_on_bit_for_bit(
    algorithm: str, overrides: dict, pairs: Path, start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = {**overrides, f"{algorithm}.checkpoint_every": 2}
    run = run_of(algorithm, pairs, tmp_path / "whole", overrides, start=start)
    train(run)
    import lmrl_agents.learning.session as module

    saved: list[int] = []
    original = module.save_checkpoint

    def stop(*arguments: Any) -> None:
        original(*arguments)
        saved.append(1)
        raise KeyboardInterrupt

    broken = replace(run, out=tmp_path / "broken")
    with monkeypatch.context() as patch:
        patch.setattr(module, "save_checkpoint", stop)
        with pytest.raises(KeyboardInterrupt):
            train(broken)
    train(replace(broken, resume=True))
    assert saved and equal(run.out, broken.out)


def test_true_probabilities_give_k_times_the_gaps_of_gold() -> None:
    """Headlines of the tiny desk on one set of notes, every pair labelled by its probability: a table of rewards by descent."""
    notes = (("record", "crowds"), ("steady", "rain"))
    gold = torch.tensor([judge(text, notes, TINY).gold for text in tiny_answers()], dtype=torch.float64)
    first, second = torch.combinations(torch.arange(len(gold))).T
    labels = torch.sigmoid(8 * (gold[first] - gold[second]))
    table = torch.zeros(len(gold), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([table], max_iter=1000, tolerance_grad=1e-12, tolerance_change=1e-16, history_size=50)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = bradley_terry(table[first] - table[second], labels).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    gaps = (table - table[0]).detach() - 8 * (gold - gold[0])
    assert gaps.abs().max().item() < 1e-3


def test_a_reward_model_learns_what_the_reader_likes(pairs: Path, tmp_path: Path) -> None:
    overrides = {"model.width": 32, "reward_model.epochs": 20, "reward_model.learning_rate": 5e-3}
    folder = train(run_of("reward_model", pairs, tmp_path / "rm", overrides))
    about = json.loads((folder / "lmrl.json").read_text())
    assert about["accuracy"] > 0.8 and 0 <= about["calibration_error"] < 0.2
    found, gold = load_preferences(pairs), load_gold(pairs)
    reward, spec = load_reward(f"learned:{folder}"), f"learned:{folder}"
    asked = [Trajectory.of(HEADLINE, side.shown, True) for pair in found.pairs for side in (pair.first, pair.second)]
    given = np.array([sum(values) for values in scored(reward, spec, asked)])
    assert given.mean() == pytest.approx(0, abs=1e-4) and given.std() == pytest.approx(1, abs=1e-3)
    worth = np.array([sum(own) for g in gold for own in (g.first, g.second)])
    worth += 2 * np.array(["Breaking" in one.transcript.actions[0] for one in asked])
    assert np.corrcoef(given, worth)[0, 1] > 0.7
    # Batches, order and padding change nothing; the same folder twice is itself; the least and the mean less variance are less.
    alone = [sum(scored(reward, spec, [one])[0]) for one in asked[:5]]
    assert alone == pytest.approx(given[:5].tolist(), abs=1e-5)
    for how in ("", "min:", "var=.5:"):
        twice = load_reward(f"ensemble:{how}{folder},{folder}")
        assert [sum(v) for v in twice.score(asked[:5])] == pytest.approx(alone, abs=1e-5)


def test_rewards_of_several_turns_are_read_at_each_action(tmp_path: Path) -> None:
    folder = tmp_path / "maze"
    collect(Collection(MAZE, ["suboptimal"], 12, unit="segment:8"), [load_agent("suboptimal")], folder)
    label_pairs(folder, "gold")
    run = replace(run_of("reward_model", folder, tmp_path / "rm"), env_id=MAZE)
    reward = load_reward(f"learned:{train(run)}")
    sides = [side for pair in load_preferences(folder).pairs for side in (pair.first, pair.second)]
    given = reward.score([Trajectory.of(MAZE, side.shown) for side in sides])
    assert [len(values) for values in given] == [len(side.actions) - side.start for side in sides]
    model = reward.model  # type: ignore[attr-defined]
    episodes = episodes_of(sides, model.tokenizer, model.form)
    ends = ActionEnds(episodes, model.form, model.tokenizer.pad)
    for side, episode in enumerate(episodes):
        for place, action in zip(range(ends.start[side], ends.start[side + 1]), episode.actions, strict=True):
            row = ends.rows[ends.row[place]]
            assert row[ends.column[place]] == action[-1] == model.tokenizer.eoa


@pytest.mark.parametrize(
    ("env_id", "unit", "data", "reader"),
    [
        (MAZE, "segment:4", "maze/mixed-v0", {}),
        ("lmrl/Wordle-v0", "game", "wordle/mixed-v0", {}),
        # Its policy chooses among whole utterances, which a reward model has to read: docs/preferences.md.
        ("lmrl/CarDealer-v1", "game", "car_dealer/mixed-v1",
         {"text.choice": False, "text.max_action_tokens": 32, "text.max_tokens": 256, "model.max_positions": 256}),
    ],
)  # fmt: skip
def test_tasks_of_many_turns_go_all_the_way(
    env_id: str, unit: str, data: str, reader: dict[str, Any], tmp_path: Path
) -> None:
    """Pairs, a clone, a reward model (from it, unless they read alike no more), RLHF, DPO, best of n: gold is kept beside what was optimised."""
    made = tmp_path / "pairs"
    collect(Collection(env_id, ["suboptimal"], 4, unit=unit), [load_agent("suboptimal")], made)
    label_pairs(made, "gold")

    def trained(algorithm: str, given: Path | str, overrides: dict[str, Any], **changes: Any) -> Path:
        run = replace(run_of(algorithm, given, tmp_path / algorithm, overrides, **changes), env_id=env_id)
        return train(run)

    short = {"bc.steps": 2, "bc.batch_size": 2}
    start = trained("bc", data, short, sample=True)
    reward = f"learned:{trained('reward_model', made, reader, start=None if reader else start)}"
    policy = trained("dpo", made, {"dpo.steps": 2, "dpo.batch_size": 2}, start=start)
    own = {"ppo.iterations": 1, "ppo.episodes": 2, "ppo.slots": 2, "ppo.kl_weight": 0.1}
    trained("ppo", data, own, sample=True, start=start, reward=reward)
    for game in (json.loads(line) for line in (tmp_path / "ppo" / GAMES).read_text().splitlines()):
        assert len(game["gold"]) == len(game["optimised"]) == len(game["actions"]) > 0
        assert game["gold"] != game["optimised"] and np.isfinite(game["optimised"]).all()
    rollout = Rollout(load_agent(f"best_of:2,{reward},{policy}"), env_id, slots=1)
    (best,) = rollout.play(range(1), 0)
    assert not best.error and len(best.actions) > 0


@pytest.mark.parametrize(("name", "loss"), [("ipo", "ipo"), ("kto", "kto")])
def test_a_loss_with_a_name_of_its_own_is_dpo_s_switch(
    name: str, loss: str, pairs: Path, start: Path, tmp_path: Path
) -> None:
    train(run_of(name, pairs, tmp_path / "own", start=start))
    train(run_of("dpo", pairs, tmp_path / "dpo", {"dpo.loss": loss}, start=start))
    assert equal(tmp_path / "own", tmp_path / "dpo")


def test_distributions_of_utilities_as_numbers() -> None:
    normal, atoms = torch.stack([tensor(1.0, 0.5), tensor(4.0, 0.25)], dim=1), tensor(0.1, 0.2, 0.7)[None]
    near(moments(atoms, "categorical")[0], 0.8)
    near(moments(atoms, "categorical")[1], 0.2 * 0.25 + 0.7 - 0.64)
    near(quantile(normal, "mean-variance", 0.5), 1.0, 0.5)
    near(quantile(normal, "mean-variance", 0.158655254), -1.0, 0.0)
    near(quantile(atoms, "categorical", 0.1), 1 / 3)  # the first cell's end
    near(quantile(atoms, "categorical", 0.2), 0.5)
    near(quantile(atoms, "categorical", 1.0), 1.0)


@pytest.mark.parametrize("kind", ["mean-variance", "categorical"])
def test_a_crowd_of_two_minds_shows_in_the_spread(kind: str, tmp_path: Path) -> None:
    """Seven in ten love a word of hype, three hate it: what holds one is the less certain, and the mean less a spread turns away."""
    folder = tmp_path / "pairs"
    collect(Collection(HEADLINE, ["random"], 600, env_kwargs={"tiny": True}), [load_agent("random")], folder)
    label_pairs(folder, "groups:.7*any_hype=1.5,e=0/.3*any_hype=-3,e=0")
    overrides = {"model.width": 32, "dpl.epochs": 12, "dpl.learning_rate": 5e-3, "dpl.kind": kind, "dpl.entropy": 0.05}
    final = train(run_of("dpl", folder, tmp_path / "dpl", overrides))
    about = json.loads((final / "lmrl.json").read_text())
    assert 0 < about["hidden_context"] < 0.95 and about["distribution"] == kind
    asked = [
        Trajectory.of(HEADLINE, side.shown, True)
        for p in load_preferences(folder).pairs
        for side in (p.first, p.second)
    ]
    hype = np.array(["Breaking" in one.transcript.actions[0] for one in asked])
    given = {}
    for how in ("", "risk=1:", "risk=3:", "quantile=.1:"):
        reward = load_reward(f"learned:{how}{tmp_path / 'dpl'}")
        values = np.array([v[0] for v in reward.score(asked)])
        given[how] = values[hype].mean() - values[~hype].mean()
    assert given[""] > given["risk=1:"] > given["risk=3:"] and given[""] > given["quantile=.1:"]
    assert given[""] > 0 and (given["risk=3:"] < 0 or kind == "categorical")
    assert LanguageModelAgent(final).critic is None  # no values of play


def test_dpo_moves_towards_what_was_preferred(pairs: Path, start: Path, tmp_path: Path) -> None:
    run = run_of(
        "dpo", pairs, tmp_path / "dpo", {"dpo.steps": 30, "dpo.beta": 0.3, "dpo.learning_rate": 2e-3}, start=start
    )
    train(run)
    lines = [json.loads(line) for line in (run.out / METRICS).read_text().splitlines()]
    assert lines[-1]["accuracy"] > 0.6 and lines[-1]["chosen"] > lines[-1]["rejected"]


@pytest.mark.parametrize("algorithm", ["reward_model", "dpo"])
@pytest.mark.parametrize("pair", [3, 9])
def test_a_single_label_is_learned_from(algorithm: str, pair: int, pairs: Path, start: Path, tmp_path: Path) -> None:
    """An annotator who gave one, of a pair that would validate (9), too: weights stay numbers."""
    data = tmp_path / "pairs"
    shutil.copytree(pairs, data)
    (data / LABELS).write_text(f'{{"pair_id":{pair},"annotator":"person:once","label":1.0}}\n')
    run = run_of(algorithm, data, tmp_path / "out", start=start)
    train(run)
    losses = [json.loads(line)["loss"] for line in (run.out / METRICS).read_text().splitlines()]
    assert np.isfinite(losses).all() and all(value.isfinite().all() for value in weights(run.out).values())


def test_what_cannot_be_learned_from_is_one_line(pairs: Path, start: Path, tmp_path: Path) -> None:
    def refused(why: str, **changes: Any) -> None:
        with pytest.raises(TrainingError, match=why):
            train(replace(run_of("reward_model", pairs, tmp_path / "out"), **{"out": tmp_path / why, **changes}))

    for algorithm, data in (("reward_model", "headline/mixed-v0"), ("bc", str(pairs))):
        with pytest.raises(ValueError, match=f"{algorithm} learns from"):
            train(run_of(algorithm, data, tmp_path / "kind", sample=True))
    refused("holds pairs of", env_id=MAZE)
    refused("no labels by nobody", overrides={"reward_model.annotators": ["nobody"]})
    ties = tmp_path / "ties"
    collect(Collection(HEADLINE, ["random"], 5), [load_agent("random")], ties)
    refused("no labels", data=str(ties))
    label_pairs(ties, "gold:tie=9")
    refused("only ties", data=str(ties))
    with pytest.raises(TrainingError, match="--start"):
        train(run_of("dpo", pairs, tmp_path / "dpo"))
    with pytest.raises(ValueError, match="dpo, ipo"):
        train(run_of("dpo", pairs, tmp_path / "dpo2", {"dpo.loss": "nonsense"}, start=start))
    with pytest.raises(RewardError, match="none of a reward model"):
        load_reward(f"learned:{start}")
    with pytest.raises(RewardError, match="no trained model"):
        load_reward(f"learned:{tmp_path}")
    with pytest.raises(RewardError, match="no distribution"):
        load_reward(f"learned:risk=1:{train(run_of('reward_model', pairs, tmp_path / 'rm'))}")
    with pytest.raises(ValueError, match="SHARE between"):
        load_reward(f"learned:quantile=2:{tmp_path}")
    with pytest.raises(ValueError, match="mean-variance or categorical"):
        train(run_of("dpl", pairs, tmp_path / "dpl", {"dpl.kind": "odd"}))
    walks = tmp_path / "walks"
    collect(Collection(MAZE, ["random"], 4, unit="segment:2"), [load_agent("random")], walks)
    label_pairs(walks, "gold")
    with pytest.raises(TrainingError, match="games of one action"):
        train(replace(run_of("dpl", walks, tmp_path / "dpl2", {"dpl.kind": "categorical"}), env_id=MAZE))
    for spec in ("ensemble:", "ensemble:var=x:a"):
        with pytest.raises(ValueError, match="ensemble"):
            load_reward(spec)
