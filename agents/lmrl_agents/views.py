"""How an agent reads observations. A view changes wording only; what the environment tells stays all there is."""

from __future__ import annotations

from collections.abc import Callable

from lmrl_envs import Transcript
from lmrl_envs.wordle.rules import clean_guess, paired_text, parse_feedback


def _plain(transcript: Transcript) -> list[str]:
    return [turn.text for turn in transcript]


def _paired(transcript: Transcript) -> list[str]:
    """Wordle: each mark beside its letter and place, ``c1g r2y a3b n4b e5b``; guesses without blanks, in lower case."""
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


VIEWS: dict[str, Callable[[Transcript], list[str]]] = {"plain": _plain, "paired": _paired}


def view_texts(view: str, transcript: Transcript) -> list[str]:
    """The texts of a conversation as an agent with this view reads them (environment first, in turn)."""
    return VIEWS[view](transcript)
