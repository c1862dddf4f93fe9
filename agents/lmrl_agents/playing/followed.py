"""Games that are followed from turn to turn, by what has a memory of its own."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from lmrl_agents.playing.protocol import Request
from lmrl_envs import Transcript

Player = TypeVar("Player")
Answer = TypeVar("Answer")
KEPT = 10_000
"""Games that are kept at most, where nobody tells that they are over."""


class Followed(Generic[Player, Answer]):
    """One player for each game. Where a request is not the next one of its game, the player is made anew and led through the
    conversation, so that an answer depends on its request alone.

    Args:
        make: the player of a game that begins with this request.
        answer: what it answers next.
    """

    def __init__(self, make: Callable[[Request], Player], answer: Callable[[Player, Transcript], Answer]) -> None:
        self._make, self._answer = make, answer
        self._games: OrderedDict[tuple[str, int, int], tuple[Player, int]] = OrderedDict()

    def answer(self, request: Request) -> Answer:
        """The answer to a request."""
        key, turn = (request.env_id, request.episode, request.seed), len(request.transcript) // 2
        player, expected = self._games.get(key, (None, -1))
        if player is None or expected != turn:
            player = self._make(request)
            for k in range(turn):
                self._answer(player, Transcript(request.transcript[: 2 * k + 1]))
        self._games[key] = (player, turn + 1)
        if len(self._games) > KEPT:
            self._games.popitem(last=False)
        return self._answer(player, request.transcript)

    def finished(self, episodes: Sequence[int]) -> None:
        """These games are over: their players can go."""
        over = set(episodes)
        for key in [key for key in self._games if key[1] in over]:
            del self._games[key]
