"""A trained model on a server: ids go in, ids and their log-probabilities come out, and no text is encoded twice.

`LanguageModel.export` (``lmrl agents export RUN --out DIR``) writes what ``vllm serve DIR --dtype float32`` takes
(without the option vLLM serves float32 weights in half precision). The run's own folder says
how conversations become tokens; its weights are not read here. vLLM's completions endpoint takes a list of ids for a prompt
and, from version 0.10.2, gives the drawn ids with ``return_token_ids``. vLLM finds the shared beginnings of a game's
contexts in its prefix cache.

The log-probabilities are the server's: by default vLLM tells those of the network, before temperature and cuts, and with
``--logprobs-mode processed_logprobs`` those of the distribution that was drawn from. Sampled actions follow from
seed and context as far as the server keeps to its seeds: a batch of other requests may change the last bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lmrl_agents.models.critic import DESCRIPTION
from lmrl_agents.models.description import NETWORK, read_description
from lmrl_agents.models.sampling import Generated, Sampling
from lmrl_agents.models.tokenizer import TaskTokenizer
from lmrl_agents.models.tokens import TextFormat
from lmrl_agents.playing.identity import model_folder
from lmrl_agents.playing.policy_agent import TokenAgent, chosen_temperature
from lmrl_agents.playing.protocol import Action, AgentError, AgentStopped, Request
from lmrl_agents.playing.server_seeds import ServerSeeds
from lmrl_envs.files import sha256_of
from lmrl_envs.files.untrusted import read
from lmrl_envs.partners.backend import Completion, Failure, Query
from lmrl_envs.partners.chat_server import ChatServer, ServerSettings
from lmrl_envs.partners.server_forms import Form
from lmrl_envs.partners.server_replies import read_json

SURE = 1e-3
"""No log-probability is above it, rounded as it may be."""


@dataclass(frozen=True)
class TokenQuery(Query):
    """Tokens to continue."""

    ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Continuation(Completion):
    """Tokens that a server drew."""

    ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()


class TokenServer(ChatServer):
    """The completions endpoint of vLLM: ids in, ids and log-probabilities out (``return_token_ids``).

    Args:
        model: its name on the server.
        settings: where the server is, and what asking may take.
        user: who asks, for error messages.
        tokenizer: of the model.
        sampling: cuts of the distribution.
    """

    def __init__(
        self, model: str, settings: ServerSettings, user: str, tokenizer: TaskTokenizer, sampling: Sampling
    ) -> None:
        super().__init__(model, settings, user)
        self.tokenizer, self.sampling, self.vocabulary = tokenizer, sampling, len(tokenizer)

    path = "/completions"
    optional = ()

    def _request(self, query: Query, max_tokens: int, form: Form) -> dict[str, Any]:
        assert isinstance(query, TokenQuery)
        return {
            "prompt": list(query.ids),
            "max_tokens": max_tokens,
            "logprobs": 1,
            "temperature": query.temperature,
            "top_p": self.sampling.top_p,
            "top_k": self.sampling.top_k,
            **({"seed": query.seed} if query.temperature else {}),
            "return_token_ids": True,
            "stop_token_ids": [self.tokenizer.eoa],
            "ignore_eos": True,  # a pretrained network's own end token is a token like others here
            "skip_special_tokens": False,
        }

    def read(self, body: bytes, query: Query, max_tokens: int) -> Continuation | Failure:
        """Drawn ids with their log-probabilities; a final failure where the server does not know of ids."""
        reply = read_json(body)
        choice = reply["choices"][0]
        drawn, logprobs = choice.get("token_ids"), (choice.get("logprobs") or {}).get("token_logprobs")
        if drawn is None or logprobs is None or len(drawn) != len(logprobs):
            why = f"{self.host} sends no token ids with their log-probabilities (vLLM does, from 0.10.2)"
            return Failure(why, is_final=True)
        finish, ids = str(choice.get("finish_reason") or ""), tuple(drawn)
        name = str(reply.get("model") or "")
        found = Continuation("", finish=finish, model=name, ids=ids, logprobs=tuple(map(float, logprobs)))
        if not all(type(i) is int for i in ids) or not all(math.isfinite(p) and p < SURE for p in found.logprobs):
            raise ValueError("an id or a log-probability that is none")
        problem = self._problem(found, max_tokens)
        return Failure(f"{self.host} sent {problem}", may_be_charged=True) if problem else found

    def _problem(self, found: Continuation, max_tokens: int) -> str:
        ids, eoa = found.ids, self.tokenizer.eoa
        if not 1 <= len(ids) <= max_tokens:
            return f"{len(ids)} tokens, not 1 to {max_tokens}"
        if not all(0 <= i < self.vocabulary for i in ids):
            return f"ids that are none of the model's {self.vocabulary}: is it another model?"
        if eoa in ids[:-1]:
            return "tokens after the end of the action"
        if found.finish == "stop" and ids[-1] != eoa:
            return "an action without its end token"
        return ""


class ServedAgent(TokenAgent):
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
        options: of `ServerSettings`: timeout, deadline, max_retries, backoff.

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
            description = read_description(self.folder)
            network = read(self.folder / NETWORK, dict[str, Any])
            form = TextFormat(**description["format"])
            tokenizer = TaskTokenizer.load(self.folder, form.chat)
            heat = chosen_temperature(temperature, description)
            settings = ServerSettings(base_url=server, concurrency=concurrency, **options)
        except (OSError, TypeError, ValueError) as problem:
            raise AgentError(f"{self.folder}: {problem}") from problem
        critic = self.folder / DESCRIPTION
        if critic.is_file() and description.get("decoding", {}).get("beta") is not None:
            raise AgentError(f"{self.folder}: its actions are guided by values, which a server does not know of")
        self._positions = network.get("max_position_embeddings") or network.get("n_positions") or 10**9
        sampling = Sampling(heat, top_k, top_p, form.max_action_tokens)
        self.server = TokenServer(served_model, settings, f"agent {str(folder)!r}", tokenizer, sampling)
        super().__init__(tokenizer, form, sampling)
        self.slots, self.record_logprobs = self.server.slots, record_logprobs
        self._description, self._seeds = description, ServerSeeds()

    def noise(self, request: Request, candidate: int) -> np.random.Generator:
        """The random numbers of an action, of which the server sees the first as its seed."""
        return np.random.default_rng(self._seeds.seed(request, candidate))

    def keep_in(self, folder: Path) -> None:
        """See `ServerSeeds`."""
        self._seeds.keep_in(folder)

    def generate(
        self, keys: Sequence[Hashable], contexts: Sequence[Sequence[int]], uniforms: Sequence[Callable[[], float]]
    ) -> list[Generated]:
        """One action per context, requests at once up to the server's ``concurrency``.

        Raises:
            AgentStopped: a request came to nothing, after all retries.
        """
        server, most = self.server, self.sampling.max_tokens
        room, heat = self._positions - most, max(0.0, self.sampling.temperature)
        queries = [
            TokenQuery([], int(uniform() * 2**31), heat, ids=tuple(context[-room:]))
            for context, uniform in zip(contexts, uniforms, strict=True)
        ]
        drawn: dict[int, Generated] = {}
        with closing(server.complete(queries, most)) as results:
            for i, result in results:
                if isinstance(result, Failure):
                    raise AgentStopped(f"model {server.model!r} on {server.host}: {result.why}")
                assert isinstance(result, Continuation)
                drawn[i] = Generated(result.ids, result.logprobs)
        return [drawn[i] for i in range(len(queries))]

    def act_with_details(self, requests: Sequence[Request]) -> list[Action]:
        """As `act`, with token counts and what was asked to be recorded."""
        actions = []
        for request, sampled in zip(requests, self.sample(requests), strict=True):
            details: dict[str, Any] = {"completion_tokens": len(sampled.ids)}
            if self.record_logprobs:
                details["token_logprobs"] = self.told_logprobs(sampled)
            actions.append(Action(self.played(request, sampled), details))
        return actions

    def tell_all(self) -> None:
        """See `Agent.act`."""
        self.record_logprobs = True

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
            "server": self.server.host,
            **self._seeds.describe(),
            **self._description,
        }

    def close(self) -> None:
        """Close the connections."""
        self.server.close()
