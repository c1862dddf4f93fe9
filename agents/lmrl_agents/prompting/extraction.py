"""From what a language model wrote to the action it means: thoughts, wrappers, markers and JSON are taken off.

Reading goes by form alone. Whether a move is legal, a word known or a command admissible is for the environment to judge;
the reader never picks the better of two moves, and a text in which it finds no action is passed on to be refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lmrl_envs.core import MAX_ACTION_LENGTH
from lmrl_envs.files.untrusted import Refused, decode_within
from lmrl_envs.language.answers import AnswerForm

MAX_READ = 100_000
"""Characters of a model's text that are looked at, from its end."""
_REFUSED = 300
"""Characters kept of a text in which no action was found, in tasks whose actions have a fixed form."""

_THOUGHTS = ("think", "thinking", "thought", "thoughts", "reasoning", "scratchpad", "analysis", "reflection")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]")
_FINAL_CHANNEL = "<|channel|>final<|message|>"
_HEADER = re.compile(
    r"\s*(?:<\|im_start\|>\s*assistant|<\|start_header_id\|>\s*assistant\s*<\|end_header_id\|>|<\|assistant\|>"
    r"|<start_of_turn>\s*model|\[/INST\]|###\s*Assistant:?|Assistant\s*:|AI\s*:)\s*",
    re.I,
)
_NEXT_TURN = re.compile(
    r"<\|(?:im_end|im_start|eot_id|eom_id|end|return|endoftext|end_of_text|user|system|start_header_id|call)\|>|</s>|\[/?INST\]"
    r"|<(?:end|start)_of_turn>|^[ \t]*###[ \t]*(?:User|System|Human|Instruction|Environment)\b"
    r"|^[ \t]*\**(?:User|Human|Environment|System|Customer|Buyer|Client|Oracle|Game)\**[ \t]*:",
    re.I | re.M,
)

_WORDS = "answer|action|move|guess|word|question|command|reply|response|output|message|decision|choice"
_TAG = re.compile(rf"<(?:final[_ ]?)?({_WORDS})>", re.I)
_BOXED = re.compile(r"\\boxed\s*\{(?:\\text\s*\{)?([^{}\n]{1,300})\}")
_MARKER = re.compile(
    rf"\b(?:{_WORDS})(?:[ \t]+(?:is|would be|will be|now|no\.?|#?\d+))*[ \t]*[*_`\"]{{0,3}}[ \t]*(?::|=|->|→|：)"
    r"[ \t]*[*_]{0,3}",
    re.I,
)
_LINE_MARKER = re.compile(
    r"^[ \t>#*_-]*(?:(?:my|the|final|here(?:'s| is)|next|your)[ \t]+)*(?:answer|action|reply|response|output|message|say|speech)"
    r"(?:[ \t]+(?:is|to the (?:customer|buyer)))?[ \t]*[*_]{0,3}[ \t]*(?::|：)[ \t]*[*_]{0,3}",
    re.I | re.M,
)
_KEYS = (
    "final_answer", "answer", "action", "move", "guess", "word", "question", "command", "direction", "message", "reply",
    "response", "say", "text", "output", "content", "value", "san", "uci", "arguments", "parameters", "args", "input",
)  # fmt: skip
_BROKEN_JSON = re.compile(rf'"(?:final_answer|{_WORDS}|direction|say|text)"\s*:\s*"((?:[^"\\\n]|\\.){{1,2000}})', re.I)
_FENCE = re.compile(r"```[ \t]*([\w+-]*)[ \t]*\n?(.*?)(?:```|\Z)", re.S)


def extract(form: AnswerForm, raw: str, observation: str = "") -> str:
    """The action meant by a model's text.

    Args:
        form: what an action of the task looks like (`lmrl_envs.surface.Surface.answer_form`).
        raw: what the model wrote.
        observation: what it was answering (a list of commands in it tells how commands look).
    """
    if form.bare is not None and form.bare.fullmatch(raw):
        return raw
    return read(form, raw, observation)


def read(form: AnswerForm, raw: str, observation: str = "") -> str:
    """`extract` of a message that may be anything."""
    text = visible(raw)
    for statement in statements(text, in_lines=form.is_speech):
        action = form.whole(statement, observation)
        if action is not None:
            return action[: MAX_ACTION_LENGTH + 1]
    action = form.scan(_without_fences(text), observation)
    if action is None:
        action = " ".join(text.split())[:_REFUSED]
    return action[: MAX_ACTION_LENGTH + 1]  # one too many stays one too many


def visible(raw: str) -> str:
    """What is said to the other side: without thoughts, chat markers, control characters and turns of other roles."""
    text = raw[-MAX_READ:].replace("\r\n", "\n").replace("\r", "\n")
    if _FINAL_CHANNEL in text:
        text = text.rpartition(_FINAL_CHANNEL)[2]
    for tag in _THOUGHTS:
        text = _without_block(text, tag)
    text = _CONTROL.sub(" ", text)
    header = _HEADER.match(text)
    text = text[header.end() :] if header else text
    for turn in _NEXT_TURN.finditer(text):
        if text[: turn.start()].strip():
            return text[: turn.start()].strip()
    return text.strip()


def _without_block(text: str, tag: str) -> str:
    """Without ``<tag>...</tag>``: one that was opened before the text began and one that never ends go too."""
    first = re.search(f"</?{tag}>", text, re.I)
    if first is None:
        return text
    if first[0].startswith("</"):
        text = text[first.end() :]
    text = re.sub(f"<{tag}>.*?(?:</{tag}>|\\Z)", "", text, flags=re.I | re.S)
    return re.sub(f"</{tag}>", "", text, flags=re.I)


def statements(text: str, in_lines: bool = False) -> Iterator[str]:
    """What the text marks as its answer, the most explicit first: tags, a box, JSON, markers, a code block.

    Args:
        text: what is visible.
        in_lines: only markers at the beginning of a line count, and all that follows belongs to the answer (speech).
    """
    tags = list(_TAG.finditer(text))
    if tags:
        last = tags[-1]
        yield re.split(r"</|<(?:final[_ ]?)?(?:answer|action)>", text[last.end() :], maxsplit=1)[0]
    boxed = _BOXED.findall(text)
    if boxed:
        yield boxed[-1]
    fences = [match[2] for match in _FENCE.finditer(text)]
    yield from _from_json(text, fences)
    markers = list((_LINE_MARKER if in_lines else _MARKER).finditer(text))
    for marker in reversed(markers[-8:]):
        rest = text[marker.end() :].strip()
        if rest:
            yield rest if in_lines else rest.split("\n", 1)[0]
    yield from reversed(fences)


def _from_json(text: str, fences: list[str]) -> Iterator[str]:
    for part in (*reversed(fences), text):
        openings = [i for i, c in enumerate(part) if c == "{"][-20:]
        end = -1
        found = []
        for i in openings:
            if i < end:
                continue  # within an object that was read
            try:
                value, end = decode_within(part, i)
            except Refused:
                continue
            answer = _answer_in(value)
            if answer:
                found.append(answer)
        yield from reversed(found)
    broken = _BROKEN_JSON.findall(text)
    if broken:
        yield broken[-1].replace('\\"', '"').replace("\\n", "\n")


def _answer_in(value: Any, depth: int = 3) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and len(value) == 1 and depth:
        return _answer_in(value[0], depth - 1)
    if isinstance(value, dict) and depth:
        lower = {str(key).lower().replace(" ", "_"): inner for key, inner in value.items()}
        for key in _KEYS:
            if key in lower and (answer := _answer_in(lower[key], depth - 1)):
                return answer
        if len(lower) == 1:
            return _answer_in(next(iter(lower.values())), depth - 1)
    return None


def _without_fences(text: str) -> str:
    return _FENCE.sub(lambda match: match[2] if match[2].strip() else " ", text).strip() if "```" in text else text
