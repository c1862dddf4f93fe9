"""ArCHer: values of whole utterances from replayed games, and an actor over tokens (Zhou et al., arXiv 2402.19446).

o is what was said before an utterance a, o' what was said before the next one; a' is drawn anew from the policy at o.

    L_Q  = 1/2 E sum_i (Q_i(o, a) - r - gamma V'_i(o'))^2       L_V = 1/2 E sum_i (V_i(o) - Q'_i(o, a'))^2       i = 1, 2
    L_pi = - E [ A sum_t log pi(a'_t | o, a'_<t) ],   A = min_i Q_i(o, a') - min_i V_i(o)

Q', V' are slow copies, and nothing follows the end of a game; one that was cut off goes on. Positions are drawn from the games of the
last ``memory`` rounds. With ``text.choice``, where an utterance is one token, Q has an output for each.

Departures: the critic is a transformer that starts as the policy's copy and reads V before and Q after an utterance, not an encoder
with both pooled; advantages are divided by max(std, ``least_std``); utterances are learned from as the ids that were drawn, their end
token among them; rounds that moved the policy too far are taken back. Gradients of the actor are sums over an utterance's tokens.

    lmrl train archer --env lmrl/Wordle-v0 --data wordle/mixed-v0 --preset nano --seed 0 --out runs/archer-wordle
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmrl_agents.learning.losses import mean, policy_gradient_loss, squared_error
from lmrl_agents.learning.online import GradientConfig, RoundGuard, floats, minibatches, new_logprobs, normalize, rounds
from lmrl_agents.learning.optimisation import adamw, linear_decay, precision
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.learning.session import Session
from lmrl_agents.learning.start import start_policy
from lmrl_agents.models.critic import Critic, CriticConfig
from lmrl_agents.models.distributed import gathered
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.sampling import Generated, Sampling, generate
from lmrl_agents.models.tokens import TokenEpisode
from lmrl_agents.models.turns import (
    CHOICE_HEADS,
    UTTERANCE_HEADS,
    Turn,
    contexts_batch,
    judged,
    passes,
    steps_of_turns,
    turns_of,
    utterances_batch,
)

TAKES_REWARD = True


@dataclass(frozen=True)
class Config(GradientConfig):
    """Hyperparameters; the preset's ``[archer]`` table."""

    discount: float = 0.95
    """gamma, of an utterance."""
    discount_unit: str = "turn"
    """Nothing else: values are those of utterances."""
    memory: int = 8
    """Rounds whose games are learned from."""
    critic_updates: int = 40
    """Gradient steps of the critic a round."""
    batch_size: int = 64
    """Utterances in each."""
    value_rate: float = 1e-3
    """Learning rate of the critic."""
    value_hidden: int = 0
    """Width of a hidden layer in its heads."""
    polyak: float = 0.1
    """How far its slow copy follows with each step."""
    critic_rounds: int = 5
    """Rounds before the policy learns."""
    positions: int = 256
    """Positions a round at which the policy draws utterances and learns from them."""
    actor_batch_size: int = 1024
    """Tokens of these in a minibatch."""
    entropy: float = 0.0
    """Weight of the policy's entropy."""
    least_std: float = 0.1
    """Advantages are divided by their standard deviation, but not by less than this; 0: they are not divided."""


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of the model."""
    config = run.config(Config)
    if config.discount_unit != "turn":
        raise ValueError(f"discount_unit={config.discount_unit!r}: archer values utterances; it must be turn")
    model = start_policy(run)
    choice = model.form.choice
    critic = Critic.beside(model, CriticConfig(CHOICE_HEADS if choice else UTTERANCE_HEADS, config.value_hidden))
    target = critic.target()
    state: dict[str, Any] = {"rate": 1.0, "remembered": []}
    optimizers = {
        "policy": adamw(config.learning_rate, config.weight_decay, model),
        "critic": adamw(config.value_rate, config.weight_decay, critic),
    }
    session = Session(run, model, config, {"policy": model, "critic": critic, "target": target}, optimizers, state)
    remembered = [[TokenEpisode.from_json(game) for game in games] for games in state["remembered"]]
    guard = RoundGuard(session, config)
    for round_, episodes in rounds(session, config):
        remembered = [*remembered, gathered(episodes)][-config.memory :]
        later = remembered[max(0, len(remembered) - config.memory + 1) :]
        state["remembered"] = [[asdict(game) for game in games] for games in later]
        turns = [turn for games in remembered for game in games for turn in turns_of(game, model.form)]
        session.log(**_value(session, config, critic, target, turns, round_))
        if round_ >= config.critic_rounds:
            guard.before()
            session.log(**_improve(session, config, critic, turns, round_, guard))
    return session.finish(None if choice else critic.scaled(1 / config.reward_scale))


def draws(model: LanguageModel, turns: Sequence[Turn], temperature: float, seed: Sequence[int]) -> list[Generated]:
    """An utterance at each of these positions; each has random numbers of its own, whatever process draws it."""
    uniforms = [np.random.default_rng((*seed, k)).random for k in range(len(turns))]
    sampling = Sampling(temperature, max_tokens=model.form.max_action_tokens)
    return generate(model, [turn.context for turn in turns], uniforms, sampling)


@torch.no_grad()
def targets(
    target: Critic, turns: Sequence[Turn], said: Sequence[Turn], config: Config, choice: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """What Q is fitted to, r + gamma V'(o'), and what V is, Q'(o, a'): float [2, B] each, ``said`` being the turns with a'."""
    pad, device = target.tokenizer.pad, target.device
    q = torch.tensor([config.reward_scale * turn.reward for turn in turns], device=device).repeat(2, 1)
    going = [k for k, turn in enumerate(turns) if turn.after is not None]
    if going:
        batch = contexts_batch([turns[k].after or () for k in going], pad).to(device)
        states = target.states(batch)[batch.state]
        after = torch.stack([target.heads[name](states)[:, 0].float() for name in ("value", "value2")])
        q[:, going] += config.discount * after
    fresh = utterances_batch(said, pad, choice).to(device)
    return q, judged(target, fresh, len(said), choice)[1]


def _value(
    session: Session, config: Config, critic: Critic, target: Critic, turns: list[Turn], round_: int
) -> dict[str, float]:
    """The critic's share of a round: utterances that were played, and at their positions utterances drawn anew."""
    run, model = session.run, session.policy
    choice, pad = model.form.choice, model.tokenizer.pad
    rate = linear_decay(round_, config.iterations, config.value_rate, config.floor)
    facts: dict[str, float] = {}
    for update in range(config.critic_updates):
        seed = (run.seed, round_, update)
        drawn = np.random.default_rng(seed).integers(len(turns), size=config.batch_size)
        with precision(run):
            said = draws(model, [turns[i] for i in drawn], config.temperature, seed)
        for part, more in passes([turns[i] for i in drawn], session.shard(np.arange(len(drawn))), run.pass_tokens):
            own = [turns[drawn[i]] for i in part]
            with precision(run):
                goal_q, goal_v = targets(target, own, [turns[drawn[i]].saying(said[i]) for i in part], config, choice)
            batch = utterances_batch(own, pad, choice).to(run.device)
            with precision(run):
                values, q = judged(critic, batch, len(own), choice)
                weight = torch.ones_like(q)
                loss = 2 * (squared_error(q, goal_q, weight) + squared_error(values, goal_v, weight))
            session.update("critic", loss, rate, batch, more)
            facts = {"critic_loss": loss.item(), "value": values.mean().item()}
        target.follow(critic, config.polyak)
    return facts


def _improve(
    session: Session, config: Config, critic: Critic, turns: list[Turn], round_: int, guard: RoundGuard
) -> dict[str, float]:
    """The policy's share of a round."""
    run, model = session.run, session.policy
    choice, pad = model.form.choice, model.tokenizer.pad
    chosen = np.random.default_rng((run.seed, round_, 2**31 + 1)).integers(len(turns), size=config.positions)
    own = session.shard(np.arange(config.positions))
    seed = (run.seed, round_, 2**31)
    with precision(run):
        all_drawn = draws(model, [turns[i] for i in chosen], config.temperature, seed)
    said, drawn = [turns[chosen[i]].saying(all_drawn[i]) for i in own], [all_drawn[i] for i in own]
    worth = np.zeros(len(said))
    for part, _ in passes(said, np.arange(len(said)), run.pass_tokens):
        with torch.no_grad(), precision(run):
            batch = utterances_batch([said[i] for i in part], pad, choice).to(run.device)
            values, q = judged(critic, batch, len(part), choice)
        worth[part] = (q.amin(dim=0) - values.amin(dim=0)).cpu().numpy()
    if config.least_std:
        worth = normalize(worth, config.least_std, 0.0)
    steps = steps_of_turns(said, drawn, choice, pad)
    steps.pass_tokens, steps.dtype = run.pass_tokens, run.dtype
    # Means are over tokens: this makes sums over an utterance's tokens of them, and means over utterances.
    advantages = floats(worth[steps.episode] * len(steps) / len(said), run.device)
    rate, facts = config.rate(round_ - config.critic_rounds) * session.state["rate"], {}
    size = config.actor_batch_size
    for index, batch, more in minibatches(steps, size, (run.seed, round_), run.device, [0]):
        with precision(run):
            logprobs, entropy = new_logprobs(model, batch, config.temperature)
            loss = policy_gradient_loss(logprobs, advantages[index], batch.weight)
            loss = loss - config.entropy * mean(entropy, batch.weight)
        session.update("policy", loss, rate, batch, more)
        facts = {"loss": loss.item(), "entropy": mean(entropy, batch.weight).item(), "advantage": float(worth.mean())}
    return facts | guard.after(steps)
