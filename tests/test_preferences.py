"""Preference data: sampled, labelled, resumed, verified, exported; labellers with known faults."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lmrl_agents import load_agent
from lmrl_agents.playing.collecting import Collection, collect
from lmrl_benchmarks.commands.cli import run as lmrl
from lmrl_datasets.preferences import load_gold, load_preferences
from lmrl_datasets.preferences.checking import agreement, verify_preferences
from lmrl_datasets.preferences.exchange import FORMS, import_pairs, trl_rows
from lmrl_datasets.preferences.labellers import Reader, Shown, load_labeller, logistic
from lmrl_datasets.preferences.labelling import label_pairs
from lmrl_datasets.preferences.schema import PreferenceError
from lmrl_datasets.preferences.store import GOLD, HIDDEN, LABELS, PAIRS
from lmrl_envs import Transcript, task
from lmrl_envs.files import FolderError

HEADLINE, MAZE = "lmrl/Headline-v0", "lmrl/MazeFullyObserved-v0"
NOTES = "Notes from Harwick: violent wind; scattered rain; record crowds; fair prices; endless queues; thin smoke. Write one headline."


def sampled(out: Path, pairs: int = 40, **changes: Any) -> Path:
    wanted = Collection(**{"env_id": HEADLINE, "agents": ["suboptimal"], "pairs": pairs, **changes})
    collect(wanted, [load_agent(spec) for spec in wanted.agents], out)
    return out


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sampled(tmp_path_factory.mktemp("pairs") / "data", 300)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return sampled(tmp_path / "data")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def game(action: str, worth: float = 0.0) -> Transcript:
    return Transcript.from_texts([NOTES, action, "Printed."], [worth])


def test_equal_seeds_give_equal_bytes_and_a_kill_costs_nothing(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lmrl_agents.playing.collecting as collecting
    import lmrl_datasets.preferences.labelling as labelling

    label_pairs(data, "lazy:check=.2")
    monkeypatch.setattr(collecting, "BATCH", 16)
    monkeypatch.setattr(labelling, "BATCH", 16)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    wanted, out = Collection(HEADLINE, ["suboptimal"], 40), tmp_path / "again"
    with pytest.raises(KeyboardInterrupt):
        collect(wanted, [load_agent("suboptimal")], out, progress=stop)
    with (out / "sampled.jsonl").open("a") as file:
        file.write('{"pair": {"pair_id": 16, "env')  # cut by the kill
    with pytest.raises(PreferenceError, match="not finished"):
        load_preferences(out)
    collect(wanted, [load_agent("suboptimal")], out)
    with pytest.raises(KeyboardInterrupt):
        label_pairs(out, "lazy:check=.2", progress=stop)
    whole = (out / LABELS).read_bytes()
    (out / LABELS).write_bytes(whole[:-20])  # the last label is cut, what stands behind it is not
    assert label_pairs(out, "lazy:check=.2", budget=30) == 30
    assert label_pairs(out, "lazy:check=.2") == 40
    assert contents(out) == contents(data)
    assert not list(verify_preferences(out, replay=True))
    with pytest.raises(FolderError, match="differs in seed"):
        collect(replace(wanted, seed=1), [load_agent("suboptimal")], out)
    other = sampled(tmp_path / "other", seed=1)
    assert contents(other)[PAIRS] != contents(data)[PAIRS]


def test_pairs_share_their_start_unless_told_otherwise(pairs: Path, tmp_path: Path) -> None:
    found = load_preferences(pairs).pairs
    assert all(pair.seed_first == pair.seed_second and pair.shared >= 1 for pair in found)
    assert sum(pair.first.actions != pair.second.actions for pair in found) > 250
    apart = load_preferences(sampled(tmp_path / "apart", different_seeds=True)).pairs
    assert all(pair.seed_first != pair.seed_second for pair in apart)
    two = load_preferences(sampled(tmp_path / "two", agents=["random", "expert"])).pairs
    assert {(pair.first.policy, pair.second.policy) for pair in two} == {("random", "expert")}
    gold = load_gold(tmp_path / "two")
    assert all(worth.second == (1.0,) for worth in gold)


def test_segments_of_a_maze_are_what_was_walked(tmp_path: Path) -> None:
    folder = sampled(tmp_path / "maze", 20, env_id=MAZE, unit="segment:8", agents=["suboptimal"])
    label_pairs(folder, "gold:k=8")
    for pair, gold in zip(load_preferences(folder).pairs, load_gold(folder), strict=True):
        for side, worth in ((pair.first, gold.first), (pair.second, gold.second)):
            steps = len(side.actions) - side.start
            assert 1 <= steps <= 8 and len(worth) == steps and len(side.shown) == 2 * steps + 1
            assert steps == 8 or side.terminated or side.truncated
    assert not list(verify_preferences(folder, replay=True))


@pytest.mark.parametrize("damage", ["gold", "label", "text", "missing"])
def test_verify_finds_what_was_changed(damage: str, data: Path) -> None:
    label_pairs(data, "gold")
    if damage == "label":
        text = (data / LABELS).read_text()
        (data / LABELS).write_text(text.replace('"label":1.0', '"label":0.0', 1))
    elif damage == "missing":
        (data / GOLD).unlink()
    else:  # and the manifest is made to fit
        from msgspec.structs import replace as changed

        import lmrl_datasets.preferences.store as store

        found, gold = load_preferences(data), load_gold(data)
        if damage == "gold":
            gold[3] = changed(gold[3], first=(0.123,))
        else:
            found.pairs[3] = changed(found.pairs[3], seed_first=1)
        store.write_pairs(data, found.manifest["spec"], found.pairs, gold)
    breaches = list(verify_preferences(data, replay=True))
    assert breaches and any(word in breaches[0] for word in ("gold is", "says", "observation", "missing"))


def test_half_written_and_damaged_labels(data: Path) -> None:
    label_pairs(data, "gold", budget=5)
    with (data / LABELS).open("a") as file:
        file.write('{"pair_id": 5, "annot')
    assert len(load_preferences(data).labels) == 5
    (data / LABELS).write_text("nonsense\n" + (data / LABELS).read_text())
    with pytest.raises(PreferenceError, match="line 1"):
        load_preferences(data)
    (data / LABELS).write_text('{"pair_id":99,"annotator":"x","label":1.0}\n')
    with pytest.raises(PreferenceError, match="no pair 99"):
        load_preferences(data)
    (data / LABELS).write_text('{"pair_id":9,"annotator":"x","label":2.0}\n')
    with pytest.raises(PreferenceError, match="label"):
        load_preferences(data)


# -- labellers


def test_the_probability_is_the_published_one() -> None:
    reader = load_labeller("gold:k=8,e=.1")
    assert isinstance(reader, Reader)
    assert reader.probability(0.5, 0.5) == 0.5
    assert reader.probability(0.8, 0.6) == pytest.approx(0.9 * logistic(1.6) + 0.05)
    assert reader.probability(1, -1) == pytest.approx(0.95, abs=1e-6)
    biased = load_labeller("biased:order=1.2,e=0")
    assert isinstance(biased, Reader) and biased.probability(0, 0) == pytest.approx(logistic(1.2))


def test_labels_are_drawn_from_it(pairs: Path) -> None:
    """.878 of labels agree with gold's order (k 8, e .1), and a soft label's cross-entropy with itself is the floor."""
    for seed in range(3):
        label_pairs(pairs, f"gold:k=8,e=.1,skip={seed / 100}", seed=seed)
    found, gold = load_preferences(pairs), load_gold(pairs)
    given = [(found.pairs[label.pair_id], label.label) for label in found.labels if label.annotator.startswith("gold:")]
    share = agreement(given, gold)
    assert share is not None and share == pytest.approx(0.878, abs=0.03)
    skipped = Counter(label.annotator for label in found.labels if label.label is None)
    assert skipped["gold:k=8,e=.1,skip=0.0"] == 0 < skipped["gold:k=8,e=.1,skip=0.02"]


def test_a_lazy_reader_believes_what_is_invented() -> None:
    surface = task(HEADLINE).surface
    wrong = game("record crowds, choking smoke.")
    assert surface.as_read(wrong, lambda: True) == pytest.approx(-0.0667, abs=1e-4)  # gold
    assert surface.as_read(wrong, lambda: False) == pytest.approx(2 / 3)
    invented = game("torrential rain, soaring prices and deafening noise.")
    assert surface.as_read(invented, lambda: True) == -1 and surface.as_read(invented, lambda: False) == 1
    lazy = load_labeller("lazy:check=0,e=0,k=100")
    assert isinstance(lazy, Reader)
    true = game("scattered rain.", 0.0333)
    assert [v.label for v in lazy.label([Shown(0, HEADLINE, wrong, true, 5)])] == [1.0]
    careful = load_labeller("lazy:check=1,e=0,k=100")
    assert [v.label for v in careful.label([Shown(0, HEADLINE, wrong, true, 5)])] == [0.0]  # type: ignore[union-attr]
    # One false claim in two is noticed.
    reader = Reader(check=0.5)
    worth = [reader.utility(HEADLINE, wrong, random.Random(seed)) for seed in range(400)]
    assert sum(w > 0 for w in worth) / 400 == pytest.approx(0.5, abs=0.06)


def test_likes_groups_and_drift() -> None:
    hyped, plain = game("Breaking record crowds.", 0.3), game("record crowds.", 0.3)
    shown = Shown(0, HEADLINE, hyped, plain, 3)
    fond = load_labeller("biased:hype=.5,soft=1,e=0")
    (verdict,) = fond.label([shown])
    assert verdict.label == pytest.approx(logistic(8 * 0.5))  # type: ignore[union-attr]
    groups = load_labeller("groups:.7*any_hype=.5,e=0,k=100/.3*any_hype=-1.3,e=0,k=100")
    said = [groups.label([replace(shown, seed=seed)])[0] for seed in range(400)]
    tally = Counter((v.group, v.label) for v in said)  # type: ignore[union-attr]
    assert set(tally) == {("group 1", 1.0), ("group 2", 0.0)}
    assert tally["group 1", 1.0] / 400 == pytest.approx(0.7, abs=0.06)
    drifting = load_labeller("drifting:over=100,hype=1,soft=1,e=0")
    labels = [drifting.label([replace(shown, pair_id=k)])[0].label for k in (0, 50, 100, 300)]  # type: ignore[union-attr]
    assert labels == pytest.approx([0.5, logistic(4), logistic(8), logistic(8)])


def test_order_bias_shows_and_cancels_over_orders(pairs: Path) -> None:
    spec = "biased:order=1.2,e=0,k=4"
    label_pairs(pairs, spec)
    own = [label for label in load_preferences(pairs).labels if label.annotator == spec]
    first = sum((label.label == 1.0) == (label.shown_first == "first") for label in own) / len(own)
    assert first > 0.58
    assert {label.shown_first for label in own} == {"first", "second"}


def test_a_constitution_says_why(tmp_path: Path) -> None:
    path = tmp_path / "house.toml"
    path.write_text(
        'k = 2.0\n[[principles]]\ntext = "Tell what is true:"\nscorer = "true"\n'
        '[[principles]]\ntext = "No hype:"\nscorer = "hype"\nweight = -1.0\n'
    )
    labeller = load_labeller(f"constitution:{path}")
    (verdict,) = labeller.label([Shown(0, HEADLINE, game("Breaking record crowds."), game("fair rain."), 1)])
    assert verdict.label == pytest.approx((logistic(2) + logistic(-2)) / 2) == 0.5  # type: ignore[union-attr]
    assert verdict.critique.splitlines()[0] == "Tell what is true: the first (1 against 0)"  # type: ignore[union-attr]
    assert verdict.both_orders and verdict.agreement == 0.5  # type: ignore[union-attr]
    for text in ("", "principles = []", "[[principles]]\ntext = 1", "]"):
        path.write_text(text)
        with pytest.raises(ValueError, match="house"):
            load_labeller(f"constitution:{path}")


@pytest.mark.parametrize(
    "spec",
    ["gold:x=1", "gold:k", "gold:k=nan", "gold:e=2", "lazy:check=-1", "groups:", "groups:.5*hype=1", "groups:hype=1",
     "nobody", "constitution:nowhere.toml", "gold:check=.5"],
)  # fmt: skip
def test_labellers_that_are_none(spec: str) -> None:
    with pytest.raises(ValueError):
        load_labeller(spec)


def test_a_like_of_what_the_task_has_not(data: Path) -> None:
    with pytest.raises(ValueError, match="has no feature 'wit'"):
        label_pairs(data, "biased:wit=1")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("return [0.75 for _ in pairs]", None),
        ("return [2.0 for _ in pairs]", "no probability"),
        ("return ['first' for _ in pairs]", "no probability"),
        ("return []", "0 labels for 40 pairs"),
    ],
)
def test_a_labeller_from_outside(body: str, why: str | None, data: Path, tmp_path: Path) -> None:
    path = tmp_path / "own_labeller.py"
    path.write_text(f"class Own:\n    def label(self, pairs):\n        {body}\n")
    if why is None:
        assert label_pairs(data, f"{path}:Own") == 40
        labels = load_preferences(data).labels
        assert {(label.shown_first, label.label) for label in labels} == {("first", 0.75), ("second", 0.25)}
    else:
        with pytest.raises(PreferenceError, match=why):
            label_pairs(data, f"{path}:Own")
        assert not load_preferences(data).labels


# -- in and out


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_labels_are_rows_of_a_frame(ending: str, data: Path) -> None:
    label_pairs(data, "lazy:check=.5")
    label_pairs(data, "gold:e=.1")
    found, path = load_preferences(data), data.parent / f"labels.{ending}"
    assert lmrl(["prefs", "export", str(data), "--out", str(path)]) == 0
    table, gold = getattr(pd, f"read_{ending}")(path), load_gold(data)
    assert list(zip(table["pair_id"], table["annotator"], table["label"], strict=True)) == [
        (label.pair_id, label.annotator, label.label) for label in found.labels
    ]
    for row in table.to_dict("records"):
        pair = found.pairs[row["pair_id"]]
        assert all(text in row["first"] for text in pair.first.actions) and row["seed_first"] == pair.seed_first
    worth = table["pair_id"].map(lambda k: sum(gold[k].first) - sum(gold[k].second))
    by_gold = table["annotator"].str.startswith("gold") & (worth != 0)
    assert ((table["label"] > 0.5) == (worth > 0))[by_gold].mean() > 0.7


@pytest.mark.parametrize("form", FORMS)
def test_exports_say_who_is_better(form: str, data: Path) -> None:
    label_pairs(data, "gold:soft=1,e=0")
    rows, told = trl_rows(load_preferences(data), form)
    gold, found = load_gold(data), load_preferences(data)
    worth = {
        ("\n".join(side.actions), side.observations[0]): sum(own)
        for pair, g in zip(found.pairs, gold, strict=True)
        for side, own in ((pair.first, g.first), (pair.second, g.second))
    }
    assert told["soft labels hardened"] > 30 and told["ties left out"] > 0
    if form == "unpaired":
        assert {row["label"] for row in rows} == {True, False} and len(rows) % 2 == 0
        rows = [
            {"prompt": a["prompt"], "chosen": a["completion"], "rejected": b["completion"]}
            for a, b in zip(rows[::2], rows[1::2], strict=True)
        ]
    for row in rows:
        if form == "messages":
            prompt, good, bad = (row[key][0]["content"] for key in ("prompt", "chosen", "rejected"))
            assert [m["role"] for m in row["prompt"]] == ["user"] and row["chosen"][0]["role"] == "assistant"
        elif form == "implicit":
            prompt = row["chosen"].split("\n")[0]
            good, bad = row["chosen"].split("\n")[1], row["rejected"].split("\n")[1]
        else:
            prompt, good, bad = row["prompt"].rstrip("\n"), row["chosen"], row["rejected"]
        assert worth[good, prompt] > worth[bad, prompt]


def test_all_ties_and_several_turns_are_one_line(data: Path, tmp_path: Path) -> None:
    label_pairs(data, "gold:tie=9")
    with pytest.raises(PreferenceError, match="no label that says"):
        trl_rows(load_preferences(data), "explicit")
    maze = sampled(tmp_path / "maze", 4, env_id=MAZE, agents=["random"])
    label_pairs(maze, "gold:e=0")
    with pytest.raises(PreferenceError, match="several turns"):
        trl_rows(load_preferences(maze), "messages")
    rows, _ = trl_rows(load_preferences(maze), "messages", multi_turn=True)
    assert len(rows[0]["chosen"]) > 1


def test_public_forms_come_in(tmp_path: Path) -> None:
    hh = {"chosen": "\n\nHuman: Hi\n\nAssistant: Hello", "rejected": "\n\nHuman: Hi\n\nAssistant: No"}
    feedback = {
        "prompt": "Hi", "prompt_id": "1", "score_chosen": 8.0, "score_rejected": 5.0, "messages": [],
        "chosen": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
        "rejected": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "No"}],
    }  # fmt: skip
    tied = {**feedback, "score_rejected": 8.0}
    trl = {"prompt": "Hi", "chosen": "Hello", "rejected": "No"}
    source = tmp_path / "public.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in (hh, feedback, trl, tied)))
    assert import_pairs(source, tmp_path / "in") == 4
    found = load_preferences(tmp_path / "in")
    for pair, label in zip(found.pairs, found.labels, strict=True):
        better = pair.first if label.label == 1 else pair.second
        assert label.label == 0.5 or better.actions == ("Hello",)
        assert pair.first.observations[0] == "Hi" and pair.shared == 1
    assert [label.label for label in found.labels] == [1.0, 0.0, 1.0, 0.5]
    rows, told = trl_rows(found, "explicit")
    assert all((row["chosen"], row["rejected"]) == ("Hello", "No") for row in rows) and told["ties left out"] == 1
    with pytest.raises(PreferenceError, match="no gold"):
        load_gold(tmp_path / "in")
    assert any("imported as text" in breach for breach in verify_preferences(tmp_path / "in", replay=True))
    with pytest.raises(FolderError, match="not empty"):
        import_pairs(source, tmp_path / "in")
    for row in ({"chosen": 1}, {"chosen": "a", "rejected": "b"}, {**hh, "chosen": "\n\nHuman: Hi"}, {}):
        source.write_text(json.dumps(hh) + "\n" + json.dumps(row) + "\n")
        with pytest.raises(PreferenceError, match="line 2"):
            import_pairs(source, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = str(tmp_path / "data")
    assert lmrl(["prefs", "collect", "--env", HEADLINE, "--out", out, "--labels", "12", "--labeller", "lazy"]) == 0
    assert lmrl(["prefs", "label", out, "--labeller", "gold:k=8", "--labels", "5"]) == 0
    assert lmrl(["prefs", "info", out, "--gold"]) == 0
    assert "agrees with gold" in capsys.readouterr().out
    assert lmrl(["prefs", "info", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"] == "12"
    assert lmrl(["prefs", "show", out, "3"]) == 0
    assert "for the first" in capsys.readouterr().out
    assert lmrl(["prefs", "verify", out, "--replay"]) == 0
    assert lmrl(["prefs", "export", out, "--out", str(tmp_path / "trl.jsonl"), "--annotator", "gold:k=8"]) == 0
    assert len((tmp_path / "trl.jsonl").read_text().splitlines()) <= 5 and (tmp_path / "trl.md").is_file()
    assert lmrl(["prefs", "import", str(tmp_path / "trl.jsonl"), "--out", str(tmp_path / "back")]) == 0
    capsys.readouterr()
    for command, code in (
        (["verify", str(tmp_path)], 1),
        (["label", out, "--labeller", "nobody"], 2),
        (["show", out, "99"], 2),
    ):
        assert lmrl(["prefs", *command]) == code
        assert capsys.readouterr().err.count("\n") == 1
    assert (Path(out) / HIDDEN).is_file()
