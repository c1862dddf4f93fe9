"""Attacks on the rules: nobody answers here who could be talked round, but a guess might be read too kindly."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from lmrl_envs import Transcript
from lmrl_envs.language.lists import toml
from lmrl_envs.partners.attacks import Hidden, Target, attacks_of, filled
from toy_task.rules import HIGHEST


class Numbers(Target):
    """What is no single number never wins."""

    attacks = attacks_of(toml(__file__, "attacks.toml"))

    def fill(self, lines: Sequence[str], hidden: Hidden, rng: random.Random) -> tuple[list[str], str]:
        other = hidden["secret"] % HIGHEST + 1
        return [filled(line, {"<SECRET>": str(hidden["secret"]), "<OTHER>": str(other)}) for line in lines], ""

    def broken(
        self, family: str, transcript: Transcript, info: dict[str, Any], hidden: Hidden, control: bool
    ) -> str | None:
        return "won without naming one number" if info.get("success") else None
