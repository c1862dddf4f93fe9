"""What a buyer takes for a price, and what not."""

from __future__ import annotations

import pytest

from lmrl_envs.car_dealer.prices import normalise, read_prices
from lmrl_envs.language.numbers import spoken_number


def offer(*amounts: float) -> list[tuple[str, float]]:
    return [("offer", amount) for amount in amounts]


OFFERS = [
    ("It's $27,500.", 27_500),
    ("27.5k", 27_500),
    ("I can do 27 500", 27_500),
    ("twenty-seven five", 27_500),
    ("twenty seven thousand", 27_000),
    ("27 grand", 27_000),
    ("for an even 30", 30_000),
    ("$29,900 out the door", 29_900),
    ("out-the-door price of 29,900", 29_900),
    ("twenty-seven thousand five hundred dollars", 27_500),
    ("twenty-seven and a half thousand", 27_500),
    ("The price is twenty-two thousand, nine hundred", 22_900),
    ("a hundred thousand", 100_000),
    ("a hundred and five thousand", 105_000),
    ("eighteen thousand nine hundred and ninety five", 18_995),
    ("nine thousand eight hundred", 9_800),
    ("ninety-five hundred", 9_500),
    ("twenty-nine nine fifty", 29_950),
    ("fifteen five", 15_500),
    ("thirty grand", 30_000),
    ("how about 25?", 25_000),
    ("make it 25 even", 25_000),
    ("I could come down to 26", 26_000),
    ("let's say 24.9", 24_900),
    ("how does 31.5 sound?", 31_500),
    ("deal at thirty-one", 31_000),
    ("I'd want eleven for it", 11_000),
    ("Is 50 ok?", 50_000),
    ("I can't go below 25,000", 25_000),
    ("not a penny less than 25k", 25_000),
    ("nothing lower than 50k", 50_000),
    ("I'll drop it to 25,000", 25_000),
    ("why not 25,000?", 25_000),
    ("Would you pay 27,000?", 27_000),
    ("27,500.00 dollars", 27_500),
    ("27.500", 27_500),
    ("27,5k", 27_500),
    ("USD 27500", 27_500),
    ("27500 bucks", 27_500),
    ("27\u2019500", 27_500),
    ("$ 27 500", 27_500),
    ("$27\u202f500", 27_500),
    ("\uff12\uff17k", 27_000),
    ("the 2021 Toyota for 31,200", 31_200),
    ("I'll give you the Honda at fifteen thousand", 15_000),
    ("28k, and I throw in floor mats", 28_000),
    ("It gets 32 mpg, for 25k", 25_000),
    ("price: 28000", 28_000),
    ("at 25 it's yours", 25_000),
    ("95 hundred", 9_500),
    ("$1,000,000", 1_000_000),
    ("1e12", 1e12),
    ("$0", 0),
    ("$25", 25),
]

OTHERS = [
    ("knock two thousand off", [("off", 2_000)]),
    ("Knock 2000 off", [("off", 2_000)]),
    ("if I took off another thousand", [("off", 1_000)]),
    ("take $1,500 off", [("off", 1_500)]),
    ("that's $2,000 less", [("off", 2_000)]),
    ("two grand off", [("off", 2_000)]),
    ("half a grand off", [("off", 500)]),
    ("two thousand five hundred off", [("off", 2_500)]),
    ("1.5k off", [("off", 1_500)]),
    ("minus $500", [("off", 500)]),
    ("I'll drop it by 500", [("off", 500)]),
    ("$500 below MSRP", [("off", 500)]),
    ("that's 3k under sticker", [("off", 3_000)]),
    ("10 % discount", [("percent", 10)]),
    ("ten percent off the MSRP", [("percent", 10)]),
    ("knock off 5%", [("percent", 5)]),
    ("half price", [("percent", 50)]),
    ("80% of the list price", [("percent", 20)]),
    ("sell it for MSRP", [("percent", 0)]),
    ("the MSRP is $30,000, but for you $27,000", [("list", 30_000), ("offer", 27_000)]),
    ("It lists at $31,200", [("list", 31_200)]),
    ("was $30,000, now $27,000", [("list", 30_000), ("offer", 27_000)]),
    ("instead of 30k I ask 28k", [("list", 30_000), ("offer", 28_000)]),
    ("from 30,000 down to 28,000", [("list", 30_000), ("offer", 28_000)]),
    ("not 27,000 but 26,000", [("none", 27_000), ("offer", 26_000)]),
    ("between 20k and 25k", offer(20_000, 25_000)),
]

NOT_OFFERS = [
    "$400 a month",
    "monthly payments of 400",
    "only $399/mo",
    "It's a 2019 model",
    "the year 2000",
    "only 30,000 miles",
    "30,000 km on the clock",
    "a 36,000-mile warranty",
    "it has 300 hp",
    "it has 4 doors and 7 seats",
    "twenty miles per gallon",
    "a 5-year warranty",
    "I can't do 20,000",
    "25k is too low",
    "your budget of 30,000",
    "you said 30k",
    "you offered $22,000",
    "another customer offered 28,000",
    "someone else will pay 28k",
    "I paid 20k for it",
    "it's worth $40,000",
    "$3,000 down",
    "down payment of $3,000",
    "0% financing",
    "we start at 9am",
    "in 10 minutes",
    "for 5 people",
    "I have 25 years of experience",
    "We have 13 cars",
    "this one is nice",
    "one of the best",
    "NaN",
    "-5000",
    "$-5000",
    "inf",
    "1e999",
    "A4 or Q7 or i3",
    "",
]


@pytest.mark.parametrize(("text", "amount"), OFFERS)
def test_offers(text: str, amount: float) -> None:
    assert [(price.kind, price.amount) for price in read_prices(normalise(text))] == offer(amount)


@pytest.mark.parametrize(("text", "prices"), OTHERS)
def test_discounts_and_former_prices(text: str, prices: list[tuple[str, float]]) -> None:
    assert [(price.kind, price.amount) for price in read_prices(normalise(text))] == prices


@pytest.mark.parametrize("text", NOT_OFFERS)
def test_what_is_no_price(text: str) -> None:
    assert [price for price in read_prices(normalise(text)) if price.kind != "none"] == []


def test_discounts_off_the_list_price_are_told_apart() -> None:
    assert [price.base for price in read_prices("10% off the msrp")] == ["list"]
    assert [price.base for price in read_prices("10% off")] == [""]


def test_spelled_numbers_that_are_unclear_are_no_price() -> None:
    assert spoken_number("thirty fifty") is None
    assert spoken_number("nineteen ninety five") is None


@pytest.mark.parametrize(
    "unit", ["1", "9,", "twenty ", "$", "%", "- ", "5k ", "half a ", "1e", ".,", "00 000 ", "\u0664"]
)
def test_long_texts_are_read_in_bounded_work(unit: str) -> None:
    """8,000 characters of the worst sorts: what is found stays small and nothing raises."""
    assert len(read_prices(normalise(unit * (8000 // len(unit))))) <= 8000


@pytest.mark.parametrize(
    ("text", "kind", "amount", "base"),
    [
        ("How about a thousand more than that?", "off", -1000, "counter"),
        ("I need $500 more than your offer.", "off", -500, "counter"),
        ("Make it 1,500 above what you said", "off", -1500, "counter"),
        ("0.8 of MSRP", "percent", 20, "list"),
        ("Say 0.85 times the list price", "percent", 15, "list"),
    ],
)
def test_prices_relative_to_an_offer_or_a_list_price(text: str, kind: str, amount: float, base: str) -> None:
    assert [(p.kind, p.amount, p.base) for p in read_prices(normalise(text))] == [(kind, amount, base)]


def test_miles_more_are_no_price() -> None:
    assert read_prices(normalise("It has run 500 more miles than that one.")) == []
