"""Recorded replies: write them down while a language model answers, give them back later, word for word."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import structs

from lmrl_envs.files import JsonLines
from lmrl_envs.files.arguments import named_file, refuse
from lmrl_envs.files.untrusted import Count, Schema
from lmrl_envs.partners.base import Partner, PartnerPrompt, PartnerReply, PartnerRequest, SimulatorError
from lmrl_envs.partners.prompting import reply_text


@dataclass(frozen=True)
class ModelReply:
    """A reply with the words it was read from."""

    text: str
    """The model's own words."""
    reply: PartnerReply
    """What the partner's prompt made of them."""
    attempts: int = 1
    """How often the model was asked; 0 when the answer to an equal prompt was known."""


def request_key(partner_prompt: str, request: PartnerRequest) -> str:
    """A hash (64 hex digits) of everything a reply may depend on: partner_prompt, hidden, texts, action, seed, state."""
    fields = {
        "role": partner_prompt,
        "hidden": dict(request.hidden),
        "texts": list(request.texts),
        "action": request.action,
        "seed": request.seed,
        "state": dict(request.state),
    }
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def describe(partner_prompt: str, request: PartnerRequest) -> str:
    """The request by name, for error messages; it tells nothing that is hidden."""
    action = request.action if len(request.action) <= 80 else request.action[:80] + "..."
    key = request_key(partner_prompt, request)[:12]
    return f"request {key} of {partner_prompt!r} (turn {len(request.texts) // 2 + 1}, action {action!r}, seed {request.seed})"


def _values(reply: PartnerReply) -> dict[str, Any]:
    return {**vars(reply), "outcome": dict(reply.outcome), "state": dict(reply.state)}


class RecordedReply(Schema, frozen=True):
    """The ``reply`` of a `RecordedAnswer`: see `PartnerReply`."""

    text: str
    understood: bool = True
    outcome: dict[str, Any] = {}
    state: dict[str, Any] = {}


class RecordedAnswer(Schema, frozen=True):
    """A line of a recording."""

    key: str
    role: str
    model: str
    text: str
    reply: RecordedReply
    attempts: Count = 1


class Recording:
    """Appends one line of JSON per answered request: ``key``, ``role``, ``model``, ``text``, ``reply``, ``attempts``.

    Every batch is one write to a file opened for appending, so several processes may share a file and a killed run
    loses at most its last batch. A line cut by a crash is left as it is; new lines start on a line of their own.
    """

    def __init__(self, path: str | os.PathLike[str], partner_prompt: str, model: str) -> None:
        refuse("a file to write", os.fspath(path))
        self.path = Path(path)
        self._task, self._model = partner_prompt, model
        self._lines = JsonLines(self.path, shared=True)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lines.append([])  # fail now, not after the first paid reply

    def write(self, requests: Sequence[PartnerRequest], answers: Sequence[ModelReply]) -> None:
        """Write down the answers of one batch, in order."""
        entries = [
            {
                "key": request_key(self._task, request),
                "role": self._task,
                "model": self._model,
                "text": answer.text,
                "reply": _values(answer.reply),
                "attempts": answer.attempts,
            }
            for request, answer in zip(requests, answers, strict=True)
        ]
        self._lines.append(map(json.dumps, entries))


class RecordingPartner:
    """Any partner, with everything it answers written down (`Recording`) for `ReplayPartner`.

    Partners that are language models record by themselves, with the model's own words: see their option ``record``.
    """

    def __init__(self, partner: Partner, file: str | os.PathLike[str], partner_prompt: PartnerPrompt) -> None:
        self.partner, self.partner_prompt = partner, partner_prompt
        self._recording = Recording(file, partner_prompt.name, type(partner).__name__)

    def reply(self, requests: Sequence[PartnerRequest]) -> list[PartnerReply]:
        """The partner's replies, recorded once the whole batch is answered."""
        replies = self.partner.reply(requests)
        self._recording.write(requests, [ModelReply(reply.text, reply) for reply in replies])
        return replies

    def close(self) -> None:
        self.partner.close()


WORDED = ("openai", "transformers")
"""Partners that record the words their replies are read from."""


def replayed_kwargs(env_kwargs: Mapping[str, Any], file: str) -> dict[str, Any]:
    """Arguments of an environment whose partner answers from a recording that lies in the folder that the arguments came with.

    What a language model is said to have answered must stand in its words.
    """
    is_worded = str(env_kwargs["simulator"]).partition(":")[0] in WORDED
    return {**env_kwargs, "simulator": f"replay:{file}", "simulator_options": {"own_words": is_worded}}


class ReplayPartner:
    """Answers from a recording; never calls a model.

    The n-th time a request is made it gets the n-th answer that was recorded for it; after the last one the answers
    start again, so that a recorded run can be replayed more than once. A line cut by a crash is skipped with a warning.

    Args:
        file: the recording.
        partner_prompt: the task's `PartnerPrompt`.
        own_words: a reply must be what the prompt reads from the words that are recorded with it: of a language model's
            recording (`WORDED`), which may be anybody's.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file holds no recorded reply of this task.
    """

    def __init__(self, file: str | os.PathLike[str], partner_prompt: PartnerPrompt, *, own_words: bool = False) -> None:
        self.path, self.partner_prompt = named_file("a recording", os.fspath(file)), partner_prompt
        self.own_words = own_words
        self._lock = threading.Lock()
        self._replies: dict[str, list[ModelReply]] = {}
        self._used: dict[str, int] = {}
        tasks = self._load()
        if not self._replies:
            raise ValueError(
                f"{self.path} holds no replies of {partner_prompt.name!r}; it holds those of {sorted(tasks) or 'none'}"
            )

    def _load(self) -> set[str]:
        if not self.path.is_file():
            raise FileNotFoundError(f"no recording {self.path}")
        lines = JsonLines(self.path)
        entries = lines.read(RecordedAnswer)
        for entry in entries:
            if entry.role == self.partner_prompt.name:
                reply = PartnerReply(**structs.asdict(entry.reply))
                self._replies.setdefault(entry.key, []).append(ModelReply(entry.text if self.own_words else "", reply))
        if lines.damaged:
            shown = ", ".join(map(str, lines.damaged[:5]))
            warnings.warn(f"{self.path}: {len(lines.damaged)} cut line(s) skipped (line {shown})", stacklevel=4)
        return {entry.role for entry in entries}

    def reply(self, requests: Sequence[PartnerRequest]) -> list[PartnerReply]:
        """The recorded replies.

        Raises:
            SimulatorError: a request that was not recorded (no reply of the batch is used up then), or a reply that is not in
                the words that it was read from.
        """
        keys = [request_key(self.partner_prompt.name, request) for request in requests]
        for key, request in zip(keys, requests, strict=True):
            if key not in self._replies:
                raise SimulatorError(f"{self.path} holds no reply to {describe(self.partner_prompt.name, request)}")
        found = [self._next(key) for key in keys]
        if self.own_words:
            for request, own in zip(requests, found, strict=True):
                self._check(request, own)
        return [own.reply for own in found]

    def _check(self, request: PartnerRequest, own: ModelReply) -> None:
        prompt, said = self.partner_prompt, reply_text(own.text)
        readings = [read(said, request) for read in (prompt.parse, getattr(prompt, "settle", None)) if read and said]
        if json.dumps(_values(own.reply)) not in [json.dumps(_values(reply)) for reply in readings if reply]:
            what = describe(prompt.name, request)
            raise SimulatorError(f"{self.path}: the reply to {what} is not what the model's words amount to")

    def _next(self, key: str) -> ModelReply:
        with self._lock:
            used = self._used.get(key, 0)
            self._used[key] = used + 1
        replies = self._replies[key]
        return replies[used % len(replies)]

    def close(self) -> None:
        """Nothing to release."""

    def __repr__(self) -> str:
        return f"ReplayPartner({str(self.path)!r}, task={self.partner_prompt.name!r})"
