"""Agents that choose among whole utterances: a language model proposes, values choose (CHAI, Verma et al., arXiv 2204.08426).

For each request N utterances are drawn from the model at once, the conversation before them read once; `Bargaining.open_acts` are proposed, too. An
utterance with a price gives five proposals, one for each price of `price_grid`, each read as the game will read it, or one with the
actor's price. All proposals of all requests are scored in one call,
and one is drawn from softmax(Q / temperature).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmrl_agents.models.description import read_description
from lmrl_agents.models.engine import SlotEngine, unsupported
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.sampling import Generated, NoNumbers, Policy, Sampling, generate
from lmrl_agents.models.utterances import Texts, UtteranceValues, price_grid, prices_of
from lmrl_agents.playing.identity import model_digest, model_folder
from lmrl_agents.playing.policy_agent import MOST_SLOTS, TokenAgent
from lmrl_agents.playing.protocol import Action, AgentError, AgentStopped, Request
from lmrl_envs import Transcript, task
from lmrl_envs.surface import BLANK, Bargaining, Position

NO_PRICE = float("nan")


@dataclass(frozen=True)
class Proposal:
    """An utterance that might be said."""

    text: str
    """Its price blanked, if it has one in digits."""
    act: int
    price: float = NO_PRICE


class Reader:
    """Reads utterances as the game will."""

    def __init__(self, bargaining: Bargaining) -> None:
        self.bargaining = bargaining
        self._number = {act: k for k, act in enumerate(bargaining.acts)}
        self.read = lru_cache(maxsize=4096)(self._read)
        """An utterance as a proposal. What is drawn in a position often is one at a price of its grid, too."""

    def _read(self, action: str, position: Position) -> Proposal:
        act, price, text = self.bargaining.read(action, position)
        return Proposal(text, self._number[act], NO_PRICE if price is None else price)

    def at_prices(self, one: Proposal, position: Position, missing: float) -> list[Proposal]:
        """What an utterance is at each of CHAI's five prices: at the agent's own it insists, at the partner's it may be a question."""
        if BLANK not in one.text:
            return [one] * 5
        own, theirs = prices_of(position, missing)
        said = [self.bargaining.fill(one.text, share, position) for share in price_grid(theirs, own)]
        return [self.read(text, position) for text in said]

    def choices(self, drawn: Sequence[Proposal], position: Position, missing: float) -> list[Proposal]:
        """The distinct ones of what was drawn, at each price."""
        texts = {one.text if BLANK in one.text else one: one for one in drawn}
        return list(dict.fromkeys(said for one in texts.values() for said in self.at_prices(one, position, missing)))


class Proposer(TokenAgent):
    """Draws utterances from a language model and reads them.

    Args:
        policy: the language model.
        form: its text format.
        sampling: temperature and cuts.
        bargaining: how the task is read.
        candidates: utterances drawn for each request.
    """

    def __init__(self, policy: Policy, form: Any, sampling: Sampling, bargaining: Bargaining, candidates: int) -> None:
        super().__init__(policy.tokenizer, form, sampling)
        self.policy, self.reader, self.candidates = policy, Reader(bargaining), candidates
        self._engine = None if unsupported(policy) else SlotEngine(policy, sampling, MOST_SLOTS)

    def generate(self, keys: Any, contexts: Any, uniforms: Any) -> list[Generated]:
        """As `TokenAgent.generate`; what was read of a talk is kept, and read once for all its proposals."""
        try:
            if self._engine is None:
                return generate(self.policy, contexts, uniforms, self.sampling)
            return self._engine.generate(keys, contexts, uniforms)
        except NoNumbers as problem:
            raise AgentStopped(str(problem)) from None

    def finished(self, episodes: Sequence[int]) -> None:
        """See `PolicyAgent.finished`."""
        if self._engine is not None:
            self._engine.release([(episode, k) for episode in episodes for k in range(self.candidates)])

    def propose(self, requests: Sequence[Request], positions: Sequence[Position]) -> list[list[Proposal]]:
        """What is drawn for each request, and the lines that answer what stands."""
        drawn = iter(self.draw(requests, self.contexts(requests)))
        found = []
        for request, position in zip(requests, positions, strict=True):
            group = list(islice(drawn, self.candidates))
            said = {ids: self._said(request, one) for ids, one in {one.ids: one for one in group}.items()}
            lines = [*(said[one.ids] for one in group), *self.reader.bargaining.open_acts(position)]
            found.append([self.reader.read(line, position) for line in lines])
        return found


class UtteranceAgent(Proposer):
    """Acts with a language model and the values of utterances beside it, as `lmrl train chai` writes them.

    Args:
        folder: of the run, or its ``final``.
        candidates: utterances drawn for each that is said; default: what was set in training.
        temperature: of softmax(Q); 0 takes the best. CHAI's code has .1.
        actor: whether the price is the actor's; default: what was set in training.
        device: where the language model runs.
    """

    def __init__(
        self,
        folder: str | Path,
        candidates: int | None = None,
        temperature: float = 0.1,
        actor: bool | None = None,
        device: str = "cpu",
    ) -> None:
        path = model_folder(folder)
        try:
            model = LanguageModel.load(path, device=device)
            self._description = read_description(path)
            decoding = self._description.get("decoding", {})
            bargaining = task(str(self._description.get("env_id"))).surface.bargaining
            if bargaining is None:
                raise ValueError(f"{path}: nobody bargains in {self._description.get('env_id')}")
            self.values = UtteranceValues.load(path, model, bargaining)
            self.use_actor = bool(decoding.get("actor", False) if actor is None else actor)
            number = int(decoding.get("candidates", 5) if candidates is None else candidates)
            if number < 1 or temperature < 0:
                raise ValueError(f"candidates={number}, temperature={temperature}: at least 1, and none below 0")
            if self.use_actor and self.values.actor is None:
                raise ValueError(f"{path} was trained without a price actor")
        except ValueError as problem:
            raise AgentError(str(problem)) from problem
        cuts = Sampling(1.0, 0, float(decoding.get("top_p", 1.0)), model.form.max_action_tokens)
        super().__init__(model, model.form, cuts, bargaining, number)
        self.model, self.folder, self.temperature = model, path, temperature
        self.texts = Texts(model)

    def act(self, requests: Sequence[Request]) -> list[str]:
        """What is said for each request."""
        return [action.text for action in self.act_with_details(requests)]

    @torch.inference_mode()
    def act_with_details(self, requests: Sequence[Request]) -> list[Action]:
        """As `act`, with how many tokens were drawn and the value of what is said."""
        bargaining, missing = self.reader.bargaining, self.values.config.missing
        positions = [bargaining.positions(Transcript(request.transcript))[-1] for request in requests]
        before = self.tokens_generated
        drawn = self.propose(requests, positions)
        tokens = (self.tokens_generated - before) // max(1, len(requests))
        noises = [np.random.default_rng((request.seed, len(request.transcript), 2**31)) for request in requests]
        states = self.values.states(positions, self.texts)
        if self.use_actor:  # an utterance is what it is at some price between both
            reader = self.reader
            proposals = [
                list(dict.fromkeys(reader.at_prices(one, p, missing)[2] for one in group))
                for group, p in zip(drawn, positions, strict=True)
            ]
        else:
            proposals = [self.reader.choices(group, p, missing) for group, p in zip(drawn, positions, strict=True)]
        prices, scores = self._scores(states, proposals, noises)
        actions = []
        for k, (group, position) in enumerate(zip(proposals, positions, strict=True)):
            best = self._choose(scores[k, : len(group)].numpy(), noises[k])
            chosen = group[best]
            text = chosen.text
            if BLANK in text:
                text = bargaining.fill(text, float(prices[k, best]), position)
            actions.append(Action(text, {"completion_tokens": tokens, "value": round(float(scores[k, best]), 3)}))
        return actions

    def _scores(
        self, states: torch.Tensor, proposals: Sequence[Sequence[Proposal]], noises: Sequence[np.random.Generator]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Prices and values of all proposals, float [B, K]; one call of the networks."""
        most = max(map(len, proposals))
        padded = [[*group, *[group[0]] * (most - len(group))] for group in proposals]
        acts = torch.tensor([[one.act for one in group] for group in padded])
        prices = torch.tensor([[one.price for one in group] for group in padded])
        words = torch.stack([self.texts.of(one.text) for group in padded for one in group]).view(*acts.shape, -1)
        if self.use_actor:
            noise = torch.tensor(np.array([rng.standard_normal(most) for rng in noises]), dtype=torch.float32)
            own, _ = self.values.price(states, self.values.actions(acts, prices, words), noise)
            blank = torch.tensor([[BLANK in one.text for one in group] for group in padded])
            prices = torch.where(blank, own, prices)
        return prices, self.values.least_q(states, self.values.actions(acts, prices, words))

    def _choose(self, scores: np.ndarray, noise: np.random.Generator) -> int:
        if self.temperature == 0:
            return int(scores.argmax())
        return int((scores / self.temperature + noise.gumbel(size=scores.shape)).argmax())

    def fingerprint(self) -> str:
        """Hash of the model with its values."""
        return model_digest(self.folder)

    def describe(self) -> dict[str, Any]:
        """What is kept with results."""
        how = {"candidates": self.candidates, "temperature": self.temperature, "actor": self.use_actor}
        return {"kind": "language model, utterances chosen by value", **how, **self._description}
