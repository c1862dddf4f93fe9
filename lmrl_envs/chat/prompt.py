"""How a language model words what the person says. What is said, and what it is worth, the rules have decided before."""

from __future__ import annotations

import re
from typing import Any

from lmrl_envs.chat.reading import read
from lmrl_envs.chat.wording import cells_of
from lmrl_envs.core import Transcript
from lmrl_envs.language.conversation import laughs
from lmrl_envs.language.lists import toml
from lmrl_envs.partners.base import PartnerReply, PartnerRequest
from lmrl_envs.partners.prompting import quote, quote_dialogue

_TEXTS = toml(__file__, "prompt.toml")
_ROLE = re.compile(
    r"<\||\[/?inst|^\s*\w{1,12}:|as an ai|language model|\bsystem\b|directions?:|must do this",
    re.IGNORECASE | re.MULTILINE,
)
_THANKS = re.compile(r"\bthank|\bthanks\b|\bkind\b|\bsweet\b|\bgrateful", re.IGNORECASE)
_LIKED = frozenset(("open first", "open second", "open again", "open short", "ask liked", "liked short", "tell clash"))
_NOT_LIKED = frozenset(("ask disliked", "tell disliked", "tell agree"))
QUOTED, EARLIER, LONGEST = 400, 240, 400


class PersonPrompt:
    """The person of Chat (see `lmrl_envs.partners.PartnerPrompt`): the model is told what to say, not what the person is like.

    Its line is read again: one that has lost what it was to say (a liking, a dislike, a laugh, a thank-you), or that falls out of the
    person's part, is asked for again.
    """

    name = "chat_person"
    max_new_tokens = 80
    env_id = "lmrl/Chat-v0"

    # -- the person's seat as an agent's (`lmrl_agents.playing.versus.OtherSide`)

    def seen(self, request: PartnerRequest) -> tuple[Transcript, dict[str, Any]]:
        """The talk from that seat: it begins with what the agent said first."""
        texts = (*request.texts[1:], request.action)
        return Transcript.from_texts(texts, [0.0] * (len(texts) // 2)), {}

    def played(self, action: str, request: PartnerRequest) -> PartnerReply:
        """What it says, on one line."""
        return PartnerReply(" ".join(action.split())[:LONGEST] or "...")

    def messages(self, request: PartnerRequest) -> list[dict[str, str]]:
        """The part as the system message, then the talk and what is to be said."""
        directions = "; ".join(
            _TEXTS["directions"][cell].format(topic=topic or "it") for cell, topic in request.hidden["parts"]
        )
        said = quote_dialogue(request.texts, ("Person", "Stranger"), last=12, limit=EARLIER)
        parts = (said, f"Stranger: {quote(request.action, QUOTED)}", _TEXTS["closing"].format(directions=directions))
        return [
            {"role": "system", "content": _TEXTS["system"].strip()},
            {"role": "user", "content": "\n".join(parts)},
        ]

    def label(self, reply: PartnerReply, request: PartnerRequest) -> str:
        """What a reply amounts to: the cell that answers the act."""
        return next(cell for cell, _ in request.hidden["parts"] if not cell.startswith(("tired", "said before")))

    def parse(self, text: str, request: PartnerRequest) -> PartnerReply | None:
        """The reply; None where it has to be asked for again."""
        line = " ".join(text.split()).strip('"')
        if not line or len(line) > LONGEST or _ROLE.search(line):
            return None
        known = {cell for cell, _ in cells_of(line)}
        kept = all(cell in known or _keeps(line, cell, topic) for cell, topic in request.hidden["parts"])
        return PartnerReply(line) if kept else None


def _keeps(line: str, cell: str, topic: str) -> bool:
    """Whether a line still says what its cell is to say."""
    if cell.startswith("joke"):
        return laughs(line) > 0
    if cell.startswith("praise") or cell == "comfort needed":
        return _THANKS.search(line) is not None
    if cell in _LIKED or cell in _NOT_LIKED:
        told = [act for act in read(line).acts if act.name == "tell" and act.topic == topic]
        return bool(told) and all(act.against == (cell in _NOT_LIKED) for act in told)
    return True
