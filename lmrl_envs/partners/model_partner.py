"""Partners played by language models: prompts in, checked replies out, a cache, a recording."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

from lmrl_envs.partners.backend import Backend, Completion, Failure, Messages, Query, shared_out
from lmrl_envs.partners.base import PartnerPrompt, PartnerReply, PartnerRequest, SimulatorError, SimulatorStopped
from lmrl_envs.partners.chat_server import ChatServer, ServerSettings
from lmrl_envs.partners.local_model import LocalModel, LocalSettings
from lmrl_envs.partners.prompting import encodable, reply_text
from lmrl_envs.partners.replay import ModelReply, Recording, describe

CACHE_SIZE = 100_000
MAX_BODY = 4 * 2**20
"""Bytes of a server's reply that are read: partners say little."""


class ModelPartner:
    """A partner played by a language model.

    The task's prompt words the request and reads the model's text. A text that it cannot read is asked for again, at most
    ``max_retries`` times, sampled anew each time; then the whole batch fails with `SimulatorError`.

    With ``temperature=0`` (the default) decoding is greedy and equal prompts are asked once: the answer is kept
    (`CACHE_SIZE` of them). Only first answers are kept; one that needed a retry depends on its request's seed.

    Args:
        name: the model, for messages and recordings.
        backend: where the model runs.
        partner_prompt: the task's `PartnerPrompt`.
        temperature: 0 for greedy decoding, else sampling, seeded by each request.
        max_retries: how often a request is made again before it fails (or before the task's ``settle`` makes do with the text).
        max_new_tokens: longest reply, in tokens of the model; None for what the task needs. A model that thinks first needs room
            for its thoughts.
        seed: added to each request's seed, for another set of samples.
        record: a file to which every answered request is appended, for ``replay:<file>``.
    """

    def __init__(
        self,
        name: str,
        backend: Backend,
        partner_prompt: PartnerPrompt,
        *,
        temperature: float = 0.0,
        max_retries: int = 3,
        max_new_tokens: int | None = None,
        seed: int = 0,
        record: str | os.PathLike[str] | None = None,
    ) -> None:
        if not temperature >= 0:
            raise ValueError(f"temperature={temperature} must be 0 (greedy) or more")
        if max_retries < 0:
            raise ValueError(f"max_retries={max_retries} must be 0 or more")
        if max_new_tokens is not None and max_new_tokens < 1:
            raise ValueError(f"max_new_tokens={max_new_tokens} must be at least 1")
        self.name, self.backend, self.partner_prompt = name, backend, partner_prompt
        self.max_new_tokens = max_new_tokens or partner_prompt.max_new_tokens
        self.temperature, self.max_retries, self.seed = float(temperature), max_retries, seed
        self.usage = backend.usage
        self._cache: dict[str, str] = {}
        self._lock = threading.RLock()
        self._recording = None if record is None else Recording(record, partner_prompt.name, name)

    def reply(self, requests: Sequence[PartnerRequest]) -> list[PartnerReply]:
        """One reply per request.

        Raises:
            SimulatorError: a request without a usable reply after all retries; nothing of the batch is recorded then.
        """
        return [answer.reply for answer in self.answer(requests)]

    def answer(self, requests: Sequence[PartnerRequest]) -> list[ModelReply]:
        """As `reply`, with the model's own words and the number of attempts."""
        with self._lock:
            prompts = [encodable(self.partner_prompt.messages(request)) for request in requests]
            ask = self._ask if self.temperature > 0 else self._ask_once
            answers = ask(requests, prompts)
            if self._recording is not None and answers:
                self._recording.write(requests, answers)
            return answers

    def generate(self, prompts: Sequence[Messages]) -> list[str]:
        """What the model says to each prompt, decoded greedily; nothing is read, asked again or kept."""
        results = dict(self.backend.complete([Query(prompt) for prompt in prompts], self.max_new_tokens))
        failures = [result.why for result in results.values() if isinstance(result, Failure)]
        if failures:
            raise SimulatorError(f"{self.name}: {failures[0]}")
        return [results[i].text for i in range(len(prompts))]  # type: ignore[union-attr]

    def read(self, text: str, request: PartnerRequest) -> PartnerReply | None:
        """The reply in a model's text; None when there is none or it says nothing."""
        said = reply_text(text)
        reply = self.partner_prompt.parse(said, request) if said else None
        return reply if reply is not None and reply.text.strip() else None

    def _settle(self, text: str, request: PartnerRequest) -> PartnerReply | None:
        settle, said = getattr(self.partner_prompt, "settle", None), reply_text(text)
        return settle(said, request) if settle is not None and said else None

    def _ask(self, requests: Sequence[PartnerRequest], prompts: Sequence[Messages]) -> list[ModelReply]:
        """An answer for each prompt; raises SimulatorError when one has none."""
        answers: dict[int, ModelReply] = {}
        queries = {
            i: Query(prompt, (request.seed + self.seed) % 2**31, self.temperature)
            for i, (request, prompt) in enumerate(zip(requests, prompts, strict=True))
        }
        while queries:
            numbers, asked = list(queries), list(queries.values())
            with closing(self.backend.complete(asked, self.max_new_tokens)) as results:
                for k, result in results:
                    i = numbers[k]
                    reply = self.read(result.text, requests[i]) if isinstance(result, Completion) else None
                    if isinstance(result, Failure):
                        problem = self._failed(requests[i], result.attempts, result.why)
                        raise SimulatorStopped(f"{problem}; {result.advice}") if result.advice else problem
                    if reply is not None:
                        answers[i] = ModelReply(result.text, reply, result.attempts)
                        del queries[i]
                    elif result.attempts <= self.max_retries:
                        queries[i] = queries[i].again(result)
                    elif (reply := self._settle(result.text, requests[i])) is not None:
                        answers[i] = ModelReply(result.text, reply, result.attempts)
                        del queries[i]
                    else:
                        raise self._failed(requests[i], result.attempts, _why(result))
        return [answers[i] for i in range(len(requests))]

    def _ask_once(self, requests: Sequence[PartnerRequest], prompts: Sequence[Messages]) -> list[ModelReply]:
        """As `_ask`, where equal prompts have equal answers."""
        keys = [json.dumps(prompt) for prompt in prompts]
        answers: dict[int, ModelReply] = {}
        # The second time round are left those equal to one whose first answer could not be used.
        for equal_once in (True, False):
            unknown = []
            for i in range(len(requests)):
                if i in answers:
                    continue
                text = self._cache.get(keys[i])
                reply = None if text is None else self.read(text, requests[i])
                if text is None or reply is None:
                    unknown.append(i)
                else:
                    answers[i] = ModelReply(text, reply, 0)
                    self.usage.cached += 1
            if equal_once:
                unknown = sorted({keys[i]: i for i in reversed(unknown)}.values())
            found = self._ask([requests[i] for i in unknown], [prompts[i] for i in unknown])
            answers.update(zip(unknown, found, strict=True))
            self._cache |= {
                keys[i]: answer.text for i, answer in zip(unknown, found, strict=True) if answer.attempts == 1
            }
        while len(self._cache) > CACHE_SIZE:
            del self._cache[next(iter(self._cache))]
        return [answers[i] for i in range(len(requests))]

    def _failed(self, request: PartnerRequest, attempts: int, why: str) -> SimulatorError:
        times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        return SimulatorError(
            f"{self.name}: no usable reply to {describe(self.partner_prompt.name, request)} in {times}: {why}"
        )

    def close(self) -> None:
        """Let go of the model or the connections."""
        self.backend.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, task={self.partner_prompt.name!r})"


def _why(completion: Completion) -> str:
    if not reply_text(completion.text) and completion.finish == "length":
        return f"all {completion.completion_tokens} tokens went into thoughts: give it room (max_new_tokens=4096) or turn them off"
    return f"the last text was {completion.text[:120]!r}"


def transformers_partner(
    path_or_id: str | os.PathLike[str], partner_prompt: PartnerPrompt, **options: Any
) -> ModelPartner:
    """``simulator="transformers:<path-or-id>"``: a causal or sequence-to-sequence model, run here.

    Args:
        path_or_id: a folder, or the id of a model on the Hugging Face hub.
        partner_prompt: the task's `PartnerPrompt`.
        options: of `LocalSettings` and `ModelPartner`.

    Raises:
        gymnasium.error.DependencyNotInstalled: PyTorch or transformers is missing.
        ValueError: the model cannot be loaded, or an option is impossible.
    """
    name = f"transformers:{os.fspath(path_or_id)}"
    (settings, own), user = _settings(name, options, LocalSettings), f"simulator={name!r}"
    return ModelPartner(name, LocalModel(path_or_id, LocalSettings(**settings), user), partner_prompt, **own)


def openai_partner(model: str, partner_prompt: PartnerPrompt, **options: Any) -> ModelPartner:
    """``simulator="openai:<model>"``: a model behind an OpenAI-compatible chat endpoint, see `ChatServer`.

    Args:
        model: the model's name on the server.
        partner_prompt: the task's `PartnerPrompt`.
        options: of `ServerSettings` and `ModelPartner`; ``max_retries`` and ``deadline`` bound what is asked again after an
            unusable text, too.

    Raises:
        gymnasium.error.DependencyNotInstalled: the HTTP client is missing.
        ValueError: no key for OpenAI itself, or an impossible option.
    """
    name = f"openai:{model}"
    given, own = _settings(name, options, ServerSettings)
    settings = ServerSettings(**given)
    backend = ChatServer(model, settings, "simulator='openai:...'", MAX_BODY)
    return ModelPartner(name, backend, partner_prompt, **{"max_retries": settings.max_retries, **own})


def _settings(name: str, options: Mapping[str, Any], kind: Callable[..., Any]) -> list[dict[str, Any]]:
    """The options of the backend's settings, and those of `ModelPartner`."""
    if name.endswith(":"):
        raise ValueError(f"simulator={name!r}: name the model, as in {name}my-model")
    try:
        return shared_out(options, kind, ModelPartner)
    except ValueError as problem:
        raise ValueError(f"simulator={name!r} has {problem}") from None
