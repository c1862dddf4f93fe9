"""Datasets: determinism, resumption after a kill, damage found, replay."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lmrl_datasets import DatasetError, Episode, dataset_names, generate, load_dataset, load_recipe
from lmrl_datasets.cards import _achievable
from lmrl_datasets.coverage import coverage
from lmrl_datasets.reading.columns import Decoder
from lmrl_datasets.reading.finding import samples
from lmrl_datasets.schema import COLUMNS, to_table
from lmrl_envs import files, task
from lmrl_envs.files import FolderError


def digests(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".")
    }


@pytest.mark.parametrize("name", dataset_names())
def test_every_recipe_makes_episodes_that_replay(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    count = 2 if name.startswith("chess/") else 12  # a game of chess takes seconds
    generate(name, tmp_path / "data", episodes=count)
    data = load_dataset(tmp_path / "data")
    data.verify(replay=True)
    low, high = task(recipe.env).return_range
    assert len(data) == count and np.all((data.returns >= low) & (data.returns <= high))
    for episode in data:
        assert len(episode.observations) == len(episode.actions) + 1 == len(episode.rewards) + 1
        assert episode.terminated != episode.truncated
        assert not episode.stopped or episode.truncated


@pytest.mark.parametrize("name", samples())
def test_every_sample_is_whole_and_loads_by_name(name: str) -> None:
    data = load_dataset(name, sample=True)
    data.verify()
    assert 250 <= len(data) <= 2500
    assert data.recover_environment().spec.id == data.env_id


def test_a_card_tells_the_best_of_the_game_that_was_played() -> None:
    told = {
        name: "\n".join(_achievable(load_dataset(f"negotiation/{name}-v0", sample=True).manifest))
        for name in ("casual", "casual_buyer")
    }
    assert (
        "mean return is 0.868 (best known)" in told["casual"]
        and "mean return is 0.3369 (best known)" in told["casual_buyer"]
    )


def test_the_same_bytes_whatever_the_workers(tmp_path: Path) -> None:
    made = [
        digests(generate("wordle/mixed-v0", tmp_path / str(workers), episodes=60, workers=workers, shard_size=20))
        for workers in (1, 2)
    ]
    assert made[0] == made[1] and len(made[0]) == 6  # three shards, manifest, spec, card


def test_shards_made_apart_equal_one_run(tmp_path: Path) -> None:
    whole = generate("maze/mixed-v0", tmp_path / "whole", episodes=50, shard_size=10)
    for i in (2, 0, 1):
        assert not (tmp_path / "parts" / "manifest.json").exists()
        generate("maze/mixed-v0", tmp_path / "parts", episodes=50, shard_size=10, shard=(i, 3))
    assert digests(tmp_path / "parts") == digests(whole)


_GENERATE = """
import sys
from lmrl_datasets import generate
generate("maze/suboptimal-v0", sys.argv[1], episodes=2000, shard_size=100)
"""


def test_killed_generation_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    whole = generate("maze/suboptimal-v0", tmp_path / "whole", episodes=2000, shard_size=100)
    target = tmp_path / "killed"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    moments, killed = random.Random(5), 0
    for after in sorted(moments.sample(range(1, 19), 5)):
        process = subprocess.Popen([sys.executable, "-c", _GENERATE, str(target)], env=environment)
        while process.poll() is None and len(list(target.glob("*.parquet"))) < after:
            time.sleep(0.005)
        time.sleep(0.03 * moments.random())
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.wait()
        if not (target / "manifest.json").exists():
            with pytest.raises(DatasetError, match="has not finished"):
                load_dataset(target)
    assert killed >= 3, "the generator was hardly ever killed in its work"
    generate("maze/suboptimal-v0", target, episodes=2000, shard_size=100)
    assert digests(target) == digests(whole)


def test_two_generators_on_one_folder(tmp_path: Path) -> None:
    import fcntl

    folder = tmp_path / "data"
    generate("maze/mixed-v0", folder, episodes=20, shard_size=10, shard=(0, 2))
    with (folder / ".lock-1-of-2").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(FolderError, match="another process"):
            generate("maze/mixed-v0", folder, episodes=20, shard_size=10, shard=(1, 2))


def test_a_whole_run_and_a_part_do_not_share_a_folder(tmp_path: Path) -> None:
    import fcntl

    folder = tmp_path / "data"
    generate("maze/mixed-v0", folder, episodes=20, shard_size=10, shard=(0, 2))
    before = digests(folder)
    with (folder / ".lock-whole").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # another part at work
        with pytest.raises(FolderError, match="another process is generating"):
            generate("maze/mixed-v0", folder, episodes=20, shard_size=10)
        assert digests(folder) == before
        generate("maze/mixed-v0", folder, episodes=20, shard_size=10, shard=(1, 2))
    load_dataset(folder).verify()


def test_of_two_that_claim_a_folder_at_once_one_gets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = files._write_new

    def late(path: Path, text: str) -> bool:
        path.write_text(text.replace('"seed": 1', '"seed": 2'))  # another process, in between
        return real(path, text)

    monkeypatch.setattr(files, "_write_new", late)
    with pytest.raises(FolderError, match="differs in seed"):
        generate("maze/mixed-v0", tmp_path / "data", episodes=20, seed=1)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["generation.json"]
    generate("maze/mixed-v0", tmp_path / "data", episodes=20, seed=2)


def test_another_revision_of_a_recipe_does_not_go_on_but_another_description_does(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    generate("maze/mixed-v0", folder, episodes=20, shard_size=10, shard=(0, 2))
    spec = json.loads((folder / "generation.json").read_text())

    def store(**changes: object) -> None:
        (folder / "generation.json").write_text(json.dumps({**spec, "recipe": {**spec["recipe"], **changes}}))

    store(revision=7)
    with pytest.raises(FolderError, match="differs in recipe"):
        generate("maze/mixed-v0", folder, episodes=20, shard_size=10)
    store(description="As it was once described.", notes="None.")
    generate("maze/mixed-v0", folder, episodes=20, shard_size=10)
    load_dataset(folder).verify()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(FolderError, match="not empty"):
        generate("maze/mixed-v0", tmp_path, episodes=5)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_finished_dataset_is_no_stranger_under_other_packages(tmp_path: Path) -> None:
    generate("maze/mixed-v0", tmp_path / "a", episodes=5)
    path = tmp_path / "a" / "generation.json"
    path.write_text(path.read_text().replace('"numpy": "', '"numpy": "0.'))
    generate("maze/mixed-v0", tmp_path / "a", episodes=5)
    with pytest.raises(FolderError, match="seed"):
        generate("maze/mixed-v0", tmp_path / "a", episodes=5, seed=1)


def _flip_byte(folder: Path) -> None:
    path = next(folder.glob("*.parquet"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _cut(folder: Path) -> None:
    path = next(folder.glob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-100])


def _edit_manifest(**changes: object):
    def edit(folder: Path) -> None:
        path = folder / "manifest.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return edit


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_flip_byte, "sha256"),
        (_cut, "bytes"),
        (lambda f: next(f.glob("*.parquet")).unlink(), "missing"),
        (lambda f: (f / "manifest.json").unlink(), "no manifest"),
        (lambda f: (f / "manifest.json").write_text("{"), "damaged"),
        (lambda f: (f / "manifest.json").write_text("{}"), "missing required field"),
        (_edit_manifest(schema_version=99), "update lmrl"),
        (_edit_manifest(statistics={}), "statistics"),
        (
            _edit_manifest(shards=[{"file": "../evil.parquet", "rows": 1, "bytes": 1, "sha256": ""}]),
            r"shards\[0\]\.file",
        ),
    ],
)
def test_damage_is_named(maze_data: Path, tmp_path: Path, damage, message: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(maze_data, folder)
    damage(folder)
    with pytest.raises(DatasetError, match=message):
        load_dataset(folder).verify()


def test_reading_a_cut_shard_names_it(maze_data: Path, tmp_path: Path) -> None:
    shutil.copytree(maze_data, tmp_path / "copy")
    _cut(tmp_path / "copy")
    for read in (lambda d: d[0], list, lambda d: d.stats()):
        with pytest.raises(DatasetError, match=r"\.parquet has \d+ bytes"):
            read(load_dataset(tmp_path / "copy"))


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    code = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n"
    code += "from lmrl_datasets import generate\nimport sys\ngenerate('wordle/mixed-v0', sys.argv[1], episodes=300, shard_size=300)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    result = subprocess.run([sys.executable, "-c", code, str(folder)], env=environment, capture_output=True, text=True)
    assert result.returncode != 0 and "OSError" in result.stderr
    assert not list(folder.glob("*.parquet")) and not (folder / "manifest.json").exists()
    assert not list(folder.glob(".*.tmp"))
    generate("wordle/mixed-v0", folder, episodes=300, shard_size=300)
    load_dataset(folder).verify()


def test_a_task_that_has_moved_on_is_named(maze_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(maze_data, folder)
    before = (folder / "generation.json").read_bytes()
    _edit_manifest(env_id="lmrl/MazeFullyObserved-v9")(folder)
    data = load_dataset(folder)
    assert data[0].actions  # what is stored can be read
    for use in (
        data.stats,
        data.verify,
        data.recover_environment,
        lambda: coverage(data),
        lambda: data.reword("lmrl/Wordle-v0"),
    ):
        with pytest.raises(DatasetError, match=r"MazeFullyObserved-v9.*did you mean 'lmrl/MazeFullyObserved-v0'"):
            use()
    assert (folder / "generation.json").read_bytes() == before


def test_replay_finds_a_changed_reward(wordle_data: Path) -> None:
    from lmrl_datasets.replay import replay_episode

    data = load_dataset(wordle_data)
    env = data.recover_environment().unwrapped
    episode = data[0]
    replay_episode(env, episode)
    values = vars(episode)
    with pytest.raises(DatasetError, match="turn 1 earns"):
        replay_episode(env, Episode(**{**values, "rewards": (0.5, *episode.rewards[1:])}))
    with pytest.raises(DatasetError, match="observation 1 is not"):
        replay_episode(env, Episode(**{**values, "observations": ("Wordle:", "g g g g g", *episode.observations[2:])}))
    with pytest.raises(DatasetError, match="terminated"):
        replay_episode(env, Episode(**{**values, "terminated": False, "truncated": True}))


def test_access(wordle_data: Path) -> None:
    data = load_dataset(wordle_data)
    everything = list(data)
    assert len(everything) == len(data) == 300
    assert data[7] == everything[7] and data[-1] == everything[-1]
    assert list(data[5:9]) == everything[5:9]
    assert data.fetch([3, 1, 3]) == [everything[3], everything[1], everything[3]]
    with pytest.raises(IndexError):
        data[300]
    assert list(data.take(np.array([9, 2]))) == [everything[9], everything[2]]
    assert list(data.take(np.array([3, 3, 5]))) == [everything[3], everything[3], everything[5]]
    assert data.returns.tolist() == [episode.episode_return for episode in everything]


def test_batches_do_not_depend_on_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of more rows than a group holds: each group has texts, and so numbers for them, of its own."""
    import lmrl_datasets.store as store

    whole = load_dataset(generate("twenty_questions/suboptimal-v1", tmp_path / "whole", episodes=90))
    monkeypatch.setattr(store, "ROW_GROUP", 20)
    cut = load_dataset(generate("twenty_questions/suboptimal-v1", tmp_path / "cut", episodes=90))
    for size in (7, 20, 33, 4096):
        batches = list(cut.iter_batches(size))
        assert max(map(len, batches)) <= size
        assert [episode for batch in batches for episode in batch] == list(whole)
    assert list(cut.take(np.arange(3, 80, 7))) == list(whole.take(np.arange(3, 80, 7)))


def test_streaming_does_not_keep_what_never_repeats() -> None:
    """A game of chess lists its moves: kept for all, those of 100,000 games were 400 MB."""
    episode = load_dataset("chess/mixed-v0", sample=True)[0]
    decoder, held = Decoder(), []
    for part in range(30):
        episodes = [replace(episode, info={"moves": [f"{part}-{k}-{n}" for n in range(50)]}) for k in range(100)]
        back = decoder.episodes(to_table(episodes).to_batches()[0])
        assert [e.info for e in back] == [e.info for e in episodes]
        held.append(len(decoder._parsed))
    assert max(held[10:]) <= max(held[:10])


def test_streaming_shuffles_and_loses_nothing(wordle_data: Path) -> None:
    data = load_dataset(wordle_data)
    ids = [episode.episode_id for episode in data.iter_episodes(shuffle_buffer=64, seed=1)]
    assert sorted(ids) == list(range(300)) and ids != sorted(ids)
    assert ids == [episode.episode_id for episode in data.iter_episodes(shuffle_buffer=64, seed=1)]


def test_filters_and_splits(wordle_data: Path) -> None:
    data = load_dataset(wordle_data)
    assert all(episode.success for episode in data.filter(success=True))
    assert len(data.filter(success=True)) + len(data.filter(success=False)) == 300
    best = data.filter(min_return=-3, max_length=4)
    assert len(best) and all(e.episode_return >= -3 and len(e) <= 4 for e in best)
    assert [e.episode_id for e in data.filter(lambda e: e.episode_id % 50 == 0)] == list(range(0, 300, 50))
    train, validation = data.split()
    assert len(validation) == 30
    assert {e.episode_id for e in train} | {e.episode_id for e in validation} == set(range(300))
    assert [e.episode_id for e in load_dataset(wordle_data, split="validation")] == [e.episode_id for e in validation]


def test_statistics_are_those_of_the_episodes(wordle_data: Path) -> None:
    data = load_dataset(wordle_data)
    returns = [episode.episode_return for episode in data]
    stats = data.stats()
    assert stats["return_mean"] == pytest.approx(np.mean(returns))
    assert stats["return_std"] == pytest.approx(np.std(returns))
    assert stats["length_mean"] == pytest.approx(np.mean([len(e) for e in data]))
    assert stats["success_rate"] == pytest.approx(np.mean([e.success for e in data]))


def test_observations_can_be_worded_for_the_other_id(maze_data: Path) -> None:
    full, partial = load_dataset(maze_data), load_dataset(maze_data, env_id="lmrl/MazePartiallyObserved-v0")
    assert partial.env_id == "lmrl/MazePartiallyObserved-v0" and len(partial) == len(full)
    for a, b in zip(full, partial, strict=True):
        assert a.actions == b.actions and a.rewards == b.rewards
        assert [text[text.rindex("There") :] if "There" in text else text for text in a.observations] == list(
            b.observations
        )
    assert partial[:5][2] == partial[2]
    with pytest.raises(DatasetError, match="another family"):
        load_dataset(maze_data, env_id="lmrl/Wordle-v0")


def test_paired_wording(wordle_data: Path) -> None:
    episode = load_dataset(wordle_data, feedback="paired")[0]
    assert episode.observations[1].split()[0][1] == "1" and episode.env_kwargs == {"feedback": "paired"}


def test_hostile_text_is_stored(tmp_path: Path) -> None:
    texts = ("\ud800", "\x00", "\N{GRINNING FACE}", "<script>", "a" * 5000)
    episode = Episode(0, "lmrl/Wordle-v0", 1, "x", ("Wordle:", *["invalid"] * 5), texts, (-1.0,) * 5, False, True)
    (back,) = Decoder().episodes(to_table([episode]).to_batches()[0])
    assert list(vars(back)) == list(COLUMNS) and back == replace(episode, actions=back.actions)
    assert back.actions == ("?", *texts[1:])


def test_unknown_names_suggest() -> None:
    with pytest.raises(DatasetError, match="wordle/mixed-v0"):
        load_recipe("wordle/mxied-v0")
    with pytest.raises(DatasetError, match="lmrl data generate"):
        load_dataset("wordle/random-v0")
    with pytest.raises(DatasetError, match="there are"):
        load_dataset("wordle/nonsense-v0", sample=True)


@pytest.mark.parametrize("name", ["maze/mixed-v0", "wordle/mixed-v0"])
def test_mixed_data_are_near_the_published_statistics(name: str, tmp_path: Path) -> None:
    """Within the tolerances that the cards state, on ten thousand episodes."""
    published = load_recipe(name).published
    stats = load_dataset(generate(name, tmp_path / "data", episodes=10_000)).stats()
    assert stats["length_mean"] == pytest.approx(published["length_mean"], rel=0.05)
    assert stats["length_std"] == pytest.approx(published["length_std"], rel=0.15)
    assert stats["success_rate"] == pytest.approx(published["success_rate"], abs=0.03)
    assert stats["return_mean"] == pytest.approx(published["return_mean"], rel=0.05, abs=0.1)
    assert stats["return_std"] == pytest.approx(published["return_std"], rel=0.15)
