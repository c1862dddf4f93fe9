"""`lmrl agents check` finds what an evaluation would stumble over: each fault is planted once."""

from __future__ import annotations

import os
from pathlib import Path

import bad_agents
import pytest
from fault_tools import lmrl

from lmrl_agents import load_agent
from lmrl_agents.playing.conformance import BATCH, check_agent, default_tasks, sample_requests, tasks_here
from lmrl_agents.playing.room import Room, RoomSettings, close

FILE = bad_agents.__file__


@pytest.mark.parametrize("name", ["Good", "Coroutine", "DetailsNumpy"])
def test_good_agents_conform(name: str) -> None:
    assert check_agent(getattr(bad_agents, name)(), closing=True).breaches == ()


FAULTS = {
    "Exits": "the agent quit: SystemExit: 0",
    "CoroutineExits": "the agent quit: SystemExit: 0",
    "Endless": "more than 1 actions",
    "OneString": "must return a list of actions, not str",
    "TextRaises": "whose text raises",
    "LongError": "ValueError: long",
    "ErrorObject": "the error of an action is object, not text",
    "Stops": "it stops: AgentStopped: no money",
    "SlotsText": "slots must be a number of games",
    "DescribeRaises": "describe raised RuntimeError",
    "DescribeCycle": "describe() gives what JSON cannot hold",
    "DescribeHuge": "describe() gives what JSON cannot hold",
    "FingerObject": "fingerprint() must return a short text",
    "FingerExits": "fingerprint raised SystemExit",
    "FingerRandom": "fingerprint() changes from call to call",
    "KeepInRaises": "keep_in raised OSError: no room",
    "FinishedRaises": "finished raised KeyError",
    "CloseRaises": "close raised RuntimeError: stuck",
    "DetailsBig": "details that no record can hold: Refused: what is told: value: an integer of more than 64 bits",
    "DetailsSum": "cost_usd is 1e+99, which is no amount",
    "DetailsNan": "details that no record can hold",
    "DetailsDeep": "details that no record can hold",
    "DetailsObject": "details that no record can hold: TypeError",
    "DetailsList": "details that no record can hold",
    "DetailsHuge": "details that no record can hold",
    "SaysTwoThings": "act_with_details gives ['The!', 'The!'], act gives ['The', 'The']",
    "OtherTasks": "what game is this?",
    "LongGame": "so long a game",
    "ByBatch": "in a batch of 64",
    "TurnCounter": "asked again, the answers are others",
    "Unseeded": "drawn without the request's seed",
    "GlobalRandom": "act changes the state of random",
    "GlobalNumpy": "act changes the state of numpy.random",
    "LeavesThread": "it leaves threads that keep a process from ending",
    "Moves": "act changes the working directory",
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name: str) -> None:
    here = os.getcwd()
    try:
        found = check_agent(getattr(bad_agents, name)(), closing=True).breaches
    finally:
        os.chdir(here)
    assert any(FAULTS[name] in breach for breach in found), found
    assert all(len(breach) < 1_300 for breach in found)


LOSSES = {
    "ExitsHard": r"requests of lmrl/MazeFullyObserved-v0: its process ended (exit status 0)",
    "Killed": r"requests of lmrl/MazeFullyObserved-v0: its process was killed (SIGKILL",
    "Hangs": r"requests of lmrl/MazeFullyObserved-v0: no answer within 0.5 s (--patience)",
    "Interrupts": "the agent quit: KeyboardInterrupt",
    "LeavesThread": "it leaves threads",
    "FingerRandom": "fingerprint() changes",
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_lost_process_is_a_breach(name: str) -> None:
    room = Room(f"{FILE}:{name}", {}, RoomSettings(patience=0.5 if name == "Hangs" else 30.0))
    found = room.check([])["breaches"]
    close(room)
    assert any(LOSSES[name] in breach for breach in found), found


def test_the_command_tells_what_it_finds_and_exits_with_1(tmp_path: Path) -> None:
    good = lmrl("agents", "check", f"{FILE}:Good")
    assert good.returncode == 0 and "keeps the protocol" in good.stdout
    for name, why in (("Exits", "SystemExit: 0"), ("ExitsWhenMade", "cannot be loaded: SystemExit: 0")):
        bad = lmrl("agents", "check", f"{FILE}:{name}")
        assert bad.returncode == 1 and why in bad.stderr and "keeps the protocol" not in bad.stdout


def test_what_is_asked_covers_batches_long_games_and_all_tasks() -> None:
    requests = sample_requests(default_tasks()[0], BATCH)
    assert len(requests) == 64 and max(len(request.transcript) for request in requests) > 60
    assert len({request.episode for request in requests}) == 64
    assert {"lmrl/TwentyQuestions-v1", "lmrl/CarDealer-v1", "lmrl/Chess-v0"} < set(tasks_here())


def test_an_agent_that_wants_few_games_is_asked_few_at_once() -> None:
    class Few(bad_agents.Good):
        slots = 3
        most = 0

        def act(self, requests):
            self.most = max(self.most, len(requests))
            return super().act(requests)

    agent = Few()
    assert check_agent(agent).breaches == () and agent.most == 3


@pytest.mark.parametrize("name", ["random", "suboptimal", "expert"])
def test_what_ships_conforms(name: str) -> None:
    assert check_agent(load_agent(name)).breaches == ()
