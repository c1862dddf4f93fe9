"""Partners: what answers the agent in tasks with an oracle, a buyer or an opponent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lmrl_envs.partners.backend import keywords
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
        from lmrl_envs.partners.local_model import LocalSettings
        from lmrl_envs.partners.model_partner import ModelPartner, transformers_partner

        _check_options(simulator, options, LocalSettings, ModelPartner)
        return transformers_partner(argument, partner_prompt, **options)
    if argument and kind == "openai":
        from lmrl_envs.partners.chat_server import ServerSettings
        from lmrl_envs.partners.model_partner import ModelPartner, openai_partner

        _check_options(simulator, options, ServerSettings, ModelPartner)
        return openai_partner(argument, partner_prompt, **options)
    if argument and kind == "replay":
        from lmrl_envs.partners.replay import ReplayPartner

        _check_options(simulator, options)
        return ReplayPartner(argument, partner_prompt)
    raise ValueError(f"simulator={simulator!r} is not known; choose one of {', '.join(PARTNERS)}")


def _check_options(simulator: str, options: Mapping[str, Any], *kinds: Callable[..., Any]) -> None:
    known = keywords(*kinds)
    if unknown := options.keys() - set(known):
        raise ValueError(
            f"simulator={simulator!r} does not know the options {sorted(unknown)}; it takes {known or 'none'}"
        )
