"""Partners: what answers the agent in tasks with an oracle, a buyer or an opponent."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from lmrl_envs import doors
from lmrl_envs.files.arguments import refuse
from lmrl_envs.partners.base import (
    Partner,
    PartnerPrompt,
    PartnerReply,
    PartnerRequest,
    SimulatorError,
    SimulatorStopped,
)

__all__ = [
    "Partner",
    "PartnerPrompt",
    "PartnerReply",
    "PartnerRequest",
    "SimulatorError",
    "SimulatorStopped",
    "make_partner",
]


def make_partner(
    simulator: str, scripted: Callable[[], Partner], partner_prompt: PartnerPrompt, **options: Any
) -> Partner:
    """The partner of a dialogue task by name.

    Args:
        simulator: ``scripted``, or what comes through the door ``lmrl.partners`` (see `lmrl_envs.doors`):
            ``transformers:<path-or-id>``, ``openai:<model>``, ``replay:<file>``, ``module:name``, ``file.py:name``, each
            a factory that is called with what follows its name ("" for nothing), ``partner_prompt`` and ``options``.
        scripted: makes the task's own partner.
        partner_prompt: how a language model plays it.
        options: keyword arguments of the factory; with ``record=FILE`` a partner that cannot record by itself is recorded
            by `RecordingPartner`.

    Raises:
        ValueError: an unknown name, or options that this kind does not take.
        gymnasium.error.DependencyNotInstalled: the kind needs an extra that is not installed.
    """
    if simulator == "scripted":
        if options:
            raise ValueError(f"simulator='scripted' takes no options, got {sorted(options)}")
        return scripted()
    if not str(simulator).startswith("replay:"):
        refuse("asked", str(simulator))
    try:
        make, argument = doors.find("lmrl.partners", str(simulator))
    except doors.DoorError as problem:
        raise ValueError(f"simulator={simulator!r} is not known: 'scripted' is the task's own; {problem}") from None
    signature = inspect.signature(make)
    takes_all = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    record = None if takes_all or "record" in signature.parameters else options.pop("record", None)
    try:
        signature.bind(argument, partner_prompt, **options)
    except TypeError as problem:
        raise ValueError(f"simulator={simulator!r}: {problem}") from None
    partner = make(argument, partner_prompt, **options)
    if record is None:
        return partner
    from lmrl_envs.partners.replay import RecordingPartner

    return RecordingPartner(partner, record, partner_prompt)
