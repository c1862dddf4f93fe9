"""Simulators: what answers the agent in tasks with a partner, an opponent or an oracle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lmrl_envs.simulators.base import PartnerReply, PartnerRequest, Role, Simulator, SimulatorError

__all__ = ["PartnerReply", "PartnerRequest", "Role", "Simulator", "SimulatorError", "make_partner"]

PARTNERS = ("scripted", "transformers:<path-or-id>", "openai:<model>", "replay:<file>")


def make_partner(simulator: str, scripted: Callable[[], Simulator], role: Role, **options: Any) -> Simulator:
    """The partner of a dialogue task by name: ``scripted``, ``transformers:<path-or-id>``, ``openai:<model>``,
    ``replay:<file>``.

    Raises:
        ValueError: an unknown name, or options that this kind does not take.
        gymnasium.error.DependencyNotInstalled: the kind needs an extra that is not installed.
    """
    kind, _, argument = simulator.partition(":") if isinstance(simulator, str) else ("", "", "")
    if kind == "scripted" and not argument:
        if options:
            raise ValueError(f"simulator='scripted' takes no options, got {sorted(options)}")
        return scripted()
    if argument and kind == "transformers":
        from lmrl_envs.simulators.transformers_lm import TransformersPartner

        return TransformersPartner(argument, role, **options)
    if argument and kind == "openai":
        from lmrl_envs.simulators.openai_api import OpenAIPartner

        return OpenAIPartner(argument, role, **options)
    if argument and kind == "replay":
        from lmrl_envs.simulators.replay import ReplayPartner

        return ReplayPartner(argument, role, **options)
    raise ValueError(f"simulator={simulator!r} is not known; choose one of {', '.join(PARTNERS)}")
