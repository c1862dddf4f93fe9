"""The page: what it shows of scores, comparisons, curves, costs and games, and that nothing in it can run."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lmrl_benchmarks.reporting.boards import SHOWN_TURNS, choose, shown_games
from lmrl_benchmarks.reporting.figures import learning_curves
from lmrl_benchmarks.reporting.report import write_report
from lmrl_benchmarks.reporting.results import load_results
from lmrl_benchmarks.running.runner import run_suite
from lmrl_benchmarks.running.suite import load_suite
from lmrl_envs.maze.rules import named_maze
from lmrl_envs.surface import board_rows

SUITE = """
name = "page"
version = 1
description = "For the page."
episodes = 8
seed = 5
training_seeds = [0, 1]
[[tasks]]
id = "lmrl/Wordle-v0"
[[tasks]]
id = "lmrl/MazePartiallyObserved-v0"
[[tasks]]
id = "lmrl/ChessEndgames-v0"
kwargs = { positions = "evaluation" }
episodes = 4
[[tasks]]
id = "lmrl/TwentyQuestions-v1"
[[agents]]
name = "random"
[[agents]]
name = "expert"
"""
HOSTILE = "</script><script>document.title='hacked'</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    (folder / "page.toml").write_text(SUITE)
    assert run_suite(load_suite(str(folder / "page.toml")), folder / "run", workers=1) == {}
    return folder / "run"


@pytest.fixture(scope="module")
def page(finished: Path) -> str:
    return write_report(finished, finished / "report.html").read_text()


class _Page(HTMLParser):
    """Tags that are opened and closed in order, and their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.wrong: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "input", "br", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"{tag} at {self.getpos()}")


def test_the_page_is_well_formed_and_its_parts_have_names(page: str) -> None:
    parsed = _Page(page)
    assert parsed.wrong == [] and parsed.open == []
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids)), "figures must not share ids"
    links = {str(a["href"])[1:] for tag, a in parsed.tags if tag == "a" and str(a.get("href", "")).startswith("#")}
    assert links and links <= set(ids)
    for wanted in (
        "overall",
        "tasks",
        "capabilities",
        "comparison",
        "cost",
        "games",
        "provenance",
        "rows",
        "improvement",
    ):
        assert wanted in ids, wanted


def test_every_sorted_column_has_a_value_to_sort_by(page: str) -> None:
    table = re.search(r'<table class="sortable full" id="rows">.*?</table>', page, re.DOTALL)
    assert table is not None
    rows = re.findall(r"<tr data-task.*?</tr>", table[0], re.DOTALL)
    heads = re.findall(r"<th[ >]", table[0])
    assert len(rows) == 8 and all(len(re.findall(r"<td", row)) == len(heads) for row in rows)


def test_comparisons_are_those_of_the_results(finished: Path, page: str) -> None:
    results = load_results(finished)
    chance, low, high, tasks = results.improvements["expert", "random"]
    assert chance == 1.0 and (low, high) == (1.0, 1.0) and tasks == 4
    assert results.improvements["random", "expert"][0] == 0.0
    pairs = {(name, y): found for name, _, y, found in results.pairs()}
    found = pairs["Wordle", "random"]
    assert not isinstance(found, str) and found.low > 0 and found.episodes == 8
    assert f"{found.difference:+.3g}" in page
    assert results.capabilities["strategy"]["expert"][1] == 3 and "partial observability" in page


def test_games_are_drawn_as_what_they_are(finished: Path, page: str) -> None:
    games = shown_games(load_results(finished).played)
    kinds = {game.task: game.picture["kind"] if game.picture else "chat" for game in games}
    assert kinds == {
        "Wordle": "tiles", "MazePartiallyObserved": "grid", "ChessEndgames-evaluation": "board", "TwentyQuestions-v1": "chat",
    }  # fmt: skip
    wordle = next(game for game in games if game.task == "Wordle" and game.success)
    assert wordle.picture and wordle.picture["rows"][-1] == {"guess": wordle.info["secret"], "marks": "ggggg"}
    walk = next(game for game in games if game.task == "MazePartiallyObserved" and game.success).picture
    assert walk and walk["path"][-1] == named_maze("double_t").goal
    shape = [row.translate({ord("."): " ", ord("@"): " "}) for row in walk["rows"]]
    assert shape == [row.replace("G", " ") for row in named_maze("double_t").rows]
    chess = next(game for game in games if game.task.startswith("Chess") and game.agent == "expert")
    assert len(chess.boards) == chess.length + 1 and all(len(b) == 64 for b in chess.boards)
    assert chess.picture and all(move["legal"] for move in chess.picture["moves"])
    for mark in ('class="board"', 'class="grid"', 'class="tiles"', 'class="chat"', 'class="rewards"'):
        assert mark in page


def test_games_that_cannot_be_drawn_are_chats(finished: Path, tmp_path: Path) -> None:
    """Damaged records, and a layout whose package is missing, which only that part of the picture needs."""
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    for path in out.glob("cells/*/expert/seed-0/episodes.jsonl"):
        path.write_text(path.read_text().replace('"observations":["', '"observations":["\\ud800 no '))
    games = [game for game in shown_games(load_results(out).played) if game.agent == "expert"]
    assert {game.task for game in games if not game.picture} == {"ChessEndgames-evaluation", "TwentyQuestions-v1"}
    assert "no " in write_report(out, tmp_path / "report.html").read_text()


def test_squares_of_a_position() -> None:
    start = "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1"
    assert "".join(board_rows(start)) == "rnbqkbnr" + "p" * 8 + "." * 32 + "P" * 8 + "RNBQKBNR"
    for wrong in ("", "Wordle:", "8/8/8", "x" * 64):
        with pytest.raises(ValueError, match="no board"):
            board_rows(wrong)


def test_long_games_and_texts_are_cut_and_say_so(finished: Path, page: str) -> None:
    long = [game for game in shown_games(load_results(finished).played) if game.length > SHOWN_TURNS]
    assert long and all(len(game.turns) == SHOWN_TURNS for game in long)
    assert f"{long[0].hidden_turns} more turns are in the records" in page


def test_games_are_chosen_by_return(finished: Path) -> None:
    cell = load_results(finished).played[0]
    chosen = dict((why, place) for place, why in choose(cell, 4))
    assert cell.returns[chosen["worst"]] == cell.returns.min() and cell.returns[chosen["best"]] == cell.returns.max()
    assert len(set(chosen.values())) == len(chosen) and [why for _, why in choose(cell, 1)] == ["median"]


@pytest.fixture(scope="module")
def rich_run(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run with what models record: log-probabilities, values, raw text, tokens, cost, errors; and learning curves."""
    out = tmp_path_factory.mktemp("rich") / "run"
    shutil.copytree(finished, out)
    cell = out / "cells/TwentyQuestions-v1/expert/seed-0"
    records = [json.loads(line) for line in (cell / "episodes.jsonl").read_text().splitlines()]
    for record in records:
        record["details"] = [
            {"logprobs": [["Is", -0.1], [HOSTILE, -2.0]], "value": -3.5, "raw": f"I think: {HOSTILE}"}
            for _ in record["actions"]
        ]
    records[3]["error"] = f"RuntimeError: {HOSTILE}"
    (cell / "episodes.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    for path in out.glob("cells/*/expert/seed-0/episodes.jsonl"):
        records = [json.loads(line) for line in path.read_text().splitlines()]
        for record in records:
            first, *others = record.get("details") or [{} for _ in record["actions"]]
            used = {"prompt_tokens": 500, "completion_tokens": 100, "cost_usd": 0.0025}
            record["details"] = [{**first, **used}, *others]
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return out


def test_what_models_record_is_shown_as_text(rich_run: Path) -> None:
    results = load_results(rich_run)
    page = write_report(rich_run, rich_run / "report.html", results).read_text()
    parsed = _Page(page)
    assert parsed.wrong == [] and sum(tag == "script" for tag, _ in parsed.tags) == 1
    assert not any(tag == "img" for tag, _ in parsed.tags) and "&lt;img" in page
    assert 'title="probability 0.905"' in page and "value -3.50" in page and 'class="note"' in page
    assert 'data-why="error"' in page and "the agent gave its position" in page
    row = next(row for row in results.rows if row.agent == "expert" and row.task == "TwentyQuestions-v1")
    assert row.errors == 1 and row.costs["usd"] == pytest.approx(0.02 / 8) and row.costs["tokens"] == 600
    assert "USD per episode" not in page or "tokens per episode" in page
    assert "tokens per episode" in page


def test_details_of_any_shape_do_no_harm(rich_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(rich_run, out)
    path = out / "cells/TwentyQuestions-v1/expert/seed-0/episodes.jsonl"
    odd = [
        {"logprobs": [["a"], 3, {"token": "t", "logprob": -1.0}]},
        {},
        {"logprobs": "x", "value": "y", "raw": 7},
        {"alternatives": 7, "token_values": {"a": 1}},
        {"value": None, "action_value": [1, 2], "alternatives": [["a"], 3, ["b", "c"]]},
    ]
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for record in records:
        record["details"] = (odd * 5)[: len(record["actions"])]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert 'title="probability 0.368"' in write_report(out, tmp_path / "report.html").read_text()


def test_damaged_cells_are_told_and_the_rest_is_shown(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    (out / "cells/Wordle/expert/seed-0/episodes.jsonl").write_text('{"half')
    (out / "cells/Wordle/random/seed-0/summary.json").unlink()
    (out / "problems.json").write_text("[not json")
    results = load_results(out)
    assert len(results.rows) == 6 and set(results.missing) == {"eval expert Wordle seed 0", "eval random Wordle seed 0"}
    assert "Not run" in write_report(out, tmp_path / "report.html", results).read_text()


def test_learning_curves_come_from_the_trainings(tmp_path: Path, maze_data: Path) -> None:
    text = SUITE[: SUITE.index("[[tasks]]")] + (
        '[[tasks]]\nid = "lmrl/MazeFullyObserved-v0"\ndata = { name = "maze/mixed-v0", episodes = 60 }\n'
        '[[agents]]\nname = "random"\n[[agents]]\nname = "bc"\ntrain = "bc"\n'
    )
    (tmp_path / "curves.toml").write_text(text)
    suite, out = load_suite(str(tmp_path / "curves.toml")), tmp_path / "run"
    run_suite(suite, out, agents=suite.only(["random"]), workers=1)
    done = out / "cells/MazeFullyObserved"
    for seed in (0, 1):  # what a training leaves behind
        shutil.copytree(done / "random/seed-0", done / f"bc/seed-{seed}")
        played = done / f"bc/seed-{seed}/episodes.jsonl"  # games that are the same would count as one seed's
        played.write_text(played.read_text().replace("move up", "move  up") if seed else played.read_text())
        folder = out / f"training/MazeFullyObserved/bc-nano/seed-{seed}"
        folder.mkdir(parents=True)
        lines = [{"step": step, "evaluation_return": -100.0 + step + seed} for step in (0, 50, 100)]
        (folder / "metrics.jsonl").write_text(
            "".join(json.dumps(x) + "\n" for x in lines) + '{"step": 1, "loss": 2}\n{"cut'
        )
    results = load_results(out)
    assert learning_curves(results).values.tolist() == [
        ["MazeFullyObserved", "bc-nano", seed, step, -100.0 + step + seed] for seed in (0, 1) for step in (0, 50, 100)
    ]
    page = write_report(out, tmp_path / "report.html", results).read_text()
    assert 'id="learning"' in page and ">bc-nano</text>" in page
    row = next(row for row in results.rows if row.agent == "bc")
    assert row.seeds == 2 and row.few_seeds and not row.noise_only
