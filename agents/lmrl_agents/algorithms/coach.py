"""COACH: feedback is an advantage, and depends on the policy that it judges (MacGlashan et al., arXiv 1701.06049).

    theta <- theta + alpha f_t e_t,   e_t = lambda e_{t-1} + grad log pi(a_t | s_t),   log pi summed over the tokens of an action

over whole games, that is the gradient of sum_t log pi(a_t | s_t) sum_{k >= t} lambda^(k-t) f_k. Feedback that comes late is credited
to a window of time first (`lmrl_agents.learning.feedback`), as Deep COACH's delay does (Arumugam et al., arXiv 1902.04257).

Departures: a round of games is one minibatch of Adam, in place of a step at every moment; a round that moved the policy too far is taken back.
If f is the advantage of the present policy this is its policy gradient; Shah et al. (arXiv 2109.07054) show that it need not be optimal
under other feedback.

    lmrl train coach --env lmrl/MazeFullyObserved-v0 --data maze/mixed-v0 --sample --set bc.steps=60 coach.iterations=3 coach.episodes=8 --out runs/coach
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmrl_agents.learning.feedback import PERSON, FeedbackConfig, Told, coached_rounds
from lmrl_agents.learning.losses import mean, policy_gradient_loss
from lmrl_agents.learning.online import (
    GradientConfig,
    RoundGuard,
    floats,
    minibatches,
    new_logprobs,
    off_policy_weights,
    predict_logprobs,
    steps_of,
)
from lmrl_agents.learning.optimisation import adamw, precision
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.learning.session import Session
from lmrl_agents.learning.start import start_policy


@dataclass(frozen=True)
class Config(FeedbackConfig, GradientConfig):
    """Hyperparameters; the preset's ``[coach]`` table."""

    episodes: int = 16
    """Games a round."""
    trace: float = 0.0
    """lambda, per action."""
    entropy: float = 0.01
    """Weight of the policy's entropy."""
    batch_size: int = 2048
    """Action tokens a minibatch."""


def eligible(told: Told, trace: float) -> np.ndarray:
    """What each action's log-probability is weighed by: its share of all feedback, and of what came later by the trace; float [actions]."""
    own = told.own.copy()
    for k in range(len(own) - 2, -1, -1):
        own[k] += trace * own[k + 1]
    return own


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of the model."""
    config = run.config(Config)
    model = start_policy(run)
    state = {"rate": 1.0}
    optimizer = adamw(config.learning_rate, config.weight_decay, model)
    session = Session(run, model, config, {"policy": model}, {"policy": optimizer}, state)
    guard = RoundGuard(session, config)
    for round_, games in coached_rounds(session, config):
        steps = steps_of(session, [episode for episode, _ in games], config)
        if config.feedback.startswith(
            PERSON
        ):  # games of another policy: what the guard measures from is the present one's
            steps.logprob = predict_logprobs(model, steps, config.temperature)
            drawn = np.ones(len(steps))
        else:
            drawn = off_policy_weights(session, steps, config)
        weights = [eligible(told, config.trace) for _, told in games]
        credit = np.array([weights[e][t] for e, t in zip(steps.episode, steps.turn, strict=True)])
        each = floats(drawn * credit, run.device)
        rate, facts = config.rate(round_) * state["rate"], {}
        guard.before()
        for index, batch, more in minibatches(steps, config.batch_size, (run.seed, round_), run.device, [0]):
            with precision(run):
                logprobs, entropy = new_logprobs(model, batch, config.temperature)
                loss = policy_gradient_loss(logprobs, each[index], batch.weight)
                loss = loss - config.entropy * mean(entropy, batch.weight)
            session.update("policy", loss, rate, batch, more)
            facts = {"loss": loss.item(), "entropy": mean(entropy, batch.weight).item()}
        session.log(**facts, **guard.after(steps))
    return session.finish()
