"""A language model as a labeller: asked which of two is better, in both orders (Lee et al., arXiv 2309.00267)."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from functools import cache
from typing import Any

from lmrl_datasets.preferences.labellers import Shown, Verdict
from lmrl_datasets.preferences.schema import PreferenceError
from lmrl_envs import Transcript
from lmrl_envs.files.untrusted import shown
from lmrl_envs.language.lists import toml
from lmrl_envs.partners.backend import Backend, Completion, Failure, Query

MOST = 6000
"""Characters of a game that a judge reads; of a longer one the beginning and the end."""
TOKENS = 16
"""Longest answer: a number, and what some models write around it."""
_SAID = re.compile(r"\W*([12])\W*")


class Judge:
    """``judge:openai:MODEL`` or ``judge:transformers:PATH``; ``judge:calls=200:openai:MODEL`` is asked so often at most.

    The label is the mean of both orders: 1, 0, or .5 where the verdict goes with the order. An answer that is neither 1 nor 2 does not
    count; where neither order has one, the pair is skipped. Both cost a call.

    Args:
        argument: as above.
        backend: a model that is there already.

    Raises:
        ValueError: another form.
    """

    batch = 16
    """Pairs at once: what a kill loses of paid answers."""

    def __init__(self, argument: str = "", backend: Backend | None = None) -> None:
        head, _, rest = argument.partition(":")
        self.most: int | None = None
        if head.startswith("calls="):
            if not head.removeprefix("calls=").isdecimal():
                raise ValueError(f"judge:{argument}: {head!r} is not calls=NUMBER")
            self.most, argument = int(head.removeprefix("calls=")), rest
        self.name, self.calls = argument, 0
        self.backend = backend or _backend(argument)

    def label(self, pairs: Sequence[Shown]) -> list[Verdict]:
        """See `Labeller.label`.

        Raises:
            PreferenceError: the model cannot be asked, or not as often.
        """
        if self.most is not None and self.calls + 2 * len(pairs) > self.most:
            raise PreferenceError(
                f"the judge may be asked {self.most} times, {self.calls} are spent: raise calls=, or ask for fewer labels; those that it gave are kept"
            )
        queries = [self._query(pair, turned) for pair in pairs for turned in (False, True)]
        began, answers = time.monotonic(), ["" for _ in queries]
        for number, result in self.backend.complete(queries, TOKENS):
            self.calls += 1
            if isinstance(result, Completion):
                answers[number] = result.text
            elif isinstance(result, Failure) and (result.advice or result.is_final):
                raise PreferenceError(f"judge {self.name}: {shown(result.why, 200)} {result.advice}".strip())
        seconds = round((time.monotonic() - began) / len(pairs), 3)
        return [self._verdict(answers[2 * k], answers[2 * k + 1], seconds) for k in range(len(pairs))]

    def _query(self, pair: Shown, turned: bool) -> Query:
        sides = (pair.second, pair.first) if turned else (pair.first, pair.second)
        texts = toml(__file__, "judge.toml")
        user = texts["user"].format(first=_told(sides[0]), second=_told(sides[1]))
        return Query(
            [{"role": "system", "content": texts["system"]}, {"role": "user", "content": user}], pair.seed % 2**31
        )

    def _verdict(self, straight: str, turned: str, seconds: float) -> Verdict:
        votes = [
            float((found[1] == "1") != swapped)
            for text, swapped in ((straight, False), (turned, True))
            if (found := _SAID.fullmatch(text.strip()))
        ]
        critique = f"{straight.strip()[:200]} / {turned.strip()[:200]}"
        if not votes:
            return Verdict(None, critique, seconds=seconds)
        mean = sum(votes) / len(votes)
        return Verdict(
            mean,
            critique,
            both_orders=len(votes) == 2,
            votes=len(votes),
            agreement=max(mean, 1 - mean),
            seconds=seconds,
        )


def _told(game: Transcript) -> str:
    """A game as the judge reads it; what it quotes cannot close the marks."""
    text = "\n".join(f"{'Player' if turn.is_action else 'Game'}: {turn.text}" for turn in game)
    text = text.replace("<<<", "< < <").replace(">>>", "> > >")
    return text if len(text) <= MOST else f"{text[: MOST // 2]}\n[...]\n{text[-MOST // 2 :]}"


@cache
def _backend(name: str) -> Any:
    kind, _, model = name.partition(":")
    if kind == "openai" and model:
        from lmrl_envs.partners.chat_server import ChatServer, ServerSettings

        return ChatServer(model, ServerSettings(), "a judge")
    if kind == "transformers" and model:
        from lmrl_envs.partners.local_model import LocalModel, LocalSettings

        return LocalModel(model, LocalSettings(), "a judge")
    raise ValueError(f"judge:{name}: write judge:openai:MODEL or judge:transformers:PATH")
