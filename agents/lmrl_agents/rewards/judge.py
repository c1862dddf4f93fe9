"""A language model as a labeller, asked which of two is better, in both orders, and as a reward, asked for a mark (Lee et al., arXiv 2309.00267)."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from functools import cache
from typing import Any

from lmrl_agents.rewards.protocol import RewardError, Trajectory
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
_MARK = re.compile(r"\W*(10|[1-9])\W*(?:/\W*10\W*)?")


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
        self.most, self.name = _bounded(argument)
        self.calls = 0
        self.backend = backend or backend_of(self.name)

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
        user = texts["user"].format(first=told(sides[0]), second=told(sides[1]))
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


class JudgeReward:
    """``judge:openai:MODEL`` as a reward (direct RLAIF): each action is marked from 1 to 10 for what was said up to it, told as -1 to 1.

    A conversation is marked once and its mark kept. A mark that is none counts as the middle of the scale; ``calls=`` as in `Judge`.

    Args:
        argument: as above.
        backend: a model that is there already.

    Raises:
        ValueError: another form.
    """

    def __init__(self, argument: str = "", backend: Backend | None = None) -> None:
        self.most, self.name = _bounded(argument)
        self.calls = self.unread = 0
        self.backend = backend or backend_of(self.name)
        self._marks: dict[str, float] = {}

    def score(self, trajectories: Sequence[Trajectory]) -> list[list[float]]:
        """See `lmrl_agents.rewards.protocol.Reward.score`.

        Raises:
            RewardError: the model cannot be asked, not as often, or gives no mark at all.
        """
        shown_to = [
            [told(Transcript(one.transcript[: 2 * k + 2])) for k in range(len(one.transcript.actions))]
            for one in trajectories
        ]
        new = [text for text in dict.fromkeys(t for texts in shown_to for t in texts) if text not in self._marks]
        self._mark(new)
        return [[self._marks[text] for text in texts] for texts in shown_to]

    def _mark(self, games: Sequence[str]) -> None:
        if self.most is not None and self.calls + len(games) > self.most:
            raise RewardError(f"judge:{self.name} may be asked {self.most} times, {self.calls} are spent: raise calls=")
        wording = toml(__file__, "judge.toml")
        queries = [
            Query([{"role": "system", "content": wording["mark_system"]},
                   {"role": "user", "content": wording["mark_user"].format(game=game)}], 0)
            for game in games
        ]  # fmt: skip
        read = 0
        for number, result in self.backend.complete(queries, TOKENS):
            self.calls += 1
            if isinstance(result, Failure) and (result.advice or result.is_final):
                raise RewardError(f"judge:{self.name}: {shown(result.why, 200)} {result.advice}".strip())
            found = _MARK.fullmatch(result.text.strip()) if isinstance(result, Completion) else None
            read += found is not None
            self._marks[games[number]] = (int(found[1]) - 5.5) / 4.5 if found else 0.0
        self.unread += len(games) - read
        if games and not read:
            raise RewardError(f"judge:{self.name} gave none of {len(games)} conversations a mark from 1 to 10")

    def describe(self) -> dict[str, Any]:
        """The model."""
        return {"kind": "judge", "model": self.name}


def _bounded(argument: str) -> tuple[int | None, str]:
    """``calls=200:openai:MODEL`` -> 200 and the model."""
    head, _, rest = argument.partition(":")
    if not head.startswith("calls="):
        return None, argument
    if not head.removeprefix("calls=").isdecimal():
        raise ValueError(f"judge:{argument}: {head!r} is not calls=NUMBER")
    return int(head.removeprefix("calls=")), rest


def told(game: Transcript) -> str:
    """A game as the judge reads it; what it quotes cannot close the marks."""
    text = "\n".join(f"{'Player' if turn.is_action else 'Game'}: {turn.text}" for turn in game)
    text = text.replace("<<<", "< < <").replace(">>>", "> > >")
    return text if len(text) <= MOST else f"{text[: MOST // 2]}\n[...]\n{text[-MOST // 2 :]}"


@cache
def backend_of(name: str) -> Any:
    """The model of ``openai:MODEL`` or ``transformers:PATH``.

    Raises:
        ValueError: another form.
    """
    kind, _, model = name.partition(":")
    if kind == "openai" and model:
        from lmrl_envs.partners.chat_server import ChatServer, ServerSettings

        return ChatServer(model, ServerSettings(), "a judge")
    if kind == "transformers" and model:
        from lmrl_envs.partners.local_model import LocalModel, LocalSettings

        return LocalModel(model, LocalSettings(), "a judge")
    raise ValueError(f"judge:{name}: write judge:openai:MODEL or judge:transformers:PATH")
