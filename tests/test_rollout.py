"""Rollouts in parts: the simulator plays one part of the games while the agent acts for the other."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from lmrl_agents import Request, load_agent
from lmrl_agents.playing.rollout import Played, Rollout
from lmrl_envs import SimulatorError

WORDLE, QUESTIONS = "lmrl/Wordle-v0", "lmrl/TwentyQuestions-v1"


def facts(played: Sequence[Played]) -> list[Any]:
    kept = [(p.episode, p.seed, p.transcript, p.actions, p.success, p.valid_actions, p.error) for p in played]
    return sorted(kept, key=lambda p: p[0])


@pytest.mark.parametrize("env_id", [WORDLE, QUESTIONS])
def test_episodes_are_the_same_whatever_the_groups(env_id: str) -> None:
    def play(**how: int) -> list[Any]:
        return facts(list(Rollout(load_agent("suboptimal"), env_id, **how).play(range(25), 3)))

    expected = play(slots=64)
    assert [p[0] for p in expected] == list(range(25))
    for slots, groups in ((8, 2), (5, 3), (2, 2), (64, 2), (1, 2)):
        assert play(slots=slots, groups=groups) == expected


class Watched:
    """Says the same word always; tells when it was asked."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.over: list[int] = []

    def act(self, requests: Sequence[Request]) -> list[str]:
        self.asked.release()
        if any(request.episode == 7 for request in requests):
            raise RuntimeError("seven")
        return ["crane"] * len(requests)

    def finished(self, episodes: Sequence[int]) -> None:
        self.over += episodes


class Waiting(Rollout):
    """Its simulator answers the first part of the games when the agent has acted for the second."""

    overlapped: bool | None = None

    def _step(self, batch: list[str | None]) -> dict[int, Any]:
        if self.overlapped is None and any(action is not None for action in batch):
            assert isinstance(self.agent, Watched)
            assert self.agent.asked.acquire(timeout=20)  # for these games
            self.overlapped = self.agent.asked.acquire(timeout=20 if self.groups > 1 else 0.01)
        return super()._step(batch)


@pytest.mark.parametrize("groups", [1, 2])
def test_the_agent_acts_while_the_simulator_answers(groups: int) -> None:
    agent = Watched()
    rollout = Waiting(agent, WORDLE, slots=4, groups=groups)
    played = list(rollout.play(range(6), 0))
    assert rollout.overlapped is (groups == 2)
    assert agent.over == [p.episode for p in played] and sorted(agent.over) == list(range(6))


class Failing(Rollout):
    """Its simulator cannot start a tenth game, and fails in one."""

    started = 0

    def play(self, *arguments: Any) -> Any:
        for played in super().play(*arguments):
            self.collected.append(played)  # type: ignore[attr-defined]
            yield played

    def _refill(self, part: list[int]) -> None:
        if self.started >= 9:
            raise SimulatorError("no more")
        before = len(self._waiting)
        super()._refill(part)
        self.started += before - len(self._waiting)


@pytest.mark.parametrize("groups", [1, 2])
def test_what_was_over_is_told_before_an_error(groups: int) -> None:
    rollout = Failing(Watched(), WORDLE, slots=3, groups=groups)
    rollout.collected = []  # type: ignore[attr-defined]
    with pytest.raises(SimulatorError, match="no more"):
        list(rollout.play(range(20), 0))
    collected = rollout.collected  # type: ignore[attr-defined]
    assert len(collected) >= 6
    assert [p.episode for p in collected if p.error] == [7]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("simulator")]


def test_a_consumer_that_leaves_early_leaves_no_thread() -> None:
    games = Rollout(load_agent("suboptimal"), WORDLE, slots=4, groups=2).play(range(20), 0)
    next(games)
    games.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("simulator")]


def test_groups_must_be_positive() -> None:
    with pytest.raises(ValueError, match="groups=0"):
        Rollout(load_agent("suboptimal"), WORDLE, groups=0)
