"""Language models as agents: a trained folder's, or the policy that is being trained."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lmrl_agents.models.critic import DESCRIPTION, Critic
from lmrl_agents.models.description import read_description
from lmrl_agents.models.engine import SlotEngine, unsupported
from lmrl_agents.models.guided import GuidedPolicy
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.sampling import Generated, Memo, NoNumbers, Policy, Sampling, generate
from lmrl_agents.models.tokenizer import EOA, TaskTokenizer
from lmrl_agents.models.tokens import Ids, TextFormat, TokenEpisode
from lmrl_agents.playing.explain import Explained, explain, state_values
from lmrl_agents.playing.identity import model_digest, model_folder
from lmrl_agents.playing.protocol import Action, AgentArgumentError, AgentError, AgentStopped, Request
from lmrl_agents.playing.rerank import Candidate, rank, score_for
from lmrl_agents.playing.rollout import Rollout
from lmrl_agents.rewards.loading import load_reward
from lmrl_agents.rewards.protocol import TASK, Trajectory, scored
from lmrl_envs import Transcript

MOST_SLOTS = 1024
"""Games whose key-value caches are kept at most; beyond that, the longest-waiting are read anew."""
MOST_GAMES = 1 << 14
"""Games whose sampled ids are kept at most, for players who do not say when a game is over."""


class TokenAgent:
    """Reads conversations as tokens and answers with tokens that `generate` draws.

    Args:
        tokenizer: of the model.
        form: how conversations become tokens.
        sampling: temperature and cuts.
    """

    candidates = 1
    """Actions drawn for each request."""

    def __init__(self, tokenizer: TaskTokenizer, form: TextFormat, sampling: Sampling) -> None:
        self.tokenizer, self.form, self.sampling = tokenizer, form, sampling
        self.tokens_generated = 0
        self._kept: dict[int, list[tuple[str, Ids]]] = {}

    def generate(
        self, keys: Sequence[Hashable], contexts: Sequence[Sequence[int]], uniforms: Sequence[Callable[[], float]]
    ) -> list[Generated]:
        """One action per context, see `SlotEngine.generate`."""
        raise NotImplementedError

    def act(self, requests: Sequence[Request]) -> list[str]:
        """One sampled (or greedy) action per request."""
        return [self.played(request, sampled) for request, sampled in zip(requests, self.sample(requests), strict=True)]

    def played(self, request: Request, sampled: Generated) -> str:
        """The text of the action that is played; its ids are kept: what was sampled is never encoded again."""
        turn, text = len(request.transcript) // 2, self._said(request, sampled)
        if turn == 0 and len(self._kept) >= MOST_GAMES:
            self._kept.clear()
        kept = self._kept.setdefault(request.episode, [])
        kept[turn:] = [(text, sampled.ids)] if turn <= len(kept) else []
        return text

    def _said(self, request: Request, sampled: Generated) -> str:
        return self.form.reading.action(self.tokenizer.said(sampled.ids), request.transcript)

    def sample(self, requests: Sequence[Request]) -> list[Generated]:
        """Sampled ids and log-probabilities of one action per request."""
        return self.draw(requests, self.contexts(requests))

    def contexts(self, requests: Sequence[Request]) -> list[list[int]]:
        """What the policy is given of each conversation, as ids: its own actions as it sampled them."""
        return [self.form.context(self._read(request)) for request in requests]

    def _read(self, request: Request) -> TokenEpisode:
        form, episode = self.form, self.form.begin(request.instructions)
        kept = dict(enumerate(self._kept.get(request.episode, ())))
        for k, text in enumerate(form.reading.texts(request.transcript)):
            if k % 2 == 0:
                form.observe(episode, text, self.tokenizer)
                continue
            said, ids = kept.get(k // 2, (None, ()))
            # A choice is not read again: what the environment says tells it.
            is_own = said == request.transcript[k].text or form.choice
            episode.actions.append(ids if is_own else form.action(text, self.tokenizer))
        return episode

    def draw(self, requests: Sequence[Request], contexts: Sequence[Sequence[int]]) -> list[Generated]:
        """Actions for contexts that are ids already, the candidates of a request one after the other.

        Randomness is each candidate's own, and the first one's is that of a single action.
        """
        copies = range(self.candidates)
        uniforms = [self.noise(request, k).random for request in requests for k in copies]
        contexts = [context for context in contexts for _ in copies]
        sampled = self.generate([(r.episode, k) for r in requests for k in copies], contexts, uniforms)
        self.tokens_generated += sum(len(action.ids) for action in sampled)
        return sampled

    def noise(self, request: Request, candidate: int) -> np.random.Generator:
        """The random numbers of an action."""
        return np.random.default_rng((request.seed, len(request.transcript), *([candidate] if candidate else [])))

    def told_logprobs(self, sampled: Generated) -> list[tuple[str, float]]:
        """The tokens of an action as text, with their log-probabilities, for the records."""
        tokenizer, told, shown = self.tokenizer, [], ""
        for k, (token, logprob) in enumerate(zip(sampled.ids, sampled.logprobs, strict=True)):
            text, so_far = "", tokenizer.decode(sampled.ids[: k + 1])
            # A token may be a part of a character: the one that completes it gets it.
            last = k + 1 == len(sampled.ids) or sampled.ids[k + 1] == tokenizer.eoa
            if so_far.startswith(shown) and (last or not so_far.endswith("\ufffd")):
                text, shown = so_far[len(shown) :], so_far
            told.append((EOA if token == tokenizer.eoa else text, round(logprob, 4)))
        return told


class PolicyAgent(TokenAgent):
    """Acts with a policy whose weights do not change meanwhile: a language model, alone or guided."""

    name = "the policy"

    def __init__(self, policy: Policy, form: TextFormat, sampling: Sampling) -> None:
        super().__init__(policy.tokenizer, form, sampling)
        self.policy = policy
        self._memo = self._engine = None
        # Contexts of the last observations recur; whole conversations hardly do, but they grow.
        if form.context_turns is not None:
            self._memo = Memo(policy, sampling)
        elif not unsupported(policy):
            self._engine = SlotEngine(policy, sampling, MOST_SLOTS)

    def generate(
        self, keys: Sequence[Hashable], contexts: Sequence[Sequence[int]], uniforms: Sequence[Callable[[], float]]
    ) -> list[Generated]:
        """As `TokenAgent.generate`.

        Raises:
            AgentStopped: the model says NaN or infinity.
        """
        try:
            if self._engine is None:
                return generate(self.policy, contexts, uniforms, self.sampling, self._memo)
            return self._engine.generate(keys, contexts, uniforms)
        except NoNumbers as problem:
            raise AgentStopped(f"{self.name}: {problem}") from None

    def finished(self, episodes: Sequence[int]) -> None:
        """These games are over: their place in the key-value caches is free."""
        for episode in episodes:
            self._kept.pop(episode, None)
        if self._engine is not None:
            self._engine.release([(episode, k) for episode in episodes for k in range(self.candidates)])


class Recorder(PolicyAgent):
    """Keeps the ids that it sampled: what is trained on is what was sampled, never text encoded again."""

    def __init__(self, policy: Policy, form: TextFormat, sampling: Sampling) -> None:
        super().__init__(policy, form, sampling)
        self.episodes: dict[int, TokenEpisode] = {}

    def observe(self, episode: TokenEpisode, transcript: Transcript) -> None:
        """Append the latest text."""
        self.form.observe(episode, self.form.reading.texts(transcript)[-1], self.tokenizer)

    def sample(self, requests: Sequence[Request]) -> list[Generated]:
        """As `PolicyAgent.sample`, over contexts of the ids sampled before."""
        contexts = []
        for request in requests:
            episode = self.episodes.setdefault(request.episode, self.form.begin(request.instructions))
            if len(episode.observations) == len(episode.actions):  # else it is asked again
                self.observe(episode, request.transcript)
            contexts.append(self.form.context(episode))
        sampled = self.draw(requests, contexts)
        for request, action in zip(requests, sampled, strict=True):
            self.episodes[request.episode].actions.append(action.ids)
            self.episodes[request.episode].logprobs.append(action.logprobs)
        return sampled


class LanguageModelAgent(PolicyAgent):
    """Acts with a model of a training run's folder.

    Args:
        folder: where `lmrl train` wrote the model (the folder itself, or its ``final``).
        temperature: 1 samples the policy, 0 is greedy, "best" is what did best on validation games in training.
        top_k: see `Sampling`.
        top_p: see `Sampling`.
        candidates: how many actions are drawn for each that is played; the best by ``score`` is taken, see `rerank`.
        score: one of the scores of `rerank`; default: "q" or "value", as the critic has it, else "logprob".
        beta: weight of the values, for a policy that is guided by them; default: what was chosen in training, and 0 if
            candidates are reranked, which are then those of the data's policy.
        support: least probability under the data's policy, see `GuidedPolicy`; default: what was chosen in training.
        record_logprobs: keep the log-probability of every token with the records; tokens are as the model writes them,
            which in some views (`View.action`) is not the action that the environment is given.
        record_values: keep with the records what the critic says of each position, and, if it guides the policy, of the
            action taken and of others, see `explain`; policy and critic are read once more for it.
        device: where the model runs.
    """

    def __init__(
        self,
        folder: str | Path,
        temperature: float | str = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        candidates: int = 1,
        score: str | None = None,
        beta: float | None = None,
        support: float | None = None,
        record_logprobs: bool = False,
        record_values: bool = False,
        device: str = "cpu",
    ) -> None:
        path = model_folder(folder)
        try:
            model = LanguageModel.load(path, device=device)
            description = read_description(path)
            decoding = description.get("decoding", {})
            temperature = chosen_temperature(temperature, description)
            policy: Policy = model
            self.critic = Critic.load(path, model) if (path / DESCRIPTION).is_file() else None
            if self.critic is not None and not (self.critic.has_q or self.critic.has_value):
                self.critic = None  # distributions of utilities are no values of play
            if self.critic is not None and self.critic.has_q:
                chosen = decoding["beta"] if candidates == 1 else 0.0
                beta = float(chosen if beta is None else beta)
                least = float(decoding["support"] if support is None else support)
                rule, draws = str(decoding.get("rule", "tilt")), int(decoding.get("draws", 1))
                policy = GuidedPolicy(model, self.critic, beta, least, rule if candidates == 1 else "tilt", draws)
            elif beta is not None or support is not None:
                raise ValueError(f"{path} was trained without values of actions: beta and support say nothing to it")
            if candidates < 1 or (candidates > 1 and temperature <= 0):
                raise ValueError(
                    f"candidates={candidates} at temperature={temperature}: at temperature 0 all are the same"
                )
            if candidates == 1 and score is not None:
                raise ValueError(f"score={score!r} ranks candidates: ask for more than one")
            self.candidates, self.score = candidates, score_for(self.critic, score)
        except ValueError as problem:
            raise AgentError(str(problem)) from problem
        super().__init__(policy, model.form, Sampling(temperature, top_k, top_p, model.form.max_action_tokens))
        self.model, self.folder, self.beta = model, path, beta
        self.name = str(path)
        if record_values and self.critic is None:
            raise AgentArgumentError(f"{path} was trained without values: there are none to record")
        self.record_logprobs, self.record_values = record_logprobs, record_values
        self._description = description

    def sample(self, requests: Sequence[Request]) -> list[Generated]:
        """As `PolicyAgent.sample`, or the best of several."""
        return [ranked[0].action for ranked in self.ranked(requests)]

    def ranked(self, requests: Sequence[Request]) -> list[list[Candidate]]:
        """The distinct candidates of each request, best first."""
        contexts = self.contexts(requests)
        drawn = self.draw(requests, contexts)
        if self.candidates == 1:
            return [[Candidate(action)] for action in drawn]
        groups = [drawn[k : k + self.candidates] for k in range(0, len(drawn), self.candidates)]
        return rank(self.policy, self.critic, contexts, groups, self.score)

    def act_with_details(self, requests: Sequence[Request]) -> list[Action]:
        """As `act`, with what was asked to be recorded: log-probabilities, values; and the candidates with their scores."""
        actions, ranked = [], self.ranked(requests)
        played = [candidates[0].action for candidates in ranked]
        told = self.explain(requests, played) if self.record_values else [None] * len(played)
        for request, sampled, candidates, explained in zip(requests, played, ranked, told, strict=True):
            details: dict[str, Any] = {"completion_tokens": sum(c.times * len(c.action.ids) for c in candidates)}
            if self.candidates > 1:
                details["candidates"] = [
                    [self._said(request, c.action), None if c.score is None else round(c.score, 3), c.times]
                    for c in candidates
                ]
            if explained is not None:
                details |= _rounded(explained)
            if self.record_logprobs:
                details["token_logprobs"] = self.told_logprobs(sampled)
                if explained is not None and explained.tokens:
                    details["token_values"] = [None if q is None else round(q, 3) for q in explained.tokens]
            actions.append(Action(self.played(request, sampled), details))
        return actions

    def tell_all(self) -> None:
        """See `Agent.act`."""
        self.record_logprobs, self.record_values = True, self.critic is not None

    def explain(self, requests: Sequence[Request], played: Sequence[Generated]) -> list[Explained | None]:
        """What the critic says of positions and sampled actions; None for each where there is no critic."""
        if self.critic is None:
            return [None] * len(played)
        contexts = self.contexts(requests)
        if not isinstance(self.policy, GuidedPolicy):
            return [Explained(value) for value in state_values(self.critic, contexts)]
        told = explain(self.policy, self.form, contexts, [sampled.ids for sampled in played])
        return [
            replace(
                one,
                alternatives=tuple((self.form.reading.action(text, r.transcript), q) for text, q in one.alternatives),
            )
            for one, r in zip(told, requests, strict=True)
        ]

    def fingerprint(self) -> str:
        """Hash of the model, its critic's weights included: an evaluation is not gone on with by another model in the same folder."""
        return model_digest(self.folder)

    def describe(self) -> dict[str, Any]:
        """What is kept with results."""
        sampling = {"temperature": self.sampling.temperature, **({} if self.beta is None else {"beta": self.beta})}
        if self.candidates > 1:
            sampling |= {"candidates": self.candidates, "score": self.score}
        return {"kind": "language model", **sampling, **self._description}


def chosen_temperature(wanted: float | str, description: Mapping[str, Any]) -> float:
    """A temperature, where "best" is the one that did best on validation games in training.

    Raises:
        ValueError: none was chosen, or it is no number.
    """
    if wanted == "best":
        wanted = description.get("decoding", {}).get("temperature", "best")
        if wanted == "best":
            raise ValueError("no temperature was chosen in training (setting temperatures)")
    if isinstance(wanted, str):
        raise ValueError(f"temperature={wanted!r} is neither a number nor 'best'")
    return wanted


def _rounded(explained: Explained) -> dict[str, Any]:
    """As it stands in records: ``value``, ``action_value`` and ``advantage``, and ``alternatives``, pairs of text and value."""
    told = {"value": explained.value, "action_value": explained.action, "advantage": explained.advantage}
    found: dict[str, Any] = {key: round(number, 3) for key, number in told.items() if number is not None}
    if explained.alternatives:
        found["alternatives"] = [[text, round(number, 3)] for text, number in explained.alternatives]
    return found


def mean_return(
    policy: Policy,
    form: TextFormat,
    env_id: str,
    episodes: int,
    temperature: float,
    env_kwargs: dict[str, Any] | None = None,
    seed: int = 0,
    reward: str = TASK,
) -> float:
    """Mean return on the first validation seeds; an episode that fails counts as the task's minimum, and as none by another reward."""
    agent = PolicyAgent(policy, form, Sampling(temperature, max_tokens=form.max_action_tokens))
    rollout = Rollout(agent, env_id, env_kwargs, slots=min(episodes, 256))
    games = list(rollout.play(range(episodes), seed, "validation"))
    if reward == TASK:
        return float(np.mean([played.score(rollout.minimum) for played in games]))
    told = [
        Trajectory.of(env_id, p.transcript, p.terminated, p.truncated, env_kwargs) for p in games if p.error is None
    ]
    return float(np.mean([sum(own) for own in scored(load_reward(reward), reward, told)] or [0.0]))
