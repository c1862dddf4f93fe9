"""Yes or no: what a line of a bargain comes to that has no price of its own.

It is assent only if every word of it is accounted for, by a phrase of ``bargaining.txt`` or as harmless.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from lmrl_envs.language.bargaining_line import ASKING, DATA, HARMLESS, NEGATIONS, TOPICS, WITH_ASSENT, Line
from lmrl_envs.language.bargaining_price import dollars
from lmrl_envs.language.bargaining_terms import Act, Meaning, Standing
from lmrl_envs.language.lists import words as listed
from lmrl_envs.language.prices import BREAKS, PAUSES, Amount


def verdict(line: Line, amounts: Sequence[Amount], standing: Standing, names: Collection[str], how: str) -> Meaning:
    """What a line without a price of its own comes to."""
    if _DECISIVE.isdisjoint(line.labels) and not line.denials and not line.amounts:
        if line.question:
            return Meaning(
                "goodbye" if line.has("bye") else "greet" if line.has("greet") and not _asks_more(line) else "question"
            )
        if _SUPPOSING.isdisjoint(line.tokens):
            return Meaning(_other_act(line, -1, standing, names))
    has, other = line.has, standing.other
    other_price = {
        a.at for a in amounts if dollars(a, standing) != other and a.role != "number"
    }  # "Forget $51,000" refuses another one
    noes = [p.start for p in line.phrases
            if p.label in ("no", "mock") and other_price.isdisjoint(range(p.start, p.end))]  # fmt: skip
    yes = max((p.start for p in line.phrases if p.label == "yes"), default=-1)
    noes += [
        at for at in line.denials if not _asks_with(line, at) if at > yes or {".", "!"}.isdisjoint(line.tokens[at:yes])
    ]
    no = max(noes, default=-1)
    if has("insult") and yes < 0:
        apart = any(
            not line.has_within("insult", start, end)
            for start, end, _ in line.pieces
            for at in noes
            if start <= at < end
        )
        return Meaning("refuse" if other is not None and (has("no", "mock") or apart) else "insult")
    if has("mock") and (other is not None or yes >= 0):
        return Meaning("refuse")
    if has("laugh") and (other is not None or yes >= 0):  # "lol sure": in earnest or not
        return Meaning("unclear", almost=True) if yes >= 0 or has("weak") else Meaning("refuse")
    told = ("rate", "extra") if no < 0 else ("rate",)
    if any(amount.role in told for amount in amounts) and how != "assent" and not line.question:
        return Meaning("inform")
    if _assents(line, amounts, standing, names, how, yes, no):
        return Meaning("accept", other)
    if line.question:
        if "?" in line.tokens[:yes] and "?" not in line.tokens[yes:]:
            return Meaning("unclear", almost=True)  # "Who could say no to that? Deal."
        if has("close"):
            sure = (
                how == "assent" and no < 0 and not unaccounted(line, range(len(line.tokens)), amounts, standing, names)
            )
            return Meaning("close", other if sure else None)
        return Meaning("goodbye" if has("bye") else "greet" if has("greet") and not _asks_more(line) else "question")
    if yes >= 0:
        if {"if", "would"} <= set(line.tokens) or (
            no >= 0 and (no > yes or any(_one_clause(line, at, yes) for at in noes))
        ):
            return Meaning("refuse")
        return Meaning("other") if has("stall") else Meaning("unclear", almost=True)
    if has("close"):
        return Meaning("refuse" if no >= 0 and other is not None else "close")
    if has("bye"):
        return Meaning("goodbye")
    if other is not None and any(a.role in ("denied", "if") and a.at not in other_price for a in amounts):
        return Meaning("refuse")
    supposed = [at for at, token in enumerate(line.tokens) if token in _SUPPOSING]
    if all(at and line.tokens[at - 1] in _OF_OTHERS for at in supposed) and _OURS.isdisjoint(line.tokens):
        supposed = []  # "it would look great on you"
    if other is not None and standing.just and not has("praise", "stall", "noted") and supposed:
        told = not TOPICS.isdisjoint(line.tokens) or any(token in names for token in line.tokens)
        if not told or (has("grant", "commit") and "if" in line.tokens):
            # "I'd get laughed out of the office."; but "If Bob vouches for you, okay."
            then = "work" in line.tokens or any(p.label == "weak" and p.start > supposed[0] for p in line.phrases)
            return Meaning("unclear", almost=True) if then and no < 0 else Meaning("refuse")
    act = _of_the_offer(_other_act(line, no, standing, names), line, standing)
    weak = max((p for p in line.phrases if p.label == "weak"), key=lambda p: p.end, default=None)
    half_said = weak is not None and other is not None and standing.just and not has("stall", "noted")
    if weak is not None and half_said and act != "other":  # "You asked nicely, so yes."
        half_said = act in _TOLD and line.tokens[weak.start] in _YES and PAUSES.issuperset(line.tokens[weak.end :])
    asked_back = half_said or (how == "assent" and act in ("inform", "unclear"))
    return Meaning("unclear", almost=True) if asked_back else Meaning(act)


def _asks_with(line: Line, at: int) -> bool:
    """Whether a "not" is part of how a clause asks: "isn't it lovely today?"."""
    return any(asked and start + 1 == at and line.tokens[start] in _AUXILIARIES for start, _, asked in line.pieces)


def _of_the_offer(act: Act, line: Line, standing: Standing) -> Act:
    """What is said of an offer just made, and is no assent, refuses it."""
    told = act == "unclear" and standing.other is not None and standing.just
    return "refuse" if told and not _OF_THE_DEAL.isdisjoint(line.tokens) else act


def _assents(
    line: Line, amounts: Sequence[Amount], standing: Standing, names: Collection[str], how: str, yes: int, no: int
) -> bool:  # fmt: skip
    """Whether a line takes the other's offer: by its last phrase of assent, or by a bare "Yes." to an offer just made."""
    if line.tokens[:1] and line.tokens[0] in _SUPPOSED and line.tokens[1:2] != ("so",):
        return False  # "Suppose I accept"
    if yes < 0 and standing.other is None:
        return False  # "Okay." where there is nothing to take
    said = yes
    if yes < 0 and (how == "assent" or standing.just) and _only_assents(line):
        weak = max((p.start for p in line.phrases if p.label == "weak"), default=-1)
        said = max(weak, 0) if weak >= 0 or (how == "assent" and line.has("gift", "grant")) else -1
        if weak >= 0 and not _is_bare(line, max(_turn(line, no, said), 0)):
            return False
    elif how != "assent" and (_is_opinion(line, yes) or not _BYE.isdisjoint(line.tokens)):
        return False  # "As you wish. Goodbye."
    turn = _turn(line, no, said)
    return (
        said > no and (no < 0 or turn >= 0) and _accounted(line, amounts, standing, names, turn if no >= 0 else -1, yes)
    )


def _is_bare(line: Line, start: int) -> bool:
    """Whether a bare "Yes." is all that is said from a token on, with courtesies: "Yes, it's a great car." answers something else."""
    covered = {at for p in line.phrases if p.label != "praise" for at in range(p.start, p.end)}
    covered |= {amount.at for amount in line.amounts}
    covered |= {at for start, end, _ in line.pieces if line.has_within("gift", start, end) for at in range(start, end)}
    return all(at in covered or token in _BESIDE_YES for at, token in enumerate(line.tokens) if at > start)


def _is_opinion(line: Line, yes: int) -> bool:
    """Whether "agreed" is said of something else than the offer ("I agree, safety comes first.")."""
    phrase = next((p for p in line.phrases if p.label == "yes" and p.start == yes), None)
    if phrase is None or not _AGREEING.issuperset(line.tokens[phrase.start : phrase.end]):
        return False
    covered = {at for p in line.phrases for at in range(p.start, p.end)}
    return any(token not in _BESIDE_YES for at, token in enumerate(line.tokens) if at not in covered)


def _only_assents(line: Line) -> bool:
    """Whether what is said beside a bare yes leaves it one: an undertaking does, where nothing in it is supposed ("you can have it")."""
    beside = {"weak", "aside", "praise", "condition", "gift", "no", "negated"}
    asked = any(asks and line.has_within("grant", start, end) for start, end, asks in line.pieces)
    if _SUPPOSING.isdisjoint(line.tokens) and not asked:
        beside.add("grant")
    return line.labels <= beside


def _turn(line: Line, no: int, yes: int) -> int:
    """Where a line turns from no to yes ("I shouldn't, but ..."); -1 if it does not."""
    turns = [at for at, token in enumerate(line.tokens) if token in _TURNS and max(no, 0) < at <= yes]
    return turns[0] if turns else -1


def _one_clause(line: Line, one: int, other: int) -> bool:
    return one < other and BREAKS.isdisjoint(line.tokens[one:other])


def _other_act(line: Line, no: int, standing: Standing, names: Collection[str]) -> Act:
    has = line.has
    if has("bye"):
        return "goodbye"
    told = not TOPICS.isdisjoint(line.tokens) or any(token in names for token in line.tokens)
    if no >= 0 and (not told or (standing.other is not None and has("no"))):
        return "refuse" if standing.other is not None or has("no") else "inform"
    for label, act in _ACTS:
        if has(label):
            return act
    if told or has("gift", "urge", "atlist") or line.amounts:
        return "inform"
    return "other" if has("aside", "weak") else "unclear"


_ACTS: tuple[tuple[str, Act], ...] = (
    ("stall", "other"),
    ("noted", "other"),
    ("praise", "praise"),
    ("urge", "inform"),
    ("greet", "greet"),
)


def _asks_more(line: Line) -> bool:
    return any(asked and not ASKING.isdisjoint(line.tokens[start:end]) for start, end, asked in line.pieces)


def _accounted(
    line: Line, amounts: Sequence[Amount], standing: Standing, names: Collection[str], after: int, said: int
) -> bool:
    """Whether every word of a line with assent, after the one at which it turns, is part of a phrase that goes with it, or harmless.

    What leads up to the last phrase of assent may be a story ("It's been a slow week, so I'll take it."); what follows it may not.
    """
    labels = {phrase.start: phrase.label for phrase in line.phrases}
    about = {amount.at: amount for amount in amounts}
    elsewhere = {amount.at for amount in line.amounts if amount.at not in about}
    for start, end, asked in line.pieces:
        if end <= after:
            continue
        within = range(start, end)
        other_price = [
            at
            for at in within
            if at in about and dollars(about[at], standing) != standing.other and not _is_year(about[at])
        ]
        if other_price and (line.tokens[start] == "to" or not _FEES.isdisjoint(line.tokens[start:end])):
            return False  # "Sold! To the man with $26,000.", "Deal, but with the dealer fee of $800."
        excused = any(labels.get(at) == "gift" or at in elsewhere for at in within) or bool(other_price)
        if any(about[at].role not in _EXCUSED for at in other_price) or (
            other_price and any(labels.get(at) == "yes" for at in within)
        ):
            return False
        assents = any(labels.get(at) == "yes" for at in within)
        if assents and _is_demanded(line, start, end, amounts, standing):
            return False
        if excused and (other_price or not elsewhere.isdisjoint(within) or _DANGER.isdisjoint(line.tokens[start:end])):
            continue
        if asked and (assents or (about.keys().isdisjoint(within) and not _goes_with_yes(labels, line, start, end))):
            return False
        left = unaccounted(line, within, amounts, standing, names)
        if left and not (end <= said and _leads_up(line, left, end, said)):
            return False
    return True


def _is_year(amount: Amount) -> bool:
    """Whether it is the year of a car ("for the 2024 Honda")."""
    return amount.role == "number" and 1990 <= amount.value <= 2035


def _goes_with_yes(labels: Mapping[int, str], line: Line, start: int, end: int) -> bool:
    """Whether a clause that asks is harmless beside assent: "When do you want to pick it up?", "Shall we sign?"."""
    return (
        any(labels.get(at) == "aside" for at in range(start, start + 2))
        or (line.tokens[start] in _LINKS and labels.get(start + 1) == "aside")
        or any(labels.get(at) == "close" for at in range(start, end))
    )


def unaccounted(
    line: Line, within: range, amounts: Sequence[Amount], standing: Standing, names: Collection[str]
) -> list[str]:
    """The words of a clause that are part of no phrase that goes with assent, and not harmless."""
    covered = {a.at for a in amounts if dollars(a, standing) == standing.other}
    covered |= {a.at for a in line.amounts if _is_year(a)}  # in the name of the car
    for phrase in line.phrases:
        if phrase.label in WITH_ASSENT:
            gaps = phrase.open if phrase.label in ("yes", "weak", "condition", "close") else ()
            covered.update(at for at in range(phrase.start, phrase.end) if at not in gaps)
    tokens = line.tokens
    return [tokens[at] for at in within if at not in covered and tokens[at] not in HARMLESS and tokens[at] not in names]


def _leads_up(line: Line, left: Sequence[str], end: int, said: int) -> bool:
    """Whether words that are not accounted for, in a clause before that of the assent, leave it as it is."""
    assent = next((p for p in line.phrases if p.start == said and p.label == "yes"), None)
    if assent is None or _OF_A_SALE.isdisjoint(line.tokens[assent.start : assent.end]):
        return False  # "The brakes squeak, so be it."
    risky = _DANGER.intersection(left)  # another sentence may deny something: the last word counts
    return not risky or (risky <= NEGATIONS and not {".", "!"}.isdisjoint(line.tokens[end:said]))


def _is_demanded(line: Line, start: int, end: int, amounts: Sequence[Amount], standing: Standing) -> bool:
    """Whether something is asked for that is no condition which a yes fulfils: "Pay my price and it's yours."."""
    covered = {a.at for a in amounts if dollars(a, standing) == standing.other}
    goes_with = WITH_ASSENT - {"insult", "gift"}
    covered |= {at for p in line.phrases if p.label in goes_with for at in range(p.start, p.end)}
    for phrase in line.phrases:
        at = phrase.start if line.tokens[phrase.start] == "and" else phrase.start - 1
        if phrase.label == "yes" and start < at < end and line.tokens[at] == "and":
            return any(word not in covered and line.tokens[word] not in _TURNS | _LINKS for word in range(start, at))
    return False


_DECISIVE = frozenset({"yes", "weak", "gift", "no", "mock", "laugh", "insult", "close", "grant", "commit"})
"""Without one of these a line is neither yes nor no."""
_EXCUSED = frozenset({"quoted", "past", "others", "list", "rate", "denied", "number"})
_DANGER = NEGATIONS | frozenset(listed(DATA["danger"]))
_OF_A_SALE = frozenset(listed(DATA["sale"]))
_OF_THE_DEAL = frozenset(listed(DATA["of the deal"]))
_SUPPOSING = frozenset({"would", "might", "if", "could"})
_BYE = frozenset({"goodbye", "bye", "farewell"})
_TOLD, _YES = frozenset({"inform", "praise", "greet"}), frozenset({"yes", "okay", "fine", "sure"})
_FEES = frozenset({"fee", "fees"})
_OF_OTHERS, _OURS = frozenset({"it", "she"}), frozenset({"i", "me", "my", "we", "us", "our"})
_AUXILIARIES = frozenset({"is", "are", "do", "does", "did", "was", "would", "will", "can", "could", "has", "have"})
_TURNS = frozenset({"but", "okay", "fine", "though", "however", "anyway", "well", "then"})
_SUPPOSED = frozenset({"suppose", "supposing", "imagine", "assume", "assuming", "pretend"})
_BESIDE_YES = frozenset(listed(DATA["beside yes"])) | PAUSES | frozenset("$#")
_AGREEING = frozenset({"i", "we", "agree", "agreed", "do"})
_LINKS = frozenset({"and", "so", "now", "then"})
