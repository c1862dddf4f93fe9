"""What the cells of the laboratory share: their settings, a writer's answers, labelled pairs, reward models, clones.

What is equal in cells that one process runs is made once: it goes by the settings that it depends on, and lives in a folder that goes with
the process.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.playing.collecting import Collection, collect
from lmrl_agents.playing.loading import load_agent
from lmrl_agents.playing.rollout import Rollout
from lmrl_agents.rewards.loading import load_reward
from lmrl_agents.rewards.protocol import Trajectory, scored
from lmrl_benchmarks.scores.statistics import bootstrap_interval
from lmrl_datasets.generate import generate
from lmrl_datasets.preferences.labellers import Reader, load_labeller
from lmrl_datasets.preferences.labelling import label_pairs, labels_of
from lmrl_datasets.preferences.store import load_gold, load_preferences
from lmrl_envs import Transcript, load_task
from lmrl_envs.files.untrusted import Schema, decode, read

Curves = dict[str, list[list[float]]]
"""By name: points."""


class Settings(Schema, frozen=True):
    """Of a cell."""

    env: str
    """A task of one turn."""
    method: str
    """One of `METHODS`."""
    data: str = ""
    """Dataset that a policy is cloned from, for rl and dpo."""
    episodes: int = 40_000
    """Of it, generated with the cell's seed. A thousand are learned by heart: the clone then invents facts."""
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


# -- answers


@dataclass(frozen=True)
class Samples:
    """Answers to prompts: [prompts, samples] each."""

    transcripts: list[list[Transcript]]
    gold: np.ndarray
    features: dict[str, np.ndarray]


def samples_of(s: Settings) -> Samples:
    """A writer's answers to the prompts of the evaluation stream."""
    return _sampled(_about(s, "env", "env_kwargs", "writer", "prompts", "samples"))


@lru_cache(4)
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


ROOF = 16
"""Answers of a cloned policy to each prompt, of which gold itself takes the best."""


def start_samples(s: Settings) -> Samples:
    """A few answers of the policy that is started from to each of the prompts."""
    return samples_of(replace(s, writer=str(start_of(s)), samples=ROOF))


def played_by(s: Settings, folder: Path) -> list[Transcript]:
    """Four times ``prompts`` games of a policy, of the evaluation stream: game k of any two policies is of one seed."""
    rollout = Rollout(load_agent(str(folder)), s.env, s.env_kwargs, slots=256)
    played = sorted(rollout.play(range(4 * s.prompts), 0, "evaluation"), key=lambda game: game.episode)
    return [game.transcript for game in played]


def played_by_start(s: Settings) -> list[Transcript]:
    """`played_by` the policy that is started from."""
    return _played_by_start(_about(s, "env", "env_kwargs", "prompts"), start_of(s))


@lru_cache(4)
def _played_by_start(about: str, start: Path) -> list[Transcript]:
    return played_by(decode(about, Settings), start)


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


DATA = ("env", "seed", "data", "episodes")


def data_of(s: Settings) -> Path:
    """The dataset that a policy is cloned from."""
    return _made(_generate, _about(s, *DATA))


def start_of(s: Settings) -> Path:
    """The cloned policy that training goes on from."""
    return _made(_clone, _about(s, *DATA, "env_kwargs", "start"))


def _generate(s: Settings, out: Path) -> Path:
    return generate(s.data, out / "data", episodes=s.episodes, seed=s.seed)


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
    return trained(s, "bc", data_of(s), out / "start", s.start)


# -- what a reward says


TIE = 1e-9
"""Returns that differ by less are equal."""


READ_TWICE = 1000
"""Pairs that are judged once more, to see whether annotators agree."""


def agreements(s: Settings, scores: np.ndarray, samples: Samples) -> dict[str, float]:
    """How often labels, and the order that scores give two answers in a row, are gold's (1 is the most of both); how often another annotator says
    the same; and, of a reader whose readings are certain, Bayes: the accuracy that nothing can pass on his labels."""
    folder, reader = labelled(s), load_labeller(s.reader)
    gold, pairs = load_gold(folder), load_preferences(folder)
    given = [(label.label, label.pair_id) for _, label in pairs.labelled() if label.label not in (None, 0.5)]
    margins = [(label, sum(gold[number].first) - sum(gold[number].second)) for label, number in given]
    better = np.sign(scores[:, ::2] - scores[:, 1::2]) * np.sign(samples.gold[:, ::2] - samples.gold[:, 1::2])
    told = [(value > 0.5) == (margin > 0) for value, margin in margins if abs(margin) > TIE]
    found = {"labels agree with gold": told, "reward model agrees with gold": 0.5 + better[better != 0] / 2}
    if getattr(reader, "scripted", False):  # another's reading is another draw; who costs money is not asked again
        again = labels_of(reader, s.reader, s.seed + 1, pairs.pairs[:READ_TWICE], gold)
        others = {label.pair_id: label.label for label, _ in again if label.label not in (None, 0.5)}
        found["annotators agree"] = [(value > 0.5) == (others[k] > 0.5) for value, k in given if k in others]
    if isinstance(reader, Reader) and not reader.likes and (reader.check, reader.noise, reader.order) == (1, 0, 0):
        found["Bayes"] = [max(p := reader.probability(margin, 0.0), 1 - p) for _, margin in margins]
    return {name: float(np.mean(values)) for name, values in found.items() if len(values)}


def held_out(folder: Path) -> tuple[dict[str, float], Curves]:
    """What a reward model's folder tells of its held-out labels: accuracy and calibration as numbers, ``reliability`` as a curve."""
    about = read(folder / "lmrl.json", dict[str, Any])
    numbers = {key.replace("_", " "): float(about[key]) for key in ("accuracy", "calibration_error") if key in about}
    return numbers, {key: about[key] for key in ("reliability",) if key in about}


def won(shares: np.ndarray) -> dict[str, float]:
    """The win rate over the start, from the share won on each seed, with its interval over seeds."""
    low, high = bootstrap_interval(shares)
    return {"wins over the start": float(np.mean(shares)), "wins from": low, "wins to": high}


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
