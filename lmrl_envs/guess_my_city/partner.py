"""The scripted oracle: reads a free-form English question and answers it about the hidden city."""

from __future__ import annotations

from collections.abc import Sequence

from lmrl_envs.partners.base import PartnerReply, PartnerRequest


class CityOracle:
    """Answers truthfully from the bundled table; the wording is chosen by the request's seed, and nothing else is."""

    def reply(self, requests: Sequence[PartnerRequest]) -> list[PartnerReply]:
        # The lexicon is only loaded when the first question comes, so that making an environment stays quick.
        from lmrl_envs.guess_my_city.sentences import answer

        return [answer(request) for request in requests]

    def close(self) -> None:
        """Nothing is held."""
