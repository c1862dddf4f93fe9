"""What is known of the task outside the game: see `lmrl_envs.surface`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lmrl_envs.core import Transcript
from lmrl_envs.language.answers import FixedForm, Mention, Tool, emphasised, plain
from lmrl_envs.surface import Invariants, Picture, Surface, View, quoted
from lmrl_envs.wordle.rules import MARKS, MAX_GUESSES, PLAIN, WORD_LENGTH, clean_guess, paired_text, parse_feedback


class WordleForm(FixedForm):
    """A word of five letters, in one piece or spelt."""

    tool = Tool("guess", "word", "Guess a word.", "the word")
    bare = re.compile(r"[a-z]{5}")

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
        marked = [plain(part) for part in emphasised(text)]
        words = [word for word in marked if self._WORD.fullmatch(word)] or self._CAPITALS.findall(line)
        words = {re.sub(r"[ -]", "", word).lower() for word in words}
        return words.pop() if len(line) <= 120 and len(words) == 1 else None

    def mentions(self, text: str, observation: str) -> list[Mention]:
        capitals = [Mention(m.start(), re.sub(r"[ -]", "", m[0]).lower()) for m in self._CAPITALS.finditer(text)]
        intended = [Mention(m.start(1), m[1].lower()) for m in self._INTENDED.finditer(text)]
        intended = [m for m in intended if not self._NO_GUESS.fullmatch(m.action)]
        found = [m for m in capitals if m.action not in ("guess", "words")] + intended
        return sorted(set(found))


def _paired(transcript: Transcript) -> list[str]:
    """Each mark beside its letter and place, ``c1g r2y a3b n4b e5b``; guesses without blanks, in lower case."""
    texts = [turn.text for turn in transcript]
    for i in range(1, len(texts), 2):
        guess = clean_guess(texts[i])
        if len(guess) != 5:
            continue
        texts[i] = guess
        if i + 1 < len(texts) and len(texts[i + 1]) == 9:  # the plain form; the paired one is longer
            code = parse_feedback(texts[i + 1])
            if code is not None:
                texts[i + 1] = paired_text(guess, code)
    return texts


class WordleSurface(Surface):
    """See `lmrl_envs.surface.Surface`."""

    answer_form = WordleForm()

    views = {**Surface.views, "paired": View(_paired)}

    def picture(self, transcript: Transcript, ended: Mapping[str, Any] | None = None) -> Picture:
        rows: list[dict[str, Any]] = []
        keys: dict[str, str] = {}
        for action, told in zip(transcript.actions, transcript.observations[1:], strict=True):
            code, guess = parse_feedback(told), clean_guess(action)
            if code is None or len(guess) != WORD_LENGTH:
                rows.append({"guess": action[:20], "marks": None})
                continue
            marks = PLAIN[code].replace(" ", "")
            rows.append({"guess": guess, "marks": marks})
            for letter, mark in zip(guess, marks, strict=True):
                keys[letter] = max(mark, keys.get(letter, mark), key=MARKS.index)
        return {"kind": "tiles", "rows": rows, "keys": keys, "length": WORD_LENGTH, "guesses": MAX_GUESSES}

    def doubt(self, transcript: Transcript, action: str, env: Any) -> str | None:
        if clean_guess(action) in env.words.index:
            return None
        return f'{quoted(action)} is not in this task\'s word list: it is answered "invalid" and uses up a guess.'

    def turn_limit(self, env: Any) -> int:
        return MAX_GUESSES

    same_game = Surface.same_game | {"feedback"}
    lmrl_also = frozenset({"duplicates"})

    variants = (
        {"feedback": "paired"},
        {"duplicates": "independent"},
        {"vocabulary": ["crane", "crank", "eerie", "mamma"]},
    )

    def invariants(self, kwargs: Mapping[str, Any]) -> Invariants:
        return Invariants(rewards=frozenset({0.0, -1.0}), truncates=False)


SURFACE = WordleSurface()
