"""Token caches: the rows that tokenising gives, made once, and made anew when they are damaged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lmrl_agents.models import token_cache
from lmrl_agents.models.token_cache import META, cache_home, cached_rows
from lmrl_agents.models.tokenizer import TaskTokenizer, train_tokenizer
from lmrl_agents.models.tokens import Row, RowStore, TextFormat, TokenEpisode, episode_rows
from lmrl_datasets import Dataset, load_dataset

FORMS = [
    TextFormat(),
    TextFormat(context_turns=1),
    TextFormat(context_turns=2, max_tokens=24, max_action_tokens=8),
    TextFormat(max_tokens=40, max_action_tokens=12),
]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LMRL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tokens"


@pytest.fixture(scope="module")
def tokenizer(maze_data: Path) -> TaskTokenizer:
    return train_tokenizer(text for e in load_dataset(maze_data) for text in TextFormat().reading.texts(e.transcript))


def direct(data: Dataset, tokenizer: TaskTokenizer, form: TextFormat) -> list[Row]:
    return [
        row
        for e in data
        for row in episode_rows(
            TokenEpisode.from_transcript(e.transcript, e.terminated, e.truncated, tokenizer, form), form
        )
    ]


def same(a: Row, b: Row, whole: bool = False) -> bool:
    """Equal; of rows with a short context, which are kept once, the turns count from anywhere."""
    arrays = ("tokens", "action_mask", "rewards", "turn")
    turns = np.array_equal(a.turn, b.turn) if whole else np.array_equal(np.diff(a.turn), np.diff(b.turn))
    return (
        turns
        and (a.terminated, a.truncated) == (b.terminated, b.truncated)
        and all(np.array_equal(getattr(a, name), getattr(b, name)) for name in arrays[:3])
        and all(getattr(a, name).dtype == getattr(b, name).dtype for name in arrays)
    )


@pytest.mark.parametrize("form", FORMS)
def test_the_rows_are_those_of_the_tokenizer(maze_data: Path, tokenizer: TaskTokenizer, form: TextFormat) -> None:
    data = load_dataset(maze_data)
    rows = direct(data, tokenizer, form)
    for _ in range(2):  # made, then mapped
        cached = cached_rows(data, tokenizer, form)
        whole = form == TextFormat()  # neither cut nor in parts: nothing equal but for its turns
        assert len(cached) == len(rows) and all(same(a, b, whole) for a, b in zip(cached, rows, strict=True))
        assert same(cached[-1], rows[-1]) and all(map(same, cached[3:6], rows[3:6]))
    assert len({row.tokens.tobytes() for row in rows}) <= len(cached.distinct) <= len(rows)


def test_batches_are_those_of_a_row_store(maze_data: Path, tokenizer: TaskTokenizer) -> None:
    data, form = load_dataset(maze_data), TextFormat(context_turns=1)
    plain = RowStore(direct(data, tokenizer, form), tokenizer.pad)
    store = cached_rows(data, tokenizer, form).store(tokenizer.pad)
    assert len(store) == len(plain)
    indices = np.random.default_rng(0).integers(len(plain), size=100)
    for a, b in zip(vars(store.batch(indices)).values(), vars(plain.batch(indices)).values(), strict=True):
        assert (a is None and b is None) or (a == b).all()


def test_what_changes_the_rows_changes_the_cache(maze_data: Path, tokenizer: TaskTokenizer, home: Path) -> None:
    data, form = load_dataset(maze_data), TextFormat()
    other = train_tokenizer(["go"], units="characters")
    folders = {
        cached_rows(*arguments).folder
        for arguments in (
            (data, tokenizer, form),
            (data, tokenizer, TextFormat(max_tokens=40, max_action_tokens=12)),
            (data, other, form),
            (data[:50], tokenizer, form),
            (data.split()[0], tokenizer, form),
            (load_dataset(maze_data, env_id="lmrl/MazePartiallyObserved-v0"), tokenizer, form),
        )
    }
    assert len(folders) == 6 and folders == {path for path in home.iterdir() if path.is_dir()}


def test_the_second_use_does_not_tokenise(
    maze_data: Path, tokenizer: TaskTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, calls = load_dataset(maze_data), []
    cached_rows(data, tokenizer, TextFormat(), lambda done, total: calls.append((done, total)))
    assert calls[-1] == (200, 200)
    monkeypatch.setattr(token_cache, "episode_rows", lambda *_: pytest.fail("tokenised again"))
    cached_rows(data, tokenizer, TextFormat())


def _cut(folder: Path) -> None:
    path = folder / "tokens.bin"
    path.write_bytes(path.read_bytes()[:-2])


def _flip(folder: Path) -> None:
    path = folder / "rewards.bin"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _foreign(folder: Path) -> None:
    meta = json.loads((folder / META).read_text())
    meta["source"]["dataset"] = "wordle/mixed-v0"
    (folder / META).write_text(json.dumps(meta))


@pytest.mark.parametrize(
    "damage",
    [
        _cut,
        _flip,
        _foreign,
        lambda folder: (folder / "which.bin").unlink(),
        lambda folder: (folder / META).unlink(),
        lambda folder: (folder / META).write_text("{"),
        lambda folder: (folder / META).write_text("[]"),
    ],
)
def test_a_damaged_or_foreign_cache_is_made_anew(maze_data: Path, tokenizer: TaskTokenizer, damage) -> None:
    data, form = load_dataset(maze_data)[:40], TextFormat()
    mapped = cached_rows(data, tokenizer, form)
    damage(mapped.folder)
    rows = direct(data, tokenizer, form)
    assert all(map(same, cached_rows(data, tokenizer, form), rows))
    assert token_cache._whole(mapped.folder, token_cache._source(data, tokenizer, form)) is not None


def test_a_dataset_without_rows_leaves_nothing(maze_data: Path, tokenizer: TaskTokenizer, home: Path) -> None:
    empty = load_dataset(maze_data).take(np.array([], np.int64))
    with pytest.raises(ValueError, match="no rows"):
        cached_rows(empty, tokenizer, TextFormat())
    assert not [path for path in home.iterdir() if path.suffix != ".lock"]


_USE = """
import sys
from lmrl_agents.models.token_cache import cached_rows
from lmrl_agents.models.tokenizer import TaskTokenizer
from lmrl_agents.models.tokens import TextFormat
from lmrl_datasets import load_dataset
made = []
rows = cached_rows(load_dataset(sys.argv[1]), TaskTokenizer.load(sys.argv[2]), TextFormat(), lambda *_: made.append(1))
print(len(rows), int(sum(row.tokens.sum() for row in rows)), bool(made))
"""


def test_two_processes_make_it_once(maze_data: Path, tokenizer: TaskTokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "tokenizer")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-c", _USE, str(maze_data), str(tmp_path / "tokenizer")]
    users = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [user.communicate()[0].split() for user in users]
    assert outputs[0][:2] == outputs[1][:2] and all(user.returncode == 0 for user in users)
    assert sorted(output[2] for output in outputs) == ["False", "True"]


def test_where_caches_lie(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LMRL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_home() == tmp_path / "lmrl" / "tokens"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_home() == Path.home() / ".cache" / "lmrl" / "tokens"
