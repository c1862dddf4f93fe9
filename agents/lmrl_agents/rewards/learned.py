"""Rewards that were learned from pairs: a reward model's folder, or several."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmrl_agents.models.action_ends import ActionEnds
from lmrl_agents.models.critic import WEIGHTS, Critic
from lmrl_agents.models.description import read_description
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.tokens import TokenEpisode
from lmrl_agents.rewards.distributions import DISTRIBUTION, KINDS, moments, quantile, read_distribution
from lmrl_agents.rewards.protocol import RewardError, Trajectory
from lmrl_envs.files import sha256_of

ROWS = 256
"""Games that are read at once."""


class LearnedReward:
    """``learned:DIR``: what `lmrl train reward_model` or `dpl` wrote, in standard deviations of the games that it was trained on.

    Of dpl's distributions it is the mean; ``learned:risk=1:DIR``: the mean less one standard deviation; ``learned:quantile=.01:DIR``.

    Args:
        folder: of the training run, or of its model, with what stands before it.
        device: where the model runs.

    Raises:
        RewardError: the folder holds no reward model, or none of a distribution.
        ValueError: what stands before it is no number.
    """

    def __init__(self, folder: str, device: str = "cpu") -> None:
        self.how, self.amount, folder = _how(folder)
        path = Path(folder)
        self.folder = path / "final" if (path / "final").is_dir() else path
        try:
            about = read_description(self.folder)
            scale = about.get("reward_scale")
            if not isinstance(scale, dict) or not all(isinstance(scale.get(k), int | float) for k in ("mean", "std")):
                raise ValueError("its training was none of a reward model")
            self.model = LanguageModel.load(self.folder, device)
            self.critic = Critic.load(self.folder, self.model)
            self.kind = str(about.get(DISTRIBUTION, ""))
            if self.kind not in KINDS if self.kind else self.how != "mean":
                raise ValueError("it holds no distribution of utilities")
        except ValueError as problem:
            raise RewardError(f"learned:{folder}: {problem}") from None
        self.mean, self.std, self.about = float(scale["mean"]), float(scale["std"]), about

    @torch.inference_mode()
    def score(self, trajectories: Sequence[Trajectory]) -> list[list[float]]:
        """See `Reward.score`."""
        found: list[list[float]] = []
        for k in range(0, len(trajectories), ROWS):
            found += self._scored(trajectories[k : k + ROWS])
        return found

    def _scored(self, trajectories: Sequence[Trajectory]) -> list[list[float]]:
        tokenizer, form = self.model.tokenizer, self.model.form
        episodes = [
            TokenEpisode.from_transcript(t.transcript, t.terminated, False, tokenizer, form) for t in trajectories
        ]
        ends = ActionEnds(episodes, form, tokenizer.pad)
        batch, owner = ends.batch(np.arange(len(episodes)))
        batch = batch.to(self.critic.device)
        found = self._utilities(self.critic.states(batch))[batch.state].cpu().numpy().astype(float)
        values = (found - self.mean) / self.std
        return [part.tolist() for part in np.split(values, np.cumsum(np.bincount(owner, minlength=len(episodes)))[:-1])]

    def _utilities(self, states: torch.Tensor) -> torch.Tensor:
        """float [S, width] -> [S]"""
        if not self.kind:
            return self.critic.value(states)
        told = read_distribution(self.critic, states, self.kind)
        if self.how == "quantile":
            return quantile(told, self.kind, self.amount)
        mean, variance = moments(told, self.kind)
        return mean - self.amount * variance.clamp(min=0).sqrt()

    def fingerprint(self) -> str:
        """Of its weights."""
        digests = [sha256_of(self.folder / name) for name in ("weights.safetensors", WEIGHTS)]
        return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]

    def describe(self) -> dict[str, Any]:
        """What its folder says."""
        return {"kind": "learned", **self.about}


def _how(argument: str) -> tuple[str, float, str]:
    """``risk=1:DIR`` -> what is taken of a distribution, how much of it, and the folder."""
    head, colon, rest = argument.partition(":")
    name, equals, text = head.partition("=")
    if not colon or not equals or name not in ("risk", "quantile"):
        return "mean", 0.0, argument
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not math.isfinite(amount) or (name == "quantile" and not 0 < amount < 1):
        raise ValueError(f"learned:{argument}: write risk=NUMBER, or quantile=SHARE between 0 and 1")
    return name, amount, rest


class Ensemble:
    """``ensemble:P1,P2,...``: the mean of several reward models; ``ensemble:min:...``: the least; ``ensemble:var=.5:...``: the mean less
    .5 times the variance (Coste et al., arXiv 2310.02743).
    """

    def __init__(self, argument: str = "") -> None:
        how, colon, rest = argument.partition(":")
        if not colon or not (how in ("mean", "min") or how.startswith("var=")):
            how, rest = "mean", argument
        try:
            self.weight = float(how.removeprefix("var=")) if how.startswith("var=") else 0.0
        except ValueError:
            raise ValueError(f"ensemble:{argument}: {how!r} is not var=NUMBER") from None
        self.how = how.partition("=")[0]
        self.members = [LearnedReward(folder) for folder in rest.split(",") if folder]
        if not self.members:
            raise ValueError(f"ensemble:{argument}: name the folders of reward models, with commas between")

    def score(self, trajectories: Sequence[Trajectory]) -> list[list[float]]:
        """See `Reward.score`."""
        given = [member.score(trajectories) for member in self.members]
        return [self._joined(np.array(rewards)).tolist() for rewards in zip(*given, strict=True)]

    def _joined(self, rewards: np.ndarray) -> np.ndarray:
        """float [members, actions] -> [actions]"""
        if self.how == "min":
            return rewards.min(axis=0)
        return rewards.mean(axis=0) - self.weight * rewards.var(axis=0)

    def fingerprint(self) -> str:
        """Of all weights."""
        return " ".join(member.fingerprint() for member in self.members)
