"""The contract under hostile play: a small fixed budget in the quick suite, as long as it is asked for by `make fuzz`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from fuzz.machines import QUICK, ROUND, Batch, Machine, OneGame, run
from lmrl_envs import task_ids


@pytest.mark.parametrize("id", task_ids())
@pytest.mark.parametrize("machine", [OneGame, Batch])
def test_any_operations_in_any_order_keep_the_contract(
    id: str, machine: type[Machine], rounds: Iterator[int] | None, record_property: Any
) -> None:
    played: Counter[str] = Counter()
    try:
        for seed in (20260,) if rounds is None else rounds:
            run(machine, id, seed=seed, settings=QUICK if rounds is None else ROUND,
                ended=lambda case, actions: played.update(cases=1, actions=actions))  # fmt: skip
    finally:
        for name, count in played.items():
            record_property(name, count)
    assert played["actions"] > 50
