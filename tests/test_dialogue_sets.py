"""Lines of many kinds of speakers, by a hand that read no lexicon: the readers do not fall behind what was measured."""

from __future__ import annotations

import pytest
from dialogue_sets import FOLDER, TASKS, shares, verdicts

# Of the natural and of the harder lines: least share read rightly, greatest share silently wrong. To be raised with the readers.
FLOORS = {
    "lmrl/TwentyQuestions-v1": {"natural": (0.90, 0.02), "harder": (0.83, 0.015)},
    "lmrl/GuessMyCity-v1": {"natural": (0.915, 0.025), "harder": (0.85, 0.025)},
    "lmrl/CarDealer-v1": {"natural": (0.96, 0.04), "harder": (0.91, 0.045)},
}


@pytest.mark.parametrize("env_id", TASKS)
def test_readers_keep_their_floor(env_id: str) -> None:
    for speakers, counts in shares(env_id).items():
        assert counts.total() >= 250
        least, most = FLOORS[env_id][speakers]
        assert counts["right"] >= least * counts.total(), (speakers, counts)
        assert counts["wrong"] + counts["sold"] <= most * counts.total(), (speakers, counts)
        assert counts["sold"] == 0, (speakers, counts)


# Of lines that were learned from (data/fresh): least share read rightly, greatest share silently wrong.
LEARNED = {
    "lmrl/TwentyQuestions-v1": (0.88, 0.015),
    "lmrl/GuessMyCity-v1": (0.91, 0.013),
    "lmrl/CarDealer-v1": (0.97, 0.012),
}


@pytest.mark.parametrize("env_id", LEARNED)
def test_lines_that_were_learned_from_stay_read(env_id: str) -> None:
    found = [verdict for _, verdict in verdicts(env_id, FOLDER.parent / "fresh")]
    least, most = LEARNED[env_id]
    assert len(found) >= 150
    assert found.count("right") >= least * len(found)
    assert found.count("wrong") <= most * len(found)
    assert found.count("sold") == 0
