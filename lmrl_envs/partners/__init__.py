"""Simulators: what answers the agent in tasks with a partner, an opponent or an oracle."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from lmrl_envs.partners.base import Partner, PartnerPrompt, PartnerReply, PartnerRequest, SimulatorError

__all__ = ["LIVE", "Partner", "PartnerPrompt", "PartnerReply", "PartnerRequest", "SimulatorError", "make_partner"]

LIVE = ("openai:", "transformers:")
"""Simulators that may answer otherwise when asked again, cost something, and are told where to find a model: never made
because a file from elsewhere says so."""
PARTNERS = ("scripted", "transformers:<path-or-id>", "openai:<model>", "replay:<file>")


def make_partner(
    simulator: str, scripted: Callable[[], Partner], partner_prompt: PartnerPrompt, **options: Any
) -> Partner:
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
        from lmrl_envs.partners.transformers_lm import TransformersPartner

        return _build(TransformersPartner, simulator, argument, partner_prompt, options)
    if argument and kind == "openai":
        from lmrl_envs.partners.openai_api import OpenAIPartner

        return _build(OpenAIPartner, simulator, argument, partner_prompt, options)
    if argument and kind == "replay":
        from lmrl_envs.partners.replay import ReplayPartner

        return _build(ReplayPartner, simulator, argument, partner_prompt, options)
    raise ValueError(f"simulator={simulator!r} is not known; choose one of {', '.join(PARTNERS)}")


def _build(
    kind: Callable[..., Partner],
    simulator: str,
    argument: str,
    partner_prompt: PartnerPrompt,
    options: Mapping[str, Any],
) -> Partner:
    known = [name for name, p in inspect.signature(kind).parameters.items() if p.kind is p.KEYWORD_ONLY]
    unknown = options.keys() - set(known)
    if unknown:
        raise ValueError(
            f"simulator={simulator!r} does not know the options {sorted(unknown)}; it takes {known or 'none'}"
        )
    return kind(argument, partner_prompt, **options)
