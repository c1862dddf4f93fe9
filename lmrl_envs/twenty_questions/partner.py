"""The scripted oracle: reads the question and looks the answer up in the table."""

from __future__ import annotations

from collections.abc import Sequence

from lmrl_envs.partners import PartnerReply, PartnerRequest
from lmrl_envs.twenty_questions.rules import NO, YES, load_knowledge

_YES, _NO, _UNREAD = PartnerReply(YES), PartnerReply(NO), PartnerReply(NO, understood=False)


class ScriptedOracle:
    """Answers from the bundled knowledge; the same question about the same object always gets the same answer."""

    def reply(self, requests: Sequence[PartnerRequest]) -> list[PartnerReply]:
        """``Yes.``, ``No.``, or ``No.`` not understood."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: PartnerRequest) -> PartnerReply:
        from lmrl_envs.twenty_questions.reader import read  # at the first question: making the game stays fast

        objects = read(request.action).objects
        if objects is None:
            return _UNREAD
        return _YES if objects >> load_knowledge().index[request.hidden["secret"]] & 1 else _NO

    def close(self) -> None:
        """Nothing to release."""
