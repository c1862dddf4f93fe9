"""What the online algorithms share: playing with the present policy, and learning from what was sampled."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lmrl_agents.learning.following import Follower, RolloutConfig
from lmrl_agents.learning.losses import chosen
from lmrl_agents.learning.optimisation import linear_decay, precision
from lmrl_agents.learning.rewarding import Rewarding
from lmrl_agents.learning.run import TrainingError, TrainingRun
from lmrl_agents.learning.session import Session
from lmrl_agents.models.adapters import copied, without_base
from lmrl_agents.models.chunks import by_state
from lmrl_agents.models.critic import Critic, states_of
from lmrl_agents.models.distributed import all_reduce, moments, rank, unsharded, world_size
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.sampling import Policy, Sampling
from lmrl_agents.models.steps import StepBatch, StepStore
from lmrl_agents.models.tokens import TokenEpisode
from lmrl_agents.playing.policy_agent import Recorder
from lmrl_agents.playing.rollout import Played, Rollout


@dataclass(frozen=True)
class OnlineConfig:
    """Hyperparameters of all online algorithms."""

    iterations: int = 60
    """Rounds of playing and learning."""
    episodes: int = 64
    """Games a round."""
    slots: int = 64
    """Games played at once."""
    temperature: float = 1.0
    """Of the policy in play; learning takes the policy at the same temperature."""
    learning_rate: float = 5e-4
    """At the start; it falls linearly to ``floor`` times this."""
    floor: float = 0.05
    """Part of the learning rate that is left at the end."""
    warmup: int = 3
    """Rounds in which the policy's learning rate grows: values are no good at first, and Adam's first steps are large."""
    weight_decay: float = 0.0
    """On matrices."""
    clip: float = 1.0
    """Largest gradient norm."""
    discount: float = 1.0
    """Per ``discount_unit``."""
    discount_unit: str = "decision"
    """"decision" or "token": every token of an action, since a policy that explores may leave at any; "turn": an action, however
    many tokens it has. Lambda (``decay``) counts likewise."""
    reward_scale: float = 1.0
    """Rewards are multiplied by this in learning (never in what is reported)."""
    checkpoint_every: int = 10
    """Rounds between checkpoints."""
    evaluate_every: int = 0
    """Rounds between validations; 0: none."""
    evaluation_episodes: int = 64
    """Games of a validation, sampled and greedy."""

    @property
    def steps(self) -> int:
        """Of the loop: rounds."""
        return self.iterations

    @property
    def log_every(self) -> int:
        """Every round is logged."""
        return 1

    def rate(self, round_: int) -> float:
        """The policy's learning rate in a round."""
        return linear_decay(round_, self.iterations, self.learning_rate, self.floor, self.warmup)


@dataclass(frozen=True)
class GradientConfig(OnlineConfig):
    """Hyperparameters of all policy gradient algorithms."""

    kl_limit: float = 0.15
    """KL from the policy that played, per token, at which a whole round is taken back, and the learning rate halved (it grows
    again by half with every round that went well); 0: never."""


class RoundGuard:
    """Takes rounds back that moved the policy further than ``config.kl_limit``.

    Adam's first steps are large whatever the gradient, and a check between minibatches looks only before the next one.

    Args:
        session: the loop; its optimizer "policy" updates the policy, ``session.state["rate"]`` holds the factor on the
            learning rate.
        config: limit and temperature.
        others: what else that optimizer updates.
    """

    def __init__(self, session: Session, config: GradientConfig, others: Sequence[torch.nn.Module] = ()) -> None:
        self.acting, self.config, self.state = session.acting, config, session.state
        self._updated: list[Any] = [session.policy, *others, session.optimizers["policy"]]

    def before(self) -> None:
        """Remember the policy as it is."""
        states = [part.state_dict() for part in self._updated]
        self._kept = copy.deepcopy([without_base(s) if isinstance(s, OrderedDict) else s for s in states])

    def after(self, steps: StepStore, steady: bool = True) -> dict[str, float]:
        """Judge what a round's learning from ``steps`` did; the rate grows again after ``steady`` rounds only.

        Returns:
            what is logged: the KL ``kl_moved`` and the learning rate's factor ``rate``.
        """
        change = predict_logprobs(self.acting, steps, self.config.temperature) - steps.logprob
        # Not the mean of -change: these tokens were learned from, and a policy that collapsed onto them would look near.
        moved = moments(np.expm1(change) - change)[0]
        if self.config.kl_limit and not moved <= self.config.kl_limit:
            for part, kept in zip(self._updated, self._kept, strict=True):
                part.load_state_dict({**part.state_dict(), **kept})
            self.state["rate"] *= 0.5
        elif steady:
            self.state["rate"] = min(1.0, self.state["rate"] * 1.5)
        return {"kl_moved": moved, "rate": self.state["rate"]}


def play(
    run: TrainingRun,
    model: LanguageModel,
    numbers: Sequence[int],
    config: OnlineConfig,
    group_size: int = 1,
    rewarding: Rewarding | None = None,
    acting: Policy | None = None,
) -> list[TokenEpisode]:
    """Games of the present policy, in order.

    Args:
        run: what is trained.
        model: the policy; sampled at ``config.temperature``, never cut by top-k or top-p, so that the log-probabilities
            are those of the policy that learns.
        numbers: of the episodes in the run's training stream.
        config: temperature and slots.
        group_size: how many games are played from each number's seed (GRPO).
        rewarding: what is optimised in place of the task's own reward.
        acting: what plays, if not the model itself; it may name a kind of `Recorder` of its own as ``recorder``.

    Raises:
        TrainingError: a game failed.
        RewardError: the reward did.
    """
    sampling = Sampling(config.temperature, max_tokens=model.form.max_action_tokens)
    recorder = getattr(acting, "recorder", Recorder)(model if acting is None else acting, model.form, sampling)
    games = recorded(run, recorder, numbers, config, group_size)
    if rewarding is not None:
        rewarding.apply(games, recorder.episodes)
    return episodes_of(recorder)


def recorded(
    run: TrainingRun, recorder: Recorder, numbers: Sequence[int], config: OnlineConfig, group_size: int
) -> list[Played]:
    """Have a recorder play this process's part of some games, as `play`; in order."""
    rollout = Rollout(recorder, run.env_id, run.env_kwargs, slots=config.slots, repeats=group_size)
    wanted = [n * group_size + k for n in numbers[rank() :: world_size()] for k in range(group_size)]
    games: list[Played] = []
    for played in rollout.play(wanted, run.seed, "train"):
        games.append(played)
        if played.error is not None:
            raise TrainingError(f"game {played.episode} of the training stream (seed {played.seed}): {played.error}")
        episode = recorder.episodes[played.episode]
        episode.rewards = list(played.transcript.rewards)
        episode.terminated, episode.truncated = played.terminated, played.truncated
        episode.group = played.episode // group_size
        if played.truncated:
            recorder.observe(episode, played.transcript)
    return sorted(games, key=lambda played: played.episode)


def episodes_of(recorder: Recorder) -> list[TokenEpisode]:
    """What a recorder kept, in order."""
    return [recorder.episodes[n] for n in sorted(recorder.episodes)]


def rounds(
    session: Session, config: OnlineConfig, group_size: int = 1, rewarding: Rewarding | None = None
) -> Iterator[tuple[int, list[TokenEpisode]]]:
    """The rounds that are left, each with its games; the policy is validated where that is due, after the round's learning.

    What is learned from is ``rewarding``'s; by default that of the run's reward.
    """
    rewarding = rewarding or Rewarding.of(session, config.episodes * group_size)
    with following(session, config, group_size) as follower:
        for round_ in session:
            yield round_, games_of(session, config, group_size, rewarding, follower, round_)
            if config.evaluate_every and (round_ + 1) % config.evaluate_every == 0:
                session.validate(session.policy, config.evaluation_episodes)


def games_of(
    session: Session,
    config: OnlineConfig,
    group_size: int,
    rewarding: Rewarding | None,
    follower: Follower | None,
    round_: int,
) -> list[TokenEpisode]:
    """The games of a round, played here or on a server."""
    facts = {}
    if follower is None:
        numbers = numbers_of(config, round_)
        with unsharded(session.policy), precision(session.run):  # what is sampled is what learns, rounding included
            episodes = play(session.run, session.policy, numbers, config, group_size, rewarding, session.acting)
    else:
        (recorder, games), version = follower.round(round_)
        if rewarding is not None:
            rewarding.apply(games, recorder.episodes)
        episodes, facts = episodes_of(recorder), {"lag": float(round_ - version)}
    played = facts_of(episodes)
    session.note = f"return {played['return']:.2f}"
    session.log(**played, **facts)
    return episodes


def numbers_of(config: OnlineConfig, round_: int) -> range:
    """The games of a round, numbers in the training stream."""
    return range(round_ * config.episodes, (round_ + 1) * config.episodes)


@contextmanager
def following(session: Session, config: OnlineConfig, group_size: int) -> Iterator[Follower | None]:
    """The server that plays the rounds, if the run has one.

    Raises:
        TrainingError: what plays is more than the policy.
    """
    run = session.run
    if not RolloutConfig.of(run).server:
        yield None
        return
    if session.acting is not session.policy:
        raise TrainingError(f"{run.algorithm} plays by more than the policy's weights: no server has that")
    if run.shard:
        raise TrainingError("a server is sent whole weights: leave out --shard, or rollout.server")

    def play_there(round_: int, recorder: Recorder) -> tuple[Recorder, list[Played]]:
        return recorder, recorded(run, recorder, numbers_of(config, round_), config, group_size)

    follower = Follower(run, session.policy, config.steps, config.temperature, play_there)
    try:
        yield follower
    finally:
        follower.close()


def off_policy_weights(session: Session, steps: StepStore, config: OnlineConfig) -> np.ndarray:
    """The truncated importance weight of each step, float [N], where a server played (`following`), else ones; the steps'
    log-probabilities are those of the policy as it is now afterwards.

    Raises:
        TrainingError: the server drew by this very version, and says other log-probabilities than it.
    """
    rollout = RolloutConfig.of(session.run)
    if not rollout.server:
        return np.ones(len(steps))
    with precision(session.run):
        told, steps.logprob = steps.logprob, predict_logprobs(session.acting, steps, config.temperature)
    change = steps.logprob - told
    apart = -all_reduce(-float(np.abs(change).max()), "min")
    if rollout.max_lag == 0 and not apart <= rollout.tolerance:
        raise TrainingError(
            f"the server's log-probabilities are up to {apart:.3g} from those of the policy that it was sent; start it with "
            f"--logprobs-mode processed_logprobs --dtype float32 (tolerance {rollout.tolerance:g})"
        )
    weights = np.minimum(np.exp(change), rollout.truncation)
    session.log(server_apart=apart, importance=moments(weights)[0])
    return weights


def steps_of(session: Session, episodes: Sequence[TokenEpisode], config: OnlineConfig) -> StepStore:
    """The steps of a round."""
    model = session.policy
    steps = StepStore.of(episodes, model.form, model.tokenizer.pad).count_time(config.discount_unit)
    steps.pass_tokens, steps.dtype = session.run.pass_tokens, session.run.dtype
    return steps


def facts_of(episodes: Sequence[TokenEpisode]) -> dict[str, float]:
    """Mean return, length in turns and tokens of what was played, by all processes; the return is gold, ``optimised`` beside it
    what was rewarded where that is something else."""
    turns = [len(episode.actions) for episode in episodes]
    tokens = sum(len(action) for episode in episodes for action in episode.actions)
    gold = [episode.rewards if episode.gold is None else episode.gold for episode in episodes]
    optimised = [episode.rewards for episode in episodes if episode.gold is not None]
    return {
        "return": moments(np.array([sum(rewards) for rewards in gold]))[0],
        **({"optimised": moments(np.array([sum(rewards) for rewards in optimised]))[0]} if optimised else {}),
        "turns": moments(np.array(turns, float))[0],
        "action_tokens": all_reduce(float(tokens), "sum"),
    }


def new_logprobs(
    policy: Policy, batch: StepBatch, temperature: float, states: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities of the steps' tokens and entropies, float [N] each.

    ``states`` are the hidden states of the policy's first network, float [S, width], where they are known.
    """
    hidden = [] if states is None else [states]
    hidden += [states_of(network, batch) for network in policy.networks[len(hidden) :]]

    def read(
        hidden: Sequence[torch.Tensor], state: torch.Tensor, token: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        logits = policy.logits(hidden).float() / temperature
        return chosen(logits[state], token)

    logprobs, entropy = by_state(read, policy.vocabulary, hidden, batch.state, batch.token)
    return logprobs, entropy


def slices(steps: StepStore, size: int, seed: Sequence[int]) -> list[np.ndarray]:
    """All groups of steps once, in minibatches of about ``size`` steps."""
    order = np.random.default_rng(tuple(seed)).permutation(steps.groups)
    lengths = (steps.group_start[1:] - steps.group_start[:-1])[order]
    place = (np.cumsum(lengths) - 1) // size
    parts = [order[place == k] for k in np.unique(place)]
    return parts[: int(all_reduce(len(parts), "min"))]  # as many updates on every process


def minibatches(
    steps: StepStore,
    size: int,
    seed: Sequence[int],
    device: str,
    epochs: Iterable[int],
    weights: np.ndarray | None = None,
) -> Iterator[tuple[torch.Tensor, StepBatch, bool]]:
    """All steps once an epoch, as `slices`: positions int64 [N] with their batch, weighted by ``weights`` if given, in as many passes
    as `StepStore.parts` has it; and whether more passes of the same minibatch follow.
    """
    for epoch in epochs:
        for groups in slices(steps, size, (*seed, epoch)):
            left = steps.parts(groups)
            while left:
                which = steps.steps_of(left.pop(0))
                batch = steps.batch(which, None if weights is None else weights[which], successors=False)
                yield torch.from_numpy(which).to(device), batch.to(device), bool(left)


def floats(numbers: np.ndarray, device: str) -> torch.Tensor:
    """Numbers as float32 on a device."""
    return torch.tensor(numbers, dtype=torch.float32, device=device)


def frozen(model: LanguageModel) -> LanguageModel:
    """A copy that stays as the model is now."""
    return copied(model).requires_grad_(False).eval()


def _in_order(steps: StepStore, size: int = 8192) -> Iterator[np.ndarray]:
    if steps.pass_tokens:
        yield from map(steps.steps_of, steps.parts(np.arange(steps.groups)))
        return
    for start in range(0, len(steps), size):
        yield np.arange(start, min(start + size, len(steps)))


def _precision(steps: StepStore, device: torch.device) -> torch.autocast:
    """As updates of these steps are computed: what is compared with them is rounded as they are."""
    return torch.autocast(device.type, torch.bfloat16, enabled=steps.dtype == "bf16")


def predict_values(critic: Critic, steps: StepStore) -> tuple[np.ndarray, np.ndarray]:
    """Values of the states of all steps and of the states after them, float [N] each (0 after termination);
    in the precision of the steps' run."""
    values, after = np.zeros(len(steps)), np.zeros(len(steps))
    with unsharded(critic), torch.inference_mode():
        for which in _in_order(steps):
            batch = steps.batch(which).to(critic.device)
            with _precision(steps, critic.device):
                found = critic.value(critic.states(batch))
            values[which] = found[batch.state].cpu().numpy()
            after[which] = (found[batch.next_state] * batch.goes_on).cpu().numpy()
    return values, after


def predict_logprobs(policy: Policy, steps: StepStore, temperature: float) -> np.ndarray:
    """Log-probability of every step's token under a policy, float [N]; in the precision of the steps' run."""
    logprobs = np.zeros(len(steps))
    networks = [network for network in policy.networks if isinstance(network, torch.nn.Module)]
    with unsharded(*networks), torch.inference_mode():
        for which in _in_order(steps):
            batch = steps.batch(which, successors=False).to(policy.device)
            with _precision(steps, policy.device):
                logprobs[which] = new_logprobs(policy, batch, temperature)[0].cpu().numpy()
    return logprobs


def normalize(advantages: np.ndarray, least_std: float, centre: float | None = None) -> np.ndarray:
    """Mean 0 (or ``centre`` taken away instead), and standard deviation 1 unless it was below ``least_std``; over all processes."""
    mean, deviation = moments(advantages)
    return (advantages - (mean if centre is None else centre)) / max(deviation, least_std)
