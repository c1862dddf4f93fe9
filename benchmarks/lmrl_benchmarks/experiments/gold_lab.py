"""The gold-reward laboratory: gold beside proxy as a proxy is optimised (Gao, Schulman and Hilton, arXiv 2210.10760).

A task of one turn has an exact reward, gold. A reader with known faults judges pairs of a writer's answers; a reward model learns from
that; best of n, reinforcement learning or DPO optimises what was learned; or best of n goes by the reader's own utility. A cell is one of these. Cells that one process runs share what is equal in
them: the clone, pairs, reward models, the writer's answers.
Curves are over the square root of the KL from the start, in nats; the proxy is in standard deviations of the start.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from lmrl_agents.learning.curves import read_metrics
from lmrl_agents.learning.rewarding import GAMES
from lmrl_agents.learning.run import METRICS, TrainingRun
from lmrl_agents.playing.best_of_n import best_of_n_kl
from lmrl_agents.playing.collecting import Collection, collect
from lmrl_agents.playing.loading import load_agent
from lmrl_agents.playing.rollout import Rollout
from lmrl_agents.rewards.loading import load_reward
from lmrl_agents.rewards.protocol import Trajectory, scored
from lmrl_benchmarks.scores.overoptimisation import best_of_n_means, fitted, is_overoptimised
from lmrl_datasets.preferences.labellers import Reader, load_labeller
from lmrl_datasets.preferences.labelling import label_pairs
from lmrl_datasets.preferences.store import load_gold, load_preferences
from lmrl_envs import Transcript, load_task
from lmrl_envs.files import JsonLines
from lmrl_envs.files.untrusted import Schema, convert, decode, read


class Settings(Schema, frozen=True):
    """Of a cell."""

    env: str
    """A task of one turn."""
    method: str
    """One of `METHODS`."""
    data: str = ""
    """Dataset that a policy is cloned from, for rl and dpo."""
    writer: str = "suboptimal"
    """Who writes the pairs, and the answers that the best is chosen of."""
    env_kwargs: dict[str, Any] = {}
    prompts: int = 80
    samples: int = 256
    """Answers to each prompt."""
    reader: str = "gold:k=8,e=.1"
    """Who judges the pairs, or whose utility is optimised."""
    pairs: int = 1000
    width: int = 32
    seed: int = 0
    model: dict[str, Any] = {}
    """Settings of the reward model, as ``table.name``."""
    start: dict[str, Any] = {}
    """Settings of the cloned policy."""
    policy: dict[str, Any] = {}
    """Settings of rl, dpo and online dpo."""
    kl: float = 0.0
    """Weight of the KL in rl."""
    beta: float = 0.1
    """Of dpo and online dpo."""


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
    features: dict[str, list[float]]
    """Means of the task's features along the way."""
    about: dict[str, float]


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
    top = int(np.argmax(curve.gold))
    numbers = {
        "start": curve.gold[0], "peak": curve.gold[top], "peak at": curve.distance[top], "end": curve.gold[-1],
        "proxy at the end": curve.proxy[-1],
        "over-optimised": float(is_overoptimised(curve.proxy, curve.gold, curve.gold_error)), **curve.about,
        **{f"{name} at the {where}": own[at] for name, own in curve.features.items() for where, at in (("peak", top), ("end", -1))},
    }  # fmt: skip
    above = [k for k, d in enumerate(curve.distance) if d > 0]
    if curve.form and len(above) >= 3:
        fit = fitted([curve.distance[k] for k in above], [curve.gold[k] - curve.gold[0] for k in above], curve.form)
        numbers |= {"a": fit.a, "b": fit.b, "R2": fit.r2}
    told = {"gold": curve.gold, "optimised": curve.proxy}
    return {
        "numbers": numbers,
        "curves": {k: [list(p) for p in zip(curve.distance, v, strict=True)] for k, v in told.items()},
    }


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


@dataclass(frozen=True)
class Samples:
    """Answers to prompts: [prompts, samples] each."""

    transcripts: list[list[Transcript]]
    gold: np.ndarray
    features: dict[str, np.ndarray]


def samples_of(s: Settings) -> Samples:
    """A writer's answers to the prompts of the evaluation stream."""
    return _sampled(_about(s, "env", "env_kwargs", "writer", "prompts", "samples"))


@lru_cache(2)
def _sampled(about: str) -> Samples:
    s = decode(about, Settings)
    rollout = Rollout(load_agent(s.writer), s.env, s.env_kwargs, slots=256, repeats=s.samples)
    played = sorted(rollout.play(range(s.prompts * s.samples), 0, "evaluation"), key=lambda game: game.episode)
    surface = load_task(s.env).surface
    told = [surface.features(game.transcript) for game in played]
    shape = (s.prompts, s.samples)
    games = [game.transcript for game in played]
    return Samples(
        [games[k * s.samples : (k + 1) * s.samples] for k in range(s.prompts)],
        np.array([game.episode_return for game in games]).reshape(shape),
        {name: np.array([one[name] for one in told]).reshape(shape) for name in told[0]},
    )


def _curve_of(samples: Samples, scores: np.ndarray, about: dict[str, float]) -> Curve:
    """Best of 1, 2, 4, ... by these scores."""
    sizes = [2**k for k in range(int(np.log2(scores.shape[1])) + 1)]
    gold = best_of_n_means(scores, samples.gold, sizes)
    return Curve(
        "best of n", [float(np.sqrt(best_of_n_kl(n))) for n in sizes], gold.mean(axis=0).tolist(),
        (gold.std(axis=0, ddof=1) / np.sqrt(len(gold))).tolist(),
        best_of_n_means(scores, scores, sizes).mean(axis=0).tolist(),
        {k: best_of_n_means(scores, v, sizes).mean(axis=0).tolist() for k, v in samples.features.items()}, about,
    )  # fmt: skip


def _by_reader(s: Settings, out: Path) -> Curve:
    """Best of n by what a reader thinks, who reads each answer once: what goes wrong is his fault, and no error of learning."""
    samples, reader = samples_of(s), load_labeller(s.reader)
    if not isinstance(reader, Reader):
        raise ValueError(f"{s.reader}: only a reader has a utility")
    utility = [
        [reader.utility(s.env, game, random.Random(f"{k} {i}")) for i, game in enumerate(games)]
        for k, games in enumerate(samples.transcripts)
    ]
    return _curve_of(samples, np.array(utility), {})


# -- what is learned


def _about(s: Settings, *names: str) -> str:
    """What something depends on, as a text that `Settings` can be read from."""
    return json.dumps({"method": "", **{name: getattr(s, name) for name in names}}, sort_keys=True)


@cache
def _made(kind: Callable[[Settings, Path], Path], about: str) -> Path:
    """A folder that the cells of this process share."""
    return kind(decode(about, Settings), kept())


def kept() -> Path:
    """A folder that goes when the process ends."""
    _FOLDERS.append(tempfile.TemporaryDirectory())
    return Path(_FOLDERS[-1].name)


_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []

PAIRS = ("env", "env_kwargs", "seed", "writer", "reader", "pairs")


def labelled(s: Settings) -> Path:
    """The pairs, labelled."""
    return _made(_label, _about(s, *PAIRS))


def reward_model(s: Settings) -> Path:
    """A reward model of the writer's pairs, as the reader labels them."""
    return _made(_fit, _about(s, *PAIRS, "width", "model"))


def start_of(s: Settings) -> Path:
    """The cloned policy that training goes on from."""
    return _made(_clone, _about(s, "env", "env_kwargs", "seed", "data", "start"))


def _label(s: Settings, out: Path) -> Path:
    folder = out / "pairs"
    collect(
        Collection(s.env, [s.writer], s.pairs, 1000 + s.seed, env_kwargs=s.env_kwargs),
        [load_agent(s.writer)],
        folder,
        256,
    )
    label_pairs(folder, s.reader, s.seed)
    return folder


def trained(s: Settings, algorithm: str, data: Path | str, out: Path, overrides: dict[str, Any], **more: Any) -> Path:
    """Train with the cell's seed and arguments; ``data`` is a dataset or a folder of pairs."""
    from lmrl_agents.learning.train import train

    return train(
        TrainingRun(
            algorithm,
            s.env,
            str(data),
            out,
            seed=s.seed,
            overrides=overrides,
            env_kwargs=s.env_kwargs,
            show_progress=False,
            **more,
        )
    )


def _fit(s: Settings, out: Path) -> Path:
    return trained(s, "reward_model", labelled(s), out / "reward", {"model.width": s.width, **s.model})


def _clone(s: Settings, out: Path) -> Path:
    return trained(s, "bc", s.data, out / "start", s.start, sample=True)


def _best_of_n(s: Settings, out: Path) -> Curve:
    folder = reward_model(s)
    samples = samples_of(s)
    scores = learned_scores(s, f"learned:{folder}", samples)
    about = read(folder / "lmrl.json", dict[str, Any])
    told = {key.replace("_", " "): float(about[key]) for key in ("accuracy", "calibration_error") if key in about}
    return _curve_of(samples, scores, {**told, **agreements(s, scores, samples)})


TIE = 1e-9
"""Returns that differ by less are equal."""


def agreements(s: Settings, scores: np.ndarray, samples: Samples) -> dict[str, float]:
    """How often labels, and the order that scores give two answers in a row, are gold's (1 is the most of both); and, of a reader whose readings
    are certain, Bayes: the accuracy that nothing can pass on his labels."""
    folder, reader = labelled(s), load_labeller(s.reader)
    gold = load_gold(folder)
    margins = [(label.label, sum(gold[pair.pair_id].first) - sum(gold[pair.pair_id].second))
               for pair, label in load_preferences(folder).labelled() if label.label not in (None, 0.5)]  # fmt: skip
    better = np.sign(scores[:, ::2] - scores[:, 1::2]) * np.sign(samples.gold[:, ::2] - samples.gold[:, 1::2])
    told = [(value > 0.5) == (margin > 0) for value, margin in margins if abs(margin) > TIE]
    found = {"labels agree with gold": told, "reward model agrees with gold": 0.5 + better[better != 0] / 2}
    if isinstance(reader, Reader) and not reader.likes and (reader.check, reader.noise, reader.order) == (1, 0, 0):
        found["Bayes"] = [max(p := reader.probability(margin, 0.0), 1 - p) for _, margin in margins]
    return {name: float(np.mean(values)) for name, values in found.items() if len(values)}


def learned_scores(s: Settings, spec: str, samples: Samples) -> np.ndarray:
    """What a reward gives every answer, float [prompts, samples]; equal answers to a prompt are read once."""
    reward, scores = load_reward(spec), np.zeros(samples.gold.shape)
    for k, games in enumerate(samples.transcripts):
        distinct = {(game[0].text, game.actions): game for game in games}
        asked = [Trajectory.of(s.env, game, True) for game in distinct.values()]
        given = dict(zip(distinct, (sum(values) for values in scored(reward, spec, asked)), strict=True))
        scores[k] = [given[game[0].text, game.actions] for game in games]
    return scores


def scores_by(s: Settings, reader: str, pairs: int, samples: Samples) -> np.ndarray:
    """As `learned_scores`, by a reward model of so many pairs as ``reader`` labels them."""
    return learned_scores(s, f"learned:{reward_model(replace(s, reader=reader, pairs=pairs))}", samples)


def _rl(s: Settings, out: Path) -> Curve:
    """PPO by the reward model; its own record holds gold and proxy of every game."""
    overrides = {**_own(s, "ppo"), "ppo.kl_weight": s.kl}
    target = out / "policy"
    reward = f"learned:{reward_model(s)}"
    trained(s, "ppo", s.data, target, overrides, sample=True, start=start_of(s), reward=reward)
    found = {name: np.array(values) for name, (_, values) in read_metrics(target / METRICS).items()}
    games = JsonLines(target / GAMES).read(dict[str, Any])
    size = len(games) // len(found["return"])
    rounds = [games[k * size : (k + 1) * size] for k in range(len(found["return"]))]
    distance = np.sqrt(np.maximum(found["kl_start"], 0) * found["action_tokens"] / size)
    gold = [[sum(game["gold"]) for game in one] for one in rounds]
    told = [_features(s, [_transcript(game) for game in one]) for one in rounds]
    return Curve(
        "rl", distance.tolist(), [float(np.mean(one)) for one in gold],
        [float(np.std(one, ddof=1) / np.sqrt(size)) for one in gold], found["optimised"].tolist(),
        {name: [one[name] for one in told] for name in told[0]}, {},
    )  # fmt: skip


def _own(s: Settings, algorithm: str) -> dict[str, Any]:
    return {key: value for key, value in s.policy.items() if key.startswith(f"{algorithm}.")}


def _transcript(game: dict[str, Any]) -> Transcript:
    texts = [text for both in zip(game["observations"], game["actions"], strict=False) for text in both]
    return Transcript.from_texts(texts, game["gold"])


def _features(s: Settings, games: list[Transcript]) -> dict[str, float]:
    told = [load_task(s.env).surface.features(game) for game in games]
    return {name: float(np.mean([one[name] for one in told])) for name in told[0]}


def _dpo(s: Settings, out: Path) -> Curve:
    """DPO, or another loss of its, from the reader's labels."""
    policy = trained(s, "dpo", labelled(s), out / "policy", {"dpo.beta": s.beta, **_own(s, "dpo")}, start=start_of(s))
    found = {name: float(values[-1]) for name, (_, values) in read_metrics(out / "policy" / METRICS).items()}
    return _moved(s, policy, {f"log-ratio of the {name}": found[name] for name in ("chosen", "rejected")})


def _online_dpo(s: Settings, out: Path) -> Curve:
    """Online DPO; the reader judges the policy's own answers."""
    own = {"online_dpo.beta": s.beta, "online_dpo.labeller": s.reader, **_own(s, "online_dpo")}
    return _moved(s, trained(s, "online_dpo", s.data, out / "policy", own, sample=True, start=start_of(s)), {})


def _moved(s: Settings, policy: Path, about: dict[str, float]) -> Curve:
    """Before and after: no proxy stands beside gold here."""
    start = start_of(s)
    played = [played_by(s, folder) for folder in (start, policy)]
    gold = [[game.episode_return for game in games] for games in played]
    told = [_features(s, games) for games in played]
    distance = _distance(s, policy, start)
    return Curve(
        "", [0.0, distance], [float(np.mean(one)) for one in gold],
        [float(np.std(one, ddof=1) / np.sqrt(len(one))) for one in gold], [0.0, 0.0],
        {name: [one[name] for one in told] for name in told[0]}, {"moved by": distance, **about},
    )  # fmt: skip


def played_by(s: Settings, folder: Path) -> list[Transcript]:
    """Four times ``prompts`` games of a policy, of the evaluation stream."""
    rollout = Rollout(load_agent(str(folder)), s.env, s.env_kwargs, slots=256)
    return [game.transcript for game in rollout.play(range(4 * s.prompts), 0, "evaluation")]


def _distance(s: Settings, folder: Path, start: Path) -> float:
    """Square root of the KL of a policy from its start, by the tokens that it samples."""
    import torch

    from lmrl_agents.learning.online import OnlineConfig, play, predict_logprobs
    from lmrl_agents.models.model import LanguageModel
    from lmrl_agents.models.steps import StepStore

    model, reference = LanguageModel.load(folder), LanguageModel.load(start)
    own = TrainingRun("dpo", s.env, s.data, folder, env_kwargs=s.env_kwargs)
    with torch.inference_mode():
        games = play(own, model, range(4 * s.prompts), OnlineConfig(slots=256))
    steps = StepStore.of(games, model.form, model.tokenizer.pad)
    excess = steps.logprob - predict_logprobs(reference, steps, 1.0)
    return float(np.sqrt(max(0.0, excess.sum() / len(games))))


METHODS: dict[str, Callable[[Settings, Path], Curve]] = {
    "reader": _by_reader, "best of n": _best_of_n, "rl": _rl, "dpo": _dpo, "online dpo": _online_dpo,
}  # fmt: skip
