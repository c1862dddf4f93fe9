"""What a line means in a bargain: acts, prices, and above all when it is assent. Known answers in data/bargaining.txt."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

import lmrl_envs
from lmrl_envs.contract import HOSTILE_ACTIONS
from lmrl_envs.language.bargaining import Meaning, Standing, understand
from lmrl_envs.language.bargaining_line import READ_LENGTH, read
from lmrl_envs.language.lists import sections

NAMES = {"honda", "suv", "kia", "minivan", "bmw", "truck", "ford", "van", "volvo"}
STANDING = Standing(other=24_500, own=28_500, listed=30_000)


def known() -> list[tuple[Standing, str, list[str], float | None, bool]]:
    """Standing, line, acts that are right, price, whether it sells at the other's offer."""
    rows = []
    standing = STANDING
    for text in (Path(__file__).parent / "data" / "bargaining.txt").read_text("utf-8").splitlines():
        if text.startswith("#"):
            if "|" in text and text[-1].isdigit():
                standing = Standing(*map(float, text.rpartition("|")[2].split()))
            continue
        line, _, answer = text.rpartition(" => ")
        acts, *rest = answer.split()
        price = next((float(part) for part in rest if part != "sell"), None)
        sells = "accept" in acts.split("|") or "sell" in rest
        rows.append((standing, line, acts.split("|"), price, sells))
    return rows


ROWS = known()


def sells(meant: Meaning, standing: Standing) -> bool:
    return meant.act in ("accept", "close") and meant.price is not None and meant.price == standing.other


def said(line: str, standing: Standing = STANDING) -> Meaning:
    return understand(read(line), standing, NAMES)


def test_the_known_answers_are_many_and_of_every_act() -> None:
    assert len(ROWS) > 600
    assert {act for _, _, acts, _, _ in ROWS for act in acts} >= {
        "offer", "discount", "accept", "refuse", "question", "close", "inform", "greet", "goodbye", "insult", "praise", "other", "unclear",
    }  # fmt: skip


@pytest.mark.parametrize(("standing", "line", "acts", "price", "may_sell"), ROWS, ids=[row[1][:50] for row in ROWS])
def test_known_answers(standing: Standing, line: str, acts: list[str], price: float | None, may_sell: bool) -> None:
    meant = said(line, standing)
    assert meant.act in acts or {meant.act, *acts} == {"offer", "discount"}, meant
    assert may_sell or not sells(meant, standing)
    if meant.act in ("offer", "discount", "close"):
        assert meant.price == price
    if meant.act == "accept":
        assert meant.price == standing.other


# -- kinds x generated wordings

REFUSALS = [
    "I can't {do} {it}.", "I could never {do} {it}.", "I won't {do} {it}.", "I'm not going to {do} {it}.", "No way I {do} {it}.",
    "I wish I could {do} {it}.", "My manager would fire me if I {do} {it}.", "Nobody would {do} {it}.", "I'd be crazy to {do} {it}.",
    "I'd lose money if I {do} {it}.", "I don't think I can {do} {it}.", "Why would I {do} {it}?", "Should I really {do} {it}?",
    "Do you want me to {do} {it}?", "If I were you I'd {do} {it} too.", "I would {do} {it} if it were my own.",
    "I might {do} {it} tomorrow, who knows.", "Another dealer may {do} {it}, not me.", "You think I {do} {it}?",
    "I never said that I {do} {it}.", "Tell me one reason to {do} {it}.", "Before I {do} {it}, hell freezes over.",
]  # fmt: skip
DOING = [("accept", "that"), ("accept", "$24,500"), ("take", "$24,500"), ("sell it", "for $24,500"), ("let it go", "for that"),
         ("do", "$24,500"), ("agree", "to that"), ("sign", "at $24,500"), ("give it away", "for 24.5k")]  # fmt: skip


@pytest.mark.parametrize("frame", REFUSALS)
def test_no_refusal_and_no_question_is_assent(frame: str) -> None:
    for do, it in DOING:
        line = frame.format(do=do, it=it)
        assert not sells(said(line), STANDING), (line, said(line))


@pytest.mark.parametrize("amount", ["$24,500", "24.5k", "24,500 dollars", "twenty-four five", "24500"])
def test_the_others_own_price_by_itself_is_never_assent(amount: str) -> None:
    for frame in (
        "{}.",
        "{}?",
        "{}!",
        "So, {}.",
        "Hm, {}...",
        "You said {}.",
        "{}, then?",
        "Only {}.",
        "Not {}.",
        "More than {}.",
    ):
        assert not sells(said(frame.format(amount)), STANDING), frame.format(amount)


def test_a_discount_explains_the_offer_it_stands_with() -> None:
    offers = ["I can do {p}", "{p}", "It's yours for {p}", "I could let you have it for {p}", "Let's say {p}"]
    reasons = [", which is {d} off.", ". That's {d} off!", ", saving you {d}.", " - a discount of {d}.", ", {d} less than MSRP.",
               ", and that is another {d} off.", ", so you save {d}.", " after a {d} rebate."]  # fmt: skip
    for offer, reason, (price, less) in itertools.product(
        offers, reasons, [("$26,000", "$2,500"), ("26k", "2.5k"), ("$25,500", "10%")]
    ):
        line = offer.format(p=price) + reason.format(d=less)
        assert said(line).price == float(price.strip("$k").replace(",", "")) * (1000 if "k" in price else 1), line


@pytest.mark.parametrize(
    ("line", "price"),
    [
        ("{}.", 26_000), ("I could let you have it for {}.", 26_000), ("How about {}?", 26_000), ("I can't go below {}.", 26_000),
        ("Would {} work for you?", 26_000), ("Not a penny less than {}.", 26_000), ("My manager lets me go down to {}.", 26_000),
        ("If you can do {}, we have a deal.", 26_000), ("You've got yourself a deal at {}.", 26_000),
    ],
)  # fmt: skip
def test_an_offer_is_heard_however_the_amount_is_said(line: str, price: int) -> None:
    for amount in ("$26,000", "26k", "26 grand", "26,000 dollars", "twenty-six thousand", "26000", "26.000"):
        meant = said(line.format(amount))
        assert (meant.act, meant.price) == ("offer", price), (line.format(amount), meant)


@pytest.mark.parametrize(
    "extra", ["I'll throw in floor mats", "with a full tank", "if you sign today", "my friend", "and thank you"]
)
def test_assent_stays_assent_with_what_goes_with_it(extra: str) -> None:
    for yes in (
        "Deal",
        "It's a deal",
        "You've got yourself a deal",
        "It's yours",
        "Okay, I'll take it",
        "Sold",
        "$24,500 it is",
    ):
        for line in (f"{yes}, {extra}.", f"{extra.capitalize()}, {yes.lower()}!"):
            assert sells(said(line), STANDING), (line, said(line))


@pytest.mark.parametrize("yes", ["Okay", "Fine", "Yes", "Sure,", "Well, okay,", "Alright,"])
def test_a_bare_yes_takes_the_offer_with_an_undertaking_and_with_nothing_else(yes: str) -> None:
    for given in (
        "you can have it",
        "you may take it",
        "you can keep it",
        "I'll sell it to you",
        "I will sell it",
        "I'll give it to you",
    ):
        assert sells(said(f"{yes} {given}."), STANDING), (yes, given)
        assert sells(said(f"{yes} {given}. When do you pick it up?"), STANDING) and not sells(
            said(f"{yes} {given}?"), STANDING
        )
        for catch in ("tomorrow", "if you pay $27,000", "checked first", "on Saturday maybe"):
            assert not sells(said(f"{yes} {given} {catch}."), STANDING), (yes, given, catch)
    for other in (
        "you could have it",
        "you can drive it",
        "I'll give you my number",
        "I'll let you know",
        "you can have a look",
    ):
        assert not sells(said(f"{yes} {other}."), STANDING), (yes, other)


def test_an_undertaking_at_the_others_price_takes_it() -> None:
    for line in ("You can have it for your $24,500.", "I will sell it for your $24,500."):
        assert sells(said(line), STANDING), line
    for line in ("You can't have it for your $24,500.", "You can keep your $24,500.", "You say $24,500 and I will sell it?",
                 "You can have it, but not for your $24,500.", "You can have it for more than your $24,500."):  # fmt: skip
        assert not sells(said(line), STANDING), line


@pytest.mark.parametrize("part", ["half the car", "half of the bike", "half of it", "half a car", "half the wheels"])
def test_half_the_thing_for_half_the_price_is_no_offer(part: str) -> None:
    frames = ["Half the price and {}, then it's a deal.", "Half price, {}.", "For half the price you get {}.", "Half the price buys you {}.",
              "Pay half the price, get {}.", "Half the price is {}, friend.", "At half price I sell you {}. Deal?"]  # fmt: skip
    for frame in frames:
        assert said(frame.format(part)) == Meaning("refuse"), frame
    assert said("Half the price and half the shipping.") == Meaning("offer", 15_000)


@pytest.mark.parametrize("catch", ["unless it rains", "if my boss agrees", "but not at that price", "only the fees come on top",
                                   "minus the engine", "when pigs fly", "almost", "or maybe not", "for $30,000"])  # fmt: skip
def test_assent_with_a_catch_is_none(catch: str) -> None:
    for yes in ("Deal", "It's a deal", "It's yours", "I'll take it", "Sold"):
        assert not sells(said(f"{yes}, {catch}."), STANDING), (yes, catch, said(f"{yes}, {catch}."))


def test_a_seller_asks_for_less_than_is_offered_only_in_so_many_words() -> None:
    selling = STANDING._replace(sells=True)
    for line in ("How about $24,000?", "I can offer it for $24,000.", "$24,000 and it's yours."):
        assert said(line, selling).price == 24_000, line
    for line in (
        "It cost me $24,000.",
        "$24,000 gets you the base model.",
        "It's got 24k on the clock.",
        "That's 15% off already.",
        "I took $4,000 off before you came.",
        "I took $5,000 off before you came.",
        "Less $4,000 for the tires, says my mechanic.",
        "Nobody will take $4,000 off.",
    ):
        assert said(line, selling).price is None and not sells(said(line, selling), selling), line


def test_scripted_sellers_are_heard_below_what_is_offered() -> None:
    told = sections(str(Path(lmrl_envs.__file__).parent / "car_dealer" / "-"), "seller.txt")
    lines = [line for title in ("lower", "ask") for line in told[title]] + ["I can take $24,000 off."]
    selling = Standing(70_000, 84_000, 90_000, False, sells=True)
    for line in lines:
        meant = understand(read(line.format(price="$60,000", car="Audi convertible")), selling, {"audi", "convertible"})
        assert meant.price == 60_000, line
    assert len(lines) == 9


SAID = sections(str(Path(__file__).parent / "data" / "-"), "seller_lines.txt")


@pytest.mark.parametrize(("title", "acts", "price"), [("takes", {"accept"}, 24_500), ("asks", {"offer", "discount", "close"}, 26_000),
                                                      ("refuses", {"refuse"}, None)])  # fmt: skip
def test_sellers_of_many_kinds_are_heard(title: str, acts: set[str], price: float | None) -> None:
    assert len(SAID[title]) > 100
    meant = {line: understand(read(line), STANDING._replace(sells=True), {"honda", "suv"}) for line in SAID[title]}
    assert not {line: one for line, one in meant.items() if one.act not in acts or one.price != price}


def test_jokes_conditions_and_other_meanings_do_not_sell() -> None:
    lines = (Path(__file__).parent / "data" / "no_sales.txt").read_text("utf-8").splitlines()[1:]
    assert len(lines) > 250
    wrong = []
    for line in lines:
        meant = understand(read(line), STANDING._replace(sells=True), {"honda", "suv"})
        takes_less = meant.act in ("offer", "discount") and (meant.price or 0) <= 24_500 and meant.price is not None
        if sells(meant, STANDING) or takes_less:
            wrong.append(line)
    assert not wrong


def test_having_a_lovely_one_is_no_farewell() -> None:
    assert said("I have a lovely one here, let me show you.").act != "goodbye"
    assert said("Have a lovely one!").act == "goodbye"


def test_nothing_sells_where_nothing_stands() -> None:
    for _, line, *_ in ROWS:
        meant = said(line, Standing(own=28_500, listed=30_000))
        assert meant.act != "accept" or meant.price is None


@pytest.mark.parametrize(
    "line", [*HOSTILE_ACTIONS, "$" * 3000, "no " * 3000, "1,000 " * 3000, "if you sign " * 900, "a|b?*<>@it"]
)
def test_any_text_is_read_in_bounded_work(line: str) -> None:
    found = read(line)
    assert len(found.tokens) <= 3 * READ_LENGTH and not sells(understand(found, STANDING), STANDING)


@pytest.mark.parametrize(
    ("line", "price"),
    [
        ("$23,600, a discount of $1,400.", 23_600),
        ("Still $23,600, a 10 % discount.", 23_600),
        ("$23,600, saving you $900.", 23_600),
        ("My price is $23,600, which is $1,400 off the list price.", 23_600),
        ("$23,600 minus $500.", 23_100),
        ("I'm at $23,600, but I'll take another $500 off.", 23_100),
        ("$23,600 with a further discount of $600.", 23_000),
        ("Take $500 off the $23,600.", 23_100),
    ],
)
def test_a_discount_beside_ones_own_price_is_taken_off_only_when_it_is_a_new_one(line: str, price: int) -> None:
    """The seller stands at 23,600 already, and says so again."""
    assert understand(read(line), Standing(21_700, 23_600, 47_200)).price == price
