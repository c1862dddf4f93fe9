"""A trained model on a server: ids go in, ids and their log-probabilities come out, and no text is encoded twice.

`LanguageModel.export` (``lmrl agents export RUN --out DIR``) writes what ``vllm serve DIR --dtype float32`` takes
(without the option vLLM serves float32 weights in half precision). The run's own folder says
how conversations become tokens; its weights are not read here. vLLM's completions endpoint takes a list of ids for a prompt
and, from version 0.10.2, gives the drawn ids with ``return_token_ids``. vLLM finds the shared beginnings of a game's
contexts in its prefix cache.

The log-probabilities are the server's: by default vLLM tells those of the network, before temperature and cuts, and with
``--logprobs-mode processed_logprobs`` those of the distribution that was drawn from. Sampled actions follow from seed and
context as far as the server keeps to its seeds: a batch of other requests may change the last bits.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import torch

from lmrl_agents.models.critic import DESCRIPTION
from lmrl_agents.models.sampling import Generated, Sampling
from lmrl_agents.models.tokenizer import TaskTokenizer
from lmrl_agents.models.tokens import TextFormat
from lmrl_agents.playing.policy_agent import PolicyAgent, chosen_temperature, model_folder
from lmrl_agents.playing.protocol import Action, AgentError, AgentStopped, Request
from lmrl_datasets.store import sha256_of
from lmrl_envs.partners.chat_answers import Continuation
from lmrl_envs.partners.chat_client import ChatClient, ChatFailure


class ServerEngine:
    """Draws actions on a server, as `SlotEngine` does here.

    Args:
        client: the server.
        model: its name there.
        tokenizer: of the model.
        sampling: temperature and cuts.
        max_positions: most tokens of context and action together.
    """

    def __init__(
        self, client: ChatClient, model: str, tokenizer: TaskTokenizer, sampling: Sampling, max_positions: int
    ) -> None:
        self.client, self.model, self.tokenizer = client, model, tokenizer
        self.sampling, self.max_positions = sampling, max_positions

    def generate(
        self, keys: Sequence[Hashable], contexts: Sequence[Sequence[int]], uniforms: Sequence[Callable[[], float]]
    ) -> list[Generated]:
        """One action per game, requests at once up to the client's ``concurrency``.

        Raises:
            AgentStopped: a request came to nothing, after the client's retries.
        """
        room = self.max_positions - self.sampling.max_tokens
        prompts = [list(context)[-room:] for context in contexts]
        seeds = [int(uniform() * 2**31) for uniform in uniforms]

        def work(i: int, stop: threading.Event) -> Generated:
            try:
                found, _ = self.client.persist(lambda _, deadline: self._ask(prompts[i], seeds[i], deadline), stop)
            except ChatFailure as failure:
                raise AgentStopped(f"model {self.model!r} on {self.client.host}: {failure.why}") from None
            return found

        def hung(_: int, failure: ChatFailure) -> Generated:
            raise AgentStopped(f"model {self.model!r} on {self.client.host}: {failure.why}")

        return self.client.gather(len(prompts), work, hung)

    def release(self, keys: Sequence[Hashable]) -> None:
        """Nothing: what the server keeps is its own affair."""

    def _ask(self, prompt: list[int], seed: int, deadline: float) -> Generated:
        sampling = self.sampling
        fields = {
            "temperature": max(0.0, sampling.temperature),
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "seed": seed,
            "stop_token_ids": [self.tokenizer.eoa],
            "ignore_eos": True,  # a pretrained network's own end token is a token like others here
            "skip_special_tokens": False,
        }
        told = self.client.continue_ids(
            self.model, prompt, max_tokens=sampling.max_tokens, fields=fields, deadline=deadline
        )
        problem = self._problem(told)
        if problem:
            raise ChatFailure(f"{self.client.host} sent {problem}", may_be_charged=True)
        return Generated(told.ids, told.logprobs)

    def _problem(self, told: Continuation) -> str:
        ids, eoa = told.ids, self.tokenizer.eoa
        if not 1 <= len(ids) <= self.sampling.max_tokens:
            return f"{len(ids)} tokens, not 1 to {self.sampling.max_tokens}"
        if not all(0 <= i < len(self.tokenizer) for i in ids):
            return f"ids that are none of the model's {len(self.tokenizer)}: is it another model?"
        if eoa in ids[:-1]:
            return "tokens after the end of the action"
        if told.finish == "stop" and ids[-1] != eoa:
            return "an action without its end token"
        return ""


class _Remote:
    """What agents ask of a policy, of one that is not here."""

    networks = ()
    device = torch.device("cpu")

    def __init__(self, tokenizer: TaskTokenizer, max_positions: int) -> None:
        self.tokenizer, self.max_positions = tokenizer, max_positions

    def logits(self, states: Sequence[torch.Tensor]) -> torch.Tensor:
        raise AgentError("the network is on a server")

    def eval(self) -> Any:
        return self

    def train(self, mode: bool = True) -> Any:
        return self


class ServedAgent(PolicyAgent):
    """Acts with a trained model that a server holds.

    Args:
        folder: where `lmrl train` wrote the model.
        server: the server's address with its path, ``http://127.0.0.1:8000/v1``; a key only from ``$OPENAI_API_KEY``.
        served_model: its name there (vLLM: the folder that was served).
        temperature: 1 samples the policy, 0 is greedy, "best" is what did best on validation games in training.
        top_k: see `Sampling`.
        top_p: see `Sampling`.
        record_logprobs: keep the log-probability of every token with the records, in the server's words.
        concurrency: requests under way, and games that are played at once.
        options: of `ChatClient`: timeout, deadline, max_retries, backoff.

    Raises:
        AgentError: there is no such model, or values guide it, which a server does not know of.
    """

    operational = frozenset({"server", "served_model", "concurrency", "timeout", "deadline", "max_retries", "backoff"})

    def __init__(
        self,
        folder: str | Path,
        server: str,
        served_model: str,
        temperature: float | str = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        record_logprobs: bool = False,
        concurrency: int = 64,
        **options: Any,
    ) -> None:
        self.folder = model_folder(folder)
        try:
            description = json.loads((self.folder / "lmrl.json").read_text("utf-8"))
            network = json.loads((self.folder / "config.json").read_text("utf-8"))
            tokenizer = TaskTokenizer.load(self.folder)
            heat = chosen_temperature(temperature, description)
            self.client = ChatClient(f"agent {str(folder)!r}", base_url=server, concurrency=concurrency, **options)
        except (OSError, TypeError, ValueError) as problem:
            raise AgentError(f"{self.folder}: {problem}") from problem
        critic = self.folder / DESCRIPTION
        if critic.is_file() and description.get("decoding", {}).get("beta") is not None:
            raise AgentError(f"{self.folder}: its actions are guided by values, which a server does not know of")
        form = TextFormat(**description["format"])
        positions = network.get("max_position_embeddings") or network.get("n_positions") or 10**9
        sampling = Sampling(heat, top_k, top_p, form.max_action_tokens)
        engine = ServerEngine(self.client, served_model, tokenizer, sampling, positions)
        super().__init__(_Remote(tokenizer, positions), form, sampling, engine)
        self.slots, self.record_logprobs = self.client.concurrency, record_logprobs
        self._description = description

    def act_with_details(self, requests: Sequence[Request]) -> list[Action]:
        """As `act`, with token counts and what was asked to be recorded."""
        actions = []
        for request, sampled in zip(requests, self.sample(requests), strict=True):
            details: dict[str, Any] = {"completion_tokens": len(sampled.ids)}
            if self.record_logprobs:
                details["token_logprobs"] = self.told_logprobs(sampled)
            actions.append(Action(self._said(request, sampled), details))
        return actions

    def fingerprint(self) -> str:
        """Hash of the weights in the folder; that the server holds them is the user's word. Never that of the model played
        here: the same seeds draw other actions on a server.
        """
        return f"served {sha256_of(self.folder / 'weights.safetensors')[:16]}"

    def describe(self) -> dict[str, Any]:
        """What is kept with results."""
        return {
            "kind": "language model",
            "temperature": self.sampling.temperature,
            "server": self.client.host,
            **self._description,
        }

    def close(self) -> None:
        """Close the connections."""
        self.client.close()
