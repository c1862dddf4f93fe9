"""Turns of phrase that carry no meaning of their own: preambles, tags, circumstances. Works on cleaned text."""

from __future__ import annotations

import re

_CLAUSE = re.compile(
    r"\b(?:the |this |that )?(?:secret |mystery |hidden )?(?:object|thing|item|word|answer|one|it|what|something)?"
    r" ?(?:that |which )?(?:you are|you're|youre|your|you were|you) (?:currently )?(?:thinking(?: of| about)?|have in mind|had in mind|think of|picked|chose|hiding|holding in mind)\b(?: of)?"
)
_OPINION = re.compile(
    r"\b(?:would you (?:say|consider|call|describe)(?: that)?|do you (?:think|believe)|can you tell me (?:if|whether)|could you tell me (?:if|whether)|i wonder (?:if|whether)|tell me|are you able to say)\b"
)
_TAG = re.compile(
    r"[\s,.?!]+(?:(?:is|are|does|do|can|was|would|has|could)(?:n't|nt| not)? (?:it|they|you|that|this)|(?:is|am i|isn't) (?:that |this )?(?:right|correct|true)|right|correct|"
    r"yes or no|yes|no|or not|or no|huh|eh|true|please|perhaps|maybe|by any chance|at all|then)[\s?!.]*$"
)
_POSITIVE_TAG = re.compile(r",\s*(?:is|are|does|do|can|was|would|has|could|will) (?:it|they|you|that|this)\s*[?.!]*$")
_DENIAL = re.compile(r"\b(?:is|it's|are|does|do|can|was|would|has|could|will)(?:n't| not)\b")
_CIRCUMSTANCE = re.compile(
    r"\b(?:before|when|while|after|if|for|in order to|to) (?:you |we |i |people |one |someone )?(?:are |is |can )?"
    r"(?:eat|eating|use|using|consume|consuming|operate|operating|play|playing|do|doing|wear|wearing|drive|driving)s? (?:it|this|them)\b"
    r"|\b(?:in order to|to) (?:operate|function|run|be used|use)\s*[?.!]*$"
    r"|(?<=(?:ower|city|ries|tery)) to (?:work|play|power)\b"
    r"|\bfor (?:it|this|them) to (?:work|function|run|operate|turn on)\b"
    r"|\b(?:before|while|when) (?:you )?(?:eat|eating|using|use|you use)\b"
    r"|\b(?:to (?:make|get)|so(?: that)?|when|while|if|once) (?:it|it's|its|they|they're|them) (?:is |are )?(?:to )?"
    r"(?:works?|working|runs?|running|on|turned on|switched on|in use|being used|used)\s*[?.!]*$"
    r"|\b(?:if|when) (?:i|you|we|they|someone|somebody) (?:saw|see|met|meet|found|find|came across|come across|ran into|run into)"
    r" (?:one|it|this|them)\b.*$"
    r"|, like (?:if|when|where|you|it|they)\b.*$"
)
_PREAMBLE = re.compile(
    r"^(?:based on|given|considering|since|because|judging by|from|according to|if)\b[^,?]*,\s*|^[^,:?]{1,60}:\s+"
)
_ONLY = re.compile(
    r"\b(?:primarily|mainly|mostly|only|just|exclusively|specifically|particularly|especially|designed|intended|meant|aimed)"
    r"((?: \w+){0,5}?) (children|kids?|child|toddlers?|women|men|adults|girls|boys|outdoors?|indoors?|outside|inside)\b"
)
_MORE_THAN = re.compile(
    r"\b(?:by |for )?(children|kids|women|ladies|men|adults|girls|boys)\b(.*?) more(?: often| commonly)? than (?:by |for )?"
    r"(?:children|kids|women|ladies|men|adults|girls|boys)\b.*"
)
_LAST_ONLY = re.compile(r"\b(children|kids|women|men|adults|girls|boys|outdoors|indoors|outside|inside) only\b")
_OPEN = re.compile(r"^(?:so |and |ok |then |but )*(?:what|which|how|who|whose|where|when|why)\b(?! about| if)")
_DEGREE = re.compile(r"\b(soft|hard|loud|sweet|quiet|sharp|noisi|shini)er than\b.*")
_TYPING = re.compile(r"\btype (?:on|with|using|into|things)\b|\btyping\b")
_THEN = re.compile(r"(?<=er) then (?=an? |the |my |your )")
_FILLER = re.compile(
    r"(?:am i (?:right|correct|close)|is (?:that|it|this) (?:right|correct|it|true)|right|correct|yes or no|yes|no|thanks?(?: you)?|ok(?:ay)?|hm+|got it|great|sorry|please|interesting|well|so|alright|hi|hello|i see|next question|final guess|my guess|let me think|let me see)?[\s,.]*"
)
_SENTENCE = re.compile(r"(?<=[.?!;\n])\s+|\n+")
_OTHER_THAN = re.compile(
    r"\b(?:(?:some|any)(?:thing|where|one) )?(?:other than|apart from|except(?: for)?|besides)\b|\banything but\b"
)
_ASKS = re.compile(
    r"(?:is|are|does|do|can|could|would|will|has|have) (?:it|they|this|that|these|you|i|we|people|there|the thing)\b"
)
"""A question, with or without its mark."""
_SHEET = re.compile(r"\b(?:pieces?|sheets?|bits?) of (?=paper|wood|metal|fabric|food|cloth|plastic)")
_REWRITES: tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...] = (
    ((" it", " this", " them", " to ", "eating", "using", "when ", ", like ", " one"), _CIRCUMSTANCE, " "),
    ((" of paper", " of wood", " of metal", " of f", " of cloth", " of plastic"), _SHEET, ""),
    (("typing", "type "), _TYPING, "keyboard"),
    (("er then ",), _THEN, " than "),
    (("ther than", "part from", "except", "esides", "ything but"), _OTHER_THAN, " not "),
    (("er than",), _DEGREE, r"\1"),
    (("more than", "more often than"), _MORE_THAN, r"only \1\2"),
    ((" only",), _LAST_ONLY, r"only \1"),
    (("ly ", "just", "designed", "intended", "meant", "aimed"), _ONLY, r"\1 only \2"),
)
"""Words that must be there for a rewriting to be tried, what is replaced, and by what."""


def last_question(text: str) -> tuple[str, int]:
    """The sentence that asks, the last one if several do, and how many do."""
    if _SENTENCE.search(text) is None:
        return text, 1
    sentences = [s.strip() for s in _SENTENCE.split(text) if s.strip()]
    sentences = [s for s in sentences if not _FILLER.fullmatch(s.rstrip("?!. "))] or sentences[:1]
    asked = [s for s in sentences if s.endswith("?") or _ASKS.match(s)]
    return (asked or sentences)[-1], len(asked)


def simplify(sentence: str) -> str | None:
    """The bare question; None if it is not one to be answered with yes or no."""
    if _OPEN.match(sentence):
        return None
    text = _CLAUSE.sub(" it ", sentence) if "you" in sentence else sentence
    if "you" in text or "tell" in text or "wonder" in text:
        text = _OPINION.sub(" ", text)
    shorter = _TAG.sub("", text)
    if shorter != text and re.search("[a-z]", shorter):
        if _POSITIVE_TAG.search(text):  # "It isn't alive, is it?" - "No."
            shorter = _DENIAL.sub(" ", shorter, count=1)
        text = shorter
    if "," in text or ":" in text:
        text = _PREAMBLE.sub("", text)
    for hints, pattern, replacement in _REWRITES:
        for hint in hints:
            if hint in text:
                text = pattern.sub(replacement, text)
                break
    return text
