"""Reinforcement learning from AI feedback: a judge's soft labels, a reward model of them, then RL by it (Lee et al., arXiv 2309.00267).

Three steps in one run, each of which is resumed: pairs of the start's games are labelled by ``labeller`` (in ``pairs``), a reward model learns
from the labels (in ``reward``), and the policy learns by it with leave-one-out advantages and a KL penalty (`grpo`).
As published, the judge is asked in both orders and the two probabilities are averaged; labels are soft. Without an order bias the mean is what each
order says; with one, the mean of logits would cancel it, and that of probabilities does so for equal answers alone.

The default labeller stands in for a model: it reads with noise, prefers what is shown first, and is asked in both orders. With a server:

    lmrl train rlaif --env lmrl/Headline-v0 --data headline/mixed-v0 --start runs/bc --set rlaif.labeller=judge:openai:MODEL --out runs/rlaif

Direct RLAIF, without a reward model: any online algorithm with ``--reward judge:openai:MODEL`` (`lmrl_agents.rewards.judge`).
The RL stage of Constitutional AI: ``rlaif.labeller=constitution:FILE`` (`constitutional` is its supervised stage).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from lmrl_agents.algorithms import grpo
from lmrl_agents.learning.rewarding import OtherReward
from lmrl_agents.learning.run import FINAL, START, TrainingRun
from lmrl_agents.learning.session import Session
from lmrl_agents.learning.start import start_policy
from lmrl_agents.learning.train import train as train_run
from lmrl_agents.playing.collecting import Collection, collect
from lmrl_agents.playing.loading import load_agent
from lmrl_agents.rewards.loading import load_reward
from lmrl_agents.rewards.protocol import TASK
from lmrl_datasets.preferences.labelling import label_pairs

PAIRS, REWARD = "pairs", "reward"
"""Folders of the first two steps, in the run's."""


@dataclass(frozen=True)
class Config(grpo.Config):
    """Hyperparameters; the preset's ``[rlaif]`` table."""

    scale_rewards: str = "none"
    """See `grpo`."""
    leave_one_out: bool = True
    """See `grpo`."""
    kl_weight: float = 0.05
    """Of the KL to the start."""
    labeller: str = "biased:k=4,e=0,noise=.3,order=1.2,soft=1,both=1"
    """Who labels."""
    pairs: int = 1000
    """Labels."""
    unit: str = "game"
    """What is compared: game, or segment:K."""
    reward_epochs: int = 2
    """Passes of the reward model over the pairs."""
    reward_rate: float = 1e-3
    """Its learning rate."""


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of the model."""
    config = run.config(Config)
    model = start_policy(run)
    folder = run.start or run.out / START
    pairs = run.out / PAIRS
    wanted = Collection(run.env_id, ["start"], config.pairs, run.seed, config.unit, env_kwargs=run.env_kwargs)
    collect(wanted, [load_agent(str(folder), device=run.device)], pairs)
    label_pairs(pairs, config.labeller, run.seed)
    own = {key: value for key, value in run.overrides.items() if not key.startswith(f"{run.table}.")}
    told = {"reward_model.epochs": config.reward_epochs, "reward_model.learning_rate": config.reward_rate}
    reward = replace(
        run, algorithm="reward_model", data=str(pairs), out=run.out / REWARD, start=folder, reward=TASK, resume=True,
        overrides={**own, **told},
    )  # fmt: skip
    train_run(reward)
    return grpo.optimise(run, config, model, partial(_rewarding, config=config, folder=run.out / REWARD / FINAL))


def _rewarding(session: Session, config: Config, folder: Path) -> OtherReward:
    return OtherReward(load_reward(f"learned:{folder}"), session, config.episodes * config.group_size)
