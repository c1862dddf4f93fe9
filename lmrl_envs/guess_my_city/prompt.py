"""The oracle of Guess My City played by a language model: its prompt, and how its words are read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from lmrl_envs.guess_my_city.rules import tokens
from lmrl_envs.guess_my_city.table import cities
from lmrl_envs.language.lists import toml
from lmrl_envs.partners.base import PartnerReply, PartnerRequest
from lmrl_envs.partners.prompting import ANSWERS, first_sentence, meaning, quote, quote_dialogue, yes_no

MAX_QUOTED = 300
"""Bytes of a question that the model is shown."""
SHOWN_TEXTS, EARLIER_LENGTH = 4, 160
"""Earlier texts that the model is shown, the last ones, and bytes of each."""
MAX_ANSWER = 300
_TEXTS = toml(__file__, "data/prompt.toml")
_PLAIN = re.compile(r"\W*(?:yes|no|(?:it|that) depends)\b", re.IGNORECASE)


class CityPrompt:
    """The oracle's part for `lmrl_envs.partners` language models. The win is decided by the rules, not here."""

    name = "guess_my_city"
    max_new_tokens = 96

    def messages(self, request: PartnerRequest) -> list[dict[str, str]]:
        from lmrl_envs.guess_my_city.sentences import variants  # not needed to make an environment

        city, form = cities()[request.hidden["city"]], "yes_no" if _is_yes_no(request) else "open"
        country = "" if request.hidden.get("reveal_country") else ", or the name of its country"
        facts = [f"- City: {city.name}", f"- Country: {city.country.name}"]
        facts += [f"- {topic}: {variants(city.name, topic)[0]}" for topic in _TEXTS["facts"]]
        system = _TEXTS["system"].format(country=country, facts="\n".join(facts), answers=_TEXTS["answers"][form])
        earlier = quote_dialogue(request.texts[1:], ("Player", "You"), last=SHOWN_TEXTS, limit=EARLIER_LENGTH)
        question = f"Player: {quote(request.action, MAX_QUOTED)}"
        return [
            {"role": "system", "content": system},
            {"role": "user", "content": "\n".join(filter(None, (earlier, question, _TEXTS["closing"][form])))},
        ]

    def parse(self, text: str, request: PartnerRequest) -> PartnerReply | None:
        """One of `ANSWERS` where only these are allowed; else the first sentence, if it is short and does not tell the secret.

        In a yes or no the country's name becomes "its country" ("North America" and the like are no country's name).
        """
        meant = yes_no(text)
        if not _is_yes_no(request) and meant != "unread" and not _PLAIN.match(text):
            meant = None  # "It can be hot." answers an open question
        if _is_yes_no(request) or meant in ("depends", "unread"):
            return None if meant is None else PartnerReply(ANSWERS[meant], understood=meant != "unread")
        said = self._told(text, request)
        # What tells the country is asked for again; a yes or no is good without it.
        return PartnerReply(said[1]) if said is not None and (said[0] == said[1] or meant is not None) else None

    def settle(self, text: str, request: PartnerRequest) -> PartnerReply | None:
        """Of a model that cannot but tell the secret: the sentence without the country, or none."""
        if _is_yes_no(request) or not tokens(text):
            return None
        said = self._told(text, request)
        return PartnerReply(_TEXTS["settled"], understood=False) if said is None else PartnerReply(said[1])

    def _told(self, text: str, request: PartnerRequest) -> tuple[str, str] | None:
        """The first sentence as it is and as it may be said; None if it is empty, long or tells the city."""
        sentence, city = first_sentence(text.strip().strip('"')), cities()[request.hidden["city"]]
        names = any(_names(sentence, name) for name in city.names) or _holds(sentence, city.name)
        if names or not tokens(sentence) or len(sentence) > MAX_ANSWER:
            return None
        if request.hidden.get("reveal_country"):
            return sentence, sentence
        said = _without(sentence, (city.country.name, *city.country.aliases))
        # "The continent is its country." tells which.
        return None if said != sentence and "continent" in sentence.lower() else (sentence, said)

    def target(self, reply: PartnerReply, request: PartnerRequest) -> str:
        """The plainest wording of a recorded reply: the bare Yes or No, or the fact as the prompt words it."""
        label = self.label(reply, request)
        if label in ANSWERS:
            return ANSWERS[label]
        wordings = _wordings(request.hidden["city"], label)
        return wordings[0] if wordings else reply.text

    def label(self, reply: PartnerReply, request: PartnerRequest) -> str:
        """``yes``, ``no`` or ``depends``; for an open question the topic whose answer the reply is; ``unread``; else ``other``."""
        topic = _all_wordings(request.hidden["city"]).get(reply.text)
        if topic is None and (_PLAIN.match(reply.text) or yes_no(reply.text) == "unread"):
            return meaning(reply)
        return topic or "other"


@lru_cache(maxsize=256)
def _all_wordings(city: str) -> dict[str, str]:
    """Sentence about a city -> its topic."""
    from lmrl_envs.guess_my_city.sentences import (
        NOT_YES_NO,
        ONE_AT_A_TIME,
        OPEN,
        SECRET,
        UNCLEAR_GUESS,
        UNREAD,
        variants,
    )

    found: dict[str, str] = {}
    found.update(dict.fromkeys((UNREAD, NOT_YES_NO, UNCLEAR_GUESS), "unread"))
    found.update(dict.fromkeys((*SECRET, *ONE_AT_A_TIME), "refused"))
    for topic in OPEN:
        for sentence in variants(city, topic):
            found.setdefault(sentence, topic)
    return found


def _wordings(city: str, label: str) -> list[str]:
    return [sentence for sentence, topic in _all_wordings(city).items() if topic == label]


def _is_yes_no(request: PartnerRequest) -> bool:
    return request.hidden.get("answers") == "yes_no"


def _without(sentence: str, names: Iterable[str]) -> str:
    """A sentence that says "its country" for names, except within the names of other places ("Gulf of Mexico")."""
    whole = "|".join(re.escape(place) for place in _TEXTS["no_country"])
    for name in sorted(names, key=len, reverse=True):
        # "us" is a word, too
        sign = re.escape(name) if len(name) > 3 else "".join(f"{letter}\\.?" for letter in name.replace(".", ""))
        found = re.compile(
            rf"(?i:{whole})|(?:\b[Tt]he )?(?<!\w)(?P<name>{sign})(?!\w)", 0 if len(name) <= 3 else re.IGNORECASE
        )
        sentence = found.sub(lambda match: "its country" if match["name"] else match[0], sentence)
    return sentence


def _names(sentence: str, name: str) -> bool:
    words, wanted = tokens(sentence), tokens(name)
    if any(words[i : i + len(wanted)] == wanted for i in range(len(words) - len(wanted) + 1)):
        # "us" and "la" are words too
        return len("".join(wanted)) > 2 or name in sentence
    return False


def _holds(sentence: str, name: str) -> bool:
    """Whether a long enough name stands in the sentence across spaces and signs ("T-o-k-y-o")."""
    return len(name) > 4 and "".join(tokens(name)) in "".join(tokens(sentence))
