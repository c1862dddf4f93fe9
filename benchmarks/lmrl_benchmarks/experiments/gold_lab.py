"""The gold-reward laboratory: gold beside proxy as a proxy is optimised (Gao, Schulman and Hilton, arXiv 2210.10760).

A task of one turn has an exact reward, gold. A reader with known faults judges pairs of a writer's answers; a reward model learns from
that; best of n, reinforcement learning or DPO optimises what was learned; or best of n goes by the reader's own utility. A cell is one of these.
Curves are over the square root of the KL from the start, in nats; the proxy is in standard deviations of the start. ``roof`` is gold of the best of
n by gold itself, from the same start. Who wins over the start is told on equal seeds, a tie half a win.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lmrl_agents.learning.curves import read_metrics
from lmrl_agents.learning.rewarding import GAMES
from lmrl_agents.learning.run import METRICS, TrainingRun
from lmrl_agents.playing.best_of_n import best_of_n_kl
from lmrl_benchmarks.experiments.shared import (
    Curves,
    Samples,
    Settings,
    agreements,
    data_of,
    held_out,
    labelled,
    learned_scores,
    played_by,
    played_by_start,
    reward_model,
    samples_of,
    start_of,
    start_samples,
    trained,
    won,
)
from lmrl_benchmarks.scores.comparison import wins
from lmrl_benchmarks.scores.overoptimisation import best_of_n_means, fitted, in_deviations, is_overoptimised, standings
from lmrl_datasets.preferences.labellers import Reader, load_labeller
from lmrl_envs import Transcript, load_task
from lmrl_envs.files import JsonLines
from lmrl_envs.files.untrusted import convert


@dataclass(frozen=True)
class Curve:
    """Gold and what was optimised, along an optimisation."""

    form: str
    """Whose fit it takes: ``best of n`` or ``rl``; "": none."""
    distance: list[float]
    """Square root of the KL from the start, nats."""
    gold: list[float]
    gold_error: list[float]
    """Standard errors over prompts or games."""
    proxy: list[float]
    """In standard deviations of the start; empty where no proxy stands beside gold."""
    features: dict[str, list[float]]
    """Means of the task's features along the way."""
    about: dict[str, float]
    more: Curves = field(default_factory=dict)
    """Further curves."""


def run(settings: dict[str, Any]) -> dict[str, Any]:
    """One cell: see `lmrl_benchmarks.experiments.grid`.

    Raises:
        ValueError: settings that are none.
    """
    s = convert(settings, Settings, "settings")
    if s.method not in METHODS:
        raise ValueError(f"method={s.method!r} is not one of {', '.join(METHODS)}")
    with tempfile.TemporaryDirectory() as folder:
        curve = METHODS[s.method](s, Path(folder))
    return told(curve)


def told(curve: Curve) -> dict[str, Any]:
    """What a cell tells of an optimisation."""
    top = int(np.argmax(curve.gold))
    numbers = {"start": curve.gold[0], "peak": curve.gold[top], "peak at": curve.distance[top], "end": curve.gold[-1]}
    if curve.proxy:
        numbers["proxy at the end"] = curve.proxy[-1]
        numbers["over-optimised"] = float(is_overoptimised(curve.proxy, curve.gold, curve.gold_error))
    numbers |= {
        "KL at the end": curve.distance[-1] ** 2, **curve.about,
        **{f"{name} at the {where}": own[at] for name, own in curve.features.items() for where, at in (("peak", top), ("end", -1))},
    }  # fmt: skip
    above = [k for k, d in enumerate(curve.distance) if d > 0]
    if curve.form and len(above) >= 3:
        fit = fitted([curve.distance[k] for k in above], [curve.gold[k] - curve.gold[0] for k in above], curve.form)
        numbers |= {"a": fit.a, "b": fit.b, "R2": fit.r2}
    along = {"gold": curve.gold, "optimised": curve.proxy}
    curves = {k: [list(p) for p in zip(curve.distance, v, strict=True)] for k, v in along.items() if v}
    return {"numbers": numbers, "curves": {**curves, **curve.more}}


def run_way(settings: dict[str, Any]) -> dict[str, Any]:
    """One cell, with the settings of ``ways`` that ``way`` names; see `run`.

    Raises:
        ValueError: settings that are none.
    """
    given = dict(settings)
    ways, way = given.pop("ways", {}), given.pop("way", None)
    if way not in ways:
        raise ValueError(f"way={way!r} is not one of {', '.join(ways)}")
    own = dict(ways[way])
    return run({**given, **own, "policy": {**given.get("policy", {}), **own.get("policy", {})}})


# -- what the best is chosen of


def best_of_n_curve(samples: Samples, scores: np.ndarray, about: dict[str, float], more: Curves | None = None) -> Curve:
    """Best of 1, 2, 4, ... by these scores."""
    sizes, distance = _sizes(scores)
    gold = best_of_n_means(scores, samples.gold, sizes)
    end = best_of_n_means(scores, standings(samples.gold), sizes[-1:])[:, 0]
    return Curve(
        "best of n", distance, gold.mean(axis=0).tolist(), (gold.std(axis=0, ddof=1) / np.sqrt(len(gold))).tolist(),
        in_deviations(best_of_n_means(scores, scores, sizes).mean(axis=0), scores).tolist(),
        {k: best_of_n_means(scores, v, sizes).mean(axis=0).tolist() for k, v in samples.features.items()},
        {**won(end), **about}, {"roof": roof(samples), **(more or {})},
    )  # fmt: skip


def _sizes(answers: np.ndarray) -> tuple[list[int], list[float]]:
    """n = 1, 2, 4, ... up to what there is, and how far the best of n is from the start."""
    sizes = [2**k for k in range(int(np.log2(answers.shape[1])) + 1)]
    return sizes, [float(np.sqrt(best_of_n_kl(n))) for n in sizes]


def roof(samples: Samples) -> list[list[float]]:
    """Gold of the best of n by gold itself: no choice among so many answers does better."""
    sizes, distance = _sizes(samples.gold)
    means = best_of_n_means(samples.gold, samples.gold, sizes).mean(axis=0)
    return [list(point) for point in zip(distance, means.tolist(), strict=True)]


def _by_reader(s: Settings, out: Path) -> Curve:
    """Best of n by what a reader thinks, who reads each answer once: what goes wrong is his fault, and no error of learning."""
    samples, reader = samples_of(s), load_labeller(s.reader)
    if not isinstance(reader, Reader):
        raise ValueError(f"{s.reader}: only a reader has a utility")
    utility = [
        [reader.utility(s.env, game, random.Random(f"{k} {i}")) for i, game in enumerate(games)]
        for k, games in enumerate(samples.transcripts)
    ]
    return best_of_n_curve(samples, np.array(utility), {})


def _best_of_n(s: Settings, out: Path) -> Curve:
    folder = reward_model(s)
    samples = samples_of(s)
    scores = learned_scores(s, f"learned:{folder}", samples)
    numbers, curves = held_out(folder)
    return best_of_n_curve(samples, scores, {**numbers, **agreements(s, scores, samples)}, curves)


def _rl(s: Settings, out: Path) -> Curve:
    """PPO by the reward model; its own record holds gold and proxy of every game."""
    overrides = {**_own(s, "ppo"), "ppo.kl_weight": s.kl}
    target = out / "policy"
    reward = f"learned:{reward_model(s)}"
    trained(s, "ppo", data_of(s), target, overrides, start=start_of(s), reward=reward)
    found = {name: np.array(values) for name, (_, values) in read_metrics(target / METRICS).items()}
    games = JsonLines(target / GAMES).read(dict[str, Any])
    size = len(games) // len(found["return"])
    rounds = [games[k * size : (k + 1) * size] for k in range(len(found["return"]))]
    distance = np.sqrt(np.maximum(found["kl_start"], 0) * found["action_tokens"] / size)
    gold, proxy = ([[sum(game[name]) for game in one] for one in rounds] for name in ("gold", "optimised"))
    along = [_features(s, [_transcript(game) for game in one]) for one in rounds]
    return Curve(
        "rl", distance.tolist(), [float(np.mean(one)) for one in gold],
        [float(np.std(one, ddof=1) / np.sqrt(size)) for one in gold],
        in_deviations(np.mean(proxy, axis=1), np.array(proxy[0])).tolist(),
        {name: [one[name] for one in along] for name in along[0]}, _won(s, played_by(s, target)), _roof(s),
    )  # fmt: skip


def _won(s: Settings, games: list[Transcript]) -> dict[str, float]:
    """Over the start, by games of `played_by`."""
    return won(wins(*([game.episode_return for game in own] for own in (games, played_by_start(s)))))


def _roof(s: Settings) -> Curves:
    return {"roof": roof(start_samples(s))}


def _own(s: Settings, algorithm: str) -> dict[str, Any]:
    return {key: value for key, value in s.policy.items() if key.startswith(f"{algorithm}.")}


def _transcript(game: dict[str, Any]) -> Transcript:
    texts = [text for both in zip(game["observations"], game["actions"], strict=False) for text in both]
    return Transcript.from_texts(texts, game["gold"])


def _features(s: Settings, games: list[Transcript]) -> dict[str, float]:
    found = [load_task(s.env).surface.features(game) for game in games]
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def _dpo(s: Settings, out: Path) -> Curve:
    """DPO, or another loss of its, from the reader's labels."""
    policy = trained(s, "dpo", labelled(s), out / "policy", {"dpo.beta": s.beta, **_own(s, "dpo")}, start=start_of(s))
    found = {name: float(values[-1]) for name, (_, values) in read_metrics(out / "policy" / METRICS).items()}
    return _moved(s, policy, {f"log-ratio of the {name}": found[name] for name in ("chosen", "rejected")})


def _online_dpo(s: Settings, out: Path) -> Curve:
    """Online DPO; the reader judges the policy's own answers."""
    own = {"online_dpo.beta": s.beta, "online_dpo.labeller": s.reader, **_own(s, "online_dpo")}
    return _moved(s, trained(s, "online_dpo", data_of(s), out / "policy", own, start=start_of(s)), {})


def _moved(s: Settings, policy: Path, about: dict[str, float]) -> Curve:
    """Before and after: no proxy stands beside gold here."""
    start = start_of(s)
    played = [played_by_start(s), played_by(s, policy)]
    gold = [[game.episode_return for game in games] for games in played]
    along = [_features(s, games) for games in played]
    distance = _distance(s, policy, start)
    return Curve(
        "", [0.0, distance], [float(np.mean(one)) for one in gold],
        [float(np.std(one, ddof=1) / np.sqrt(len(one))) for one in gold], [],
        {name: [one[name] for one in along] for name in along[0]}, {"moved by": distance, **_won(s, played[1]), **about}, _roof(s),
    )  # fmt: skip


def _distance(s: Settings, folder: Path, start: Path) -> float:
    """Square root of the KL of a policy from its start, by the tokens that it samples."""
    import torch

    from lmrl_agents.learning.online import OnlineConfig, play, predict_logprobs
    from lmrl_agents.models.model import LanguageModel
    from lmrl_agents.models.steps import StepStore

    model, reference = LanguageModel.load(folder), LanguageModel.load(start)
    own = TrainingRun("dpo", s.env, str(data_of(s)), folder, env_kwargs=s.env_kwargs)
    with torch.inference_mode():
        games = play(own, model, range(4 * s.prompts), OnlineConfig(slots=256))
    steps = StepStore.of(games, model.form, model.tokenizer.pad)
    excess = steps.logprob - predict_logprobs(reference, steps, 1.0)
    return float(np.sqrt(max(0.0, excess.sum() / len(games))))


METHODS: dict[str, Callable[[Settings, Path], Curve]] = {
    "reader": _by_reader, "best of n": _best_of_n, "rl": _rl, "dpo": _dpo, "online dpo": _online_dpo,
}  # fmt: skip
