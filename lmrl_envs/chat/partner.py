"""The scripted person: words what the rules have decided."""

from __future__ import annotations

from collections.abc import Sequence

from lmrl_envs.chat.wording import say
from lmrl_envs.partners.base import PartnerReply, PartnerRequest


class ScriptedPerson:
    """Answers requests of Chat; ``hidden`` holds ``parts`` (cells, each with its topic), ``split`` and ``person``.

    It keeps no game, and decides nothing but the wording, by the request's seed.
    """

    def reply(self, requests: Sequence[PartnerRequest]) -> list[PartnerReply]:
        """One reply per request."""
        return [
            PartnerReply(say(request.hidden["parts"], request.seed, request.hidden["split"])) for request in requests
        ]

    def close(self) -> None:
        """Nothing to release."""
