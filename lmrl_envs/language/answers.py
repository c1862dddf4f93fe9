"""How the actions of a task look in what a language model writes: in an answer that is nothing else, and in running text.

A task names its form in its surface (`lmrl_envs.surface.Surface.answer_form`). Reading goes by form alone: whether a move is
legal or a word known is for the environment to judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from lmrl_envs.files.untrusted import Refused, decode

_LONG = 400
_MOST = 200
_WRAPPERS = "\"'`*_“”‘’«»()[]{}<> \t\n"
_LIST_ITEM = re.compile(r"^\s*(?:[>$#•*-]+\s+|\d{1,2}[.)]\s+)")
_EMPHASISED = re.compile(
    r"\*\*([^*\n]{1,200})\*\*|`([^`\n]{1,200})`|[\"“«]([^\"”»\n]{1,200})[\"”»]|__([^_\n]{1,200})__"
)
_INTENTION = re.compile(
    r"\b(?:i(?:'|’)?ll|i will|i(?:'|’)?m going to|i am going to|i(?:'|’)?d|i would|i should|i choose|i pick|i play|i go|i move|i try"
    r"|let(?:'|’)?s|let me|we should|therefore|thus|hence|so|best|next|is to|go with|going with|choose|play|guess|try|start with"
    r"|(?:answer|move|action|command|guess|choice|step|option) (?:is|would be|will be|:))\b[^.!?\n]{0,60}$",
    re.I,
)
NEGATION = re.compile(
    r"\b(?:not|n't|cannot|can't|can’t|don't|don’t|won't|avoid|never|instead of|rather than|unable to|blocked|without)\b"
    r"[^.,;!?\n]{0,40}$",
    re.I,
)


class Mention(NamedTuple):
    """An action in running text."""

    start: int
    action: str


class Tool(NamedTuple):
    """An action as a call of a tool with one argument of text."""

    name: str
    argument: str
    does: str
    """What the call does, in a sentence."""
    means: str
    """What the argument holds, in a phrase."""

    def schema(self) -> dict[str, Any]:
        """The tool as chat servers are told of it: a function and the JSON schema of its arguments."""
        argument = {"type": "string", "description": self.means}
        parameters = {
            "type": "object",
            "properties": {self.argument: argument},
            "required": [self.argument],
            "additionalProperties": False,
        }
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.does, "parameters": parameters},
        }

    def read(self, arguments: str) -> str | None:
        """The argument in those of a call, as a model wrote them; None where it is not there."""
        try:
            found = decode(arguments)
        except Refused:
            return None
        value = found.get(self.argument) if isinstance(found, dict) else None
        return value if isinstance(value, str) else None


def plain(text: str) -> str:
    """One line without list marks, quotes, emphasis and the full stop; a long text as it is."""
    if len(text) > _LONG:
        return text
    text = _LIST_ITEM.sub("", " ".join(text.split()))
    before = None
    while text != before:
        before, text = text, text.strip(_WRAPPERS).rstrip(".,;:!").strip()
    return text


class AnswerForm:
    """What an action looks like. This one is for tasks of which nothing is known: the marked answer, or the whole text."""

    tool = Tool("answer", "text", "Play an action.", "the action")
    """The same action as a call of a tool."""
    bare: re.Pattern[str] | None = None
    """Messages that are read as just what they are, so that they need no reading; None: nothing is known of any."""
    is_speech = False
    """Whether an action is what somebody says: then all that follows a marker belongs to it, over several lines."""

    def whole(self, text: str, observation: str) -> str | None:
        """The action that a text is, when it is little else; None when it is none."""
        return text.strip() or None

    def scan(self, text: str, observation: str) -> str | None:
        """The action in running text; None without any."""
        return text.strip() or None


class FixedForm(AnswerForm):
    """Actions of a form of their own (commands, moves, words), which can be told from the text around them.

    Subclasses write `whole` and `mentions`.
    """

    def mentions(self, text: str, observation: str) -> list[Mention]:
        """Actions in running text, in order."""
        return []

    def scan(self, text: str, observation: str) -> str | None:
        """The action in running text: a line of its own (the last, then the first), what is emphasised or quoted, what is
        intended ("I will ..."), the only one, the last one that is not ruled out; None without any."""
        lines = [line for line in text.split("\n") if line.strip()]
        for line in (lines[-1:] + lines[:1])[:2]:
            if len(line) <= 200 and (action := self.whole(line, observation)) is not None:
                return action
        marked = [self.whole(part, observation) for part in emphasised(text)]
        marked = [action for action in marked if action is not None]
        if len(set(marked)) == 1:
            return marked[0]
        mentions = self.mentions(text, observation)[-_MOST:]
        fine = [m for m in mentions if not NEGATION.search(text, max(0, m.start - 80), m.start)]
        meant = [m for m in fine if _INTENTION.search(text, max(0, m.start - 120), m.start)]
        for found in (meant, fine, mentions):
            if found:
                return found[-1].action
        return marked[-1] if marked else None


def emphasised(text: str) -> Iterator[str]:
    """The parts of a text in bold, in quotes or set as code."""
    for match in _EMPHASISED.finditer(text):
        yield next(group for group in match.groups() if group is not None)


class QuestionForm(AnswerForm):
    """One question."""

    tool = Tool("ask", "question", "Ask one question.", "the question")
    bare = re.compile(r"(?:Is|Are|Was|Were|Does|Do|Did|Can|Could|Has|Have|Would|Will) [A-Za-z ,'-]{0,150}[a-z]\?")

    _SENTENCE_END = re.compile(
        r"(?<!\bSt\.)(?<!\bMt\.)(?<!\bDr\.)(?<!\bMr\.)(?<!\bD\.C\.)(?<!\bU\.S\.)(?<!\be\.g\.)(?<!\bi\.e\.)(?<=[.!?])[\"'”*)]*\s+|\n+"
    )
    _OPENING = re.compile(
        r"^(?:(?:okay|ok|sure|great|alright|all right|hmm|hm|well|so|now|next|then|first|good|interesting|got it|right|let me ask|i(?:'ll| will) ask)"
        r"[,:!.]?\s+)+(?=\w)|^(?:\(?[a-z]\)|q(?:uestion)?\s*#?\d*\s*[:.)-])\s*",
        re.I,
    )
    _LABEL = re.compile(r"^[^?]{0,120}?:\s+(?=[\"“'*]*(?:[A-Z]))")
    _REPLY = re.compile(r"(?:yes|no)\b[.!,]?\s*$|(?:yes|no)[.!]", re.I)

    def whole(self, text: str, observation: str) -> str | None:
        if "?" in text:
            return self.scan(text, observation)
        line = plain(text)
        return line if 0 < len(line) <= 200 else None

    def scan(self, text: str, observation: str) -> str | None:
        quoted = [part.strip() for part in emphasised(text) if part.strip().rstrip("*\"'”").endswith("?")]
        if quoted:
            return self._one(quoted[-1])
        parts = [part.strip() for part in self._SENTENCE_END.split(text) if part and part.strip()]
        asked = [i for i, part in enumerate(parts) if part.rstrip("\"'”*_) ").endswith("?")]
        if not asked:
            return plain(parts[-1]) if parts else None
        # A model that goes on and answers itself has asked its first question.
        played = [i for i in asked if i + 1 < len(parts) and self._REPLY.match(parts[i + 1])]
        return self._one(parts[played[0] if played else asked[-1]])

    def _one(self, question: str) -> str:
        question = _LIST_ITEM.sub("", question.strip()).strip("\"'“”*_` ")
        question = self._LABEL.sub("", question)
        return self._OPENING.sub("", question).strip("\"'“”*_` ")


class SpeechForm(AnswerForm):
    """What one side of a conversation says: all of it, without the name of who speaks.

    Args:
        speakers: names of that side, beside the usual ones.
    """

    tool = Tool("say", "message", "Say something to the other side.", "what is said, word for word")
    bare = re.compile(r"[A-Z](?:[\w ,.?!'$-]{0,1000}[\w.?!])?", re.ASCII)

    is_speech = True

    def __init__(self, *speakers: str) -> None:
        names = "|".join(map(re.escape, (*speakers, "me", "you", "agent", "assistant")))
        self._speaker = re.compile(rf"^[*_]{{0,2}}(?:{names})[*_]{{0,2}}\s*:[*_]{{0,2}}\s*", re.I)

    def whole(self, text: str, observation: str) -> str | None:
        text = self._speaker.sub("", text.strip())
        if len(text) > 1 and text[0] in '"“«' and text[-1] in '"”»' and not set(text[1:-1]) & set('"“”'):
            text = text[1:-1].strip()
        return text or None

    def scan(self, text: str, observation: str) -> str | None:
        return self.whole(text, observation)
