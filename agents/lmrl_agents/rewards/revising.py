"""Critique and revision of answers: scripted, by what a task knows of its faults, or by a language model under written principles."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Protocol

from lmrl_agents.rewards.judge import backend_of, told
from lmrl_agents.rewards.protocol import RewardError
from lmrl_envs import Transcript, load_task
from lmrl_envs.files.untrusted import shown
from lmrl_envs.language.lists import toml
from lmrl_envs.partners.backend import Completion, Failure, Query

TOKENS = 200
"""Longest critique or revision."""


class Reviser(Protocol):
    """Criticises the last action of games, and says it better."""

    def revise(self, env_id: str, games: Sequence[Transcript], seeds: Sequence[int]) -> list[tuple[str, str]]:
        """For each game the critique and the revised last action; all that is random follows from the game's seed."""
        ...


class Scripted:
    """``scripted:notices=.5``: mends each fault that the task knows of its actions with this probability.

    Raises:
        ValueError: another form.
    """

    def __init__(self, argument: str = "") -> None:
        name, _, text = (argument or "notices=.5").partition("=")
        try:
            self.notices = float(text)
        except ValueError:
            self.notices = -1.0
        if name != "notices" or not 0 <= self.notices <= 1:
            raise ValueError(f"scripted:{argument}: write notices=SHARE")

    def revise(self, env_id: str, games: Sequence[Transcript], seeds: Sequence[int]) -> list[tuple[str, str]]:
        """See `Reviser.revise`. The task's surface says what its faults are: ``mended(game, notices)`` gives the critique of the last
        action and the action without each fault for which ``notices()``; where it has none, nothing is changed."""
        found = []
        for game, seed in zip(games, seeds, strict=True):
            rng = random.Random(seed)
            mended = getattr(load_task(env_id).surface, "mended", lambda game, notices: ("", game.actions[-1]))
            found.append(mended(game, lambda rng=rng: rng.random() < self.notices))
        return found


class Model:
    """``openai:MODEL`` or ``transformers:PATH``: asked for a critique under one of the principles of ``revising.toml``, then for a revision.

    Args:
        name: as above.
        backend: a model that is there already.
    """

    def __init__(self, name: str, backend: Any = None) -> None:
        self.name, self.backend = name, backend or backend_of(name)
        self.texts = toml(__file__, "revising.toml")

    def revise(self, env_id: str, games: Sequence[Transcript], seeds: Sequence[int]) -> list[tuple[str, str]]:
        """See `Reviser.revise`; an empty revision changes nothing.

        Raises:
            RewardError: the model cannot be asked.
        """
        principles = [self.texts["principles"][seed % len(self.texts["principles"])] for seed in seeds]
        asked = [
            {"game": told(game), "principle": p, "critique": ""} for game, p in zip(games, principles, strict=True)
        ]
        critiques = self._asked("critique", asked, seeds)
        for one, critique in zip(asked, critiques, strict=True):
            one["critique"] = critique
        revisions = self._asked("revision", asked, seeds)
        return [(c, r or game.actions[-1]) for c, r, game in zip(critiques, revisions, games, strict=True)]

    def _asked(self, what: str, asked: Sequence[dict[str, str]], seeds: Sequence[int]) -> list[str]:
        queries = [
            Query([{"role": "user", "content": self.texts[what].format(**one)}], seed % 2**31, 0.7)
            for one, seed in zip(asked, seeds, strict=True)
        ]
        answers = ["" for _ in queries]
        for number, result in self.backend.complete(queries, TOKENS):
            if isinstance(result, Completion):
                answers[number] = result.text.strip()
            elif isinstance(result, Failure) and (result.advice or result.is_final):
                raise RewardError(f"reviser {self.name}: {shown(result.why, 200)} {result.advice}".strip())
        return answers


def load_reviser(spec: str) -> Reviser:
    """Make a reviser: ``scripted``, perhaps with ``:notices=SHARE``, ``openai:MODEL`` or ``transformers:PATH``.

    Raises:
        ValueError: something else.
    """
    kind, _, rest = spec.partition(":")
    return Scripted(rest) if kind == "scripted" else Model(spec)
