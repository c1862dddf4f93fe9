"""Stockfish as an opponent, and what happens when its processes fail. Needs the program; skipped loudly without it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings

import chess
import gymnasium as gym
import pytest
from gymnasium.error import DependencyNotInstalled

import lmrl_envs
from lmrl_envs.chess.partner import MoveRequest
from lmrl_envs.partners import uci
from lmrl_envs.partners.uci import UciPartner, find_engine

ID = "lmrl/Chess-v0"
REWARDS = {"1-0": 1.0, "0-1": -1.0, "1/2-1/2": 0.0}

try:
    find_engine()
    installed = True
except DependencyNotInstalled as error:
    installed = False
    warnings.warn(f"THE STOCKFISH TESTS ARE SKIPPED: {error}", stacklevel=1)

needs_engine = pytest.mark.skipif(not installed, reason=f"Stockfish is not installed: {uci.INSTALL}")


def running(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pids: list[int]) -> bool:
    """Whether all processes end within a few seconds."""
    deadline = time.monotonic() + 5
    while any(map(running, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(running, pids))


def outcome_of(moves: list[str]) -> chess.Outcome | None:
    board = chess.Board()
    for move in moves:
        assert board.parse_uci(move) in board.legal_moves
        board.push_uci(move)
    return board.outcome()


def in_new_process(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), **environment}
    return subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, timeout=120)


@pytest.fixture
def request_e4() -> MoveRequest:
    board = chess.Board()
    board.push_uci("e2e4")
    return MoveRequest(board, 7, moves=("e2e4",))


@needs_engine
def test_elo_out_of_the_engines_range_is_refused_with_the_range() -> None:
    with pytest.raises(ValueError, match=r"elo=100 is out of the range of Stockfish.*\d+ to \d+"):
        gym.make(ID, simulator="stockfish", elo=100)
    with pytest.raises(ValueError, match="exclude each other"):
        gym.make(ID, simulator="stockfish", elo=1500, nodes=100)
    with pytest.raises(ValueError, match="nodes='many'"):
        gym.make(ID, simulator="stockfish", nodes="many")


@needs_engine
def test_limited_strength_plays_a_game() -> None:
    env = gym.make(ID, simulator="stockfish", elo=2000)
    env.reset(seed=0)
    player = lmrl_envs.make_policy(ID, "random", seed=1)
    over = False
    while not over:
        _, reward, terminated, truncated, info = env.step(player.act(env.unwrapped.transcript))
        over = terminated or truncated
    assert REWARDS[info["result"]] == reward
    env.close()


_GAME = """
import gymnasium as gym, lmrl_envs
env = gym.make("lmrl/Chess-v0", simulator="stockfish", nodes=300, pool_size=2)
for seed in (5, 6):
    env.reset(seed=seed)
    player = lmrl_envs.make_policy("lmrl/Chess-v0", "random", seed=3)
    over = False
    while not over:
        _, _, terminated, truncated, info = env.step(player.act(env.unwrapped.transcript))
        over = terminated or truncated
    print(*info["moves"])
env.close()
"""


@needs_engine
def test_fixed_nodes_give_the_same_game_in_fresh_processes() -> None:
    first = in_new_process(_GAME, PYTHONHASHSEED="1")
    second = in_new_process(_GAME, PYTHONHASHSEED="2")
    assert first.returncode == 0, first.stderr
    games = first.stdout.splitlines()
    assert first.stdout == second.stdout and len(games) == 2 and games[0] != games[1]


@needs_engine
def test_replies_depend_on_the_request_alone(request_e4: MoveRequest) -> None:
    engines = UciPartner(nodes=300, pool_size=3)
    try:
        requests = [MoveRequest(request_e4.board, seed, moves=("e2e4",)) for seed in range(12)]
        together = engines.reply(requests)
        assert len(engines.pids) == 3
        assert [engines.reply([r])[0] for r in reversed(requests)] == together[::-1]
        assert len(set(together)) > 1
    finally:
        engines.close()


@needs_engine
def test_vector_games_equal_single_games() -> None:
    kwargs = {"simulator": "stockfish", "nodes": 200, "pool_size": 2}
    vector = gym.make_vec(ID, num_envs=3, vectorization_mode="vector_entry_point", **kwargs)
    single = gym.make(ID, **kwargs)
    vector.reset(seed=1)
    for action in ("e4", "d4", "Nf3"):
        vector.step([action] * 3)
    for slot in range(3):
        single.reset(seed=1 + slot)
        for action in ("e4", "d4", "Nf3"):
            single.step(action)
        assert single.unwrapped.transcript == vector.transcripts[slot]
    vector.close()
    single.close()


@needs_engine
def test_engines_killed_in_play_never_change_a_reward() -> None:
    """20 kills during 50 short games: each game ends as its moves say."""
    env = gym.make(ID, simulator="stockfish", nodes=200, pool_size=1)
    engines = env.unwrapped.partner
    rng = random.Random(0)
    left = 20

    def kill() -> None:
        nonlocal left
        for pid in engines.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                left -= 1

    for game in range(50):
        env.reset(seed=game, options={"fen": chess.STARTING_FEN})
        player = lmrl_envs.make_policy(ID, "random", seed=game)
        rewards = []
        for _ in range(40):
            # At most one kill a move, so that however slow the machine is, an engine that is started again may answer.
            killer = threading.Timer(rng.uniform(0.0, 0.02), kill)
            if left > 0 and rng.random() < 0.3:
                killer.start()
            _, reward, terminated, truncated, info = env.step(player.act(env.unwrapped.transcript))
            rewards.append(reward)
            if killer.ident is not None:
                killer.join()
            if terminated or truncated:
                outcome = outcome_of(info["moves"])
                assert outcome is not None and outcome.result() == info["result"]
                assert reward == REWARDS[info["result"]]
                break
        assert set(rewards[:-1]) <= {0.0}
    assert left <= 0, "the games were over before the engine had been killed 20 times"
    env.close()


@needs_engine
def test_a_stopped_engine_is_replaced_and_the_reply_is_the_same(request_e4: MoveRequest) -> None:
    engines = UciPartner(nodes=300, pool_size=1, timeout=1.0)
    try:
        expected = engines.reply([request_e4])
        hung = engines.pids
        for pid in hung:
            os.kill(pid, signal.SIGSTOP)
        assert engines.reply([request_e4]) == expected
        assert not set(hung) & set(engines.pids)
        stopped = engines.pids
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
    finally:
        engines.close()
    assert not any(map(running, [*hung, *stopped]))


@needs_engine
def test_no_engine_outlives_close_or_a_dropped_environment() -> None:
    vector = gym.make_vec(ID, num_envs=4, vectorization_mode="vector_entry_point", simulator="stockfish", nodes=100)
    vector.reset(seed=0)
    vector.step(["e4"] * 4)
    pids = vector._prototype.partner.pids  # type: ignore[attr-defined]
    assert pids and all(map(running, pids))
    vector.close()
    assert not any(map(running, pids))
    opponent = UciPartner(nodes=100)
    pids = opponent.pids
    del opponent
    assert gone(pids)


_FAILING = """
import os, signal, sys
import gymnasium as gym, lmrl_envs
env = gym.make("lmrl/Chess-v0", simulator="stockfish", nodes=100)
env.reset(seed=0)
env.step("e4")
pids = env.unwrapped.partner.pids
print(*pids, flush=True)
{last}
"""


@needs_engine
@pytest.mark.parametrize(
    "last",
    [
        "raise RuntimeError('uncaught')",
        "os.kill(pids[0], signal.SIGSTOP); 1 / 0",
        "sys.exit(3)",
        "os.kill(os.getpid(), signal.SIGKILL)",
    ],
)
def test_an_uncaught_exception_neither_hangs_nor_leaves_engines(last: str) -> None:
    ended = in_new_process(_FAILING.format(last=last))
    pids = [int(pid) for pid in ended.stdout.split()]
    assert ended.returncode != 0 and pids
    assert gone(pids)


def test_absent_engine_tells_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STOCKFISH_PATH", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(uci, "DEBIAN_FOLDER", "")
    with pytest.raises(DependencyNotInstalled, match="apt-get install stockfish"):
        gym.make(ID, simulator="stockfish")
    monkeypatch.setenv("STOCKFISH_PATH", "/no/such/engine")
    with pytest.raises(DependencyNotInstalled, match=r"STOCKFISH_PATH='/no/such/engine'.*apt-get"):
        gym.make(ID, simulator="stockfish")


def test_a_program_that_is_no_engine_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    program = tmp_path / "engine"
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    monkeypatch.setenv("STOCKFISH_PATH", str(program))
    with pytest.raises(lmrl_envs.SimulatorError, match="does not answer as a UCI engine"):
        gym.make(ID, simulator="stockfish")
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(uci, "START_SECONDS", 0.3)
    with pytest.raises(lmrl_envs.SimulatorError, match="no answer within"):
        gym.make(ID, simulator="stockfish")


def test_an_engine_that_always_fails_is_an_error_and_no_reward(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """It greets as an engine and dies at the first position."""
    program = tmp_path / "engine"
    program.write_text(
        "#!/bin/sh\nwhile read line; do case $line in uci) echo uciok;; isready) echo readyok;; go*) exit 1;; esac; done\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("STOCKFISH_PATH", str(program))
    env = gym.make(ID, simulator="stockfish", nodes=10)
    env.reset(seed=0)
    before = env.unwrapped.get_state()
    with pytest.raises(lmrl_envs.SimulatorError, match=r"failed 6 times on 'rnbqkbnr"):
        env.step("e4")
    assert env.unwrapped.get_state() == before
    env.close()
    with pytest.raises(ValueError, match="cannot limit its strength"):
        gym.make(ID, simulator="stockfish", elo=1500)


@needs_engine
def test_a_forked_child_uses_engines_of_its_own(request_e4: MoveRequest) -> None:
    engines = UciPartner(nodes=200, pool_size=1)
    expected, mine = engines.reply([request_e4]), engines.pids
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        same = engines.reply([request_e4]) == expected and engines.pids != mine
        engines.close()
        os.write(writer, b"1" if same else b"0")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 1) == b"1"
    assert engines.pids == mine and engines.reply([request_e4]) == expected
    engines.close()
