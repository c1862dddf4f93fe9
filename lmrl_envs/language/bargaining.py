"""What a line means to the other side of a bargain: an offer, a discount, assent, a refusal, a question, small talk, or nothing that is
understood.

    meant = understand(read("I could let you have it for $13,600."), Standing(other=13_000, own=14_000, listed=15_000))
    meant.act, meant.price      # "offer", 13600.0

`lmrl_envs.language.bargaining_line.read` goes by the words alone and is remembered; `understand` holds them against what stands between
the two. The principle: a line is **assent** only if every word of it is accounted for, by a phrase of ``bargaining.txt`` or as harmless; a
refusal, a question or a number by itself never is. What is not accounted for is told as such (``unclear``), and never guessed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, NamedTuple

from lmrl_envs.language.bargaining_line import ASKING, DATA, HARMLESS, NEGATIONS, TOPICS, WITH_ASSENT, Line
from lmrl_envs.language.lists import words as listed
from lmrl_envs.language.prices import BREAKS, PAUSES, Amount

Act = Literal[
    "offer", "discount", "accept", "refuse", "question", "close", "inform", "greet", "goodbye", "insult", "praise", "other", "unclear"
]  # fmt: skip
"""close: asks to bring it to an end ("Shall we sign?"). inform: says something of the thing or the shop. other: stalls, is polite."""


class Standing(NamedTuple):
    """What stands between the two when a line is said, from the side of its speaker. Dollars; None: nothing."""

    other: float | None = None
    """What the other side has offered."""
    own: float | None = None
    """What the speaker has asked for last."""
    listed: float | None = None
    """The list price."""
    just: bool = True
    """The other's offer was in the text that this line answers: a bare "Yes." takes it."""
    halfway: bool = False
    """The other's offer was itself a meeting in the middle."""
    sells: bool = False
    """The speaker sells: for less than is offered only where every word says so."""


NOTHING = Standing()


class Meaning(NamedTuple):
    """What a line means."""

    act: Act
    price: float | None = None
    """offer, discount, close: the price asked; accept: the other's offer. Never one that was not said, or reckoned from what was."""
    almost: bool = False
    """Unclear, but with words of assent: to be asked back about."""


def understand(
    line: Line, standing: Standing = NOTHING, names: Collection[str] = (), which: Collection[int] | None = None
) -> Meaning:  # fmt: skip
    """What a line means.

    Args:
        line: read.
        standing: what stands between the two.
        names: words for the thing in question, harmless in assent.
        which: indices of the amounts that are about the thing in question; None: all.
    """
    amounts = [amount for i, amount in enumerate(line.amounts) if which is None or i in which]
    if line.has("mock"):  # "Half the price and half the car": nobody offers that
        mocked = {at for phrase in line.phrases if phrase.label == "mock" for at in range(phrase.start, phrase.end)}
        amounts = [amount for amount in amounts if amount.at not in mocked]
    price, how = _price(line, amounts, standing)
    if _queries(line):
        return Meaning("question")
    if price is not None and how != "assent":
        if line.has("mock") and how == "offer" and price == standing.other:
            return Meaning("refuse")
        cut, other = how == "discount", standing.other if standing.sells else None
        if other is not None and (price < other or (cut and price == other)):
            left = _unaccounted(line, range(len(line.tokens)), amounts, standing, names)
            said = _OFFERING | _TAKING_OFF if cut else _OFFERING
            if line.has("no") or line.denials or price < _least(standing) or not said.issuperset(left):
                return Meaning("unclear", almost=True)  # "It cost me $23,000.": not asked for
        if line.has("close") and line.question:
            return Meaning("close", price)
        return Meaning("discount" if how == "discount" else "offer", price)
    return _verdict(line, amounts, standing, names, how)


# -- the price in a line


def dollars(amount: Amount, standing: Standing) -> float | None:
    """What an amount is worth; None for a bare number that is no thousands here."""
    value = amount.value
    if not amount.bare or amount.role == "percent":
        return value
    if amount.role in ("off", "raise"):
        return value if value >= 100 else 1000 * value
    known = [price for price in standing[:3] if price]
    if known:
        return 1000 * value if 0.3 * min(known) <= 1000 * value <= 1.7 * max(known) else None
    return 1000 * value if 5 <= value <= 200 else None


def _price(line: Line, amounts: Sequence[Amount], standing: Standing) -> tuple[float | None, str]:
    """The price that a line comes to, and how: offer, discount, assent (it names the other's own price), or ""."""
    other, own = standing.other, standing.own
    asks, lists, less, more, named, named_at = [], [], [], [], False, -1
    supposed = (
        line.has("yes", "close", "grant", "commit", "gift")
        or any(line.tokens[start : start + 2] == ("what", "if") for start, _, _ in line.pieces)
        or line.tokens[:1] == ("suppose",)
    )
    supposed = supposed or (line.tokens[:2] == ("if", "you") and not _PAYING.isdisjoint(line.tokens[2:4]))
    for amount in amounts:
        value = dollars(amount, standing)
        if value is None:
            continue
        if other is not None and value == other and amount.role not in ("off", "percent", "raise", "rate", "extra"):
            named = (
                named or amount.role != "quoted" or line.has("yes", "grant")
            )  # "so you're at $24,500": it is only told
            named_at = amount.at if amount.role == "ask" else named_at
        elif amount.role == "ask" and value < _least(standing) and not _priced(line, amount):
            continue  # "Registration costs $150.", "we're still $7,000 apart"
        elif amount.role == "ask" or (amount.role == "if" and supposed):
            asks.append((value, amount.at))
        elif amount.role == "list":
            lists.append(value)
        elif amount.role in ("off", "percent"):
            less.append(amount._replace(value=value))
        elif amount.role == "raise":
            if other is not None and amount.bare and value > other / 2 and value != other:
                asks.append((value, amount.at))  # "find me 24"
            else:
                more.append(value)
    new = [ask for ask in asks if ask[0] != own or not less]
    if line.has("split") and not any(ask[0] != own for ask in asks):
        if standing.halfway and other is not None:
            return other, "assent"
        if other is None or own is None or line.has("no") or line.denials:
            return None, ""
        return (other + own) / 2, "offer"
    if new and "but" in line.tokens[new[-1][1] : max(named_at, 0)]:
        return other, "assent"  # "I was hoping for $26,000, but I'll take $24,500."
    if new:
        price, at = _chosen(line, new), new[-1][1]
        if (
            less and less[0].at > at and not _TAKEN_OFF.isdisjoint(line.tokens[at : less[0].at])
        ):  # "It's $31,000, but I can give you 5 % off.", "$400 minus $10"
            return _lessened(less, standing._replace(own=price))
        return price, "offer"
    if less and any(ask[0] == own for ask in asks) and (less[0].base == "list" or _CONCEDING.isdisjoint(line.tokens)):
        return own, "offer"  # "$23,600, a discount of $1,400": the price stands, and the discount says how good it is
    if less and more:
        return None, ""  # "You come up a thousand, I come down a thousand."
    if less and not named and not _is_turned_down(line, less[0].at):
        return _lessened(less, standing)  # but "four thousand below what I'm asking" tells of an offer
    if more and other is not None and not named:
        return other + sum(more), "offer"
    if named:
        return other, "assent"
    if line.has("atlist") and standing.listed and not line.denials:
        return standing.listed, "offer"
    if lists and other is None and not line.question:
        return lists[-1], "offer"
    return None, ""


def _is_turned_down(line: Line, at: int) -> bool:
    """Whether a discount is only named to be refused: "10 % off? No way.", "4,000 below what I'm asking".

    Nobody undertakes it ("I can take ..."), and a refusal follows.
    """
    named = at == 0 or line.tokens[at - 1] in BREAKS or line.tokens[at - 2 : at] in ((".", "a"), ("?", "a"))
    far = len(line.tokens) if named else at + 3
    return any(
        phrase.label in ("no", "mock", "insult") and at < phrase.start < far and line.tokens[phrase.start - 1] != "and"
        for phrase in line.phrases
    )


def _least(standing: Standing) -> float:
    """Below it no bare amount is a price: a seller asks for more than half of what is offered."""
    other, own = standing.other, standing.own
    return other / 2 if other and own and own > other else 0.08 * (other or own or standing.listed or 0)


def _priced(line: Line, amount: Amount) -> bool:
    return amount.at > 0 and line.tokens[amount.at - 1] in ("for", "at", "price")


def _chosen(line: Line, asks: Sequence[tuple[float, int]]) -> float:
    """The last price said; of a range the lower end, which is the worse for who sells."""
    (value, at), before = asks[-1], asks[:-1]
    if before and set(line.tokens[before[-1][1] + 1 : at]) <= {"and", "or", "to"}:
        return min(value, before[-1][0])
    return value


def _lessened(less: Sequence[Amount], standing: Standing) -> tuple[float | None, str]:
    base = standing.listed if less[0].base == "list" else standing.own or standing.listed
    if base is None:
        return None, "discount"
    under_list = less[0].base == "list"
    for amount in less:
        base = base * (1 - amount.value / 100) if amount.role == "percent" else base - amount.value
    return base, "offer" if under_list else "discount"


# -- yes or no


def _verdict(line: Line, amounts: Sequence[Amount], standing: Standing, names: Collection[str], how: str) -> Meaning:
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
            not _within(line, "insult", start, end) for start, end, _ in line.pieces for at in noes if start <= at < end
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
                how == "assent" and no < 0 and not _unaccounted(line, range(len(line.tokens)), amounts, standing, names)
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
            then = any(p.label == "weak" and p.start > supposed[0] for p in line.phrases)
            return Meaning("unclear", almost=True) if then and no < 0 else Meaning("refuse")
    act = _of_the_offer(_other_act(line, no, standing, names), line, standing)
    weak = max((p for p in line.phrases if p.label == "weak"), key=lambda p: p.end, default=None)
    half_said = weak is not None and other is not None and standing.just and not has("stall", "noted")
    if half_said and act != "other":  # "You asked nicely, so yes."
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
    covered |= {at for start, end, _ in line.pieces if _within(line, "gift", start, end) for at in range(start, end)}
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
    asked = any(asks and _within(line, "grant", start, end) for start, end, asks in line.pieces)
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


def _queries(line: Line) -> bool:
    """Whether a clause with a question mark asks back, and no later one is assent."""
    if "query" not in line.labels:
        return False
    asked = [start for start, end, asks in line.pieces if asks and _within(line, "query", start, end)]
    answers = [p.start for p in line.phrases if p.label in ("yes", "no") and p.start > asked[-1]] if asked else []
    said = [start for start, end, asks in line.pieces if not asks for at in answers if start <= at < end]
    return bool(asked) and not said  # "Are you trying to insult me? Forget it."


def _asks_more(line: Line) -> bool:
    return any(asked and not ASKING.isdisjoint(line.tokens[start:end]) for start, end, asked in line.pieces)


def _within(line: Line, label: str, start: int, end: int) -> bool:
    return any(phrase.label == label and start <= phrase.start < end for phrase in line.phrases)


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
        if other_price and not _FEES.isdisjoint(line.tokens[start:end]):
            return False  # "Deal, but with the dealer fee of $800."
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
        if asked and (assents or (not _is_aside(labels, line, start) and about.keys().isdisjoint(within))):
            return False
        left = _unaccounted(line, within, amounts, standing, names)
        if left and not (end <= said and _leads_up(line, left, end, said)):
            return False
    return True


def _is_year(amount: Amount) -> bool:
    """Whether it is the year of a car ("for the 2024 Honda")."""
    return amount.role == "number" and 1990 <= amount.value <= 2035


def _is_aside(labels: Mapping[int, str], line: Line, start: int) -> bool:
    """Whether a clause begins with what is harmless beside assent ("when do you want to pick it up?")."""
    return any(labels.get(at) == "aside" for at in range(start, start + 2)) or (
        line.tokens[start] in _LINKS and labels.get(start + 1) == "aside"
    )


def _unaccounted(
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
_OFFERING = frozenset(listed(DATA["below an offer"])) | frozenset("$#")
"""What may stand in an offer of less than the other side has offered."""
_TAKING_OFF = frozenset(listed(DATA["discount below an offer"]))
"""What may stand in a discount besides."""
_TOLD, _YES = frozenset({"inform", "praise", "greet"}), frozenset({"yes", "okay", "fine", "sure"})
_TAKEN_OFF = frozenset({"but", "minus"})
_FEES = frozenset({"fee", "fees"})
_OF_OTHERS, _OURS = frozenset({"it", "she"}), frozenset({"i", "me", "my", "we", "us", "our"})
_AUXILIARIES = frozenset({"is", "are", "do", "does", "did", "was", "would", "will", "can", "could", "has", "have"})
_TURNS = frozenset({"but", "okay", "fine", "though", "however", "anyway", "well", "then"})
_SUPPOSED = frozenset({"suppose", "supposing", "imagine", "assume", "assuming", "pretend"})
_BESIDE_YES = frozenset(listed(DATA["beside yes"])) | PAUSES | frozenset("$#")
_PAYING = frozenset(
    {"pay", "give", "get", "go", "come", "make", "offer", "do", "bring", "raise", "drop", "lower", "reduce"}
)
_AGREEING = frozenset({"i", "we", "agree", "agreed", "do"})
_LINKS = frozenset({"and", "so", "now", "then"})
_CONCEDING = frozenset(listed(DATA["conceding"]))
