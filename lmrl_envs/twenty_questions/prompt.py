"""How a language model plays the oracle."""

from __future__ import annotations

from lmrl_envs.language.lists import toml
from lmrl_envs.partners.base import PartnerReply, PartnerRequest
from lmrl_envs.partners.prompting import ANSWERS, meaning, quote, quote_dialogue, yes_no
from lmrl_envs.twenty_questions.rules import MAX_QUESTION_LENGTH

SHOWN_TEXTS, EARLIER_LENGTH = 4, 160
"""Earlier texts that the model is shown, the last ones, and bytes of each."""
_TEXTS = toml(__file__, "prompt.toml")


class OraclePrompt:
    """The prompt of the oracle and the reading of its answers."""

    name = "twenty_questions"
    max_new_tokens = 32

    def messages(self, request: PartnerRequest) -> list[dict[str, str]]:
        """A system message with the secret, then what was said last and the question, quoted and of bounded length."""
        aliases = request.hidden.get("aliases") or []
        also = f" (also called {', '.join(aliases)})" if aliases else ""
        earlier = quote_dialogue(request.texts[1:], ("Player", "You"), last=SHOWN_TEXTS, limit=EARLIER_LENGTH)
        question = f"Player: {quote(request.action, MAX_QUESTION_LENGTH)}"
        return [
            {"role": "system", "content": _TEXTS["system"].format(secret=request.hidden["secret"], aliases=also)},
            {"role": "user", "content": "\n".join(filter(None, (earlier, question, _TEXTS["closing"])))},
        ]

    def parse(self, text: str, request: PartnerRequest) -> PartnerReply | None:
        """One of `ANSWERS`, as `lmrl_envs.partners.prompting.yes_no` reads the text."""
        meant = yes_no(text)
        return None if meant is None else PartnerReply(ANSWERS[meant], understood=meant != "unread")

    def target(self, reply: PartnerReply, request: PartnerRequest) -> str:
        """A recorded reply as one of `ANSWERS`."""
        return ANSWERS[self.label(reply, request)]

    def label(self, reply: PartnerReply, request: PartnerRequest) -> str:
        """``yes``, ``no``, ``depends`` or ``unread``."""
        return meaning(reply)
