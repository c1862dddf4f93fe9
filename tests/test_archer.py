"""ArCHer: positions and utterances of games, what values are fitted to, and the fixed points that are known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lmrl_agents.algorithms.archer import Config, _improve, _value, draws, targets
from lmrl_agents.learning.online import RoundGuard, predict_logprobs
from lmrl_agents.models.critic import Critic, CriticConfig
from lmrl_agents.models.model import LanguageModel, ModelConfig
from lmrl_agents.models.tokenizer import train_tokenizer
from lmrl_agents.models.tokens import TextFormat, TokenEpisode
from lmrl_agents.models.turns import CHOICE_HEADS, UTTERANCE_HEADS, judged, passes, turns_of, utterances_batch
from lmrl_envs import Transcript

GAMMA = 0.5
PAYS = {
    ("left", "up"): (0.1, 1.0),
    ("left", "down"): (0.1, 0.4),
    ("right", "up"): (0.0, 0.4),
    ("right", "down"): (0.0, -0.2),
}
"""What the two utterances of a game pay."""
Q = {"left": 0.1 + GAMMA * 0.7, "right": GAMMA * 0.1}
"""Of the first utterance, under a policy that says either of two things equally often."""


def games(form: TextFormat, seed: int = 0) -> tuple[LanguageModel, list[TokenEpisode]]:
    """A policy that says whatever the games say, equally often, and the games."""
    texts = ["start", "went left", "went right", "left", "right", "up", "down"]
    first = ["down", "left", "right", "up"] if form.choice else None
    tokenizer = train_tokenizer(
        texts, units="utterances" if form.choice else "words", min_count=1, **({"first": first} if first else {})
    )
    config = ModelConfig(layers=1, width=16, heads=1, max_positions=64, outputs=4 if form.choice else 0)
    model = LanguageModel.create(config, tokenizer, form, seed)
    episodes = []
    for said, pays in PAYS.items():
        transcript = Transcript.from_texts(["start", said[0], f"went {said[0]}", said[1]], list(pays))
        episodes.append(TokenEpisode.from_transcript(transcript, True, False, tokenizer, form))
    from lmrl_agents.learning.losses import mean, surprise
    from lmrl_agents.models.steps import StepStore

    steps = StepStore.of(episodes, form, tokenizer.pad)
    batch = steps.batch(np.arange(len(steps)), successors=False)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(60):
        optimizer.zero_grad()
        mean(surprise(model.logits([model.action_states(batch)]), batch.token), batch.weight).backward()
        optimizer.step()
    return model, episodes


def session_of(model: LanguageModel, critic: Critic):
    """As much of a session as a round needs."""
    optimizers = {
        "policy": torch.optim.SGD(model.parameters()),
        "critic": torch.optim.Adam(critic.parameters()),
    }

    def update(name, loss, rate, batch, more=False):
        optimizers[name].zero_grad()
        loss.backward()
        for group in optimizers[name].param_groups:
            group["lr"] = rate
        optimizers[name].step()

    run = SimpleNamespace(seed=0, device="cpu", pass_tokens=0, dtype="float32")
    return SimpleNamespace(
        run=run,
        policy=model,
        acting=model,
        state={"rate": 1.0},
        optimizers=optimizers,
        update=update,
        shard=lambda x: x,
    )


FORMS = [TextFormat(max_action_tokens=4), TextFormat(context_turns=1, max_action_tokens=4),
         TextFormat(choice=True, max_action_tokens=1)]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_turns_are_what_the_policy_was_given_and_said(form: TextFormat) -> None:
    model, episodes = games(form)
    episode = episodes[0]
    turns = turns_of(episode, form)
    unfinished = TokenEpisode(episode.observations[:1])
    assert turns[0].context == tuple(form.context(unfinished))
    unfinished = TokenEpisode(episode.observations[:2], episode.actions[:1])
    assert turns[1].context == turns[0].after == tuple(form.context(unfinished))
    assert [turn.action for turn in turns] == episode.actions and [turn.reward for turn in turns] == [0.1, 1.0]
    assert turns[1].after is None
    cut = TokenEpisode([*episode.observations, episode.observations[0]], episode.actions, [0.1, 1.0], truncated=True)
    assert turns_of(cut, form)[1].after == tuple(form.context(cut))
    drawn = draws(model, turns, 1.0, (3,))
    from lmrl_agents.models.turns import steps_of_turns

    steps = steps_of_turns(turns, drawn, form.choice, model.tokenizer.pad)
    told = np.concatenate([said.logprobs for said in drawn])
    assert predict_logprobs(model, steps, 1.0) == pytest.approx(told, abs=1e-5)


def test_turns_are_read_in_passes_that_fit() -> None:
    form = FORMS[0]
    _, episodes = games(form)
    turns = [turn for episode in episodes for turn in turns_of(episode, form)]
    parts = list(passes(turns, np.arange(8), 20))
    assert np.concatenate([part for part, _ in parts]).tolist() == list(range(8))
    assert [more for _, more in parts] == [True] * (len(parts) - 1) + [False]
    assert all(sum(len(turns[i].context + turns[i].action) for i in part) <= 20 for part, _ in parts)
    assert [part.tolist() for part, _ in passes(turns, np.arange(8), 1)] == [[k] for k in range(8)]


@pytest.mark.parametrize("form", FORMS)
def test_targets_by_hand(form: TextFormat) -> None:
    model, episodes = games(form)
    critic = Critic.beside(model, CriticConfig(CHOICE_HEADS if form.choice else UTTERANCE_HEADS))
    for name, value in zip(critic.heads, (2.0, 3.0, 5.0, 7.0), strict=True):
        torch.nn.init.constant_(critic.heads[name].bias, value)
    turns = turns_of(episodes[0], form)
    config = Config(discount=GAMMA, reward_scale=10.0)
    q, v = targets(critic, turns, turns, config, form.choice)
    assert q.tolist() == [[1.0 + GAMMA * 2.0, 10.0], [1.0 + GAMMA * 3.0, 10.0]]
    assert v.tolist() == [[5.0, 5.0], [7.0, 7.0]]


@pytest.mark.parametrize("form", FORMS)
def test_values_are_those_of_the_policy(form: TextFormat) -> None:
    model, episodes = games(form)
    critic = Critic.beside(model, CriticConfig(CHOICE_HEADS if form.choice else UTTERANCE_HEADS, hidden=32))
    turns = [turn for episode in episodes for turn in turns_of(episode, form)]
    config = Config(discount=GAMMA, iterations=5, critic_updates=120, batch_size=64, value_rate=4e-3)
    session, target = session_of(model, critic), critic.target()
    for round_ in range(5):
        _value(session, config, critic, target, turns, round_)
    with torch.no_grad():
        values, q = judged(critic, utterances_batch(turns, model.tokenizer.pad, form.choice), len(turns), form.choice)
    first, second = slice(0, None, 2), slice(1, None, 2)
    # A policy that sees the last words alone knows no less here.
    for k in range(2):
        assert values[k, first].tolist() == pytest.approx([0.25] * 4, abs=0.07)
        assert q[k, first].tolist() == pytest.approx([Q["left"], Q["left"], Q["right"], Q["right"]], abs=0.07)
        assert values[k, second].tolist() == pytest.approx([0.7, 0.7, 0.1, 0.1], abs=0.12)
        assert q[k, second].tolist() == pytest.approx([1.0, 0.4, 0.4, -0.2], abs=0.12)


@pytest.mark.parametrize("form", FORMS)
def test_the_actor_follows_the_enumerated_gradient(form: TextFormat) -> None:
    """Over the first utterance: sum_a pi(a) A(a) grad log pi(a), here by what the policy says afterwards."""
    model, episodes = games(form)
    critic = Critic.beside(model, CriticConfig(CHOICE_HEADS if form.choice else UTTERANCE_HEADS, hidden=32))
    turns = [turn for episode in episodes for turn in turns_of(episode, form)]
    config = Config(
        discount=GAMMA,
        critic_updates=300,
        batch_size=32,
        value_rate=4e-3,
        learning_rate=0.05,
        warmup=0,
        positions=512,
        critic_rounds=0,
        actor_batch_size=10**6,
    )
    session = session_of(model, critic)
    _value(session, config, critic, critic.target(), turns, 0)
    before = predict_logprobs(model, _said(turns, form, model), 1.0)
    guard = RoundGuard(session, config)
    guard.before()
    facts = _improve(session, config, critic, turns, 1, guard)
    gained = predict_logprobs(model, _said(turns, form, model), 1.0) - before
    assert facts["rate"] == 1.0 and facts["kl_moved"] > 0
    first = {"left": gained[0], "right": gained[4]}
    second = {said: gained[2 * k + 1] for k, said in enumerate(PAYS)}
    assert first["left"] > 0 > first["right"]
    assert second["left", "up"] > 0 > second["left", "down"] and second["right", "up"] > 0 > second["right", "down"]


def _said(turns, form: TextFormat, model: LanguageModel):
    """The first token of each utterance as a step: the one that decides."""
    from lmrl_agents.models.sampling import Generated
    from lmrl_agents.models.turns import steps_of_turns

    return steps_of_turns(
        turns, [Generated(turn.action[:1], (0.0,)) for turn in turns], form.choice, model.tokenizer.pad
    )
