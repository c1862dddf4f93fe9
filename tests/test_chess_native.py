"""The compiled chess search is the one in Python: same moves, same scores, same nodes; and what happens without it."""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import chess
import numpy as np
import pytest

from lmrl_envs.chess import endgames, native
from lmrl_envs.chess.native import NativeSearch
from lmrl_envs.chess.partner import LEVELS
from lmrl_envs.chess.search import Search

ROOT = Path(__file__).resolve().parents[1]


def load_hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hook = load_hook()


def compiles() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        return hook.compile_search(ROOT / hook.SOURCE, Path(folder, "_search.so")) is None


COMPILES = compiles()
needs_compiler = pytest.mark.skipif(not COMPILES, reason="no C compiler that works on this machine")

SPECIAL = (
    "r3k2r/p1ppqpb1/bn2pnp1/3PN3/1p2P3/2N2Q1p/PPPBBPPP/R3K2R w KQkq - 0 1",  # both castle both ways
    "r3k2r/8/8/8/8/8/8/R3K2R b Kq - 0 1",
    "4k3/8/8/2pP4/8/8/8/4K3 w - c6 0 2",  # en passant
    "8/8/8/K2pP2r/8/8/8/4k3 w - d6 0 2",  # en passant would open the king's rank
    "8/2p5/3p4/KP5r/1R3p1k/8/4P1P1/8 w - - 0 1",
    "rnbq1k1r/pp1Pbppp/2p5/8/2B5/8/PPP1NnPP/RNBQK2R w KQ - 1 8",  # promotions, also by taking
    "n1n5/PPPk4/8/8/8/8/4Kppp/5N1N b - - 0 1",
    "7k/8/8/6Q1/8/5K2/8/8 w - - 0 1",  # stalemate is near
    "7k/8/8/8/8/8/R7/1R5K w - - 0 1",  # mate in two
    "4k3/8/8/8/8/8/8/4K2R w K - 0 1",  # Black has but a king
    "k7/8/8/3r4/8/8/8/K7 b - - 0 1",  # White has but a king
    "8/8/8/8/8/k7/p7/K7 b - - 0 1",
    "R6R/3Q4/1Q4Q1/4Q3/2Q4Q/Q4Q2/pp1Q4/kBNN1KB1 w - - 0 1",  # 218 moves
)


def positions(n: int, seed: int) -> Iterator[chess.Board]:
    """Special ones, endgames of either side, and what random play of any length leads to."""
    rng = random.Random(seed)
    for fen in SPECIAL:
        yield chess.Board(fen)
    for game in range(n):
        if game % 5 == 4:
            board = chess.Board(endgames.random_position(np.random.default_rng(seed + game)))
            if game % 2:
                board.push(rng.choice(list(board.legal_moves)))
        else:
            board = chess.Board()
            for _ in range(rng.randrange(120)):
                moves = list(board.legal_moves)
                # Pawns are pushed more often, so that promotions and captures en passant come up.
                pawns = [move for move in moves if board.piece_type_at(move.from_square) == chess.PAWN]
                board.push(rng.choice(pawns if pawns and rng.random() < 0.5 else moves))
                if board.is_game_over():
                    board.pop()
                    break
        if any(board.legal_moves):
            yield board


def played(kind: type[Search], board: chess.Board, nodes: int, moves: list[chess.Move], margin: int) -> tuple:
    search = kind(board, nodes)
    return search.root(list(moves), margin), search.nodes


@needs_compiler
def test_the_library_is_there_where_a_compiler_is() -> None:
    assert native.library() is not None, "install the package again (pip install -e .): its build compiles the search"


@needs_compiler
@pytest.mark.parametrize("seed", range(4))
def test_moves_scores_and_nodes_are_those_of_python(seed: int) -> None:
    rng = random.Random(seed)
    for board in positions(60, seed):
        moves = list(board.legal_moves)
        rng.shuffle(moves)
        if rng.random() < 0.3:  # some are left out, as repetitions are
            moves = moves[: 1 + rng.randrange(len(moves))]
        nodes, margin = rng.choice([1, 10, *(level.nodes for level in LEVELS)]), rng.choice([0, 5, 40, 150, 10**4])
        case = board.fen(), nodes, margin, moves
        assert played(NativeSearch, board, nodes, moves, margin) == played(Search, board, nodes, moves, margin), case


# Each of these tells the search from one that leaves out or mistakes what is said beside it; the others above do not.
TELLING = {
    "r3k2r/1p2n3/8/5p2/2P5/8/3n4/RB2K2R w KQkq - 0 1": (1000, "no castling through check, king's side"),
    "rN2k2r/8/8/8/8/8/6N1/R3K2R b KQkq - 0 1": (20000, "no castling through check, queen's side"),
    "r3k2r/8/8/1r6/8/8/8/R3K2R b KQkq - 0 1": (4000, "castling rights tell positions apart"),
    "r3k2r/8/8/2P4B/1P6/8/8/R1B1K2R b KQkq - 0 1": (20000, "a rook that is taken castles no more"),
    "8/5k2/8/r7/8/5K2/4P3/8 w - - 0 1": (20000, "who passes gives up a capture en passant"),
    "8/4B3/8/8/K3b3/B7/8/N4k2 b - - 0 1": (20000, "nobody passes twice in a row"),
    "7K/4N1P1/8/8/5p1P/8/n3P1k1/1N6 b - - 0 1": (4000, "the key of a pawn that is taken en passant"),
    "8/8/8/8/3k4/8/8/K6Q w - - 0 1": (60000, "lines of checks are followed far"),
    "r3k2r/8/8/8/8/8/1P6/R3K2R b KQkq - 0 1": (20000, "but no farther"),
    "r3k2r/8/8/n7/8/5p2/2p5/R3K2R b KQkq - 0 1": (20000, "nor without end"),
}


@needs_compiler
@pytest.mark.parametrize("fen", TELLING)
def test_what_is_rarely_seen_is_as_in_python(fen: str) -> None:
    board = chess.Board(fen)
    moves = list(board.legal_moves)
    nodes = TELLING[fen][0]
    assert played(NativeSearch, board, nodes, moves, 0) == played(Search, board, nodes, moves, 0), TELLING[fen][1]


@needs_compiler
def test_searches_in_several_threads_do_not_meet() -> None:
    boards = [board for board in positions(20, 9)]
    expected = [played(NativeSearch, board, 3000, list(board.legal_moves), 10) for board in boards]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(4):
            found = pool.map(lambda board: played(NativeSearch, board, 3000, list(board.legal_moves), 10), boards)
            assert list(found) == expected


@needs_compiler
def test_a_budget_without_end_is_one() -> None:
    board = chess.Board("7k/8/8/8/8/8/R7/1R5K w - - 0 1")
    moves = list(board.legal_moves)
    assert played(NativeSearch, board, sys.maxsize, moves, 0) == played(Search, board, sys.maxsize, moves, 0)


def said(kind: type[Search], fen: str) -> Any:
    board = chess.Board(fen)
    try:
        return played(kind, board, 500, list(board.legal_moves), 0)
    except Exception as error:
        return repr(error)


@needs_compiler
@pytest.mark.parametrize(
    "fen",
    [
        "4k3/8/8/8/8/8/8/pppppp1K w - - 0 1",  # a pawn on its last rank has nowhere to go
        "4k3/1q6/8/8/8/8/PPPP4/pppp3K w - - 0 1",
        "8/8/8/3k4/1Kp5/n5N1/5r2/8 b - d3 0 1",  # en passant without a pawn
        "QQQQQQQk/QQQQQQQ1/QQQQQQQQ/QQQQQQQQ/8/8/8/K7 w - - 0 1",
        "7k/8/8/8/8/8/8/8 b - - 0 1",
    ],
)
def test_a_board_that_no_game_has_is_left_to_python(fen: str) -> None:
    assert said(NativeSearch, fen) == said(Search, fen)
    assert not NativeSearch(chess.Board(fen), 1).sound


@needs_compiler
def test_threads_with_small_stacks() -> None:
    """macOS gives threads 512 kB; half of that has to do. A crash would end the process, so this is one of its own."""
    code = f"""
import chess, threading
from lmrl_envs.chess.native import NativeSearch
def search():
    for fen in {SPECIAL!r}:
        board = chess.Board(fen)
        NativeSearch(board, 20_000).root(list(board.legal_moves))
    print("done")
threading.stack_size(256 * 1024)
thread = threading.Thread(target=search)
thread.start()
thread.join()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "done\n", (done.returncode, done.stderr)


@needs_compiler
def test_a_king_that_is_taken_is_the_same_error() -> None:
    """White to move could take the king: no game comes there, and a search must not crash the process."""
    board = chess.Board("8/8/8/3k4/3R4/8/8/K7 w - - 0 1")
    take = [chess.Move.from_uci("d4d5")]
    for kind in (Search, NativeSearch):
        with pytest.raises(ValueError):
            played(kind, board, 50, take, 0)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the library is looked for."""
    shutil.copy(ROOT / "lmrl_envs/chess/search.c", tmp_path)
    monkeypatch.setattr(native, "LIBRARY", tmp_path / "_search.so")
    native.library.cache_clear()
    yield tmp_path
    native.library.cache_clear()


def same_as_python() -> None:
    board = chess.Board()
    moves = list(board.legal_moves)
    assert played(NativeSearch, board, 500, moves, 5) == played(Search, board, 500, moves, 5)


def test_without_a_library_the_search_runs_in_python(place: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert native.library() is None
        same_as_python()


def test_a_file_that_is_no_library_is_named_and_not_used(place: Path) -> None:
    (place / "_search.so").write_bytes(b"not a library")
    with pytest.warns(RuntimeWarning, match="cannot be used"):
        assert native.library() is None
    same_as_python()


@needs_compiler
def test_a_library_of_another_source_is_named_and_not_used(place: Path) -> None:
    source, made = place / "search.c", place / "_search.so"
    assert hook.compile_search(source, made) is None
    assert native.library() is not None
    same_as_python()
    source.write_text(source.read_text() + "\n/* changed since */\n")
    native.library.cache_clear()
    with pytest.warns(RuntimeWarning, match=r"another version of search\.c"):
        assert native.library() is None
    same_as_python()


@pytest.mark.parametrize(
    ("compiler", "problem"),
    [("false", "false failed"), ("no-such-compiler -O2", "no C compiler"), ('"', "No closing quotation")],
)
def test_a_compiler_that_fails_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiler: str, problem: str
) -> None:
    monkeypatch.setenv("CC", compiler)
    assert problem in hook.compile_search(ROOT / hook.SOURCE, tmp_path / "_search.so")
    assert list(tmp_path.iterdir()) == []


def build(source: Path, kind: str, into: Path, **environment: str) -> zipfile.ZipFile:
    code = f"import sys; from hatchling.build import build_{kind}; print(build_{kind}(sys.argv[1]))"
    into.mkdir(exist_ok=True)
    made = subprocess.run(
        [sys.executable, "-c", code, str(into)],
        cwd=source,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    return zipfile.ZipFile(into / made.stdout.split()[-1])


@pytest.mark.parametrize(
    ("environment", "compiled"), [({}, COMPILES), ({"LMRL_PURE": "1"}, False), ({"CC": "false"}, False)]
)
def test_wheels_say_for_which_machines_they_are(tmp_path: Path, environment: dict[str, str], compiled: bool) -> None:
    before = native.LIBRARY.read_bytes() if native.LIBRARY.exists() else None
    wheel = build(ROOT, "wheel", tmp_path, **environment)
    assert str(wheel.filename).endswith("-py3-none-any.whl") != compiled
    assert ("lmrl_envs/chess/_search.so" in wheel.namelist()) == compiled
    assert "lmrl_envs/chess/search.c" in wheel.namelist()
    assert before == (native.LIBRARY.read_bytes() if native.LIBRARY.exists() else None)  # a wheel leaves the tree alone


def test_an_editable_installation_renews_the_library_or_takes_it_away(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "lmrl_envs/chess").mkdir(parents=True)
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "lmrl_envs/__init__.py", hook.SOURCE):
        shutil.copy(ROOT / name, tree / name)
    for folder in ("agents/lmrl_agents", "datasets/lmrl_datasets", "benchmarks/lmrl_benchmarks"):
        (tree / folder).mkdir(parents=True)
        (tree / folder / "__init__.py").touch()
    library = tree / hook.LIBRARY
    library.mkdir()  # what cannot be replaced: the installation goes on, and leaves nothing half-done
    build(tree, "editable", tmp_path / "wheels")
    assert sorted(path.name for path in library.parent.iterdir()) == ["_search.so", "search.c"] and library.is_dir()
    library.rmdir()
    library.write_bytes(b"of an earlier installation")
    build(tree, "editable", tmp_path / "wheels")
    assert library.exists() == COMPILES
    assert not COMPILES or library.read_bytes() != b"of an earlier installation"
    build(tree, "editable", tmp_path / "wheels", CC="false")
    assert sorted(path.name for path in library.parent.iterdir()) == ["search.c"]
