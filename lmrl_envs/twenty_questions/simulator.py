"""The scripted oracle: reads the question and looks the answer up in the table."""

from __future__ import annotations

from collections.abc import Sequence

from lmrl_envs.simulators import PartnerReply, PartnerRequest
from lmrl_envs.twenty_questions.reader import read
from lmrl_envs.twenty_questions.rules import NO, YES, load_knowledge

_YES, _NO, _UNREAD = PartnerReply(YES), PartnerReply(NO), PartnerReply(NO, understood=False)


class ScriptedOracle:
    """Answers from the bundled knowledge; the same question about the same object always gets the same answer."""

    def __init__(self) -> None:
        self._index = {name: i for i, name in enumerate(load_knowledge().names)}

    def reply(self, requests: Sequence[PartnerRequest]) -> list[PartnerReply]:
        """``Yes.``, ``No.``, or ``No.`` not understood."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: PartnerRequest) -> PartnerReply:
        objects = read(request.action).objects
        if objects is None:
            return _UNREAD
        return _YES if objects >> self._index[request.hidden["secret"]] & 1 else _NO

    def close(self) -> None:
        """Nothing to release."""
