"""Any OpenAI-compatible server as a dialogue partner: ``simulator="openai:<model>"``."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from lmrl_envs.partners.base import PartnerPrompt, PartnerRequest
from lmrl_envs.partners.chat_answers import Completion
from lmrl_envs.partners.chat_client import ChatClient, ChatFailure
from lmrl_envs.partners.language_model import LanguageModelPartner, Messages
from lmrl_envs.partners.replay import Answer


class OpenAIPartner(LanguageModelPartner):
    """A model behind an OpenAI-compatible chat endpoint, hosted or one's own.

    The key comes from ``$OPENAI_API_KEY`` and nowhere else; it is in no message, record or repr. Servers that ask for
    none need none. A request is made again after a failed or broken transport, a time-out, status 408, 409, 429
    (after the time the server names) or 5xx, a body that is not a chat completion, and a text that the partner's prompt cannot
    read; with exponential backoff, ``max_retries`` times at most and for no more than ``deadline`` seconds in all.
    Any other 4xx, and an exhausted quota, fail at once.

    Args:
        model: the model's name on the server.
        partner_prompt: the task's `PartnerPrompt`.
        base_url, timeout, deadline, max_retries, backoff, concurrency: see `ChatClient`.
        seed: added to each request's seed, for another set of samples.
        extra_body: more fields of the request (``{"reasoning_effort": "none"}``); None as a value removes a field.
        temperature, record: see `LanguageModelPartner`.

    Raises:
        gymnasium.error.DependencyNotInstalled: the openai client is missing.
        ValueError: no key for OpenAI itself, or an impossible argument.
    """

    def __init__(
        self,
        model: str,
        partner_prompt: PartnerPrompt,
        *,
        base_url: str | None = None,
        timeout: float = 60.0,
        deadline: float = 300.0,
        max_retries: int = 4,
        backoff: float = 0.5,
        concurrency: int = 16,
        temperature: float = 0.0,
        seed: int = 0,
        extra_body: Mapping[str, Any] | None = None,
        record: str | os.PathLike[str] | None = None,
    ) -> None:
        self.client = ChatClient(
            "simulator='openai:...'",
            base_url=base_url,
            timeout=timeout,
            deadline=deadline,
            max_retries=max_retries,
            backoff=backoff,
            concurrency=concurrency,
        )
        self.model, self.seed, self._extra = model, seed, dict(extra_body or {})
        self._count_lock = threading.Lock()
        super().__init__(
            f"openai:{model}", partner_prompt, temperature=temperature, max_retries=max_retries, record=record
        )

    def _ask(self, requests: Sequence[PartnerRequest], prompts: Sequence[Messages]) -> list[Answer]:
        def hung(i: int, failure: ChatFailure) -> Answer:
            raise self._failed(requests[i], 1, failure.why)

        return self.client.gather(len(requests), lambda i, stop: self._ask_one(requests[i], prompts[i], stop), hung)

    def _ask_one(self, request: PartnerRequest, prompt: Messages, stop: threading.Event) -> Answer:
        misread = 0

        def attempt(number: int, deadline: float) -> Answer:
            nonlocal misread
            self._count(requests=1, calls=1, retries=int(number > 1))
            temperature, seed = self._sampling(request, misread)
            try:
                answer = self.client.complete(
                    self.model,
                    prompt,
                    max_tokens=self.partner_prompt.max_new_tokens,
                    fields={"temperature": temperature, "seed": (seed + self.seed) % 2**31},
                    extra=self._extra,
                    deadline=deadline,
                )
            except ChatFailure as failure:
                self._count_tokens(failure.answer)
                raise
            self._count_tokens(answer)
            reply = self.read(answer.text, request)
            if reply is None:
                misread += 1
                raise ChatFailure(f"the last text was {self.client.shown(answer.text, 120)!r}", wait=0.0)
            return Answer(answer.text, reply, number)

        try:
            return self.client.persist(attempt, stop)[0]
        except ChatFailure as failure:
            attempts, why = failure.attempts, failure.why
        raise self._failed(request, attempts, why)

    def _count_tokens(self, answer: Completion | None) -> None:
        if answer is not None:
            self._count(
                prompt_tokens=answer.prompt_tokens or 0,
                completion_tokens=answer.completion_tokens or 0,
            )

    def _count(self, **amounts: int) -> None:
        with self._count_lock:
            for name, amount in amounts.items():
                setattr(self.usage, name, getattr(self.usage, name) + amount)

    def close(self) -> None:
        """Close the connections; asking again opens new ones."""
        super().close()
        self.client.close()
