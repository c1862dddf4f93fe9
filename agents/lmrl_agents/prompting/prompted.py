"""Language models that play by prompt, as they are: ``openai:<model>`` and ``transformers:<path-or-id>``.

The task's instructions are the system message, the conversation so far the chat; what the model writes is read by
`lmrl_agents.prompting.answers.extract` and kept beside the action. Nothing is trained.

    lmrl eval --agent openai:my-model --env lmrl/Wordle-v0 --episodes 20 --agent-arg base_url=http://127.0.0.1:8000/v1
    lmrl eval --agent transformers:path/to/model --env lmrl/Wordle-v0 --episodes 20 --agent-arg few_shot=3
"""

from __future__ import annotations

import difflib
import inspect
import json
import os
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from gymnasium.error import DependencyNotInstalled

from lmrl_agents.playing.protocol import Action, AgentArgumentError, AgentError, AgentStopped, Request
from lmrl_agents.prompting.answers import extract
from lmrl_agents.prompting.backends import Answered, Backend, Job, LocalBackend, ServerBackend
from lmrl_agents.prompting.prompts import PROMPT_VERSION, Messages, good_games, messages_of
from lmrl_agents.prompting.spending import PRICES_VARIABLE, Budget, Journal, Prices, key_of, read_prices
from lmrl_envs import Transcript, task
from lmrl_envs.partners.chat_client import ChatClient
from lmrl_envs.partners.local_model import LocalModel

ANSWER_TOKENS = 128
"""Tokens of an answer by default, the allowance for reasoning not counted."""
MARKOV_HISTORY = 8
KEPT = 20_000
"""Characters of a model's text that are kept in a record: so many, half from its beginning and half from its end."""


class PromptedAgent:
    """A language model with instructions, and perhaps examples.

    Args:
        name: the agent's spec, as in ``openai:my-model``.
        backend: who answers prompts.
        temperature: 0 is greedy; else every request samples with a seed of its own. None leaves it to the server.
        reasoning: tokens that the model may think before it answers; 0: it is to answer at once.
        max_tokens: longest answer in tokens, by default 128 and the allowance for reasoning.
        few_shot: games of a dataset that are shown first.
        data: the dataset, by default the task's ``mixed-v0``, or the sample of it that ships with the package.
        few_shot_seed: of their choice.
        history: latest turns of the game that are shown, the opening always; "all"; or "auto": all, but 8 where the last
            observation tells all that is needed (`lmrl_envs.Task.context`), so that 400 moves do not cost 400 positions each.
        read: False plays the model's text as it is, unread.
        prices: TOML file of prices, a table per model; by default that of ``$LMRL_PRICES``.
        usd_per_million_input, usd_per_million_output, usd_per_million_cached_input: prices, without a file.
        max_cost_usd: the run stops before more than this is spent, over all its parts when it is stopped and gone on with.

    Raises:
        AgentArgumentError: an impossible argument.
    """

    operational = frozenset(
        {"base_url", "timeout", "deadline", "max_retries", "backoff", "concurrency", "batch_size", "device", "prices"}
        | {"max_cost_usd", "usd_per_million_input", "usd_per_million_output", "usd_per_million_cached_input"}
    )

    def __init__(
        self,
        name: str,
        backend: Backend,
        *,
        temperature: float | None = 0.0,
        reasoning: int = 0,
        max_tokens: int | None = None,
        few_shot: int = 0,
        data: str | None = None,
        few_shot_seed: int = 0,
        history: int | str = "auto",
        read: bool = True,
        prices: str | None = None,
        usd_per_million_input: float | None = None,
        usd_per_million_output: float | None = None,
        usd_per_million_cached_input: float | None = None,
        max_cost_usd: float | None = None,
    ) -> None:
        for key, value, least in (
            ("reasoning", reasoning, 0), ("few_shot", few_shot, 0), ("max_tokens", max_tokens, 1),
        ):  # fmt: skip
            if value is not None and not (isinstance(value, int) and value >= least):
                raise AgentArgumentError(f"{key}={value!r} must be a whole number, {least} or more")
        if history not in ("all", "auto") and not (isinstance(history, int) and history >= 0):
            raise AgentArgumentError(f"history={history!r} must be a whole number, 0 or more, or 'all' or 'auto'")
        if temperature is not None and not (isinstance(temperature, int | float) and temperature >= 0):
            raise AgentArgumentError(
                f"temperature={temperature!r} must be 0 (greedy) or more, or null for the server's own"
            )
        self.name, self.backend, self.temperature, self.reasoning = name, backend, temperature, reasoning
        self.max_tokens = max_tokens or ANSWER_TOKENS + reasoning
        self.few_shot, self.data, self.few_shot_seed = few_shot, data, few_shot_seed
        self.history, self.read = history, read
        given = (usd_per_million_input, usd_per_million_output, usd_per_million_cached_input)
        self.budget = Budget(_prices(name.partition(":")[2], prices, *given), max_cost_usd)
        self.slots = backend.slots
        self.prompt_tokens = self.completion_tokens = 0
        self._journal = Journal()
        self._kept_in: set[Path] = set()
        self._examples: dict[str, list[Transcript]] = {}

    # -- acting

    def act(self, requests: Sequence[Request]) -> list[str]:
        """One action per request.

        Raises:
            AgentError: a request has no answer after all retries.
        """
        actions = self.act_with_details(requests)
        for action in actions:
            if action.error is not None:
                raise AgentError(action.error)
        return [action.text for action in actions]

    def act_with_details(self, requests: Sequence[Request]) -> list[Action]:
        """Actions with what the model wrote, tokens, seconds and cost. A model that fails has an action with an error."""
        jobs = [Job(self.prompt(request), _seed(request)) for request in requests]
        keys = [key_of(self._identity(job)) for job in jobs]
        entries = [self._journal.get(key) for key in keys]
        missing = [i for i, entry in enumerate(entries) if entry is None]
        errors: dict[int, tuple[str, dict[str, Any]]] = {}

        def done(position: int, answered: Answered) -> None:
            i = missing[position]
            if answered.completion is not None:
                text = answered.completion.text
                entries[i] = {"key": keys[i], "text": _cut(text), "action": self._action(text, requests[i])}
                entries[i]["details"] = self._details(answered)  # type: ignore[index]
                self._journal.put(entries[i])  # type: ignore[arg-type]

        presumed = self.budget.presumed
        try:
            answers = self.backend.ask([jobs[i] for i in missing], self.temperature, self.max_tokens, self.budget, done)
            for i, answered in zip(missing, answers, strict=True):
                if answered.completion is None:
                    errors[i] = (f"{self.name}: {answered.error}", self._details(answered))
                    if answered.cost:  # answers that could not be used
                        self._journal.put({"presumed_usd": answered.cost})
        finally:
            if self.budget.presumed > presumed:
                self._journal.put({"presumed_usd": self.budget.presumed - presumed})
        return [self._recorded(entries[i], errors.get(i), known=i not in missing) for i in range(len(requests))]

    def _recorded(self, entry: dict[str, Any] | None, error: tuple[str, dict[str, Any]] | None, known: bool) -> Action:
        if entry is None:
            why, details = error or (f"{self.name}: no answer", {})
            return Action("", details, why)
        details = entry["details"]
        if not known:
            self.prompt_tokens += details.get("prompt_tokens") or 0
            self.completion_tokens += details.get("completion_tokens") or 0
        return Action(entry["action"], {"raw": entry["text"], **details})

    def _details(self, answered: Answered) -> dict[str, Any]:
        """What is recorded of an answer beside its text; what says nothing is left out."""
        details: dict[str, Any] = {"seconds": round(answered.seconds, 4)}
        if answered.attempts != 1:
            details["attempts"] = answered.attempts
        if answered.cost is not None:
            details["cost_usd"] = round(answered.cost, 10)
        completion = answered.completion
        if completion is not None:
            details["prompt_tokens"] = completion.prompt_tokens
            details["completion_tokens"] = completion.completion_tokens
            if completion.finish not in ("", "stop"):
                details["finish"] = completion.finish
            if completion.reasoning:
                details["reasoning"] = _cut(completion.reasoning)
            if completion.model and f"openai:{completion.model}" != self.name:
                details["model"] = completion.model
        return details

    def _action(self, text: str, request: Request) -> str:
        if not self.read:
            return text
        observation = request.transcript[-1].text if request.transcript else ""
        return extract(task(request.env_id).surface.answer_form, text, observation)

    def prompt(self, request: Request) -> Messages:
        """The chat that is sent for a request."""
        shown = None if self.history == "all" else self.history
        if shown == "auto":
            shown = MARKOV_HISTORY if task(request.env_id).context == "last" else None
        return messages_of(request, self._games(request), self.reasoning, shown)  # type: ignore[arg-type]

    def _games(self, request: Request) -> list[Transcript]:
        if not self.few_shot:
            return []
        key = json.dumps([request.env_id, dict(request.env_kwargs)], sort_keys=True, default=str)
        if key not in self._examples:
            try:
                self._examples[key] = good_games(
                    request.env_id, request.env_kwargs, self.few_shot, self.data, self.few_shot_seed
                )
            except AgentError as problem:
                raise AgentStopped(str(problem)) from None
        return self._examples[key]

    def _identity(self, job: Job) -> dict[str, Any]:
        return {
            "model": self.name,
            "messages": job.messages,
            "seed": job.seed,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "backend": self.backend.describe().get("extra_body"),
            "read": [self.read, PROMPT_VERSION],
        }

    # -- what evaluations ask for

    def keep_in(self, folder: Path) -> None:
        """Write every answer into ``folder/answers.jsonl`` as it comes, and use what an earlier part of the run was answered."""
        entries = self._journal.open(folder)
        if folder in self._kept_in:
            return  # what is there was counted when it was asked for
        self._kept_in.add(folder)
        for entry in entries:
            details = entry.get("details") or {}
            self.budget.spent += details.get("cost_usd") or 0.0
            self.budget.presumed += entry.get("presumed_usd") or 0.0
            self.prompt_tokens += details.get("prompt_tokens") or 0
            self.completion_tokens += details.get("completion_tokens") or 0

    @property
    def usage(self) -> dict[str, Any]:
        """Tokens and, where prices are known, USD so far."""
        found: dict[str, Any] = {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.completion_tokens}
        if self.budget.prices is not None:
            found["cost_usd"] = self.budget.taken
        return found

    def fingerprint(self) -> str:
        """Of the weights, where they are at hand, and of the wording of prompts."""
        return f"{self.backend.fingerprint()}/prompt-{PROMPT_VERSION}".lstrip("/")

    def describe(self) -> dict[str, Any]:
        """What is kept with results."""
        prices = self.budget.prices
        return {
            "kind": "prompted",
            "agent": self.name,
            "temperature": self.temperature,
            "reasoning": self.reasoning,
            "max_tokens": self.max_tokens,
            "few_shot": self.few_shot,
            "data": self.data,
            "history": self.history,
            "prompt_version": PROMPT_VERSION,
            "usd_per_million": None if prices is None else vars(prices),
            **self.backend.describe(),
        }

    def close(self) -> None:
        """Close connections and files; let go of the model."""
        self._journal.close()
        self.backend.close()

    def __repr__(self) -> str:
        return f"PromptedAgent({self.name!r})"


def _seed(request: Request) -> int:
    digest = blake2b(f"{request.seed}/{len(request.transcript)}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % 2**31


def _cut(text: str) -> str:
    if len(text) <= KEPT:
        return text
    return f"{text[: KEPT // 2]}\n[... {len(text) - KEPT} characters are not kept ...]\n{text[-KEPT // 2 :]}"


def _prices(
    model: str, file: str | None, given: float | None, output: float | None, cached: float | None
) -> Prices | None:
    if file is not None:
        if (given, output, cached) != (None, None, None):
            raise AgentArgumentError("give prices=FILE or usd_per_million_..., not both")
        return read_prices(file, model)
    if given is None and output is None and cached is None:
        return _usual_prices(model)
    if given is None or output is None:
        raise AgentArgumentError("give both usd_per_million_input and usd_per_million_output")
    return Prices(given, output, cached)


def _usual_prices(model: str) -> Prices | None:
    file = os.environ.get(PRICES_VARIABLE)
    return read_prices(file, model) if file else None


# -- by name


def openai(model: str = "", **options: Any) -> PromptedAgent:
    """Any model behind an OpenAI-compatible server; options as in `PromptedAgent`, `ServerBackend` and `ChatClient`."""
    if not model:
        raise AgentArgumentError("name the model, as in openai:my-model")
    return _make(f"openai:{model}", lambda **given: ServerBackend(model, **given), (ServerBackend, ChatClient), options)


def transformers(path: str = "", **options: Any) -> PromptedAgent:
    """Any causal or sequence-to-sequence model of Hugging Face, run here; options as in `PromptedAgent` and `LocalModel`."""
    if not path:
        raise AgentArgumentError("name the model, as in transformers:path/to/model")
    options = dict(options)
    options.setdefault("chat_template_kwargs", {"enable_thinking": bool(options.get("reasoning"))})
    return _make(
        f"transformers:{path}", lambda **given: LocalBackend(path, **given), (LocalBackend, LocalModel), options
    )


def _make(
    name: str, backend: Callable[..., Backend], of_backend: Sequence[Callable[..., Any]], options: dict[str, Any]
) -> PromptedAgent:
    mine, theirs = _options_of(PromptedAgent), {key for kind in of_backend for key in _options_of(kind)} - {"max_body"}
    for key in options:
        if key not in mine | theirs:
            close = difflib.get_close_matches(key, mine | theirs, n=1)
            hint = f"did you mean {close[0]}?" if close else f"it takes {', '.join(sorted(mine | theirs))}"
            raise AgentArgumentError(f"{name} has no argument {key!r}; {hint}")
    try:
        made = backend(**{key: value for key, value in options.items() if key in theirs})
    except (ValueError, DependencyNotInstalled) as problem:
        raise AgentError(f"{name}: {problem}") from None
    return PromptedAgent(name, made, **{key: value for key, value in options.items() if key in mine})


def _options_of(kind: Callable[..., Any]) -> set[str]:
    parameters = inspect.signature(kind).parameters.values()
    return {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
