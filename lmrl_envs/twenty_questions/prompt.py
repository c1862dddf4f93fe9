"""How a language model plays the oracle."""

from __future__ import annotations

import re

from lmrl_envs.language.lists import toml
from lmrl_envs.partners.base import PartnerReply, PartnerRequest
from lmrl_envs.partners.prompting import quote
from lmrl_envs.twenty_questions.rules import MAX_QUESTION_LENGTH, NO, YES

_TEXTS = toml(__file__, "prompt.toml")
_ANSWER = re.compile(r"[\W_]*(yes|no)[\W_]*", re.IGNORECASE)


class OraclePrompt:
    """The prompt of the oracle and the reading of its answers."""

    name = "twenty_questions"
    max_new_tokens = 8

    def messages(self, request: PartnerRequest) -> list[dict[str, str]]:
        """A system message with the secret, then the question, quoted and of bounded length."""
        aliases = request.hidden.get("aliases") or []
        also = f" (also called {', '.join(aliases)})" if aliases else ""
        question = quote(request.action, MAX_QUESTION_LENGTH)
        return [
            {"role": "system", "content": _TEXTS["system"].format(secret=request.hidden["secret"], aliases=also)},
            {
                "role": "user",
                "content": f"The player asks: {question}\nIs that true of the hidden object? Answer with one word, Yes or No.",
            },
        ]

    def parse(self, text: str, request: PartnerRequest) -> PartnerReply | None:
        """``Yes.`` or ``No.`` if the text is that one word, in any case, whatever signs and spaces stand around it."""
        match = _ANSWER.fullmatch(text)
        return None if match is None else PartnerReply(YES if match[1].lower() == "yes" else NO)

    def label(self, reply: PartnerReply, request: PartnerRequest) -> str:
        """``yes`` or ``no``."""
        return "yes" if reply.text == YES else "no"
