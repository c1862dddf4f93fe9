"""The scripted oracle: reads the question and looks the answer up in the table."""

from __future__ import annotations

from collections.abc import Sequence

from lmrl_envs.partners import PartnerReply, PartnerRequest
from lmrl_envs.twenty_questions.rules import DEPENDS, NO, UNREAD, YES, load_knowledge

_REPLIES = {
    True: PartnerReply(YES),
    False: PartnerReply(NO),
    None: PartnerReply(DEPENDS),
    "unread": PartnerReply(UNREAD, understood=False),
}


class ScriptedOracle:
    """Answers from the bundled knowledge; the same questions about the same object always get the same answers."""

    def reply(self, requests: Sequence[PartnerRequest]) -> list[PartnerReply]:
        """``Yes.``, ``No.``, ``It depends.``, or that the question was not understood."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: PartnerRequest) -> PartnerReply:
        from lmrl_envs.twenty_questions.reader import read_after  # at the first question: making the game stays fast

        reading = read_after(request.action, request.texts)
        return _REPLIES[reading.answer(load_knowledge().index[request.hidden["secret"]])]

    def close(self) -> None:
        """Nothing to release."""
