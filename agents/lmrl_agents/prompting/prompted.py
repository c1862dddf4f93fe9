"""Language models that play by prompt, as they are: ``openai:<model>`` and ``transformers:<path-or-id>``.

The task's instructions are the system message, the conversation so far the chat; what the model writes is read by
`lmrl_agents.prompting.extraction.extract` and kept beside the action. Nothing is trained.

    lmrl eval --agent openai:my-model --env lmrl/Wordle-v0 --episodes 20 --agent-arg base_url=http://127.0.0.1:8000/v1
    lmrl eval --agent transformers:path/to/model --env lmrl/Wordle-v0 --episodes 20 --agent-arg few_shot=3
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from gymnasium.error import DependencyNotInstalled

from lmrl_agents.playing.answers import DetailedAgent
from lmrl_agents.playing.protocol import Action, AgentArgumentError, AgentError, AgentStopped, Request
from lmrl_agents.playing.server_seeds import ServerSeeds
from lmrl_agents.prompting.extraction import extract
from lmrl_agents.prompting.prompts import PROMPT_VERSION, fitting, good_games, messages_of
from lmrl_agents.prompting.spending import Budget, Journal, budget_of
from lmrl_envs import Transcript, task
from lmrl_envs.core import MAX_ACTION_LENGTH
from lmrl_envs.language.answers import AnswerForm
from lmrl_envs.partners.backend import Backend, Completion, Failure, Messages, Query, shared_out
from lmrl_envs.partners.chat_server import ChatServer, ServerSettings
from lmrl_envs.partners.local_model import LocalModel, LocalSettings

ANSWER_TOKENS = 128
"""Tokens of an answer by default, the allowance for reasoning not counted."""
MARKOV_HISTORY = 8
KEPT = 20_000
"""Characters of a model's text that are kept in a record: so many, half from its beginning and half from its end."""


@dataclass(frozen=True, kw_only=True)
class PromptSettings:
    """How a model is prompted and read.

    Raises:
        AgentArgumentError: an impossible setting.
    """

    temperature: float | None = 0.0
    """0 is greedy; else every request samples with a seed of its own. None leaves it to the server."""
    reasoning: int = 0
    """Tokens that the model may think before it answers; 0: it is to answer at once."""
    max_tokens: int | None = None
    """Longest answer in tokens, by default 128 and the allowance for reasoning."""
    few_shot: int = 0
    """Games of a dataset that are shown first."""
    data: str | None = None
    """The dataset, by default the task's ``mixed``, or the sample of it that ships with the package."""
    few_shot_seed: int = 0
    """Of their choice."""
    history: int | str = "auto"
    """Latest turns of the game that are shown, the opening always; "all"; or "auto": all, but 8 where the last observation
    tells all that is needed (`lmrl_envs.Task.context`), so that 400 moves do not cost 400 positions each."""
    read: bool = True
    """False plays the model's text as it is, unread."""
    tools: bool = False
    """The model answers by calls of the task's tool (`lmrl_envs.language.answers.Tool`), whose argument is the action; it may think in
    words beside. Where the server refuses tools it answers in words, and the records say so (``form``)."""

    def __post_init__(self) -> None:
        for key, least in (("reasoning", 0), ("few_shot", 0), ("max_tokens", 1)):
            value = getattr(self, key)
            if not (isinstance(value, int) and value >= least) and (key, value) != ("max_tokens", None):
                raise AgentArgumentError(f"{key}={value!r} must be a whole number, {least} or more")
        if self.history not in ("all", "auto") and not (isinstance(self.history, int) and self.history >= 0):
            raise AgentArgumentError(f"history={self.history!r} must be a whole number, 0 or more, or 'all' or 'auto'")
        heat = self.temperature
        if heat is not None and not (isinstance(heat, int | float) and heat >= 0):
            raise AgentArgumentError(f"temperature={heat!r} must be 0 (greedy) or more, or null for the server's own")
        object.__setattr__(self, "max_tokens", self.max_tokens or ANSWER_TOKENS + self.reasoning)


class PromptedAgent(DetailedAgent):
    """A language model with instructions, and perhaps examples.

    Args:
        name: the agent's spec, as in ``openai:my-model``.
        backend: where the model runs.
        settings: how it is prompted and read.
        budget: what may be spent on it.
    """

    operational = frozenset(
        {"base_url", "timeout", "deadline", "max_retries", "backoff", "concurrency", "batch_size", "device", "prices"}
        | {"max_cost_usd", "usd_per_million_input", "usd_per_million_output", "usd_per_million_cached_input"}
    )

    def __init__(self, name: str, backend: Backend, settings: PromptSettings, budget: Budget) -> None:
        if settings.tools and not backend.has_tools:
            raise ValueError("tools=true is for models behind a server (openai:...)")
        self.name, self.backend, self.settings, self.budget = name, backend, settings, budget
        self.max_tokens: int = settings.max_tokens or ANSWER_TOKENS
        self.slots = backend.slots
        self.prompt_tokens = self.completion_tokens = 0
        self._journal, self._seeds = Journal(), ServerSeeds(secret=isinstance(backend, ChatServer))
        self._kept_in: set[Path] = set()
        self._examples: dict[str, list[Transcript]] = {}

    # -- acting

    def act_with_details(self, requests: Sequence[Request]) -> list[Action]:
        """Actions with what the model wrote, tokens, seconds and cost. A model that fails has an action with an error.

        Raises:
            AgentStopped: there is no use in going on: no server, no key, no money. What was under way is kept.
        """
        chats = [self.prompt(request) for request in requests]
        keys = [self._key(chat, request) for chat, request in zip(chats, requests, strict=True)]
        entries = {i: entry for i, key in enumerate(keys) if (entry := self._journal.get(key)) is not None}
        actions = {
            i: Action(entry["action"], {"raw": entry["text"], **entry["details"]}) for i, entry in entries.items()
        }
        missing = [i for i in range(len(requests)) if i not in actions]
        queries = [
            Query(
                self._fitting(chats[i]),
                self._seeds.seed(requests[i]),
                self.settings.temperature,
                self._form(requests[i]).tool if self.settings.tools else None,
            )
            for i in missing
        ]
        presumed, stopped = self.budget.presumed, ""
        try:
            with closing(self.backend.complete(queries, self.max_tokens, self.budget)) as results:
                for position, result in results:
                    i = missing[position]
                    if isinstance(result, Completion):
                        actions[i] = self._played(result, requests[i], keys[i])
                        continue
                    actions[i] = Action("", self._details(result), f"{self.name}: {result.why}")
                    if result.cost:  # of answers that could not be used
                        self._journal.put({"presumed_usd": result.cost})
                    if result.advice:
                        stopped = stopped or f"{self.name}: {result.why}; {result.advice}"
        finally:
            if self.budget.presumed > presumed:
                self._journal.put({"presumed_usd": self.budget.presumed - presumed})
        if stopped:
            raise AgentStopped(stopped)
        return [actions[i] for i in range(len(requests))]

    def _played(self, completion: Completion, request: Request, key: str) -> Action:
        """The action in a completion, which is written to the journal."""
        said = completion.text if completion.call is None else completion.call
        text, details = _cut(said), self._details(completion)
        action = self._action(completion, said, request)
        self._journal.put({"key": key, "text": text, "action": action, "details": details})
        self.prompt_tokens += completion.prompt_tokens or 0
        self.completion_tokens += completion.completion_tokens or 0
        return Action(action, {"raw": text, **details})

    def _details(self, result: Completion | Failure) -> dict[str, Any]:
        """What is recorded of an answer beside its text; what says nothing is left out."""
        details: dict[str, Any] = {"seconds": round(result.seconds, 4)}
        if result.attempts != 1:
            details["attempts"] = result.attempts
        if self.budget.prices is not None:
            details["cost_usd"] = round(result.cost, 10)
        if isinstance(result, Completion):
            details["prompt_tokens"] = result.prompt_tokens
            details["completion_tokens"] = result.completion_tokens
            if result.finish not in ("", "stop"):
                details["finish"] = result.finish
            thoughts = result.reasoning or (result.text if result.call is not None else "")
            if thoughts:
                details["reasoning"] = _cut(thoughts)
            if result.call is not None:
                details["called"] = True
            if result.form:
                details["form"] = result.form
            if result.model and f"openai:{result.model}" != self.name:
                details["model"] = result.model
        return details

    @staticmethod
    def _form(request: Request) -> AnswerForm:
        return task(request.env_id).surface.answer_form

    def _action(self, completion: Completion, said: str, request: Request) -> str:
        form = self._form(request)
        if completion.call is not None and (argument := form.tool.read(completion.call)) is not None:
            return argument[: MAX_ACTION_LENGTH + 1]
        if not self.settings.read:
            return said
        return extract(form, said, request.transcript[-1].text if request.transcript else "")

    def prompt(self, request: Request) -> Messages:
        """The chat that is sent for a request, before what does not fit is left out."""
        shown = None if self.settings.history == "all" else self.settings.history
        if shown == "auto":
            shown = MARKOV_HISTORY if task(request.env_id).context == "last" else None
        aloud = 0 if self.settings.tools else self.settings.reasoning
        return messages_of(request, self._games(request), aloud, shown)  # type: ignore[arg-type]

    def _fitting(self, messages: Messages) -> Messages:
        return fitting(messages, lambda chat: self.backend.fits(chat, self.max_tokens))

    def _games(self, request: Request) -> list[Transcript]:
        count, data, seed = self.settings.few_shot, self.settings.data, self.settings.few_shot_seed
        if not count:
            return []
        key = json.dumps([request.env_id, dict(request.env_kwargs)], sort_keys=True, default=str)
        if key not in self._examples:
            try:
                self._examples[key] = good_games(request.env_id, request.env_kwargs, count, data, seed)
            except AgentError as problem:
                raise AgentStopped(str(problem)) from None
        return self._examples[key]

    def _key(self, messages: Messages, request: Request) -> str:
        """A hash of everything that an answer may depend on."""
        parts = {
            "model": self.name,
            "messages": messages,
            "seed": self._seeds.seed(request),
            "temperature": self.settings.temperature,
            "max_tokens": self.max_tokens,
            "backend": self.backend.describe().get("extra_body"),
            "read": [self.settings.read, PROMPT_VERSION, self.settings.tools],
        }
        return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    # -- what evaluations ask for

    def keep_in(self, folder: Path) -> None:
        """Write every answer into ``folder/answers.jsonl`` as it comes, and use what an earlier part of the run was answered."""
        entries = self._journal.open(folder)
        self._seeds.keep_in(folder)
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
            **asdict(self.settings),
            "prompt_version": PROMPT_VERSION,
            **self._seeds.describe(),
            "usd_per_million": None if prices is None else vars(prices),
            **self.backend.describe(),
        }

    def close(self) -> None:
        """Close connections; let go of the model."""
        self.backend.close()

    def __repr__(self) -> str:
        return f"PromptedAgent({self.name!r})"


def _cut(text: str) -> str:
    if len(text) <= KEPT:
        return text
    return f"{text[: KEPT // 2]}\n[... {len(text) - KEPT} characters are not kept ...]\n{text[-KEPT // 2 :]}"


# -- by name


def openai(model: str = "", **options: Any) -> PromptedAgent:
    """Any model behind an OpenAI-compatible server; options of `PromptSettings`, `budget_of` and `ServerSettings`."""
    if not model:
        raise AgentArgumentError("name the model, as in openai:my-model")
    name = f"openai:{model}"
    return _make(
        name,
        lambda settings: ChatServer(model, settings, f"agent {name!r}"),
        ServerSettings,
        {"concurrency": 8, **options},
    )


def transformers(path: str = "", **options: Any) -> PromptedAgent:
    """Any causal or sequence-to-sequence model of Hugging Face, run here; options of `PromptSettings`, `budget_of` and
    `LocalSettings`.
    """
    if not path:
        raise AgentArgumentError("name the model, as in transformers:path/to/model")
    name = f"transformers:{path}"
    thinks = {"enable_thinking": bool(options.get("reasoning"))}
    return _make(
        name,
        lambda settings: LocalModel(path, settings, f"agent {name!r}"),
        LocalSettings,
        {"batch_size": 64, "chat_template_kwargs": thinks, **options},
    )


def _make(
    name: str, backend: Callable[[Any], Backend], settings: Callable[..., Any], options: Mapping[str, Any]
) -> PromptedAgent:
    try:
        prompting, spending, own = shared_out(options, PromptSettings, budget_of, settings)
    except ValueError as problem:
        raise AgentArgumentError(f"{name} has {problem}") from None
    budget = budget_of(name.partition(":")[2], **spending)
    try:
        return PromptedAgent(name, backend(settings(**own)), PromptSettings(**prompting), budget)
    except (ValueError, DependencyNotInstalled) as problem:
        raise AgentError(f"{name}: {problem}") from None
