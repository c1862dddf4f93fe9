"""Online DPO: two fresh answers to each prompt, judged, and a step of DPO on the verdict (Guo et al., arXiv 2402.04792).

    h = sum_t log pi / ref of the better - the same of the worse;   L = - log s(b h), or another loss of `dpo`; ref is the start

The pairs are the present policy's own, not those of data that it has left behind. Who judges is a labeller (``online_dpo.labeller``, such as
``lazy:check=.2`` or ``judge:openai:MODEL``; what it said is in ``asked.jsonl``), or, without one, the run's reward: the greater is better.

    lmrl train online_dpo --env lmrl/Headline-v0 --data headline/mixed-v0 --sample --start runs/bc --reward learned:runs/reward --set online_dpo.iterations=3 --out runs/online-dpo
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lmrl_agents.algorithms.dpo import SideSteps, pair_loss
from lmrl_agents.learning.asking import Asking
from lmrl_agents.learning.online import OnlineConfig, frozen, new_logprobs, predict_logprobs, rounds, steps_of
from lmrl_agents.learning.optimisation import adamw, precision
from lmrl_agents.learning.rewarding import Rewarding
from lmrl_agents.learning.run import TrainingError, TrainingRun
from lmrl_agents.learning.session import Session
from lmrl_agents.learning.start import start_policy
from lmrl_agents.models.tokens import TokenEpisode
from lmrl_agents.playing.rollout import Played
from lmrl_agents.rewards.protocol import TASK

TAKES_REWARD = True


@dataclass(frozen=True)
class Config(OnlineConfig):
    """Hyperparameters; the preset's ``[online_dpo]`` table. ``episodes`` counts pairs: two games from one seed."""

    beta: float = 0.1
    """b"""
    loss: str = "dpo"
    """A loss of `dpo`."""
    error: float = 0.1
    """e, of conservative and robust."""
    batch_size: int = 32
    """Pairs a gradient step."""
    epochs: int = 1
    """Passes over a round's pairs."""
    labeller: str = ""
    """Who judges; "": the run's reward."""


class Judged(Rewarding):
    """Pairs of games as a labeller judges them: a game's last action is given the probability that it is the better one."""

    def __init__(self, session: Session, config: Config) -> None:
        super().__init__(session, 2 * config.episodes)
        self.asking = Asking(config.labeller, session)
        self.labels: list[float | None] = []

    def give(self, games: Sequence[Played]) -> list[list[float]]:
        """See `Rewarding.give`."""
        whole = [(played, 0, len(played.actions)) for played in games]
        self.labels = self.asking.ask(list(zip(whole[::2], whole[1::2], strict=True)))
        shares = [share for y in self.labels for share in ((0.5, 0.5) if y is None else (y, 1 - y))]
        return [[0.0] * (len(g.actions) - 1) + [p] for g, p in zip(games, shares, strict=True)]


def labels_by_reward(episodes: Sequence[TokenEpisode]) -> list[float | None]:
    """1 where the first of two games was rewarded more, 0 where the second was, .5 for equals."""
    total = [sum(episode.rewards) for episode in episodes]
    return [0.5 if a == b else float(a > b) for a, b in zip(total[::2], total[1::2], strict=True)]


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of the model."""
    config = run.config(Config)
    if config.labeller and run.reward != TASK:
        raise TrainingError(f"--reward {run.reward} and labeller={config.labeller}: one of them judges")
    model = start_policy(run)
    start = frozen(model)
    optimizers = {"policy": adamw(config.learning_rate, config.weight_decay, model)}
    session = Session(run, model, config, {"policy": model}, optimizers)
    judged = Judged(session, config) if config.labeller else None
    for round_, episodes in rounds(session, config, 2, judged):
        given = judged.labels if judged else labels_by_reward(episodes)
        kept = np.array([k for k, label in enumerate(given) if label is not None], int)
        labels = np.array([label or 0.0 for label in given])
        sides = SideSteps(steps_of(session, episodes, config), len(episodes))
        reference = predict_logprobs(start, sides.steps, config.temperature)
        session.log(skipped=1 - len(kept) / len(labels), ties=float((labels == 0.5).mean()))
        for epoch in range(config.epochs):
            order = np.random.default_rng((run.seed, round_, epoch)).permutation(kept)
            for items in np.array_split(order, -(-len(order) // config.batch_size)) if len(order) else []:
                batch, owner, which = sides.batch(np.stack([2 * items, 2 * items + 1], axis=1).ravel())
                batch, owner = batch.to(run.device), owner.to(run.device)
                y = torch.tensor(labels[items], dtype=torch.float32, device=run.device)
                with precision(run):
                    logprobs, entropy = new_logprobs(model, batch, config.temperature)
                    ratios = logprobs - torch.tensor(reference[which], dtype=torch.float32, device=run.device)
                    sums = torch.zeros(2 * len(items), device=run.device).index_add(0, owner, ratios)
                    loss = pair_loss(sums, y, config.beta, config.loss, config.error).mean()
                session.update("policy", loss, config.rate(round_), batch)
                session.log(loss=loss.item(), entropy=entropy.mean().item())
    return session.finish()
