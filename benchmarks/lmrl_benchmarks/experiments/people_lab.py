"""Experiments of learning from people beside `gold_lab`: hidden context, rewards that conflict, rounds of labelling, attacks on a reward model.

All take the best of a writer's answers, so that what is seen is the reward's fault and not an optimiser's.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lmrl_agents.playing.best_of_n import best_of_n_kl
from lmrl_agents.playing.collecting import Sampled, fragment_of
from lmrl_agents.playing.loading import load_agent
from lmrl_agents.playing.rollout import Played, Rollout
from lmrl_benchmarks.experiments.gold_lab import best_of_n_curve, told
from lmrl_benchmarks.experiments.shared import (
    Samples,
    Settings,
    held_out,
    labelled,
    learned_scores,
    samples_of,
    trained,
)
from lmrl_benchmarks.scores.overoptimisation import best_of_n_means
from lmrl_datasets.preferences.labellers import Groups, Reader, load_labeller
from lmrl_datasets.preferences.labelling import label_pairs
from lmrl_datasets.preferences.schema import Gold, Pair
from lmrl_datasets.preferences.store import write_pairs
from lmrl_envs.files.untrusted import Schema, convert


class Hidden(Schema, frozen=True):
    """Settings of `hidden_context`."""

    env: str
    writer: str
    groups: str
    """A labeller ``groups:...``: pairs are judged by its readers, and who is harmed is told by them."""
    learner: str
    """``exact`` (nothing is learned), ``bradley-terry``, ``mean-variance`` or ``categorical``."""
    prompts: int = 80
    samples: int = 16
    pairs: int = 6000
    width: int = 32
    model: dict[str, Any] = {}
    seed: int = 0


WAYS = {"bradley-terry": ("",), "mean-variance": ("", "risk=1:"), "categorical": ("", "quantile=.1:")}
"""How a learner's utility is made one number, as ``learned:`` takes it."""
NAMES = {"": "mean", "risk=1:": "mean - sd", "quantile=.1:": "10 %"}


def hidden_context(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Who is harmed by the best of n under what was learned from a crowd (Siththaranjan et al., arXiv 2312.08358).

    Raises:
        ValueError: settings that are none.
    """
    s = convert(dict(settings), Hidden, "settings")
    crowd = load_labeller(s.groups)
    if not isinstance(crowd, Groups) or s.learner not in ("exact", *WAYS):
        raise ValueError(
            f"groups={s.groups!r} with learner={s.learner!r}: a labeller groups:..., and exact or {', '.join(WAYS)}"
        )
    lab = Settings(s.env, "best of n", writer=s.writer, prompts=s.prompts, samples=s.samples, reader=s.groups,
                   pairs=s.pairs, width=s.width, seed=s.seed)  # fmt: skip
    samples = samples_of(lab)
    worth = {one.group: utilities(one, s.env, samples) for one in crowd.readers}
    worth["mean"] = np.sum([p * worth[one.group] for p, one in zip(crowd.shares, crowd.readers, strict=True)], axis=0)
    numbers: dict[str, float] = {f"{name} at the start": float(u.mean()) for name, u in worth.items()}
    with tempfile.TemporaryDirectory() as folder:
        if s.learner == "exact":
            scores, told_of, curves = {"exact": worth["mean"]}, {}, {}
        else:
            model = _learned(s, lab, Path(folder))
            ways = {f"{s.learner}, {NAMES[how]}": f"learned:{how}{model}" for how in WAYS[s.learner]}
            scores = {way: learned_scores(lab, spec, samples) for way, spec in ways.items()}
            told_of, curves = held_out(model)
    for way, own in scores.items():
        best = {name: best_of_n_means(own, u, [s.samples])[:, 0] for name, u in worth.items()}
        best |= {
            name: best_of_n_means(own, u, [s.samples])[:, 0] for name, u in samples.features.items() if name == "hype"
        }
        numbers |= {f"{name} by {way}": float(value.mean()) for name, value in best.items()}
        fell = {name: best[name] - u.mean(axis=1) for name, u in worth.items()}
        rose = fell.pop("mean").mean() > 0
        numbers[f"harmed by {way}"] = float(sum(bool(rose and one.mean() < 0) for one in fell.values()))
        numbers[f"prompts where one loses by {way}"] = float(np.mean(np.min(list(fell.values()), axis=0) < -0.1))
    return {"numbers": {**numbers, **told_of}, "curves": curves}


def _learned(s: Hidden, lab: Settings, out: Path) -> Path:
    """What the learner makes of everybody's labels."""
    algorithm = "reward_model" if s.learner == "bradley-terry" else "dpl"
    own = {f"{algorithm}.{key}": value for key, value in s.model.items() if "." not in key}
    own |= {"model.width": s.width, **{key: value for key, value in s.model.items() if "." in key}}
    if algorithm == "dpl":
        own["dpl.kind"] = s.learner
    return trained(lab, algorithm, labelled(lab), out / "model", own)


def utilities(reader: Reader, env: str, samples: Samples) -> np.ndarray:
    """What each answer is worth to a reader, who reads it once: float [prompts, samples]."""
    return np.array(
        [
            [reader.utility(env, game, random.Random(f"{k} {i}")) for i, game in enumerate(games)]
            for k, games in enumerate(samples.transcripts)
        ]
    )


class Conflict(Schema, frozen=True):
    """Settings of `conflict`."""

    env: str
    weight: float
    """Of truth, from 0 to 1."""
    writer: str = "suboptimal"
    helpful: str = "lazy:check=0"
    """A reader who takes what he is told for true."""
    harm: str = "wrong"
    """The feature of the task that the other reward counts against an answer."""
    prompts: int = 64
    samples: int = 64


def conflict(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The best of n by (1 - w) helpful - w wrong, each in standard deviations of the writer's answers: the frontier of w."""
    s = convert(dict(settings), Conflict, "settings")
    reader = load_labeller(s.helpful)
    samples = samples_of(Settings(s.env, "reader", writer=s.writer, prompts=s.prompts, samples=s.samples))
    if not isinstance(reader, Reader) or s.harm not in samples.features or not 0 <= s.weight <= 1:
        raise ValueError(
            f"helpful={s.helpful!r}, harm={s.harm!r}, weight={s.weight}: a reader, a feature of the task, a share"
        )
    helpful, wrong = utilities(reader, s.env, samples), samples.features[s.harm]
    scores = (1 - s.weight) * (helpful - helpful.mean()) / helpful.std() - s.weight * (
        wrong - wrong.mean()
    ) / wrong.std()
    sizes = [2**k for k in range(int(np.log2(s.samples)) + 1)]
    worth = {"helpful": helpful, s.harm: wrong, "gold": samples.gold}
    means = {name: best_of_n_means(scores, values, sizes).mean(axis=0) for name, values in worth.items()}
    distance = [float(np.sqrt(best_of_n_kl(n))) for n in sizes]
    return {
        "numbers": {name: float(values[-1]) for name, values in means.items()},
        "curves": {
            name: [list(p) for p in zip(distance, values.tolist(), strict=True)] for name, values in means.items()
        },
    }


class Rounds(Schema, frozen=True):
    """Settings of `rounds` and `red_team`."""

    env: str
    rounds: int
    """1: all labels at once."""
    pairs: int = 1200
    """Labels in all."""
    writer: str = "suboptimal"
    reader: str = "gold:k=8,e=.1"
    tried: int = 16
    """Answers that the present policy takes the best of; the attacker of red_team, too."""
    prompts: int = 64
    samples: int = 64
    width: int = 32
    model: dict[str, Any] = {}
    seed: int = 0


def rounds(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Label the present policy's answers, learn again from all labels, go on (Stiennon et al., arXiv 2009.01325), against all labels at once.

    The policy of a round is the best of ``tried`` answers by the reward model of the round before; the first is the writer. Labels are the same number
    in all. Gold is that of the best of 1, 2, 4, ... of the writer's answers by the last model.
    """
    s = convert(dict(settings), Rounds, "settings")
    lab = Settings(s.env, "best of n", writer=s.writer, prompts=s.prompts, samples=s.samples, seed=s.seed)
    with tempfile.TemporaryDirectory() as folder:
        out, policy, rows = Path(folder), s.writer, []
        for number in range(s.rounds):
            rows += _sampled(s, policy, s.pairs // s.rounds, number, len(rows))
            model = _model_of(s, lab, rows, out / str(number))
            policy = f"best_of:{s.tried},learned:{model},{s.writer}"
        return _gold_of(model, lab)


def red_team(settings: Mapping[str, Any]) -> dict[str, Any]:
    """An attacker looks for answers that the reward model overrates most; they go back as labels, and it looks again.

    Overrating: the model's score less gold, each in standard deviations of the writer's answers. The attacker knows gold, as a red team does, and takes
    the most overrated of ``tried`` answers to each prompt. Each further round pairs what it found with the writer's own answers.
    """
    s = convert(dict(settings), Rounds, "settings")
    lab = Settings(s.env, "best of n", writer=s.writer, prompts=s.prompts, samples=s.samples, seed=s.seed)
    numbers: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        out, rows, found = Path(folder), [], None
        for number in range(s.rounds):
            half = s.pairs // s.rounds
            rows += _sampled(s, s.writer, half, number, len(rows), found)
            model = _model_of(s, lab, rows, out / str(number))
            games = _games(s, s.writer, half * s.tried, 500 + number)
            over = _overrating(lab, model, games)
            by_seed = over.reshape(-1, s.tried)
            found = [games[k * s.tried + int(np.argmax(own))] for k, own in enumerate(by_seed)]
            numbers[f"overrated by, round {number + 1}"] = float(by_seed.max(axis=1).mean())
            numbers[f"gold of what was found, round {number + 1}"] = float(
                np.mean([g.transcript.episode_return for g in found])
            )
        last = _gold_of(model, lab)
    return {"numbers": {**numbers, **last["numbers"]}, "curves": last["curves"]}


def _overrating(lab: Settings, model: Path, games: list[Played]) -> np.ndarray:
    asked = Samples([[game.transcript for game in games]], np.array([[g.transcript.episode_return for g in games]]), {})
    scores, gold = learned_scores(lab, f"learned:{model}", asked)[0], asked.gold[0]
    return (scores - scores.mean()) / max(scores.std(), 1e-9) - (gold - gold.mean()) / max(gold.std(), 1e-9)


def _gold_of(model: Path, lab: Settings) -> dict[str, Any]:
    """Gold of the best of n of the writer's answers by a reward model, as `gold_lab` tells it."""
    samples = samples_of(lab)
    return told(best_of_n_curve(samples, learned_scores(lab, f"learned:{model}", samples), *held_out(model)))


def _games(s: Rounds, agent: str, count: int, stream: int) -> list[Played]:
    """Games of an agent, ``tried`` in a row from one seed for the attacker, two else."""
    repeats = s.tried if stream >= 500 else 2
    rollout = Rollout(load_agent(agent), s.env, slots=256, repeats=repeats)
    return sorted(rollout.play(range(count), 10_000 * (1 + s.seed) + stream, "data"), key=lambda game: game.episode)


def _sampled(
    s: Rounds, policy: str, count: int, number: int, first: int, found: list[Played] | None = None
) -> list[Sampled]:
    """Pairs of a policy's own answers, or of what an attacker found with the writer's answer to the same prompt."""
    if found is None:
        games = _games(s, policy, 2 * count, number)
        both = list(zip(games[::2], games[1::2], strict=True))
    else:
        seeds = 10_000 * (1 + s.seed) + 500 + number - 1
        rollout = Rollout(load_agent(policy), s.env, slots=256, repeats=s.tried)
        wanted = [k * s.tried + (found[k].episode + 1) % s.tried for k in range(len(found))]
        own = {game.episode: game for game in rollout.play(wanted, seeds, "data")}
        both = [(game, own[n]) for game, n in zip(found, wanted, strict=True)]
    rows = []
    for k, (one, other) in enumerate(both, first):
        (a, worth), (b, other_worth) = fragment_of(one, 0, len(one.actions)), fragment_of(other, 0, len(other.actions))
        pair = Pair(pair_id=k, env_id=s.env, env_kwargs={}, seed_first=one.seed, seed_second=other.seed, shared=1,
                    unit="game", first=a, second=b)  # fmt: skip
        rows.append(Sampled(pair=pair, gold=Gold(pair_id=k, first=worth, second=other_worth)))
    return rows


def _model_of(s: Rounds, lab: Settings, rows: list[Sampled], out: Path) -> Path:
    """A reward model of some pairs, labelled by the reader."""
    data = out / "pairs"
    data.mkdir(parents=True)
    write_pairs(data, {"env_id": s.env, "unit": "game"}, (row.pair for row in rows), (row.gold for row in rows))
    label_pairs(data, s.reader, s.seed)
    return trained(lab, "reward_model", data, out / "reward", {"model.width": s.width, **s.model})
