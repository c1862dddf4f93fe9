"""How moves of chess look in what a language model writes."""

from __future__ import annotations

import re

from lmrl_envs.language.answers import NEGATION, FixedForm, Mention, Tool, plain


class ChessForm(FixedForm):
    """A move, SAN or UCI, or in words."""

    tool = Tool("move", "move", "Play a move.", "the move, in SAN or UCI")

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
        return moves.pop() if len(moves) == 1 and not NEGATION.search(line) else None

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
