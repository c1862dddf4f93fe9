"""The soak script measures what it says, and what used to grow for ever is bounded."""

from __future__ import annotations

import gc
import importlib.util
import json
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
from serving import environment

from lmrl_agents.models.sampling import Memo, Sampling
from lmrl_agents.models.tokenizer import TaskTokenizer, train_tokenizer
from lmrl_agents.playing.protocol import Request
from lmrl_agents.playing.scripted import ScriptedAgent
from lmrl_envs import Transcript, make_policy
from lmrl_envs.car_dealer import reading as lines
from lmrl_envs.guess_my_city import reader as reading
from lmrl_envs.twenty_questions import reader

SCRIPT = Path(__file__).resolve().parents[1] / "tools" / "soak" / "soak.py"
LINUX = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the soak reads /proc")


@pytest.fixture(scope="module")
def soak() -> Any:
    spec = importlib.util.spec_from_file_location("soak_samples", SCRIPT.with_name("samples.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# -- the script


@LINUX
def test_the_slope_is_that_of_the_least_squares_line(soak: Any) -> None:
    assert soak.slope([0, 1, 2, 3], [5, 7, 9, 11]) == pytest.approx((2.0, 0.0))
    # By hand: means 1 and 2, sum of products 1, sum of squares 2, rests (.5, -1, .5), variance 1.5.
    rate, error = soak.slope([0, 1, 2], [2, 1, 3])
    assert rate == pytest.approx(0.5) and error == pytest.approx((1.5 / 2) ** 0.5)
    assert soak.slope([1, 1, 1], [1, 2, 3])[0] == 0.0


def written(soak: Any, folder: Path, rise: float, **last: int) -> Path:
    """A soak of two hours whose memory rises by ``rise`` MB an hour after warm-up, and by much more before."""
    folder.mkdir()
    (folder / soak.SETTINGS).write_text(json.dumps({"hours": 2.0, "warm_up_hours": 0.5, "seed": 0}))
    lines = []
    for k in range(121):
        hours = k / 60
        line = {
            "hours": hours, "cpu_seconds": k, "rss_mb": 100 + min(hours, 0.5) * 300 + rise * max(0, hours - 0.5), "heap_mb": 50.0,
            "objects": 1000, "cached": 100, "files": 9, "threads": 3, "children": 1, "rounds": k, "episodes": {"lmrl/Wordle-v0": k, "lmrl/Chess-v0": 7},
        }  # fmt: skip
        lines.append(line | (last if k == 120 else {}))
    (folder / soak.SAMPLES).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@LINUX
def test_the_report_tells_growth_from_warm_up(soak: Any, tmp_path: Path) -> None:
    flat = soak.report(written(soak, tmp_path / "flat", 0.2))
    assert (
        flat["within_limits"] and flat["finished"] and flat["rss_mb_per_hour"]["slope"] == pytest.approx(0.2, abs=1e-3)
    )
    assert flat["episodes_of_text_games"] == 120 and flat["samples_after_warm_up"] == 91
    assert not soak.report(written(soak, tmp_path / "growing", 3.0))["within_limits"]
    for what in ("files", "threads", "children"):
        assert not soak.report(written(soak, tmp_path / what, 0.0, **{what: 50}))["within_limits"]


@LINUX
def test_a_short_soak_plays_evaluates_and_leaves_nothing_behind(tmp_path: Path) -> None:
    arguments = [
        "--hours",
        "0",
        "--warm-up",
        "0",
        "--interval",
        "0",
        "--ids",
        "lmrl/Wordle-v0",
        "--out",
        str(tmp_path / "soak"),
    ]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], env=environment(), capture_output=True, text=True, check=False
    )
    assert "rounds 3 suites 1" in done.stdout, done.stderr
    samples = [json.loads(line) for line in (tmp_path / "soak" / "samples.jsonl").read_text().splitlines()]
    assert len(samples) == 3 and samples[-1]["episodes"]["lmrl/Wordle-v0"] > 1000
    assert samples[-1]["rss_mb"] > 10 and samples[-1]["files"] == samples[0]["files"] > 2
    assert all("python" in name for name in samples[-1]["child_names"])  # multiprocessing's own watcher
    assert not (tmp_path / "soak" / "cell").exists() and not (tmp_path / "soak" / "suite").exists()


# -- what it found


def test_scripted_agents_forget_games_that_are_over() -> None:
    agent = ScriptedAgent("suboptimal")
    transcript = Transcript.from_texts(["Wordle:"], [])
    agent.act([Request("lmrl/Wordle-v0", episode, episode, transcript) for episode in range(50)])
    agent.finished(range(49))
    assert len(agent._games._games) == 1
    assert agent.act([Request("lmrl/Wordle-v0", 3, 3, transcript)]) == agent.act(
        [Request("lmrl/Wordle-v0", 3, 3, transcript)]
    )


def test_policies_of_wordle_go_with_their_games() -> None:
    policies = [make_policy("lmrl/Wordle-v0", "expert", seed=k) for k in range(3)]
    off_the_tree = Transcript.from_texts(["Wordle:", "about", "b b b b b"], [-1.0])
    assert len({policy.act(off_the_tree) for policy in policies}) == 1
    left = [weakref.ref(policy) for policy in policies]
    del policies
    gc.collect()
    assert [ref() for ref in left] == [None] * 3


def test_a_tokenizer_forgets_texts_and_keeps_no_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmrl_agents.models.tokenizer._KEPT", 10)
    tokenizer: TaskTokenizer = train_tokenizer(["move up", "move down"] * 3)
    ids = tokenizer.encode("move up")
    for k in range(200):
        tokenizer.encode(f"move {k}")
    assert len(tokenizer._cache) <= 10 and tokenizer.encode("move up") == ids


def test_what_is_known_of_distributions_is_bounded_in_bytes() -> None:
    class Policy:
        tokenizer = range(2048)

    # By default half a gigabyte: of 49,000 tokens, as a small instruct model has, 680 distributions.
    memo = Memo(Policy(), Sampling(), most_bytes=2**20)  # type: ignore[arg-type]
    assert memo.size == 32 and Memo(Policy(), Sampling()).size * 2048 * 16 <= 2**29  # type: ignore[arg-type]


@pytest.mark.parametrize("module", [reader, reading, lines])
def test_texts_that_are_too_long_to_read_are_not_remembered(module: Any) -> None:
    before = module._read.cache_info().currsize
    for k in range(20):
        module.read("Is it a dog? " * 500 + str(k))
    assert module._read.cache_info().currsize == before and module._read.cache_info().maxsize <= 16384
