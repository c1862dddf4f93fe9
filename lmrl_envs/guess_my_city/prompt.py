"""The oracle of Guess My City played by a language model: its prompt, and how its words are read."""

from __future__ import annotations

import re
from functools import lru_cache

from lmrl_envs.guess_my_city.table import cities
from lmrl_envs.guess_my_city.words import tokens
from lmrl_envs.language.lists import toml
from lmrl_envs.partners.base import PartnerReply, PartnerRequest
from lmrl_envs.partners.prompting import quote

MAX_QUOTED = 300
"""Bytes of a question that the model is shown."""
MAX_ANSWER = 300
_TEXTS = toml(__file__, "data/prompt.toml")


class CityPrompt:
    """The oracle's part for `lmrl_envs.partners` language models. The win is decided by the rules, not here."""

    name = "guess_my_city"
    max_new_tokens = 48

    def messages(self, request: PartnerRequest) -> list[dict[str, str]]:
        from lmrl_envs.guess_my_city.sentences import variants  # not needed to make an environment

        city = cities()[request.hidden["city"]]
        country = "" if request.hidden.get("reveal_country") else ", or the name of its country"
        facts = [f"- City: {city.name}", f"- Country: {city.country.name}"]
        facts += [f"- {topic}: {variants(city.name, topic)[0]}" for topic in _TEXTS["facts"]]
        return [
            {"role": "system", "content": _TEXTS["system"].format(country=country, facts="\n".join(facts))},
            {
                "role": "user",
                "content": f"The player asks: {quote(request.action, MAX_QUOTED)}\nAnswer in one short sentence, without naming the city.",
            },
        ]

    def parse(self, text: str, request: PartnerRequest) -> PartnerReply | None:
        """The first sentence, if it is short and names neither the city nor (unless allowed) the country."""
        found = re.match(r"\s*([^\n]*?(?:[.!?](?=\s|$)|$))", text.strip().strip('"'))
        sentence = found[1].strip() if found else ""
        if not tokens(sentence) or len(sentence) > MAX_ANSWER:
            return None
        city = cities()[request.hidden["city"]]
        forbidden = list(city.names)
        if not request.hidden.get("reveal_country"):
            forbidden += [city.country.name, *city.country.aliases]
        if any(_names(sentence, name) for name in forbidden) or _holds(sentence, city.name):
            return None
        return PartnerReply(sentence, understood=not sentence.lower().startswith("i don't know how to answer"))

    def target(self, reply: PartnerReply, request: PartnerRequest) -> str:
        """The plainest wording of a recorded reply: the bare Yes or No, or the fact as the prompt words it."""
        label = self.label(reply, request)
        if label in ("yes", "no"):
            return f"{label.capitalize()}."
        wordings = _wordings(request.hidden["city"], label)
        return wordings[0] if wordings else reply.text

    def label(self, reply: PartnerReply, request: PartnerRequest) -> str:
        """``yes`` or ``no``; for an open question the topic whose answer the reply is; else ``other``."""
        words = tokens(reply.text)
        if words and words[0] in ("yes", "no") and reply.text not in _all_wordings(request.hidden["city"]):
            return words[0]
        return _all_wordings(request.hidden["city"]).get(reply.text, "other")


@lru_cache(maxsize=256)
def _all_wordings(city: str) -> dict[str, str]:
    """Sentence about a city -> its topic."""
    from lmrl_envs.guess_my_city.sentences import ONE_AT_A_TIME, OPEN, SECRET, UNREAD, variants

    found: dict[str, str] = {}
    found.update(dict.fromkeys(UNREAD, "unread"))
    found.update(dict.fromkeys((*SECRET, *ONE_AT_A_TIME), "refused"))
    for topic in OPEN:
        for sentence in variants(city, topic):
            found.setdefault(sentence, topic)
    return found


def _wordings(city: str, label: str) -> list[str]:
    return [sentence for sentence, topic in _all_wordings(city).items() if topic == label]


def _names(sentence: str, name: str) -> bool:
    words, wanted = tokens(sentence), tokens(name)
    if any(words[i : i + len(wanted)] == wanted for i in range(len(words) - len(wanted) + 1)):
        # "us" and "la" are words too
        return len("".join(wanted)) > 2 or name in sentence
    return False


def _holds(sentence: str, name: str) -> bool:
    """Whether a long enough name stands in the sentence across spaces and signs ("T-o-k-y-o")."""
    return len(name) > 4 and "".join(tokens(name)) in "".join(tokens(sentence))
