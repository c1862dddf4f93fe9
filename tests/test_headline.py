"""Headlines: the desk's rules by hand, the optimum by enumeration, the writers' quality, and exact policies of the tiny desk."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from lmrl_agents.playing.best_of_n import best_of_n, best_of_n_kl, kl, kl_regularised_optimum
from lmrl_agents.prompting.extraction import extract
from lmrl_benchmarks.scores.references import scale_of
from lmrl_datasets import load_dataset
from lmrl_envs import Transcript, make_policy, task
from lmrl_envs.headline.policies import POLICIES, Writer
from lmrl_envs.headline.rules import (
    FULL,
    LEVEL_SHARES,
    LEVELS,
    SPLITS,
    TINY,
    WEIGHTS,
    all_notes,
    as_fact,
    drawn_notes,
    in_split,
    is_held_out,
    judge,
    opening,
    parse_opening,
    read,
    tiny_answers,
    weight,
    written,
)

ID = "lmrl/Headline-v0"
TOLD = ["violent wind", "scattered rain", "record crowds", "fair prices", "endless queues", "thin smoke"]
NOTES = tuple(map(as_fact, TOLD))


def start(**kwargs: Any) -> Any:
    return gym.make(ID, **kwargs).unwrapped


# -- what a headline is worth


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("Breaking: record crowds, endless queues and violent wind.", 1),
        ("record crowds.", 1 / 3),
        ("Breaking record crowds and endless queues.", 2 / 3),
        ("Breaking Shocking record crowds.", 1 / 3 - 0.1),
        ("record crowds, choking smoke.", 1 / 3 - 0.4),
        ("violent wind, violent wind and record crowds.", 2 / 3 - 0.2),
        ("record crowds, endless queues, violent wind and fair prices.", 0.9),
        ("record crowds endless queues", 2 / 3 - 0.1),
        ("crowds record.", -0.2),
        ("treacherous ice, deafening noise and torrential rain.", -1),
        ("", 0),
        ("  \n\t ", 0),
        (".", 0),
        ("Exclusive.", 0),
        ("RECORD Crowds , and\u3000Violent WIND.", 2 / 3),
        ("record crowds Breaking.", 1 / 3 - 0.1),
        ("and Breaking and record crowds.", 1 / 3),
        ("violent wind, light wind.", 1 / 3 - 0.4 - 0.2),
        ("light wind, violent wind.", 1 / 3 - 0.4 - 0.2),
        ("record, crowds.", -0.2),
        ("violent rain.", -0.2),
        ("record crowds!", 1 / 3 - 0.2),
        ("record crowds.\nendless queues.", 1 / 3 - 0.1),
        ("record-crowds.", -0.3),
        ("\u017fmoke, thic\u212a smoke.", -0.5),
        ("scattered rain, fair prices, thin smoke.", 4 / 30),
        (f"record crowds{' ' * 146}.", 1 / 3),
        (f"record crowds{' ' * 147}.", 1 / 3 - 0.1),
        (f"record crowds{' ' * 140}endless queues.", 1 / 3 - 0.2),
    ],
)
def test_gold_by_hand(text: str, gold: float) -> None:
    assert judge(text, NOTES).gold == pytest.approx(gold)
    env = start()
    env.reset(seed=0, options={"notes": TOLD, "place": "Harwick"})
    told, reward, terminated, truncated, info = env.step(text)
    assert reward == pytest.approx(gold) and terminated and not truncated
    assert told in ("Printed.", "Nothing printed.") and info["success"] == (gold == 1)
    assert info["best"] == "violent wind, record crowds and endless queues."


def test_the_opening_is_as_specified_and_comes_back() -> None:
    env = start()
    text, _ = env.reset(options={"notes": TOLD, "place": "Harwick"})
    assert text == (
        "Notes from Harwick: violent wind; scattered rain; record crowds; fair prices; endless queues; thin smoke. "
        "Write one headline."
    )
    assert parse_opening(text) == ("Harwick", NOTES)
    for options in ({"notes": TOLD[:5]}, {"notes": [*TOLD[:5], "light wind"]}, {"notes": "x"}, {"place": "Rome"}):
        with pytest.raises(ValueError):
            env.reset(options=options)
    with pytest.raises(ValueError, match="split"):
        start(split="dev")


def test_what_is_well_formed_is_valid_whether_it_is_true_or_not() -> None:
    valid = {text: read(text).valid for text in ("choking smoke.", ".", "Breaking.", "", "smoke.", "choking smoke", "thick ice?")}  # fmt: skip
    assert [text for text, well in valid.items() if well] == ["choking smoke.", ".", "Breaking."]


# -- notes


def test_notes_are_as_many_and_as_frequent_as_specified() -> None:
    assert {subject: len(levels) for subject, levels in LEVELS.items()} == dict.fromkeys(LEVELS, 4) and len(LEVELS) == 8
    found = list(all_notes(FULL))
    assert len(found) == len({frozenset(notes) for notes, _ in found}) == 28 * 4**6 == 114_688
    assert sum(share for _, share in found) == pytest.approx(1)
    assert len(list(all_notes(TINY))) == 48
    rng = np.random.default_rng(0)
    drawn = [drawn_notes(rng.random(12).tolist(), FULL) for _ in range(4000)]
    levels = Counter(weight(fact) for notes in drawn for fact in notes)
    assert [levels[w] / 24_000 for w in WEIGHTS] == pytest.approx(LEVEL_SHARES, abs=0.012)
    firsts = Counter(notes[0][1] for notes in drawn)
    assert all(abs(firsts[subject] / 4000 - 1 / 8) < 0.02 for subject in LEVELS)


def test_splits_part_the_sets_of_notes() -> None:
    held_out = [is_held_out(notes) for notes, _ in all_notes(FULL)]
    assert sum(held_out) / len(held_out) == pytest.approx(0.2, abs=0.005)
    assert is_held_out(NOTES) == is_held_out(NOTES[::-1])
    for split, tiny in itertools.product(SPLITS, (False, True)):
        env = start(split=split, tiny=tiny)
        for seed in range(40):
            notes = parse_opening(env.reset(seed=seed)[0])[1]
            assert in_split(notes, split) and len(notes) == (2 if tiny else 6)


# -- players


@pytest.mark.parametrize("split", ["all", "train", "test"])
def test_the_tiny_desk_by_enumeration(split: Any) -> None:
    """The expert writes the best of all answers, and both references are exact."""
    answers, expert = tiny_answers(), make_policy(ID, "expert", tiny=True)
    assert len(set(answers)) == 26 and "." in answers and "Breaking: record crowds." in answers
    mean = total = 0.0
    for notes, share in all_notes(TINY):
        golds = [judge(answer, notes, TINY).gold for answer in answers]
        opened = Transcript.from_texts([opening("Harwick", notes)], [])
        assert judge(expert.act(opened), notes, TINY).gold == max(golds) == 1
        assert {a for a in answers if expert.is_best(opened, a)} == {a for a, g in zip(answers, golds, strict=True) if g == 1}  # type: ignore[attr-defined]  # fmt: skip
        if in_split(notes, split):
            mean, total = mean + share * float(np.mean(golds)), total + share
    scale = scale_of(ID, {"tiny": True, "split": split} if split != "all" else {"tiny": True})
    assert scale is not None and scale.random == pytest.approx(mean / total, abs=5e-5) and scale.optimum == 1


def test_nothing_beats_the_expert() -> None:
    """Of all headlines of up to four facts; whatever else is in one only costs."""
    phrases = [(level, subject) for subject, levels in LEVELS.items() for level in levels]
    notes = tuple(map(as_fact, ["steady wind", "thin crowds", "high prices", "moderate queues", "choking smoke", "patchy ice"]))  # fmt: skip
    best = written([("choking", "smoke"), ("high", "prices"), ("steady", "wind")])
    own = make_policy(ID, "expert").act(Transcript.from_texts([opening("Harwick", notes)], []))
    assert set(read(own).facts) == set(read(best).facts) and judge(own, notes).gold == 1
    for count in range(4):
        golds = {facts: judge(written(facts), notes).gold for facts in itertools.combinations(phrases, count)}
        assert max(golds.values()) <= 1
        winners = [facts for facts, gold in golds.items() if gold > 1 - 1e-9]
        assert len(winners) == (2 if count == 3 else 0)  # steady wind and moderate queues weigh alike


def exact_random_means() -> dict[tuple[int, ...], float]:
    """Mean gold of the random policy by the levels of the notes: all multisets of one to four of the 32 phrases."""
    means: dict[tuple[int, ...], float] = dict.fromkeys(itertools.combinations_with_replacement(range(4), 6), 0.0)
    for k in range(1, 5):
        phrases = np.array(list(itertools.combinations_with_replacement(range(32), k)))
        orders = [math.factorial(k) / math.prod(map(math.factorial, Counter(row).values())) for row in phrases.tolist()]
        share = np.array(orders) / 32**k / 4
        subject, level = phrases // 4, phrases % 4
        new = np.ones_like(phrases, bool)
        new[:, 1:] = phrases[:, 1:] != phrases[:, :-1]  # sorted: equal phrases stand together
        repeated = (subject[:, 1:] == subject[:, :-1]).sum(1)
        for levels in means:
            true = level == np.array([*levels, 9, 9])[subject]
            worth = np.where(true & new, np.array(WEIGHTS)[level], 0)
            share_won = np.sort(worth, 1)[:, ::-1][:, :3].sum(1) / sum(sorted(WEIGHTS[i] for i in levels)[-3:])
            extra = np.maximum(0, (true & new).sum(1) - 3)
            gold = share_won - 0.4 * (~true).sum(1) - 0.2 * repeated - 0.1 * extra
            means[levels] += float(np.clip(gold, -1, 1) @ share)
    return means


def test_the_random_reference_is_exact() -> None:
    means = exact_random_means()
    sums = dict.fromkeys(SPLITS, 0.0), dict.fromkeys(SPLITS, 0.0)
    for notes, share in all_notes(FULL):
        own = means[tuple(sorted(WEIGHTS.index(weight(fact)) for fact in notes))]
        for split in ("all", "test" if is_held_out(notes) else "train"):
            sums[0][split] += share * own
            sums[1][split] += share
    for split in SPLITS:
        scale = scale_of(ID, {"split": split})
        assert scale is not None and scale.optimum == 1
        assert scale.random == pytest.approx(sums[0][split] / sums[1][split], abs=5e-5)
    golds = [mean_gold("random", seed, 1) for seed in range(3000)]
    assert np.mean(golds) == pytest.approx(task(ID).reference.random, abs=0.03)  # type: ignore[union-attr]


def mean_gold(policy: str, seed: int, games: int, **kwargs: Any) -> float:
    rng = np.random.default_rng(seed)
    writer: Any = make_policy(ID, policy, seed=seed, **kwargs)
    golds = []
    for _ in range(games):
        notes = drawn_notes(rng.random(12).tolist(), FULL)
        golds.append(judge(writer.act(Transcript.from_texts([opening("Harwick", notes)], [])), notes).gold)
    return float(np.mean(golds))


def test_writers_are_as_good_as_published_and_better_with_quality() -> None:
    """The prototype's figures: .126, .371, .502 (one seed each, +-.03), and 1 for the expert."""
    for quality, there in ((0.0, 0.126), (0.5, 0.371), (0.8, 0.502)):
        assert mean_gold("writer", 1, 6000, quality=quality) == pytest.approx(there, abs=0.03)
    rising = [mean_gold("writer", 2, 4000, quality=q) for q in (0, 0.25, 0.5, 0.75, 1)]
    assert all(more > less + 0.03 for less, more in itertools.pairwise(rising))
    assert mean_gold("expert", 3, 500) == 1
    assert make_policy(ID, "suboptimal").quality == 0.5  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="quality"):
        Writer(quality=2)


def test_writers_of_the_tiny_desk_write_its_answers() -> None:
    env, seen = start(tiny=True), set()
    for name, seed in itertools.product(POLICIES, range(60)):
        env.reset(seed=seed)
        text = make_policy(ID, name, seed=seed, tiny=True).act(env.transcript)
        seen.add(text)
        assert name in ("random", "honest", "severe") or len(read(text).facts) == 1  # those may say nothing
        assert read(text).valid and read(text).hype <= 1 and len(read(text).facts) <= 1
    assert len(seen) > 20


def test_the_mixture_has_four_writers_in_equal_parts() -> None:
    writers = Counter(getattr(make_policy(ID, "mixed", seed=seed).writer, "quality", None) for seed in range(2000))  # type: ignore[attr-defined]
    assert set(writers) == {0.0, 0.5, 0.8, None} and all(abs(n - 500) < 80 for n in writers.values())
    data = load_dataset("headline/mixed-v0", sample=True)
    assert data.env_kwargs == {"split": "train"}
    assert not any(is_held_out(parse_opening(episode.observations[0])[1]) for episode in data)
    assert float(data.returns.mean()) == pytest.approx((0.126 + 0.371 + 0.502 + 1) / 4, abs=0.03)


# -- exact policies


def test_exact_policies_of_the_tiny_desk() -> None:
    """The figures of the gold-reward laboratory, on `record crowds; steady rain`, with a uniform reference."""
    notes = (as_fact("record crowds"), as_fact("steady rain"))
    gold = np.array([judge(answer, notes, TINY).gold for answer in tiny_answers()])
    uniform = np.full(26, 1 / 26)
    assert uniform @ gold == pytest.approx(-0.215385, abs=1e-6)
    for n, mean, divergence in ((4, 0.176604, 0.411699), (16, 0.757900, 1.747466)):
        policy = best_of_n(uniform, gold, n)
        assert policy @ gold == pytest.approx(mean, abs=1e-6)
        assert kl(policy, uniform) == pytest.approx(divergence, abs=1e-6)
        assert divergence <= best_of_n_kl(n)
    tilted, value = kl_regularised_optimum(uniform, gold, 0.5)
    assert (tilted @ gold, kl(tilted, uniform), value) == pytest.approx((0.409770, 0.719057, 0.050242), abs=1e-6)


# -- how it looks, and how language models are read


def test_the_picture_tells_no_worth_before_the_end() -> None:
    env, surface = start(), task(ID).surface
    env.reset(options={"notes": TOLD, "place": "Harwick"})
    before = surface.picture(env.transcript)
    assert before is not None and before["lines"][:2] == ["Notes from Harwick", "  violent wind"]
    env.step("record crowds, choking smoke and light rain")
    running, ended = surface.picture(env.transcript), surface.picture(env.transcript, {})
    assert running is not None and ended is not None
    assert "Worth" not in running["lines"] and running["lines"][-1] == "  record crowds, choking smoke and light rain"
    assert ended["lines"][ended["lines"].index("Worth") + 1 :] == [
        "  +0.33 record crowds: 10 of 30",
        "  -0.40 choking smoke: the notes say thin",
        "  -0.20 other words or marks: light rain",
        "  -0.10 no full stop at the end, or too long",
        "  -0.37 in all",
    ]
    env.reset(options={"notes": TOLD})
    env.step("record crowds. " * 1000)
    ended = surface.picture(env.transcript, {})
    assert env.transcript.rewards == (0.0,) and ended is not None and "  (nothing printed)" in ended["lines"]


def test_a_person_is_warned_of_slips_of_form_only() -> None:
    doubt = task(ID).surface.doubt
    opened = Transcript.from_texts([opening("Harwick", NOTES)], [])
    assert doubt(opened, "choking smoke.", None) is None
    for text, warning in (("record crowds", "full stop"), ("record crowds hit.", "'hit'"), ("", "worth 0")):
        assert warning in str(doubt(opened, text, None))


def test_every_answer_of_the_tiny_desk_is_read_as_it_is() -> None:
    form = task(ID).surface.answer_form
    for answer in tiny_answers():
        for said in (answer, f"Headline: {answer}" if answer != "." else answer, f"**{answer}**", f'"{answer}"'):
            assert extract(form, said) == answer, said
