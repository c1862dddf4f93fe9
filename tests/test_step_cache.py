"""Step caches: the steps that tokenising gives, made once, and made anew when they are damaged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lmrl_agents.models import step_cache
from lmrl_agents.models.step_cache import cache_home, cached_steps
from lmrl_agents.models.steps import ARRAYS, StepStore, decisions
from lmrl_agents.models.tokenizer import TaskTokenizer, train_tokenizer
from lmrl_agents.models.tokens import TextFormat, TokenEpisode
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
    return tmp_path / "cache" / "steps"


@pytest.fixture(scope="module")
def tokenizer(maze_data: Path) -> TaskTokenizer:
    return train_tokenizer(text for e in load_dataset(maze_data) for text in TextFormat().reading.texts(e.transcript))


def direct(data: Dataset, tokenizer: TaskTokenizer, form: TextFormat, deciding: bool = False) -> StepStore:
    """The steps in memory, from episodes that are all there at once."""
    episodes = [TokenEpisode.from_transcript(e.transcript, e.terminated, e.truncated, tokenizer, form) for e in data]
    known = decisions(action for e in episodes for action in e.actions) if deciding else None
    return StepStore.of(episodes, form, tokenizer.pad, known)


def same(a: StepStore, b: StepStore) -> bool:
    return all(
        np.array_equal(getattr(a, name, a.arrays.get(name)), getattr(b, name, b.arrays.get(name))) for name in ARRAYS
    )


@pytest.mark.parametrize("deciding", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_the_steps_are_those_of_the_tokenizer(
    maze_data: Path, tokenizer: TaskTokenizer, form: TextFormat, deciding: bool
) -> None:
    data = load_dataset(maze_data)
    steps = direct(data, tokenizer, form, deciding)
    for _ in range(2):  # made, then mapped
        cached = cached_steps(data, tokenizer, form, deciding)
        assert same(cached, steps) and cached.episodes == len(data)
        groups = np.random.default_rng(0).integers(steps.groups, size=100)
        for a, b in (
            (cached.clone_batch(groups), steps.clone_batch(groups)),
            (cached.batch(groups), steps.batch(groups)),
        ):
            assert all(
                (x == y).all() and x.dtype == y.dtype for x, y in zip(vars(a).values(), vars(b).values(), strict=True)
            )


def test_what_changes_the_steps_changes_the_cache(maze_data: Path, tokenizer: TaskTokenizer, home: Path) -> None:
    data, form = load_dataset(maze_data), TextFormat()
    other = train_tokenizer(["go"], units="characters")
    for arguments in (
        (data, tokenizer, form),
        (data, tokenizer, form, True),
        (data, tokenizer, TextFormat(max_tokens=40, max_action_tokens=12)),
        (data, other, form),
        (data[:50], tokenizer, form),
        (data.split()[0], tokenizer, form),
        (load_dataset(maze_data, env_id="lmrl/MazePartiallyObserved-v0"), tokenizer, form),
    ):
        cached_steps(*arguments)
    assert len(list(home.glob("*.arrow"))) == 7
    assert {path.suffix for path in home.iterdir()} == {".arrow", ".json", ".lock"}


def test_the_second_use_does_not_tokenise(
    maze_data: Path, tokenizer: TaskTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load_dataset(maze_data)
    cached_steps(data, tokenizer, TextFormat())
    monkeypatch.setattr(step_cache, "StepEncoder", lambda *_: pytest.fail("tokenised again"))
    cached_steps(data, tokenizer, TextFormat())


def test_arrays_are_read_from_the_file_as_they_are_needed(maze_data: Path, tokenizer: TaskTokenizer) -> None:
    cached = cached_steps(load_dataset(maze_data), tokenizer, TextFormat())
    for array in cached.arrays.values():
        assert not array.flags.owndata and not array.flags.writeable


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-2])


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _foreign(file: Path) -> None:
    described = json.loads(file.with_suffix(".json").read_text())
    described["source"]["dataset"] = "wordle/mixed-v0"
    file.with_suffix(".json").write_text(json.dumps(described))


@pytest.mark.parametrize(
    "damage",
    [
        _cut,
        _flip,
        _foreign,
        lambda file: file.unlink(),
        lambda file: file.with_suffix(".json").write_text("{"),
        lambda file: file.with_suffix(".json").write_text("[]"),
    ],
)
def test_a_damaged_or_foreign_cache_is_made_anew_with_a_warning(
    maze_data: Path, tokenizer: TaskTokenizer, home: Path, damage
) -> None:
    data, form = load_dataset(maze_data)[:40], TextFormat()
    cached_steps(data, tokenizer, form)
    (file,) = home.glob("*.arrow")
    damage(file)
    with pytest.warns(UserWarning, match=r"damaged .* made anew"):
        assert same(cached_steps(data, tokenizer, form), direct(data, tokenizer, form))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(cached_steps(data, tokenizer, form), direct(data, tokenizer, form))


def test_a_cache_cut_off_before_its_description_is_made_anew(
    maze_data: Path, tokenizer: TaskTokenizer, home: Path
) -> None:
    data, form = load_dataset(maze_data)[:40], TextFormat()
    cached_steps(data, tokenizer, form)
    (description,) = home.glob("*.json")
    description.unlink()
    assert same(cached_steps(data, tokenizer, form), direct(data, tokenizer, form)) and description.is_file()


def test_without_room_on_the_disk_steps_are_kept_in_memory(
    maze_data: Path, tokenizer: TaskTokenizer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, form = load_dataset(maze_data), TextFormat()

    def full(path: Path, source: dict, parts: Iterator) -> None:
        next(parts)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(step_cache, "_write", full)
    with pytest.warns(UserWarning, match="in memory, not in a cache: .*No space left"):
        assert same(cached_steps(data, tokenizer, form), direct(data, tokenizer, form))
    monkeypatch.undo()
    monkeypatch.setenv("LMRL_CACHE", str(maze_data / "manifest.json"))  # a file: no folder can be made there
    with pytest.warns(UserWarning, match="in memory"):
        assert same(cached_steps(data, tokenizer, form), direct(data, tokenizer, form))


def test_a_write_that_fails_leaves_nothing_half_made(
    maze_data: Path, tokenizer: TaskTokenizer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_cache, "write_atomically", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.warns(UserWarning, match="full"):
        cached_steps(load_dataset(maze_data), tokenizer, TextFormat())
    assert {path.suffix for path in home.iterdir()} <= {".arrow", ".lock"}  # without a description: made anew
    monkeypatch.undo()
    monkeypatch.setenv("LMRL_CACHE", str(home.parent))
    assert cached_steps(load_dataset(maze_data), tokenizer, TextFormat()) and list(home.glob("*.json"))


def test_a_dataset_without_steps_leaves_nothing(maze_data: Path, tokenizer: TaskTokenizer, home: Path) -> None:
    empty = load_dataset(maze_data).take(np.array([], np.int64))
    with pytest.raises(ValueError, match="no actions"):
        cached_steps(empty, tokenizer, TextFormat())
    assert not [path for path in home.iterdir() if path.suffix != ".lock"]


_USE = """
import sys
from lmrl_agents.models import step_cache
from lmrl_agents.models.tokenizer import TaskTokenizer
from lmrl_agents.models.tokens import TextFormat
from lmrl_datasets import load_dataset
made, encoder = [], step_cache.StepEncoder
step_cache.StepEncoder = lambda *arguments: made.append(1) or encoder(*arguments)
steps = step_cache.cached_steps(load_dataset(sys.argv[1]), TaskTokenizer.load(sys.argv[2]), TextFormat())
print(len(steps), int(steps.token.sum()), bool(made))
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
    assert cache_home() == tmp_path / "lmrl" / "steps"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_home() == Path.home() / ".cache" / "lmrl" / "steps"
