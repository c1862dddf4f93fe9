"""What partners that are language models share: prompts in, checked replies out, a cache, a recording."""

from __future__ import annotations

import json
import os
import threading
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from lmrl_envs.partners.base import PartnerPrompt, PartnerReply, PartnerRequest, SimulatorError
from lmrl_envs.partners.prompting import encodable, reply_text
from lmrl_envs.partners.replay import Answer, Recorder, describe

Messages = list[dict[str, str]]

CACHE_SIZE = 100_000
RETRY_TEMPERATURE = 0.7


@dataclass
class Usage:
    """What a partner has cost so far."""

    requests: int = 0
    """Prompts given to the model, those asked again included."""
    calls: int = 0
    """Batches generated, or HTTP requests sent."""
    retries: int = 0
    """Prompts given again: after an unusable reply or a failed transport."""
    cached: int = 0
    """Replies known from an equal prompt."""
    prompt_tokens: int = 0
    completion_tokens: int = 0


class LanguageModelPartner:
    """A partner played by a language model.

    The partner's prompt words the prompt and reads the model's text. A text that it cannot read is asked for again, at most
    ``max_retries`` times, sampled anew each time; then the whole batch fails with `SimulatorError`.

    With ``temperature=0`` (the default) decoding is greedy and equal prompts are asked once: the answer is kept
    (`CACHE_SIZE` of them). Only first answers are kept; one that needed a retry depends on its request's seed.

    Args:
        name: the model, for messages and recordings.
        partner_prompt: the task's `PartnerPrompt`.
        temperature: 0 for greedy decoding, else sampling, seeded by each request.
        max_retries: how often a request is made again before it fails.
        record: a file to which every answered request is appended, for ``replay:<file>``.
    """

    def __init__(
        self,
        name: str,
        partner_prompt: PartnerPrompt,
        *,
        temperature: float = 0.0,
        max_retries: int = 3,
        record: str | os.PathLike[str] | None = None,
    ) -> None:
        if not temperature >= 0:
            raise ValueError(f"temperature={temperature} must be 0 (greedy) or more")
        if max_retries < 0:
            raise ValueError(f"max_retries={max_retries} must be 0 or more")
        self.name, self.partner_prompt = name, partner_prompt
        self.temperature, self.max_retries = float(temperature), max_retries
        self.usage = Usage()
        self._cache: dict[str, str] = {}
        self._lock = threading.RLock()
        self._recorder = None if record is None else Recorder(record, partner_prompt.name, name)

    @abstractmethod
    def _ask(self, requests: Sequence[PartnerRequest], prompts: Sequence[Messages]) -> list[Answer]:
        """An answer per request, each read by the partner's prompt; raises SimulatorError when one has none."""

    def reply(self, requests: Sequence[PartnerRequest]) -> list[PartnerReply]:
        """One reply per request.

        Raises:
            SimulatorError: a request without a usable reply after all retries; nothing of the batch is recorded then.
        """
        return [answer.reply for answer in self.answer(requests)]

    def answer(self, requests: Sequence[PartnerRequest]) -> list[Answer]:
        """As `reply`, with the model's own words and the number of attempts."""
        with self._lock:
            prompts = [encodable(self.partner_prompt.messages(request)) for request in requests]
            if self.temperature > 0:
                answers = self._ask(requests, prompts) if requests else []
            else:
                answers = self._answer_greedily(requests, prompts)
            if self._recorder is not None and answers:
                self._recorder.write(requests, answers)
            return answers

    def _answer_greedily(self, requests: Sequence[PartnerRequest], prompts: Sequence[Messages]) -> list[Answer]:
        keys = [json.dumps(prompt) for prompt in prompts]
        answers: dict[int, Answer] = {}

        def recall() -> list[int]:
            """Answer what is known; returns what is not."""
            left = []
            for i in range(len(requests)):
                if i in answers:
                    continue
                text = self._cache.get(keys[i])
                reply = None if text is None else self.read(text, requests[i])
                if text is None or reply is None:
                    left.append(i)
                else:
                    answers[i] = Answer(text, reply, 0)
                    self.usage.cached += 1
            return left

        def ask(indices: list[int]) -> None:
            found = self._ask([requests[i] for i in indices], [prompts[i] for i in indices])
            for i, answer in zip(indices, found, strict=True):
                answers[i] = answer
                if answer.attempts == 1:
                    self._cache[keys[i]] = answer.text

        if left := recall():
            ask(list({keys[i]: i for i in reversed(left)}.values())[::-1])  # the first of each equal prompt
        if left := recall():  # equal to one whose first answer could not be used
            ask(left)
        while len(self._cache) > CACHE_SIZE:
            del self._cache[next(iter(self._cache))]
        return [answers[i] for i in range(len(requests))]

    def read(self, text: str, request: PartnerRequest) -> PartnerReply | None:
        """The reply in a model's text; None when there is none or it says nothing."""
        said = reply_text(text)
        reply = self.partner_prompt.parse(said, request) if said else None
        return reply if reply is not None and reply.text.strip() else None

    def _sampling(self, request: PartnerRequest, attempt: int) -> tuple[float, int]:
        """Temperature and seed of an attempt (from 0)."""
        temperature = self.temperature if attempt == 0 else max(self.temperature, RETRY_TEMPERATURE)
        return temperature, (request.seed + attempt * 1_000_003) % 2**31

    def _failed(self, request: PartnerRequest, attempts: int, why: str) -> SimulatorError:
        times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        return SimulatorError(
            f"{self.name}: no usable reply to {describe(self.partner_prompt.name, request)} in {times}: {why}"
        )

    def close(self) -> None:
        """Release what the partner holds; the recording is complete then."""
        if self._recorder is not None:
            self._recorder.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, task={self.partner_prompt.name!r})"
