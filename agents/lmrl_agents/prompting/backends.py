"""Where a prompted agent's answers come from: a chat server, or a local model."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lmrl_agents.playing.protocol import AgentStopped
from lmrl_agents.prompting.prompts import Messages, without_examples
from lmrl_agents.prompting.spending import Budget
from lmrl_envs.partners.chat_answers import Completion
from lmrl_envs.partners.chat_client import ChatClient, ChatFailure
from lmrl_envs.partners.local_model import LocalModel

MAX_BODY = 32 * 2**20
_TOO_LONG = ("context length", "context_length", "maximum context", "context window", "too long", "too many tokens")


@dataclass(frozen=True)
class Job:
    """A prompt to answer."""

    messages: Messages
    seed: int


@dataclass(frozen=True)
class Answered:
    """What came of a job: a completion, or why there is none."""

    completion: Completion | None
    seconds: float
    attempts: int = 1
    error: str = ""
    cost: float | None = None
    """USD, where prices are known and tokens counted."""


Done = Callable[[int, Answered], None]
"""Called with the number of a job as soon as it is answered, from any thread."""


class Backend(Protocol):
    """Answers prompts."""

    slots: int

    def ask(
        self, jobs: Sequence[Job], temperature: float | None, max_tokens: int, budget: Budget, done: Done
    ) -> list[Answered]:
        """One answer per job.

        Raises:
            AgentStopped: there is no use in going on.
        """
        ...

    def describe(self) -> dict[str, Any]: ...

    def fingerprint(self) -> str: ...

    def close(self) -> None: ...


class ServerBackend:
    """An OpenAI-compatible server; see `ChatClient` for what is bounded, and where the key comes from.

    Args:
        model: its name on the server.
        extra_body: more fields of each request; None as a value removes a field.
        options: of `ChatClient`.
    """

    def __init__(
        self, model: str, *, concurrency: int = 8, extra_body: Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        self.model, self.extra = model, dict(extra_body or {})
        self.client = ChatClient(f"agent 'openai:{model}'", concurrency=concurrency, max_body=MAX_BODY, **options)
        self.slots = self.client.concurrency
        self._answered = False

    def ask(
        self, jobs: Sequence[Job], temperature: float | None, max_tokens: int, budget: Budget, done: Done
    ) -> list[Answered]:
        halt = threading.Event()  # set when one finds that there is no use: those under way are still waited for
        stopped: list[AgentStopped] = []

        def work(i: int, stop: threading.Event) -> Answered:
            if halt.is_set():
                return Answered(None, 0.0, error="not asked")
            try:
                answered = self._ask_one(jobs[i], temperature, max_tokens, budget, halt)
            except AgentStopped as reason:
                stopped.append(reason)
                halt.set()
                return Answered(None, 0.0, error="stopped")
            done(i, answered)
            return answered

        def hung(i: int, failure: ChatFailure) -> Answered:
            return Answered(None, self.client.deadline, error=failure.why)

        answers = self.client.gather(len(jobs), work, hung)
        if stopped:
            raise stopped[0]
        return answers

    def _ask_one(
        self, job: Job, temperature: float | None, max_tokens: int, budget: Budget, halt: threading.Event
    ) -> Answered:
        began = time.perf_counter()
        cost = 0.0 if budget.prices else None

        def attempt(number: int, deadline: float) -> Completion:
            nonlocal cost
            fields = {} if temperature is None else {"temperature": temperature}
            reserved = budget.reserve(_at_most(job.messages), max_tokens, self.client.deadline)
            charged: float | None = None
            try:
                answer = self.client.complete(
                    self.model,
                    job.messages,
                    max_tokens=max_tokens,
                    fields={**fields, "seed": job.seed},
                    extra=self.extra,
                    deadline=deadline,
                )
                charged = _cost(budget, answer)
            except ChatFailure as failure:
                charged = None if failure.may_be_charged else _cost(budget, failure.answer) if failure.answer else 0.0
                if failure.answer is None or failure.answer.finish not in ("length", "content_filter"):
                    raise
                answer = (
                    failure.answer
                )  # it thought until its tokens were used up, or will not say it: nothing was said
            finally:
                budget.settle(reserved, charged)
                if cost is not None and charged is not None:
                    cost += charged
            return answer

        try:
            answer, attempts = self.client.persist(attempt, halt)
        except ChatFailure as failure:
            reason = self._no_use(failure)
            if reason:
                raise AgentStopped(reason) from None
            return Answered(None, time.perf_counter() - began, failure.attempts, failure.why, cost)
        self._answered = True
        return Answered(self._without_key(answer), time.perf_counter() - began, attempts, cost=cost)

    def _without_key(self, answer: Completion) -> Completion:
        """A server that sends the key back does not get it into a record."""
        redact = self.client.redact
        return Completion(
            redact(answer.text),
            answer.prompt_tokens,
            answer.completion_tokens,
            answer.cached_tokens,
            redact(answer.finish)[:40],
            redact(answer.reasoning),
            redact(answer.model)[:200],
        )

    def _no_use(self, failure: ChatFailure) -> str:
        """Why the run must stop after a failure; "" when it is this one episode's."""
        agent, why = f"openai:{self.model}", failure.why
        if failure.is_unreachable:
            return f"{agent}: {why}; is the server running, and base_url={self.client.base_url} right?"
        if failure.code == "insufficient_quota":
            return f"{agent}: the quota is exhausted ({why})"
        if failure.status in (401, 403):
            return f"{agent}: {why}; set OPENAI_API_KEY to a key that this server takes"
        if failure.status == 429:
            return f"{agent}: {why}, {failure.attempts} times; lower concurrency, or wait and run it again"
        if failure.status is None or not 400 <= failure.status < 500 or failure.status in (408, 409):
            return ""
        if any(words in f"{failure.code} {why}".lower() for words in _TOO_LONG):
            return ""
        if failure.status == 404 or not self._answered:  # a request that never worked: the set-up is wrong
            return f"{agent}: {why}{self._models()}"
        return ""

    def _models(self) -> str:
        try:
            names = [str(model.id) for model in self.client.connection().with_options(timeout=5.0).models.list().data]
        except Exception:  # of many kinds; it is only a hint
            return ""
        if not names or self.model in names:
            return ""
        shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        return self.client.shown(f"; models of this server: {shown}", 300)

    def describe(self) -> dict[str, Any]:
        return {"server": self.client.host, "extra_body": self.extra}

    def fingerprint(self) -> str:
        return ""

    def close(self) -> None:
        self.client.close()


def _at_most(messages: Messages) -> int:
    """More tokens than a prompt can have: no tokenizer makes more of a text than it has bytes."""
    return 64 + sum(len(message["content"].encode()) + 16 for message in messages)


def _cost(budget: Budget, answer: Completion) -> float | None:
    if budget.prices is None or answer.prompt_tokens is None or answer.completion_tokens is None:
        return None
    return budget.prices.cost(answer.prompt_tokens, answer.completion_tokens, answer.cached_tokens)


class LocalBackend:
    """A model that runs here; see `LocalModel`."""

    def __init__(self, path: str, *, batch_size: int = 64, **options: Any) -> None:
        self.path = path
        self.lm = LocalModel(path, f"agent 'transformers:{path}'", batch_size=batch_size, **options)
        self.slots = batch_size

    def ask(
        self, jobs: Sequence[Job], temperature: float | None, max_tokens: int, budget: Budget, done: Done
    ) -> list[Answered]:
        began = time.perf_counter()
        room = self.lm.room(max_tokens)
        prompts = [self._fitting(job.messages, room) for job in jobs]
        fit = [i for i, ids in enumerate(prompts) if len(ids) <= room]
        reserved = [budget.reserve(len(prompts[i]), max_tokens) for i in fit]
        heat = 0.0 if temperature is None else temperature
        said = self.lm.complete([prompts[i] for i in fit], [(heat, jobs[i].seed) for i in fit], max_tokens)
        seconds = (time.perf_counter() - began) / len(jobs)
        answers = {}
        for i, money, answer in zip(fit, reserved, said, strict=True):
            finish = "length" if answer.is_cut else "stop"
            completion = Completion(answer.text, len(prompts[i]), answer.tokens, finish=finish)
            cost = _cost(budget, completion)
            budget.settle(money, cost)
            answers[i] = Answered(completion, seconds, cost=cost)
            done(i, answers[i])
        for i in set(range(len(jobs))) - set(fit):
            why = f"the prompt has {len(prompts[i])} tokens, this model takes {room} beside the answer"
            answers[i] = Answered(None, seconds, error=why)
        return [answers[i] for i in range(len(jobs))]

    def _fitting(self, messages: Messages, room: int) -> list[int]:
        """The prompt as tokens; one that is too long loses the examples, then the oldest exchanges (not the opening)."""
        ids = self.lm.prompter.encode(messages)
        if len(ids) <= room:
            return ids
        messages = without_examples(messages)
        first = 2 if messages[0]["role"] == "system" else 1
        low, high = 0, (len(messages) - first) // 2  # exchanges to leave out
        while low < high:
            middle = (low + high) // 2
            if len(self.lm.prompter.encode([*messages[:first], *messages[first + 2 * middle :]])) <= room:
                high = middle
            else:
                low = middle + 1
        return self.lm.prompter.encode([*messages[:first], *messages[first + 2 * low :]])

    def describe(self) -> dict[str, Any]:
        return {"commit": self.lm.commit, "chat_template": self.lm.prompter.has_template}

    def fingerprint(self) -> str:
        """Of the weights: names, sizes, and both ends of the files; of a hub model its commit."""
        digest = hashlib.sha256(str(self.lm.commit).encode())
        folder = Path(self.path)
        for file in sorted(folder.glob("*")) if folder.is_dir() else ():
            if file.suffix in (".safetensors", ".json", ".jinja") and file.is_file():
                size = file.stat().st_size
                digest.update(f"{file.name} {size} ".encode())
                with file.open("rb") as data:
                    digest.update(data.read(2**20))
                    data.seek(max(0, size - 2**20))
                    digest.update(data.read())
        return digest.hexdigest()[:16]

    def close(self) -> None:
        self.lm.close()
