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


_MEN = "KQRBNPkqrbnp"


def _men(transcript: Transcript) -> list[str]:
    """Chess: every man beside its square, ``Kb1 Rc3 kh1``, White's first and the king before the others; then what can still
    be castled (``O=KQ``) and the square of a pawn that can be taken in passing (``x=e3``). The move counters are left out.
    Moves without blanks and marks of check (``Rc8``)."""
    texts = [turn.text for turn in transcript]
    for i, text in enumerate(texts):
        joined = text if text[1:2] != " " else "".join(text[::2])
        if i % 2:
            texts[i] = "".join(text.split()).rstrip("+#!?")
            continue
        fields = joined.split()
        if len(fields) < 4 or fields[0].count("/") != 7:
            continue
        men = []
        for rank, row in zip("87654321", fields[0].split("/"), strict=True):
            column = 0
            for mark in row:
                if mark.isdigit():
                    column += int(mark)
                else:
                    men.append((_MEN.find(mark), f"{mark}{'abcdefgh'[column % 8]}{rank}"))
                    column += 1
        extras = [f"O={fields[2]}"] * (fields[2] != "-") + [f"x={fields[3]}"] * (fields[3] != "-")
        texts[i] = " ".join([name for _, name in sorted(men)] + extras)
    return texts


VIEWS: dict[str, Callable[[Transcript], list[str]]] = {"plain": _plain, "paired": _paired, "men": _men}


def view_texts(view: str, transcript: Transcript) -> list[str]:
    """The texts of a conversation as an agent with this view reads them (environment first, in turn)."""
    return VIEWS[view](transcript)
