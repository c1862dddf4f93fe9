"""State machines: any operations in any order on one environment, or on a batch of games.

What a machine did is a case: a task, its arguments and a list of operations, all JSON-able, that `replay` plays again. A
failing test prints the smallest one found, ready for tests/data/fuzz.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import gymnasium
import hypothesis
from gymnasium.error import DependencyNotInstalled
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from fuzz.language import texts
from lmrl_envs import make_policy, task
from lmrl_envs.contract import batch as batches
from lmrl_envs.contract import game as games
from lmrl_envs.contract.batch import CheckedBatch
from lmrl_envs.contract.game import CheckedGame
from lmrl_envs.partners.attacks import shown_forms

Case = dict[str, Any]
FUZZ = hypothesis.settings(
    max_examples=100, stateful_step_count=50, database=None, deadline=None, report_multiple_bugs=False, derandomize=False,
    phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink), suppress_health_check=list(hypothesis.HealthCheck),
)  # fmt: skip
QUICK = hypothesis.settings(FUZZ, max_examples=12, stateful_step_count=15)
ROUND = hypothesis.settings(FUZZ, max_examples=25)


class Opened:
    """The environments of a case and their checks."""

    def __init__(self, id: str, kwargs: dict[str, Any], slots: int) -> None:
        self.envs: list[Any] = [gymnasium.make(id, **kwargs)]
        if slots:
            self.envs.append(gymnasium.make_vec(id, num_envs=slots, vectorization_mode="vector_entry_point", **kwargs))
            self.checks: Any = CheckedBatch(self.envs[1], self.envs[0], leaks=shown_forms)
        else:
            self.envs.append(gymnasium.make(id, **kwargs))
            self.checks = CheckedGame(*self.envs, leaks=shown_forms)

    def close(self) -> None:
        for env in self.envs:
            env.close()


def replay(case: Case) -> Exception | None:
    """Play a case again; returns what broke, or None."""
    opened = Opened(case["id"], case["kwargs"], case["slots"])
    try:
        for operation, *arguments in case["operations"]:
            opened.checks.apply(operation, *arguments)
        opened.checks.apply("finish")
    except Exception as problem:
        return problem
    finally:
        opened.close()
    return None


def usable_variants(id: str) -> list[dict[str, Any]]:
    """Arguments of a task, the defaults last: where there is an engine, they are slowest. Those that cannot be made here are left out."""
    found = []
    for variant in (*task(id).surface.variants, {}):
        try:
            gymnasium.make(id, **variant).close()
        except DependencyNotInstalled:
            continue
        found.append(dict(variant))
    return found


TEXTS = st.runner().flatmap(lambda machine: texts(machine.id))
SEEDS = st.integers(0, 2**31)
POLICIES = st.sampled_from(("random", "suboptimal", "expert"))


class Machine(RuleBasedStateMachine):
    """What both have in common: the case so far, and what is told of it."""

    def __init__(self, id: str, variants: list[dict[str, Any]], ended: Callable[[Case, int], None]) -> None:
        super().__init__()
        self.id, self.variants, self.ended = id, variants, ended
        self.opened: Opened | None = None
        self.broken, self.actions = False, 0

    def open(self, kwargs: dict[str, Any], slots: int) -> None:
        self.case: Case = {"id": self.id, "kwargs": kwargs, "slots": slots, "operations": []}
        self.opened = Opened(self.id, kwargs, slots)
        self.checks = self.opened.checks

    def apply(self, operation: str, *arguments: Any) -> None:
        self.case["operations"].append([operation, *arguments])
        if operation == "step":
            self.actions += sum(a is not None for a in arguments[0]) if self.case["slots"] else 1
        self.broken = True
        self.checks.apply(operation, *arguments)
        self.broken = False

    def policy(self, name: str, seed: int) -> Any:
        engines = "builtin" in task(self.id).partners
        return make_policy(self.id, "random" if engines else name, seed=seed, **self.case["kwargs"])

    def teardown(self) -> None:
        if self.opened is None:
            return
        try:
            if not self.broken:
                self.checks.apply("finish")
        finally:
            self.opened.close()
            hypothesis.note(f"as a case of tests/data/fuzz: {json.dumps(self.case)}")
            self.ended(self.case, self.actions)


class OneGame(Machine):
    """Operations on one environment."""

    @initialize(variant=st.runner().flatmap(lambda machine: st.sampled_from(machine.variants)), seed=SEEDS)
    def begin(self, variant: dict[str, Any], seed: int) -> None:
        self.open(variant, 0)
        self.apply("reset", seed, None)

    @rule(seed=st.none() | SEEDS)
    def reset(self, seed: int | None) -> None:
        self.apply("reset", seed, None)

    @rule(text=TEXTS)
    def step(self, text: str) -> None:
        self.apply("step", text)

    @rule(said=st.lists(TEXTS, min_size=2, max_size=8))
    def talk(self, said: list[str]) -> None:
        for text in said:
            if self.checks.over:
                self.apply("reset", None, None)
            self.apply("step", text)

    @rule(name=POLICIES, seed=SEEDS, moves=st.integers(1, 20))
    def play(self, name: str, seed: int, moves: int) -> None:
        if self.checks.over:
            self.apply("reset", None, None)
        policy = self.policy(name, seed)
        for _ in range(moves):
            action = None if self.checks.over else policy.act(self.checks.env.transcript)
            if action is None:
                break
            self.apply("step", action)

    @rule(said=st.lists(TEXTS, min_size=1, max_size=4))
    def clone(self, said: list[str]) -> None:
        self.apply("clone", said)

    @rule()
    def restore(self) -> None:
        self.apply("restore")

    @rule(kind=st.sampled_from(games.REFUSED))
    def refuse(self, kind: str) -> None:
        self.apply("refuse", kind)


class Batch(Machine):
    """Operations on a vector environment."""

    @initialize(
        variant=st.runner().flatmap(lambda machine: st.sampled_from(machine.variants)),
        slots=st.sampled_from((2, 1, 3, 5, 40)),
        seed=SEEDS,
    )
    def begin(self, variant: dict[str, Any], slots: int, seed: int) -> None:
        self.open(variant, slots)
        self.apply("reset", seed, None, None)

    @rule(seeds=st.none() | st.lists(st.none() | SEEDS, min_size=1, max_size=5), every=st.booleans())
    def reset(self, seeds: list[int | None] | None, every: bool) -> None:
        """All games, or those that are over."""
        count, over = len(self.checks.games), self.checks.over
        given = seeds and [seeds[slot % len(seeds)] for slot in range(count)]
        self.apply("reset", given, None if every else [slot for slot in range(count) if over[slot]], None)

    @rule(slots=st.sets(st.integers(0, 39), max_size=4))
    def reset_some(self, slots: set[int]) -> None:
        self.apply("reset", None, sorted({slot % len(self.checks.games) for slot in slots}), None)

    @rule(said=st.lists(st.none() | TEXTS, min_size=1, max_size=5), to_the_dead=st.booleans())
    def step(self, said: list[str | None], to_the_dead: bool) -> None:
        """The texts go round the slots; to a game that is over, none, or one that must be refused."""
        over = self.checks.over
        self.apply(
            "step", [None if dead and not to_the_dead else said[slot % len(said)] for slot, dead in enumerate(over)]
        )

    @rule(name=POLICIES, seed=SEEDS, moves=st.integers(1, 8))
    def play(self, name: str, seed: int, moves: int) -> None:
        if all(self.checks.over):
            self.apply("reset", None, None, None)
        policies = [self.policy(name, seed + slot) for slot in range(len(self.checks.games))]
        for _ in range(moves):
            played = zip(policies, self.checks.games, strict=True)
            self.apply("step", [None if game.over else policy.act(game.env.transcript) for policy, game in played])

    @rule(kind=st.sampled_from(batches.REFUSED))
    def refuse(self, kind: str) -> None:
        self.apply("refuse", kind)


def run(
    machine: type[Machine],
    id: str,
    *,
    seed: int,
    settings: hypothesis.settings,
    ended: Callable[[Case, int], None] = lambda case, actions: None,
) -> None:
    """Play a machine's random cases of a task; raises what broke in the smallest one found.

    Args:
        machine: `OneGame` or `Batch`.
        id: task id.
        seed: of everything drawn.
        settings: how many cases, of how many operations.
        ended: called with each case played and its number of actions; the last one is the smallest that broke.
    """
    variants = usable_variants(id)

    def factory() -> Machine:
        return machine(id, variants, ended)

    run_state_machine_as_test(hypothesis.seed(seed)(factory), settings=settings)  # type: ignore[arg-type]
