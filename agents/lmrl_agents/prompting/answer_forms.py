"""How actions of each family of tasks look, in an answer that is nothing else and in running text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

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
_NEGATION = re.compile(
    r"\b(?:not|n't|cannot|can't|can’t|don't|don’t|won't|avoid|never|instead of|rather than|unable to|blocked|without)\b"
    r"[^.,;!?\n]{0,40}$",
    re.I,
)


class Mention(NamedTuple):
    """An action in running text."""

    start: int
    action: str


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
    """What an action of a family looks like."""

    def whole(self, text: str, observation: str) -> str | None:
        """The action that a text is, when it is little else; None when it is none."""
        return text.strip() or None

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
        marked = [self.whole(part, observation) for part in _emphasised(text)]
        marked = [action for action in marked if action is not None]
        if len(set(marked)) == 1:
            return marked[0]
        mentions = self.mentions(text, observation)[-_MOST:]
        fine = [m for m in mentions if not _NEGATION.search(text, max(0, m.start - 80), m.start)]
        meant = [m for m in fine if _INTENTION.search(text, max(0, m.start - 120), m.start)]
        for found in (meant, fine, mentions):
            if found:
                return found[-1].action
        return marked[-1] if marked else None


def _emphasised(text: str) -> Iterator[str]:
    for match in _EMPHASISED.finditer(text):
        yield next(group for group in match.groups() if group is not None)


class MazeForm(AnswerForm):
    """``move up|down|left|right``."""

    _WHOLE = re.compile(
        r"(?:(?:i|i'll|i will|let's|let me)\s+)?(?:(?:move|go|walk|step|head)\s+)?(?:one (?:step|cell)\s+)?(up|down|left|right)",
        re.I,
    )
    _PLAN = re.compile(
        r"(?:move\s+)?(up|down|left|right)(?:\s*(?:,|->|→|;|then|and)+\s*(?:move\s+)?(?:up|down|left|right))+", re.I
    )
    _MENTION = re.compile(
        r"\b(?:mov(?:e|ing)|go(?:ing)?|head(?:ing)?|walk(?:ing)?|step(?:ping)?)\s+(?:one (?:step|cell)\s+)?(up|down|left|right)\b",
        re.I,
    )

    def whole(self, text: str, observation: str) -> str | None:
        line = plain(text)
        match = self._WHOLE.fullmatch(line) or self._PLAN.fullmatch(line)  # of a plan, the first step is now
        if match is None and len(line) <= 80:
            found = {m.action for m in self.mentions(line, observation)}
            return found.pop() if len(found) == 1 and not _NEGATION.search(line) else None
        return f"move {match[1].lower()}" if match else None

    def mentions(self, text: str, observation: str) -> list[Mention]:
        return [Mention(m.start(), f"move {m[1].lower()}") for m in self._MENTION.finditer(text)]


class WordleForm(AnswerForm):
    """A word of five letters, in one piece or spelt."""

    _WORD = re.compile(r"[a-z]{5}", re.I)
    _SPELT = re.compile(r"[a-z](?:[\s,.\-–|/]+[a-z]){4}", re.I)
    _CAPITALS = re.compile(r"\b(?:[A-Z]{5}|[A-Z](?:[ -][A-Z]){4})\b")
    _INTENDED = re.compile(
        r"\b(?:guess(?:ing)?|try(?:ing)?|go(?:ing)? with|choos(?:e|ing)|pick(?:ing)?|play(?:ing)?|start(?:ing)? with|open(?:ing)? with|use"
        r"|(?:word|answer|guess|candidate|choice)(?: (?:is|would be|will be))?)\s+(?:the word\s+|is\s+|with\s+)?([a-z]{5})\b(?!\s+(?:word|letter))",
        re.I,
    )
    _NO_GUESS = re.compile(
        r"again|words|guess|using|other|th[eo]se|there|where|which|first|about|right|maybe|since|still|could|would|think"
        r"|based|given|green|after|every|until"
    )

    def whole(self, text: str, observation: str) -> str | None:
        line = plain(text)
        if self._WORD.fullmatch(line):
            return line.lower()
        if self._SPELT.fullmatch(line):
            return "".join(c for c in line if c.isalpha()).lower()
        marked = [plain(part) for part in _emphasised(text)]
        words = [word for word in marked if self._WORD.fullmatch(word)] or self._CAPITALS.findall(line)
        words = {re.sub(r"[ -]", "", word).lower() for word in words}
        return words.pop() if len(line) <= 120 and len(words) == 1 else None

    def mentions(self, text: str, observation: str) -> list[Mention]:
        capitals = [Mention(m.start(), re.sub(r"[ -]", "", m[0]).lower()) for m in self._CAPITALS.finditer(text)]
        intended = [Mention(m.start(1), m[1].lower()) for m in self._INTENDED.finditer(text)]
        intended = [m for m in intended if not self._NO_GUESS.fullmatch(m.action)]
        found = [m for m in capitals if m.action not in ("guess", "words")] + intended
        return sorted(set(found))


class CommandForm(AnswerForm):
    """A command of a text adventure; the ones that work are listed in the observation."""

    _LISTED = re.compile(r"Available actions:\s*\[(.*?)\]", re.S)
    _COMMAND = re.compile(
        r"(?:go|take|open|close|insert|put|drop|eat|examine|look|inventory|lock|unlock|cook|cut)\b[\w ']{0,80}", re.I
    )

    def _listed(self, observation: str) -> list[str]:
        match = self._LISTED.search(observation)
        commands = [command.strip() for command in match[1].split(",")] if match else []
        return sorted((command for command in commands if command), key=len, reverse=True)

    def whole(self, text: str, observation: str) -> str | None:
        line = plain(text).lower()
        listed = self._listed(observation)
        if line in listed:
            return line
        if len(line) <= 80:
            found = {m.action for m in self.mentions(line, observation)}
            if len(found) == 1 and not _NEGATION.search(line):
                return found.pop()
        return line if not (found if len(line) <= 80 else ()) and self._COMMAND.fullmatch(line) else None

    def mentions(self, text: str, observation: str) -> list[Mention]:
        listed = self._listed(observation)
        if not listed:
            return []
        pattern = re.compile(r"\b(?:" + "|".join(map(re.escape, listed)) + r")\b", re.I)  # the longest first
        return [Mention(m.start(), m[0].lower()) for m in pattern.finditer(text)]


class ChessForm(AnswerForm):
    """A move, SAN or UCI, or in words."""

    _SAN = (
        r"(?:O-O-O|O-O|0-0-0|0-0|o-o-o|o-o|[KQRBN][a-h]?[1-8]?x?[a-h][1-8]|[a-h]x[a-h][1-8](?:=?[QRBN])?"
        r"|[a-h][18]=?[QRBN]|[a-h][1-8])"
    )
    _UCI = re.compile(r"([a-h][1-8])\s*(?:-|–|x|to|->|→)?\s*([a-h][1-8])=?([qrbn]?)", re.I)
    _MOVE = re.compile(rf"({_SAN})[+#]*")
    _NUMBER = re.compile(r"^\s*\d{1,3}\s*\.(?:\.\.)?\s*")
    _TAIL = re.compile(r"(?:[!?+#]|e\.p\.|\s)*$")
    _PIECE = {"king": "K", "queen": "Q", "rook": "R", "bishop": "B", "knight": "N", "pawn": ""}
    _IN_WORDS = re.compile(
        r"\b(?:the )?(king|queen|rook|bishop|knight|pawn)(?:\s+(?:on|from|at)?\s*([a-h][1-8]))?\s*(?:moves? |goes )?"
        r"(to|takes(?: on)?|captures(?: on)?|x)?\s*([a-h][1-8])(?:\s*(?:check(?:mate)?|mate))?\b",
        re.I,
    )
    _CASTLE = re.compile(r"\bcastles?\s*(kingside|queenside|king-side|queen-side|short|long)\b", re.I)
    _MENTION = re.compile(
        rf"(?<![\w/])(?:(?P<uci>[a-h][1-8]\s?(?:-|–|to|->|→)?\s?[a-h][1-8]=?[qrbnQRBN]?)|(?P<san>{_SAN})[+#]*)(?![\w/]|=)"
    )
    _PLACE = re.compile(
        r"\b(?:on|at|from|square|squares|in|of|control|controls|controlling|attack|attacks|attacking|guards?|covers?|toward|towards|via|through"
        r"|reach(?:es)?|near|and|or)\s*$",
        re.I,
    )

    def whole(self, text: str, observation: str) -> str | None:
        line = self._NUMBER.sub("", plain(self._NUMBER.sub("", " ".join(text.split()))))
        line = self._TAIL.sub("", line)
        castle, words = self._CASTLE.fullmatch(line), self._IN_WORDS.fullmatch(line)
        if castle:
            return "O-O" if castle[1].lower()[0] in "ks" else "O-O-O"
        if words:
            return self._from_words(words)
        for joined in (line, "".join(line.split())):
            if uci := self._UCI.fullmatch(joined):
                return f"{uci[1]}{uci[2]}{uci[3]}".lower()
            if san := self._MOVE.fullmatch(joined):
                return san[1]
        played = [self._MOVE.fullmatch(word) for word in re.sub(r"\d+\s*\.+", " ", line).split()]
        if played and played[0] and all(played):
            return played[0][1]  # a line of play: its first move is now
        found = self.mentions(line, observation) if len(line) <= 80 else []
        moves = {m.action for m in found}
        return moves.pop() if len(moves) == 1 and not _NEGATION.search(line) else None

    def _from_words(self, words: re.Match[str]) -> str:
        piece, start, how, end = self._PIECE[words[1].lower()], words[2], words[3] or "", words[4].lower()
        if start:
            return f"{start.lower()}{end}"
        return f"{piece}{'x' if how.lower() not in ('', 'to') else ''}{end}"

    def mentions(self, text: str, observation: str) -> list[Mention]:
        found = []
        for m in self._MENTION.finditer(text):
            if m["uci"]:
                uci = self._UCI.fullmatch(m["uci"])
                assert uci is not None
                found.append(Mention(m.start(), f"{uci[1]}{uci[2]}{uci[3]}".lower()))
            elif len(m["san"]) > 2 or not self._PLACE.search(text, max(0, m.start() - 30), m.start()):
                found.append(Mention(m.start(), m["san"]))
        found += [
            Mention(m.start(), "O-O" if m[1].lower()[0] in "ks" else "O-O-O") for m in self._CASTLE.finditer(text)
        ]
        worded = [m for m in self._IN_WORDS.finditer(text) if m[3]]
        ends = {m.end() for m in worded}
        # "knight to f3" holds the square f3, which is no pawn's move then.
        found = [m for m in found if not any(end - 12 < m.start + len(m.action) <= end for end in ends)]
        found += [Mention(m.start(), self._from_words(m)) for m in worded]
        return sorted(found)


class QuestionForm(AnswerForm):
    """One question."""

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
        quoted = [part.strip() for part in _emphasised(text) if part.strip().rstrip("*\"'”").endswith("?")]
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
    """What one side of a conversation says: all of it, without the name of who speaks."""

    _SPEAKER = re.compile(
        r"^[*_]{0,2}(?:seller|dealer|car dealer|salesperson|salesman|sales rep|me|you|agent|assistant)[*_]{0,2}\s*:[*_]{0,2}\s*",
        re.I,
    )

    def whole(self, text: str, observation: str) -> str | None:
        text = self._SPEAKER.sub("", text.strip())
        if len(text) > 1 and text[0] in '"“«' and text[-1] in '"”»' and not set(text[1:-1]) & set('"“”'):
            text = text[1:-1].strip()
        return text or None

    def scan(self, text: str, observation: str) -> str | None:
        return self.whole(text, observation)


class AnyForm(AnswerForm):
    """Tasks of which nothing is known: the marked answer, or the whole text."""

    def scan(self, text: str, observation: str) -> str | None:
        return text.strip() or None


FORMS: dict[str, AnswerForm] = {
    "": AnyForm(),
    "maze": MazeForm(),
    "wordle": WordleForm(),
    "wordle_full": WordleForm(),
    "text_nav": CommandForm(),
    "chess": ChessForm(),
    "chess_endgames": ChessForm(),
    "twenty_questions": QuestionForm(),
    "guess_my_city": QuestionForm(),
    "car_dealer": SpeechForm(),
}
DIALOGUES = ("car_dealer",)
"""Families whose actions are speech."""
