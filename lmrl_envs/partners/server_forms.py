"""The forms of a chat request: servers differ in what they take, and tell it by what they refuse and how they count."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lmrl_envs.partners.backend import Completion, Failure, Messages, Query
from lmrl_envs.partners.server_replies import BYTES_PER_TOKEN, Refusal

if TYPE_CHECKING:
    from lmrl_envs.language.answers import Tool


@dataclass(frozen=True)
class Form:
    """What a server turned out to need of its requests."""

    merged: bool = False
    """Instructions at the beginning of the first user's message."""
    limit: str = "max_tokens"
    """The field that bounds an answer."""
    without: frozenset[str] = frozenset()
    """Fields that it refuses and that can be done without."""

    def __str__(self) -> str:
        changes = ["instructions in the user's message"] if self.merged else []
        return ", ".join([*changes, *(f"no {name}" for name in sorted(self.without))])

    def fields(self, query: Query, max_tokens: int, extra: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a request beside the model; those of ``extra`` take the place of ours, None leaves one out."""
        messages: list[Any] = _merged(query.messages) if self.merged else query.messages
        tool = query.tool if "tools" not in self.without else None
        fields = {
            "messages": messages if tool is None else as_calls(messages, tool),
            "tools": None if tool is None else [tool.schema()],
            "tool_choice": None if tool is None else "required",
            self.limit: max_tokens,
            "temperature": query.temperature,
            "seed": None if query.temperature == 0 else query.seed,  # greedy answers need none
        }
        kept = {k: v for k, v in fields.items() if k not in extra and k not in self.without and v is not None}
        return {**kept, **{key: value for key, value in extra.items() if value is not None}}

    def other(
        self, query: Query, result: Completion | Failure, is_free: bool, is_sure: bool, optional: Collection[str]
    ) -> Form | None:
        """The form that a server may take in place of this one, by its answer; None if nothing speaks for another.

        Args:
            query: what was asked in this form.
            result: the answer.
            is_free: instructions may go where the server takes them.
            is_sure: where they go is settled.
            optional: fields that can be done without.
        """
        has_system = not self.merged and any(message["role"] == "system" for message in query.messages)
        if isinstance(result, Completion):
            unsure = has_system and not is_sure and result.prompt_tokens is not None
            return replace(self, merged=True) if unsure and result.prompt_tokens == _least_tokens(query) else None
        refusal = result.refusal
        if not isinstance(refusal, Refusal):
            return None
        if has_system and is_free and refusal.wants_no_system:
            return replace(self, merged=True)
        if self.limit == "max_tokens" and refusal.names("max_completion_tokens") and not refusal.is_too_long:
            return replace(self, limit="max_completion_tokens")
        known = {name for name in optional if name not in self.without}
        refused = {name for name in known if refusal.status in (400, 422) and refusal.names(name)}
        if not refused and query.tool is not None and refusal.status < 500 and refusal.wants_no_tools:
            refused = {"tool_choice"} if "tool_choice" not in self.without else {"tools"} - self.without
        return replace(self, without=self.without | refused) if refused else None


def prompt_bytes(query: Query) -> int:
    """Bytes of a prompt."""
    return sum(len(message["content"].encode(errors="replace")) for message in query.messages)


def _least_tokens(query: Query) -> int:
    return -(-prompt_bytes(query) // BYTES_PER_TOKEN)


def counts_more(first: Completion, second: Completion | Failure) -> bool:
    """Whether a server counts tokens for instructions that it did not count before: it left them out then."""
    counts = (first.prompt_tokens, second.prompt_tokens if isinstance(second, Completion) else None)
    return counts[0] is not None and counts[1] is not None and counts[1] > counts[0]


def as_calls(messages: Messages, tool: Tool) -> list[dict[str, Any]]:
    """A chat whose answers are calls of a tool; the message after each is what the call returned."""
    found: list[dict[str, Any]] = []
    call = ""
    for k, message in enumerate(messages):
        if message["role"] == "assistant":
            call = f"call{k:05}"  # nine letters and digits: some servers take no others
            arguments = json.dumps({tool.argument: message["content"]}, ensure_ascii=False)
            function = {"name": tool.name, "arguments": arguments}
            made = {"id": call, "type": "function", "function": function}
            found.append({"role": "assistant", "content": "", "tool_calls": [made]})
        elif call:
            found.append({"role": "tool", "tool_call_id": call, "content": message["content"]})
            call = ""
        else:
            found.append(message)
    return found


def _merged(messages: Messages) -> Messages:
    """A chat without system messages: what they say stands at the beginning of the first user's."""
    system = [message["content"] for message in messages if message["role"] == "system"]
    others = [dict(message) for message in messages if message["role"] != "system"]
    first = next((message for message in others if message["role"] == "user"), None)
    if first is None:
        return [{"role": "user", "content": "\n\n".join(system)}, *others]
    first["content"] = "\n\n".join([*system, first["content"]])
    return others
