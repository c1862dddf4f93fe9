"""Chat templates: conversations as an instruct model was taught to read them, as ids that only grow.

A template is a program over messages. It is run once, over a conversation of marks, and taken apart into the strings that stand
between what is said; whether these are the same at every turn, whether the instructions are shown, and whether the past stands as it
was generated is read off there. From then on a conversation is put together of these strings and of ids that were sampled, so that
nothing is ever encoded again, and a template cannot change a row behind our back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from lmrl_envs.language.lists import toml
from lmrl_envs.partners import prompting

Ids = tuple[int, ...]
THINKING = ("forbid", "drop", "keep")
_THOUGHTS: Mapping[str, str] = toml(prompting.__file__, "replies.toml")["thoughts"]
_KEPT = 50_000
"""Texts whose ids are remembered."""
_TAG = re.compile(r"[<\[].*[>\]]", re.DOTALL)
_DAY = "{%- macro strftime_now(format) -%}{{ '2024-07-26' if format == '%Y-%m-%d' else '26 Jul 2024' }}{%- endmacro -%}"
"""What templates that ask for the day are told: one that is the same tomorrow."""
_SYSTEM, _TEXTS, _ACTIONS = "Zinstructions", ("Zfirst", "Zsecond", "Zthird"), ("Zmove", "Zreply")


class ChatTemplateError(ValueError):
    """A chat template in which a game cannot be played; the message says why."""


@dataclass(frozen=True)
class ChatLayout:
    """A chat template, taken apart, see `examine`. A conversation is

    ``before`` instructions ``opening`` text ``asks`` action ``end``, and then ``turn`` text ``asks`` action ``end`` as often as wanted.
    """

    before: str
    opening: str
    turn: str
    asks: str
    """What the model is given before it writes an action."""
    told: str
    """What stands there once it is past."""
    lead: str
    """What an action begins with that the template writes after ``asks``; actions of a dataset get it."""
    end: str
    """The token that ends an action, and is part of it."""
    rewrites: bool = False
    """The past is worded in another way than it was generated in (thoughts are taken out): every action then is a row of its own."""
    opens_thought: bool = False
    """Actions begin within a thought."""


# -- a template is taken apart


def examine(tokenizer: Any, thinking: str = "forbid") -> ChatLayout:
    """The layout of a tokenizer's chat template. Instructions are a system message or, where the template has none, begin the first
    user message; which of the two is read off what was rendered.

    Args:
        tokenizer: of Hugging Face.
        thinking: "forbid" asks the template for no thoughts, and ends those that it opens; "drop" lets the model think and takes its
            thoughts out of the past; "keep" leaves them there.

    Raises:
        ChatTemplateError: there is no template, or it leaves out, changes or reorders what was said.
    """
    if thinking not in THINKING:
        raise ChatTemplateError(f"thinking={thinking!r} is not known; choose one of {', '.join(THINKING)}")
    if not tokenizer.chat_template:
        raise ChatTemplateError("the tokenizer has no chat template; take text.units=pretrained")
    problem = ""
    for has_system, in_parts in ((True, False), (True, True), (False, False), (False, True)):
        try:
            return _layout(tokenizer, thinking, has_system, in_parts)
        except ChatTemplateError as error:
            problem = str(error)
        except Exception as error:  # whatever a template raises
            problem = f"{type(error).__name__}: {error}"
    raise ChatTemplateError(f"no game can be played in the tokenizer's chat template: {problem}")


def messages_for(instructions: str, said: Sequence[str], has_system: bool, in_parts: bool) -> list[dict[str, Any]]:
    """The chat as templates take it: texts and actions in turn.

    Args:
        instructions: of the task.
        said: the environment's first text, then actions and texts in turn.
        has_system: they are a message of their own.
        in_parts: contents are lists of parts.
    """
    first = said[0] if has_system else f"{instructions}\n\n{said[0]}"
    chat = [("system", instructions)] if has_system else []
    chat += [(("user", "assistant")[k % 2], text) for k, text in enumerate((first, *said[1:]))]
    return [{"role": role, "content": [{"type": "text", "text": text}] if in_parts else text} for role, text in chat]


def render(tokenizer: Any, messages: list[dict[str, Any]], thinking: str, **options: Any) -> Any:
    """The template's own rendering, ready for the next action; what it says of the day is always the same."""
    return tokenizer.apply_chat_template(
        messages,
        chat_template=_DAY + tokenizer.get_chat_template(),
        **{"tokenize": False, "add_generation_prompt": True, "enable_thinking": thinking != "forbid", **options},
    )


def _layout(tokenizer: Any, thinking: str, has_system: bool, in_parts: bool) -> ChatLayout:
    said = (_TEXTS[0], _ACTIONS[0], _TEXTS[1], _ACTIONS[1], _TEXTS[2])
    renderings = [render(tokenizer, messages_for(_SYSTEM, said[:n], has_system, in_parts), thinking) for n in (1, 3, 5)]
    before, opening, told, after, told_again, after_again, asks = _between(renderings[2], [_SYSTEM, *said])
    if (told, after) != (told_again, after_again):
        raise ChatTemplateError("it words the first turns in another way than later ones")
    so_far = f"{before}{_SYSTEM}{opening}{_TEXTS[0]}"
    for rendered, action, text in zip(renderings, _ACTIONS, _TEXTS[1:], strict=False):
        if rendered != so_far + asks:
            raise ChatTemplateError("what comes later changes what was said before")
        so_far += f"{told}{action}{after}{text}"
    rest, end = after.lstrip(), ""
    for token in sorted(tokenizer.get_added_vocab(), key=len, reverse=True):
        if rest.startswith(token):
            end, rest = token, rest[len(token) :]
            break
    if not end:  # the template ends messages by words
        end, rest = tokenizer.eos_token or "", after
    if not end:
        raise ChatTemplateError("it ends the assistant's messages by no token, and the tokenizer has no end token")
    return _with_thoughts(ChatLayout(before, opening, rest, asks, told, "", end), thinking)


def _between(rendered: str, marks: Sequence[str]) -> list[str]:
    """What stands before, between and after the marks; each must stand there once, in order."""
    found = []
    for mark in marks:
        times = rendered.count(mark)
        if times != 1:
            what = "the instructions" if mark == _SYSTEM else "what is said"
            raise ChatTemplateError(f"it shows {what} {times} times" if times else f"it does not show {what} in order")
        between, _, rendered = rendered.partition(mark)
        found.append(between)
    return [*found, rendered]


def _with_thoughts(layout: ChatLayout, thinking: str) -> ChatLayout:
    """The layout with what is asked of thoughts."""
    asks, told, lead = layout.asks, layout.told, ""
    opened = [(asks.rfind(begin), end) for begin, end in _THOUGHTS.items() if asks.rfind(begin) > asks.rfind(end)]
    opens = _TAG.match(max(opened)[1]) is not None if opened else False
    if opens:
        closing = f"{'' if asks.endswith(chr(10)) else chr(10)}{max(opened)[1]}\n\n"
        if thinking == "forbid":
            asks += closing
        else:
            lead = closing
    elif told != asks and told.startswith(asks):
        more = told[len(asks) :]
        if more.isspace() or thinking != "forbid":
            lead = more
        else:  # a channel for answers, say
            asks = told
    alike = told == asks + ("" if opens else lead)
    return replace(
        layout,
        asks=asks,
        told=told,
        lead=lead,
        rewrites=thinking == "drop" or (thinking == "forbid" and not alike),
        opens_thought=opens and thinking != "forbid",
    )


# -- ids


class ChatText:
    """Ids of what is said in a chat. A text never holds a control token, whatever was written in it.

    Args:
        layout: of the tokenizer's template.
        tokenizer: of Hugging Face.
    """

    def __init__(self, layout: ChatLayout, tokenizer: Any) -> None:
        self.layout, self.hf = layout, tokenizer
        special = {
            str(t.content)
            for t in tokenizer.added_tokens_decoder.values()
            if t.content.strip() and (t.special or _TAG.fullmatch(t.content))
        }
        self._reserved = re.compile("|".join(re.escape(t) for t in sorted(special, key=len, reverse=True)) or "(?!)")
        self._known: dict[tuple[str, str], Ids] = {}

    def opening(self, instructions: str, text: str) -> Ids:
        """Of the beginning of a row: instructions and text, up to where an action is asked for."""
        layout = self.layout
        shown = f"{layout.before}{self._plain(instructions)}{layout.opening}{self._plain(text)}{layout.asks}"
        return self._encode("", shown)

    def turn(self, text: str) -> Ids:
        """Of a text after an action, up to where the next is asked for."""
        layout = self.layout
        return self._encode(layout.end, f"{layout.turn}{self._plain(text)}{layout.asks}")

    @cached_property
    def past(self) -> ChatText:
        """The same, as it is worded once it is past."""
        return ChatText(replace(self.layout, asks=self.layout.told, lead="", rewrites=False), self.hf)

    @cached_property
    def end(self) -> int:
        """The id that ends an action."""
        return self.hf.convert_tokens_to_ids(self.layout.end)

    def action(self, text: str) -> Ids:
        """Of an action, with its end token."""
        layout = self.layout
        return (*self._encode(layout.asks, layout.lead + self._plain(text).strip()), self.end)

    def said(self, ids: Sequence[int]) -> str:
        """What is played of sampled ids."""
        return self.answer(self.hf.decode([i for i in ids if i != self.end]))

    def cut(self, text: str, tokens: int) -> str:
        """The end of a text, of at most so many tokens."""
        if len(text) <= tokens:  # no token is shorter than a character but those of a byte
            return text
        ids = self.hf.encode(text, add_special_tokens=False)
        return text if len(ids) <= tokens else self.hf.decode(ids[len(ids) - tokens :])

    def answer(self, text: str) -> str:
        """What is played of a model's text: without its thoughts, "" where these do not end."""
        thinks_on = self.layout.opens_thought and not any(end in text for end in _THOUGHTS.values())
        return "" if thinks_on else self._plain(prompting.reply_text(text)).strip()

    def _plain(self, text: str) -> str:
        return self._reserved.sub(" ", text)

    def _encode(self, before: str, text: str) -> Ids:
        """Ids of a text that stands after another."""
        key = (before, text)
        if key not in self._known:
            if len(self._known) >= _KEPT:
                self._known.clear()
            first = self.hf.encode(before, add_special_tokens=False) if before else []
            ids = self.hf.encode(before + text, add_special_tokens=False)
            fits = ids[: len(first)] == first
            self._known[key] = tuple(ids[len(first) :] if fits else self.hf.encode(text, add_special_tokens=False))
        return self._known[key]


# -- rows


@dataclass
class ChatRows:
    """What an episode of a chat has beside its ids, see `observe`."""

    instructions: str
    end: int = -1
    """The id that ends an action."""
    texts: list[str] = field(default_factory=list)
    """Of the observations."""
    openings: dict[int, Ids] = field(default_factory=dict)
    """Observations that a row may begin with: their ids with the instructions before them, by turn."""
    spare: int = 0
    """Tokens that a row needs for the instructions, at most."""
    past: Any = None
    """The `TokenEpisode` as the template words it once it is past, where it does so in another way; without its last turn's action."""

    @classmethod
    def from_json(cls, values: dict[str, Any], episode: Callable[[dict[str, Any]], Any]) -> ChatRows:
        """As `TokenEpisode.from_json`, which is ``episode``."""
        openings = {int(turn): tuple(ids) for turn, ids in values["openings"].items()}
        past = values["past"]
        return cls(**{**values, "openings": openings, "past": None if past is None else episode(past)})


def observe(form: Any, episode: Any, text: str, writer: ChatText) -> None:
    """Append what the environment said to an episode of a chat, see `TextFormat.observe`."""
    rows: ChatRows = episode.chat
    turn = len(episode.observations)
    if not turn:
        rows.spare, rows.end = len(writer.opening(rows.instructions, "")) + 2, writer.end
    room = form.max_tokens - form.max_action_tokens - rows.spare
    if room < 1:
        raise ValueError(
            f"max_tokens={form.max_tokens} leaves no room: the instructions take {rows.spare} tokens, an action up to "
            f"{form.max_action_tokens}"
        )
    text = writer.cut(text, room)
    rows.texts.append(text)
    if not turn:
        rows.openings[0] = writer.opening(rows.instructions, text)
    episode.observations.append(writer.turn(text) if turn else rows.openings[0])
    said = sum(map(len, episode.observations)) + sum(map(len, episode.actions))
    if rows.past is not None:
        if turn:
            rows.past.actions.append(writer.past.action(writer.said(episode.actions[-1])))
        observe(form, rows.past, text, writer.past)
    # Rows begin later than the game where there is no room for all of it, or little is shown.
    if form.context_turns is not None or said + form.max_action_tokens + rows.spare > form.max_tokens:
        for part, own in ((rows, writer), (rows.past and rows.past.chat, writer.past)):
            if part is None:
                continue
            new = [k for k in range(len(rows.texts)) if k not in part.openings]
            part.openings |= {k: own.opening(rows.instructions, rows.texts[k]) for k in new}


def rows_of(layout: ChatLayout, instructions: str, episode: Callable[..., Any]) -> ChatRows:
    """Of a chat in which nothing was said; ``episode`` makes a `TokenEpisode`."""
    return ChatRows(instructions, past=episode(chat=ChatRows(instructions)) if layout.rewrites else None)


def past_of(episode: Any) -> Any:
    """The `TokenEpisode` as its past is worded."""
    return episode if episode.chat is None or episode.chat.past is None else episode.chat.past
