"""Rules, rewards, buyers and policies of Car Dealer."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from lmrl_envs import Transcript, Turn, make_policy, task
from lmrl_envs.car_dealer import rules
from lmrl_envs.car_dealer.buyer_state import CHARMS, opening_state, persuasion
from lmrl_envs.car_dealer.env import CarDealerEnv
from lmrl_envs.car_dealer.policies import ExpertPolicy
from lmrl_envs.car_dealer.reading import named, read
from lmrl_envs.car_dealer.rules import PERSONALITIES, fancy_reward
from lmrl_envs.car_dealer.stock import (
    BRANDS,
    FEATURES,
    FEATURES_OF,
    GREATEST_MSRP,
    LEAST_MSRP,
    TYPES,
    TYPES_OF,
    draw_stock,
    money,
    opening_text,
    parse_stock,
    short,
)  # fmt: skip
from lmrl_envs.car_dealer.wording import LINES
from lmrl_envs.partners import PartnerReply, SimulatorError
from tools.car_dealer_reference import best_play, drawn_game

ID = "lmrl/CarDealer-v1"
BUYER = {"brand": "Toyota", "type": "SUV", "features": ["sunroof"], "budget": 50_000, "patience": 22, "concession": 1.0}


def stock_of(env: CarDealerEnv) -> list[dict[str, Any]]:
    return parse_stock(env.transcript[0].text)


def start(seed: int = 0, reward: Any = "deal", **buyer: Any) -> CarDealerEnv:
    env = CarDealerEnv(reward=reward)
    env.reset(seed=seed, options={"buyer": buyer} if buyer else None)
    return env


def near(env: CarDealerEnv, amount: int) -> dict[str, Any]:
    """The car whose list price is nearest."""
    return min(stock_of(env), key=lambda car: abs(car["msrp"] - amount))


def suited(env: CarDealerEnv) -> dict[str, Any]:
    """The car for which this buyer would pay most."""
    return max(stock_of(env), key=lambda car: rules.most_ever(env._hidden["buyer"], car))


def say(env: CarDealerEnv, *lines: str) -> tuple[str, float, bool, dict[str, Any]]:
    """Say lines until the game ends; the last outcome."""
    for line in lines:
        text, reward, terminated, truncated, info = env.step(line)
        assert not truncated
        if terminated:
            break
    return text, reward, terminated, info


def state(env: CarDealerEnv) -> dict[str, Any]:
    return env.get_state()["game"]["partner"]


def haggled(personality: str = "friendly", **buyer: Any) -> tuple[CarDealerEnv, dict[str, Any], int]:
    """A game in which the buyer has made an offer; the car, and the offer."""
    env = start(0, personality=personality, **{**BUYER, "patience": 40, **buyer})
    car = suited(env)
    say(env, "Hello.", f"How about the {short(car)} for {money(car['msrp'])}?")
    assert state(env)["counter"] > 0
    return env, car, state(env)["counter"]


# -- rules


def test_rewards_on_hand_computed_numbers() -> None:
    assert fancy_reward("accept", 30_000, 30_000, 27_000) == pytest.approx(0.9)
    assert fancy_reward("accept", 50_000, 30_000, 30_000) == pytest.approx(0.75)
    assert fancy_reward("reject", 30_000, 40_000) == pytest.approx(0.25)
    assert fancy_reward("reject", 90_000, 30_000) == pytest.approx(-2.0)
    cars = [
        {"brand": "Kia", "type": "SUV", "features": ["sunroof"], "msrp": 40_000},
        {"brand": "Toyota", "type": "SUV", "features": ["sunroof"], "msrp": 30_000},
    ]
    buyer = {**BUYER, "personality": "friendly"}
    # .88 + .01 for a compliment + .01 for the sunroof + .10 x .36 for trust = .936; the Kia is of another make: x .9.
    assert rules.most_ever(buyer, cars[0]) == 33_650 and rules.most_ever(buyer, cars[1]) == 28_050
    assert rules.reward("deal", buyer, cars, cars[1], 20_190) == pytest.approx(0.6)
    assert rules.reward("deal", buyer, cars, cars[1], 0) == 0.0
    assert rules.reward("revenue", buyer, cars, cars[1], 20_190) == pytest.approx(20.19)
    assert rules.reward("fancy", buyer, cars, cars[0], 0) == pytest.approx(-0.25)
    assert rules.reward("fancy", buyer, cars, {}, 0) == pytest.approx(-(50 - 30) / 30)
    assert rules.RETURN_RANGES["deal"] == (0.0, 1.0) == task(ID).return_range


def test_stock_has_every_brand_every_type_and_cars_for_every_budget() -> None:
    for seed in range(60):
        stock = draw_stock(np.random.default_rng(seed))
        assert {car["brand"] for car in stock} == set(BRANDS) and len(stock) == len(BRANDS)
        for kind in TYPES:
            assert sum(car["type"] == kind for car in stock) >= 2
        for car in stock:
            assert LEAST_MSRP <= car["msrp"] <= GREATEST_MSRP and car["msrp"] % 100 == 0
            assert 2 <= len(set(car["features"])) == len(car["features"]) <= 4
        for budget in rules.BUDGETS:
            assert any(0.75 * budget <= car["msrp"] <= 1.5 * budget for car in stock)
        assert parse_stock(opening_text(stock)) == stock


def test_stock_is_such_as_a_person_believes() -> None:
    cars = [car for seed in range(200) for car in draw_stock(np.random.default_rng(seed))]
    assert all(c["type"] in TYPES_OF[c["brand"]] and set(c["features"]) <= set(FEATURES_OF[c["type"]]) for c in cars)
    assert not [c for c in cars if "third row" in c["features"] and c["type"] not in ("SUV", "minivan")]
    assert not [c for c in cars if c["type"] == "convertible" and "sunroof" in c["features"]]
    assert {c["brand"] for c in cars if c["msrp"] > 70_000} == {"BMW", "Audi", "Mercedes", "Volvo"}
    for brand, kind in itertools.product(BRANDS, TYPES):  # of one make and type the newer one is the dearer
        same = [(c["year"], c["msrp"]) for c in cars if (c["brand"], c["type"]) == (brand, kind)]
        assert all(one[1] <= other[1] for one in same for other in same if one[0] < other[0] - 2), (brand, kind)


def test_buyers_are_drawn_over_the_whole_range() -> None:
    buyers = []
    for seed in range(900):
        rng = np.random.default_rng(seed)
        buyers.append(rules.draw_buyer(rng, draw_stock(rng)))
    assert {b["personality"] for b in buyers} == set(PERSONALITIES) and len(PERSONALITIES) == 12
    assert {"talkative", "hostile"} < set(PERSONALITIES)
    assert {b["brand"] for b in buyers} == set(BRANDS) and len(BRANDS) == 13
    assert {b["type"] for b in buyers} == set(TYPES) and len(TYPES) == 6
    assert {len(b["features"]) for b in buyers} == {1, 2, 3, 4}
    assert {f for b in buyers for f in b["features"]} == set(FEATURES) and len(FEATURES) == 8
    assert {b["budget"] for b in buyers} == set(rules.BUDGETS)
    assert all(b["type"] in TYPES_OF[b["brand"]] for b in buyers)


def test_what_a_buyer_pays_falls_steeply_with_unmet_wishes() -> None:
    car = {"brand": "Toyota", "type": "SUV", "features": ["sunroof"], "msrp": 40_000}
    buyer = {**BUYER, "personality": "vain"}
    assert rules.reservation(buyer, car) == 34_400  # .86: everything fits
    assert rules.reservation({**buyer, "brand": "BMW"}, car) == 30_950
    assert rules.reservation({**buyer, "type": "truck"}, car) == 12_000
    assert rules.reservation({**buyer, "features": ["third row"]}, car) == 27_500  # one of at least two
    assert rules.reservation({**buyer, "features": ["third row", "premium sound"]}, car) == 20_600
    worst = {**buyer, "type": "truck", "brand": "BMW", "features": ["third row", "premium sound"]}
    assert rules.reservation(worst, car) == 6_500 and rules.most_ever(worst, car) == 0
    assert rules.reservation({**buyer, "budget": 30_000}, car) == 25_800
    assert rules.reservation(buyer, car, 5.0) == 40_000


@pytest.mark.parametrize(
    "buyer",
    [
        {"budget": 20_000},
        {"budget": True},
        {"budget": "30000"},
        {"personality": "angry"},
        {"brand": "Tesla"},
        {"type": "boat"},
        {"features": []},
        {"features": ["sunroof"] * 2},
        {"features": "sunroof"},
        {"features": list(FEATURES[:5])},
        {"patience": 0},
        {"patience": float("nan")},
        {"concession": -1},
        {"shoe size": 44},
        ["friendly"],
        "friendly",
    ],
)
def test_impossible_buyers_are_refused(buyer: Any) -> None:
    env = CarDealerEnv()
    with pytest.raises(ValueError, match=r"buyer|features"):
        env.reset(seed=0, options={"buyer": buyer})


def test_pinned_fields_are_kept_and_the_rest_is_as_drawn() -> None:
    drawn, pinned = start(5), start(5, budget=90_000, personality="shy")
    assert stock_of(drawn) == stock_of(pinned)
    say(pinned, "Goodbye.")
    info = pinned._reveal()
    assert info["buyer"]["budget"] == 90_000 and info["buyer"]["personality"] == "shy"
    assert info["buyer"]["brand"] == drawn._hidden["buyer"]["brand"]


# -- ends and rewards in play


def test_a_sale_pays_the_price_over_the_most_of_the_best_car_and_reveals_the_buyer() -> None:
    env = start(0, personality="friendly", **BUYER)
    car = suited(env)
    best = rules.most_ever(env._hidden["buyer"], car)
    asked = car["msrp"] // 250 * 100
    text, reward, terminated, info = say(env, "Welcome!", f"The {short(car)} for {money(asked)}.")
    assert terminated and info["success"] and info["decision"] == "accept"
    assert info["price"] == asked and info["car"] == car and reward == pytest.approx(asked / best)
    assert info["buyer"]["personality"] == "friendly" and money(asked) in text


@pytest.mark.parametrize("yes", ["Deal!", "You've got yourself a car.", "Okay, I can live with that.", "Shake on it!",
                                 "{counter} it is.", "Let's finalize it.", "Shall we sign at {counter}?"])  # fmt: skip
def test_the_sellers_assent_takes_the_buyers_own_offer(yes: str) -> None:
    env, _, counter = haggled("frugal")
    _, _, terminated, info = say(env, yes.format(counter=money(counter)))
    assert terminated and info["success"] and info["price"] == counter


REFUSALS = [
    "I can't accept that.", "I wish I could accept that.", "My manager would fire me if I sold it for {c}.", "No.",
    "I understand you want to pay {c}, but it cost me more than that.", "We're not at {c} yet.", "How did you arrive at {c}?",
    "Is {c} really your best?", "So you're offering {c}?", "At {c} I'd lose money.", "I'd lose money at {c}.", "{c}?",
    "{c}... hmm, that's not quite there.", "{c} won't fly.", "Really, {c}?", "I'm still far from {c}.",
    "Nobody has ever bought it for {c}.", "I was hoping for more than {c}.", "Can you do better than {c}?", "I need more than {c}.",
]  # fmt: skip


@pytest.mark.parametrize("line", REFUSALS)
def test_a_refusal_or_a_question_never_sells_and_is_answered_as_such(line: str) -> None:
    env, _, counter = haggled()
    text, _, terminated, info = say(env, line.format(c=money(counter)))
    assert not terminated and info["understood"] and state(env)["counter"] == counter
    expected = ("refused", "refused_price", "confirm_counter", "ask_higher", "why_price", "nudge_counter")
    shapes = [re.sub(r"\\{\w+\\}", r".+", re.escape(said)) for intent in expected for said in LINES[intent]]
    assert any(re.search(shape, text) for shape in shapes), text


def test_assent_that_is_not_clear_is_asked_back_about() -> None:
    env, _, counter = haggled()
    text, _, terminated, info = say(env, "Deal, unless my boss says otherwise.")
    assert not terminated and not info["understood"] and money(counter) in text
    assert say(env, "Yes.")[3]["price"] == counter


def test_a_discount_beside_a_price_explains_it() -> None:
    for line in ("{p}, which is {d} off the list price.", "I can do {p}. That's {d} off!", "{p}, saving you {d}."):
        env, car, _ = haggled("stubborn")
        price = car["msrp"] - 600
        say(env, line.format(p=money(price), d=money(600)))
        assert state(env)["heard"] == {str(stock_of(env).index(car)): price}


def test_goodbye_and_insults_earn_nothing() -> None:
    for lines in (["Look at the {dear}.", "Goodbye."], ["You idiot.", "The {dear} for $999,999.", "Moron."] * 7):
        for seed in range(12):
            env = start(seed)
            dear = short(stock_of(env)[-1])
            _, reward, terminated, info = say(env, *(line.format(dear=dear) for line in lines))
            assert terminated and not info["success"] and reward == 0.0


def test_fancy_pays_a_lost_buyer_by_the_car_talked_about() -> None:
    env = start(3, "fancy", budget=30_000)
    car = stock_of(env)[-1]
    _, reward, terminated, info = say(env, f"Look at the {short(car)}.", "Goodbye.")
    assert terminated and not info["success"] and info["decision"] == "reject" and info["price"] == 0
    assert reward == pytest.approx(-(30_000 - car["msrp"]) / car["msrp"]) and info["car"] == car
    env = start(3, "fancy", budget=90_000)
    cheapest = min(car["msrp"] for car in stock_of(env))
    _, reward, terminated, info = say(env, "Goodbye.")
    assert terminated and info["car"] == {} and reward == pytest.approx(-(90_000 - cheapest) / cheapest)


def test_revenue() -> None:
    env = start(0, "revenue", personality="friendly", **BUYER)
    car = suited(env)
    asked = car["msrp"] // 250 * 100
    _, reward, _, info = say(env, "Welcome!", f"The {short(car)} for {money(asked)}.")
    assert info["success"] and reward == pytest.approx(asked / 1000)
    env.reset(seed=1)
    assert say(env, "Goodbye.")[1] == 0.0
    with pytest.raises(ValueError, match="fancy"):
        CarDealerEnv(reward="profit")  # type: ignore[arg-type]


def test_the_buyer_leaves_after_25_turns() -> None:
    env = start(0, personality="friendly", patience=60)
    for turn in range(1, 26):
        _, _, terminated, truncated, info = env.step(f"Please take your time, this is thing number {turn}.")
        assert terminated == (turn == 25) and not truncated
    assert info["decision"] == "reject" and not info["success"]


def test_a_partner_that_never_decides_is_cut_off_at_the_limit() -> None:
    class Dreamer:
        def reply(self, requests: Any) -> list[PartnerReply]:
            return [PartnerReply("Hm.") for _ in requests]

    env = start(0)
    env.partner = Dreamer()
    ends = [env.step("Well?") for _ in range(25)]
    reward, terminated, info = ends[-1][1], ends[-1][2], ends[-1][4]
    assert (
        not any(end[2] for end in ends[:-1])
        and terminated
        and info["decision"] == "reject"
        and info["car"] == {}
        and reward == 0.0
    )


@pytest.mark.parametrize(
    "outcome",
    [
        {"decision": "maybe"},
        {"decision": "accept"},
        {"decision": "accept", "car": "2020 Lada sedan", "price": 9_000},
        {"decision": "accept", "car": "CAR", "price": 1_000_000},
        {"decision": "accept", "car": "CAR", "price": 0},
        {"decision": "accept", "car": "CAR", "price": -5},
        {"decision": "accept", "car": "CAR", "price": float("nan")},
        {"decision": "accept", "car": "CAR", "price": float("inf")},
        {"decision": "accept", "car": "CAR", "price": "9000"},
    ],
)
def test_a_partners_impossible_decision_is_an_error_never_a_reward(outcome: dict[str, Any]) -> None:
    env = start(0, budget=10_000)
    if outcome.get("car") == "CAR":
        outcome = {**outcome, "car": stock_of(env)[0]["name"]}

    class Cheat:
        def reply(self, requests: Any) -> list[PartnerReply]:
            return [PartnerReply("Done.", True, outcome)]

    honest, env.partner = env.partner, Cheat()
    with pytest.raises(SimulatorError, match="decided"):
        env.step("Well?")
    assert len(env.transcript) == 1
    env.partner = honest
    assert env.step("Well?")[4]["turn"] == 1


# -- the buyer


def test_it_haggles_up_along_its_curve_and_never_down() -> None:
    for seed in range(30):
        env = start(seed, personality="cautious", budget=50_000, patience=40)
        car = suited(env)
        price, offers = car["msrp"], []
        say(env, "Hello.")
        for _ in range(12):
            text, _, terminated, _ = say(env, f"I can do ${price:,} for the {short(car)}.")
            if terminated:
                break
            offers += [int(x.replace(",", "")) for x in re.findall(r"\$([\d,]+)", text) if x != f"{price:,}"]
            price -= car["msrp"] // 50
        assert len(offers) >= 3 and offers == sorted(offers) and offers[-1] > offers[0]


def test_only_concessions_move_the_buyer() -> None:
    """Repeating, tiny steps and a higher price move it nowhere; a full step does, and a wanted feature pointed out."""

    def offer(*asks: float) -> int:
        env, car, _ = haggled("analytical")
        for i, share in enumerate(asks):
            say(env, f"That would be {money(car['msrp'] * share)} for the {short(car)}, round {i}.")
        return state(env)["counter"]

    stand = offer()
    assert offer(1.0, 1.0, 1.0) == offer(0.999, 0.998, 0.997) == stand
    assert offer(0.98) > stand and offer(0.98, 0.96) > offer(0.98)
    assert offer(0.98, 1.0) == offer(0.98)
    wanted = suited(start(0, **BUYER))["features"][:1]
    env, car, _ = haggled("analytical", features=wanted)
    before = state(env)["clock"]
    say(env, f"The {short(car)} has {wanted[0]}.")
    assert state(env)["clock"] > before


def test_waiting_does_not_lift_what_it_pays() -> None:
    for seed in range(8):
        env = start(seed, personality="friendly", patience=12)
        car = suited(env)
        say(env, f"The {short(car)} is {money(car['msrp'])}.")
        for turn in range(25):
            if state(env)["patience"] < 2.5:
                break
            say(env, f"Let me look for the keys number {turn}.")
        most = rules.reservation(env._hidden["buyer"], car)
        _, _, over, info = say(env, f"The {short(car)} is {money(0.99 * most)}.")
        assert not (over and info["success"])


def test_manners_do_not_add_up() -> None:
    env = start(0, personality="friendly", patience=60, budget=70_000)
    for i in range(6):
        say(env, f"Thank you very much, please, you are welcome, it is a pleasure, number {i}.")
    trust = PERSONALITIES["friendly"].trust
    assert state(env)["trust"] == pytest.approx(trust + CHARMS["polite"])
    for i in range(12):
        say(env, f"Reason {i}: we are honest, there is a warranty, and how are you today?")
    assert state(env)["trust"] <= trust + CHARMS["polite"] + CHARMS["honest"] + CHARMS["small talk"] + 1e-9
    assert sum(gain for gain in CHARMS.values() if gain > 0) + 4 * 0.03 <= rules.GREATEST_TRUST_GAIN


def test_repetition_pressure_and_insults_cost_patience() -> None:
    def turns(*lines: str) -> int:
        env = start(0, personality="cautious", patience=12)
        for turn in range(25):
            if env.step(lines[turn % len(lines)])[2]:
                return turn + 1
        return 99

    calm = turns("Please take your time.", "There is no pressure.", "We have a warranty.")
    assert turns("Have a look.") < calm
    assert turns("Hurry, it won't last!", "You must decide now!") < calm
    assert turns("You idiot.", "You are stupid.") < turns("Have a look.")


def test_false_claims_about_features_are_noticed() -> None:
    env = start(0, personality="friendly", features=["sunroof"])
    car = next(car for car in stock_of(env) if "sunroof" not in car["features"])
    trust = PERSONALITIES["friendly"].trust
    text, *_ = say(env, f"The {short(car)} has a sunroof.")
    assert "sunroof" in text and env._partner["trust"] < trust
    assert env._partner["praised"] in ((), [])


def test_answers_follow_the_hidden_wishes() -> None:
    for seed in range(25):
        env = start(seed, personality="friendly")
        buyer = env._hidden["buyer"]
        text, *_ = say(env, "Welcome! What are you looking for?")
        assert buyer["type"] in text and buyer["brand"] in text
        text, *_ = say(env, "What is your budget?")
        assert f"${buyer['budget']:,}" in text
        text, *_ = say(env, "Which features matter to you?")
        assert all(feature.split()[0] in text.lower() for feature in buyer["features"])
        other = next(kind for kind in TYPES if kind != buyer["type"])
        assert not say(env, f"Do you like a {other}?")[0].startswith(("Yes", "Oh yes"))
        assert "es" in say(env, f"Do you want a {buyer['type']}?")[0]


def test_no_sale_before_a_price_and_none_for_another_car() -> None:
    env = start(0, personality="enthusiastic", **BUYER)
    cars = stock_of(env)
    _, _, terminated, _ = say(env, "Hello.", f"Take the {short(cars[5])}!", "Deal!", "Agreed, it's sold.", "Done!")
    assert not terminated
    env = start(0, personality="enthusiastic", **BUYER)
    car = near(env, 50_000)
    other = next(c for c in cars if c["brand"] != car["brand"])
    _, _, terminated, _ = say(
        env, "Hello.", f"The {short(car)} for {car['msrp']}.", f"Deal, the {short(other)} is yours."
    )
    assert not terminated


def test_two_cars_and_two_prices_are_kept_apart() -> None:
    env = start(2, personality="friendly", budget=50_000)
    a, b = stock_of(env)[7:9]
    say(env, "Hello.", f"The {short(a)} is {a['msrp']}, the {short(b)} {b['msrp'] - 1000} dollars.")
    heard = {env._hidden["stock"][int(i)]["name"]: price for i, price in env._partner["heard"].items()}
    assert heard == {a["name"]: a["msrp"], b["name"]: b["msrp"] - 1000}


def test_a_heap_of_prices_is_not_chosen_from() -> None:
    for seed in range(6):
        env = start(seed)
        heap = " ".join(f"The {short(car)} is {money(car['msrp'] // 2)}." for car in stock_of(env))
        text, _, over, _ = say(env, "Hello.", heap)
        assert not over and any(line in text for line in LINES["too_many"])


@pytest.mark.parametrize(
    ("line", "intent"),
    [
        ("We have a Tesla coming in.", "other_make"), ("Would you like a Porsche?", "other_make"),
        ("How about two of them for $60,000?", "bundle"), ("Both together for $40,000!", "bundle"),
        ("It's yours for $499 a month.", "monthly"), ("I'll throw in floor mats and a service plan.", "extras"),
        ("I could give you $3,000 for your old car.", "trade_in"), ("Are you going to pay cash?", "ask_pay"),
        ("What do you do for a living?", "ask_who"), ("What do you drive at the moment?", "ask_current"),
        ("Are you even interested in buying?", "ask_interest"), ("I need to know your budget.", "budget"),
    ],
)  # fmt: skip
def test_talk_off_the_script_gets_a_fitting_answer(line: str, intent: str) -> None:
    env = start(0, personality="friendly", **BUYER)
    car = suited(env)
    text, _, over, info = say(env, "Hello!", f"Look at the {short(car)}.", line)
    shapes = [re.sub(r"\\{\w+\\}", r".+", re.escape(said)) for said in LINES[intent]]
    assert not over and info["understood"] and any(re.search(shape, text) for shape in shapes), text


@pytest.mark.parametrize(
    "line", ["Blue elephants sing at dawn.", "What is the capital of France?", "Do fish dream of rain?", "asdf qwer"]
)
def test_what_is_not_understood_is_told_so(line: str) -> None:
    for counter in (False, True):
        env = haggled()[0] if counter else start(0, personality="friendly")
        text, _, over, info = say(env, line)
        assert not over and not info["understood"]
        assert any(said in text for intent in ("confused", "no_answer") for said in LINES[intent]), text


@pytest.mark.parametrize(
    "line", ["You look like you can't afford anything here.", "You're a cheapskate.", "What an idiot you are."]
)
def test_rudeness_is_not_taken_for_kindness(line: str) -> None:
    text, _, _, _ = say(start(0, personality="vain"), "Hello.", line)
    assert any(said in text for intent in ("insulted", "insulted_off") for said in LINES[intent]), text


def test_turns_of_phrase_go_with_what_was_said() -> None:
    """Warm words only when it has just been pleased, cold ones only when annoyed."""
    heard = {"warm": 0, "cold": 0}
    for seed in range(60):
        env = start(seed)
        name = env._hidden["buyer"]["personality"]
        policy, over = make_policy(ID, "mixed", seed=seed), False
        while not over:
            before = state(env).get("mood", 0.2)
            text, _, over, _, _ = env.step(policy.act(env.transcript) or "")
            moved = state(env)["mood"] - before
            for tone in ("warm", "cold"):
                if not over and text.startswith(LINES[f"{name} {tone}"]):
                    heard[tone] += 1
                    assert moved >= 0 if tone == "warm" else moved <= 0, text
    assert heard["warm"] > 3


def test_wordings_vary_with_the_seed_and_behaviour_does_not() -> None:
    lines = ["Hello!", "What are you looking for?", "What is your budget?"]
    texts, states = set(), set()
    for seed in range(12):
        env = start(1)
        env._seed = seed
        for line in lines:
            text = env.step(line)[0]
        texts.add(text)
        states.add(json.dumps({**env._partner, "manner": 0}))
    assert len(texts) > 3 and len(states) == 1


def test_nothing_the_buyer_says_names_the_outcome() -> None:
    said = [line for lines in LINES.values() for line in lines]
    assert len(said) > 250 and not [line for line in said if re.search("accept|reject", line, re.IGNORECASE)]
    for personality in PERSONALITIES:
        assert all(LINES[f"{personality} {tone}"] for tone in ("warm", "cold", "leave", "buy"))


@pytest.mark.parametrize("personality", ["talkative", "hostile", "frugal"])
def test_nothing_is_said_in_the_same_words_twice_in_a_row(personality: str) -> None:
    for seed in range(6):
        env = start(seed, personality=personality)
        car, before = suited(env), ""
        for i in range(12):
            text, _, over, *_ = say(env, f"The {short(car)} for {money(round(car['msrp'] * (1 - 0.01 * i), -1))}.")
            wordings = (
                line for name in ("counter", "counter_same", f"{personality} aside") for line in LINES.get(name, ())
            )
            shapes = [re.sub(r"\\{\w+\\}", r"\\S+", re.escape(line)) for line in wordings]
            twice = [shape for shape in shapes if re.search(shape, text) and re.search(shape, before)]
            assert not twice, (before, text)
            before = text
            if over:
                break


def test_a_bad_temper_before_the_end_is_announced() -> None:
    env = start(0, personality="impatient", patience=8)
    texts = []
    for i in range(25):
        text, _, terminated, *_ = env.step(f"Let me think about number {i} for a moment.")
        texts.append(text)
        if terminated:
            break
    hints = [line.strip() for key in ("soon", "last") for line in LINES[key]]
    assert terminated and any(hint in text for text in texts[:-1] for hint in hints)


# -- personalities


def profile(personality: str, step: float = 0.02, games: int = 25) -> np.ndarray:
    """Price over the most it would ever pay when sold, share of sales, turns, under one script."""
    rows = []
    for seed in range(games):
        env = start(seed, personality=personality)
        car = suited(env)
        best, price = (
            rules.most_ever(env._hidden["buyer"], car),
            min(car["msrp"], 1.3 * rules.most_ever(env._hidden["buyer"], car)),
        )
        lines = ["Hello, welcome.", f"I suggest the {short(car)}."]
        lines += [f"I can offer the {short(car)} for {money(price * (1 - step * i))}." for i in range(23)]
        _, _, terminated, info = say(env, *lines)
        assert terminated
        rows.append((info["price"] / best if info["success"] else np.nan, info["success"], info["turn"]))
    table = np.array(rows, float)
    return np.array([np.nanmean(table[:, 0]) if table[:, 1].any() else 0.0, table[:, 1].mean(), table[:, 2].mean()])


def test_personalities_behave_differently_under_the_same_seller() -> None:
    table = {name: profile(name) for name in PERSONALITIES}
    turns = {name: row[2] for name, row in table.items()}
    assert turns["frugal"] > turns["enthusiastic"]
    for one, other in itertools.combinations(table, 2):
        assert not np.allclose(table[one], table[other], rtol=0, atol=0.001), (one, other)


def test_compliments_and_pressure_work_on_some_and_backfire_on_others() -> None:
    gain = {
        name: [
            rules_most(name, (line,)) - rules_most(name, ()) for line in ("You have excellent taste.", "It won't last.")
        ]
        for name in PERSONALITIES
    }
    assert gain["vain"][0] > 2_000 and gain["suspicious"][0] < 0 and gain["analytical"][0] < 0
    assert gain["shy"][1] > 0 and gain["cautious"][1] < -1_000 and gain["hostile"][1] < -1_000


def rules_most(personality: str, lines: tuple[str, ...]) -> int:
    """The reservation price for a car that fits, after some lines."""
    env = start(0, personality=personality, **{**BUYER, "patience": 30, "budget": 90_000})
    say(env, "One moment, I have to find the keys of the cars.", *lines)
    car = {"brand": "Toyota", "type": "SUV", "features": ["sunroof"], "msrp": 60_000}
    buyer = env._hidden["buyer"]
    return rules.reservation(buyer, car, persuasion(buyer, {**opening_state(buyer), **env._partner}, car))


def test_what_they_tell_of_their_budget_differs() -> None:
    def told(personality: str) -> str:
        return say(start(0, personality=personality, budget=50_000), "What is your budget?")[0]

    assert "$50,000" in told("friendly") and "$40,000" in told("frugal") and "$55,000" in told("vain")
    assert "$" not in told("suspicious") and "$" not in told("shy")
    text, *_ = say(
        start(0, personality="shy", budget=50_000), "What is your budget?", "Do tell me, what is your budget?"
    )
    assert "$50,000" in text


# -- policies and references


def played(policy: Any, seed: int, reward: Any = "deal") -> tuple[float, dict[str, Any]]:
    env = start(seed, reward)
    terminated = False
    while not terminated:
        _, value, terminated, _, info = env.step(policy.act(env.transcript) or "")
    return value, info


def test_expert_beats_the_middling_and_the_random_seller() -> None:
    means = {
        name: np.mean([played(make_policy(ID, name, seed=seed), seed)[0] for seed in range(60)])
        for name in ("random", "suboptimal", "expert")
    }
    assert means["expert"] > 0.9 > 0.7 > means["suboptimal"] > means["random"] < 0.3


class Worded(ExpertPolicy):
    """The expert in another wording."""

    def __init__(self, ask: str, close: str, seed: int) -> None:
        super().__init__(seed)
        self.ask_as, self.close_as = ask, close

    def lowered(self, car: Any, price: float, lines: Any = ()) -> str:
        counter = money(self.beliefs.counters[-1] if self.beliefs.counters else 0.5 * price)
        return self.ask_as.format(c=short(car), p=money(price), off=money(car["msrp"] - price), counter=counter)

    def haggle(self, turn: int) -> str:
        line = super().haggle(turn)
        return self.close_as.format(counter=money(self.beliefs.counters[-1])) if line == "Deal!" else line


def test_one_strategy_earns_the_same_in_any_natural_wording() -> None:
    wordings = [
        ("I can come down to {p} for the {c}.", "Deal!"),
        ("{p} for the {c}, which is {off} off the list price.", "All right, you've got yourself a car."),
        (
            "I'm afraid I need more than {counter}. What about {p} for the {c}?",
            "Okay, I can live with that, let's shake on it.",
        ),
        ("I could let you have the {c} for {p}.", "Fine, it's yours at your price."),
        ("My manager lets me go to {p}, so the {c} could be yours for that.", "Shall we sign at {counter}?"),
    ]
    means = [np.mean([played(Worded(*wording, seed), seed)[0] for seed in range(25)]) for wording in wordings]
    assert max(means) - min(means) < 0.02 and min(means) > 0.9, means


class Blind:
    """Asks for the budget only: the car nearest to it, courtesies, fixed steps, the buyer's offer at the first sign of leaving."""

    def __init__(self, step: float) -> None:
        self.step, self.lines, self.car = (
            step,
            ["Hello, please take your time.", "We have a warranty.", "What is your budget?"],
            None,
        )
        self.price = 0.0

    def act(self, transcript: Transcript) -> str:
        if self.lines:
            return self.lines.pop(0)
        last = transcript[-1].text
        if self.car is None:
            told = re.findall(r"\$([\d,]+)", last)
            budget = int(told[-1].replace(",", "")) if told else 50_000
            self.car = min(parse_stock(transcript[0].text), key=lambda car: abs(car["msrp"] - 1.15 * budget))
            self.price = self.car["msrp"]
            return f"The {short(self.car)} is {money(self.price)}."
        if any(line in last for line in LINES["last"]):
            return "Deal!"
        self.price -= self.step * self.car["msrp"]
        return f"I can come down to {money(self.price)} for the {short(self.car)}."


def test_a_script_that_ignores_wishes_stays_below_half_of_the_way() -> None:
    reference = task(ID).reference
    assert reference is not None
    half = (reference.random + reference.optimum) / 2
    for step in (0.012, 0.03, 0.06):
        mean = np.mean([played(Blind(step), seed)[0] for seed in range(80)])
        assert mean < half, (step, mean)


def test_policies_stand_a_foreign_transcript() -> None:
    for name in ("random", "suboptimal", "mixed", "expert"):
        policy = make_policy(ID, name, seed=1)
        for texts in (["Hi."], ["", "Deal!", "\x00 $1e9 $,"]):
            assert isinstance(policy.act(Transcript.from_texts(texts, [0.0])), str)


def test_the_middling_seller_makes_data_like_the_published() -> None:
    """300 games: length 16.5, a sale in .53 of them (arXiv 2311.18232, Table 1), within sampling error."""
    games = [played(make_policy(ID, "mixed", seed=seed), seed)[1] for seed in range(300)]
    lengths, sales = [info["turn"] for info in games], [info["success"] for info in games]
    assert abs(np.mean(lengths) - 16.5) < 0.8 and abs(np.std(lengths) - 3.61) < 0.6
    assert abs(np.mean(sales) - 0.53) < 0.09


def test_no_play_exceeds_the_bound_and_the_best_play_nears_it() -> None:
    values = []
    for seed in range(25):
        buyer, stock = drawn_game(seed)
        value, lines = best_play(buyer, stock)
        _, reward, terminated, _ = say(start(seed), *lines)
        assert terminated and reward == pytest.approx(value) and value <= 1
        assert played(make_policy(ID, "expert"), seed)[0] <= 1
        values.append(value)
    assert np.mean(values) > 0.96


def test_rendering_shows_a_chat() -> None:
    env = gym.make(ID, render_mode="ansi")
    env.reset(seed=0)
    env.step("Hello there!")
    assert env.render().split("\n")[-2] == "> Hello there!" and env.render().startswith("Cars for sale:")


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("The second one on the list.", 1),
        ("What about number 3 on the list?", 2),
        ("The last car on my list is nice.", -1),
        ("The first one of the list, at 20k?", 0),
    ],
)
def test_a_place_in_the_list_names_a_car(line: str, place: int) -> None:
    stock = draw_stock(np.random.default_rng(0))
    assert [index for _, index in named(read(line), stock, -1, [])] == [place % len(stock)]


def test_more_than_the_buyer_s_offer_is_counted_from_that_offer() -> None:
    for line, more in (("I could do a thousand more than that.", 1000), ("Add another $500 and it's yours.", 500)):
        env, car, counter = haggled()
        _, _, over, info = say(env, line)
        heard = info["price"] if over else state(env)["heard"][str(stock_of(env).index(car))]
        assert heard == counter + more


def test_a_test_drive_is_taken_not_answered_with_wishes() -> None:
    env = start(seed=1, **BUYER)
    car = short(near(env, 30_000))
    text, _, over, _ = say(env, f"How about the {car}?", "Would you like to take it for a test drive?")
    assert not over and car in text
    assert "round the block" in text or "runs well" in text or "driven" in text
    assert "ask_needs" in read("Would you like a test drive?").acts  # without a car it stays a question about wishes


@pytest.mark.parametrize(
    ("line", "intent"),
    [
        ("Who's the car for?", "ask_whom"),
        ("Are you buying it for yourself?", "ask_whom"),
        ("How soon do you need it?", "ask_when"),
        ("What colour would you like?", "ask_colour"),
        ("Why are you after that?", "ask_why"),
        ("Got anything to trade in?", "trade_in"),
        ("We could take your old car off your hands for 3000", "trade_in"),
        ("What's your name, by the way?", "ask_name"),
        ("Do you want a coffee?", "ask_drink"),
    ],
)
def test_a_personal_question_gets_an_answer_to_it(line: str, intent: str) -> None:
    env = start(0, personality="friendly", **BUYER)
    text, _, _, info = say(env, "Hello!", line)
    assert info["understood"]
    assert text.startswith(LINES[intent]), text


def test_why_so_low_is_about_the_price() -> None:
    env = start(0, personality="friendly", **BUYER)
    car = suited(env)
    say(env, "Hello!", f"The {short(car)} is {money(car['msrp'])}.")
    text, *_ = say(env, "Why so low?")
    assert text.startswith(LINES["why_price"]), text


def test_one_of_two_things_is_chosen() -> None:
    env = start(0, personality="friendly", **BUYER)
    assert "an SUV" in say(env, "Hello!", "Sedan or SUV?")[0]
    assert "a Toyota" in say(env, "A Toyota or a Ford?")[0]


def test_would_eighty_work_is_a_price() -> None:
    env, car, _ = haggled()
    thousands = car["msrp"] // 1000 - 1
    say(env, f"Would {thousands} work for you?")
    assert state(env)["heard"][str(stock_of(env).index(car))] == 1000 * thousands


def test_chat_spelling_is_read_as_the_words_it_stands_for() -> None:
    for typed, written in (
        ("whats ur budget", "what's your budget?"),
        ("whatcha looking for", "what are you looking for?"),
    ):
        assert read(typed).acts == read(written).acts, typed
    assert read("yo, whats up").line.has("greet") and "ask_offer" in read("whats your best price then").acts


# -- the view of small models: facts and moves


def moves_of(policy: Any, seed: int) -> tuple[float, list[str]]:
    """A game in which a policy's lines are said as the moves that they are: the return, and the moves."""
    env, view, over, total, moves = start(seed), task(ID).surface.views["moves"], False, 0.0, []
    while not over:
        told = env.transcript
        line = policy.act(told)
        move = view.texts(Transcript((*told, Turn(line, True))))[-1]
        again = view.action(move, told)
        assert view.texts(Transcript((*told, Turn(again, True))))[-1] == move or move.startswith(("down", "stay")), (
            line,
            again,
        )
        moves.append(move)
        _, reward, over, _, info = env.step(again)
        assert info["understood"], again
        total += reward
    return total, moves


def test_sellers_earn_nearly_as_much_when_their_lines_are_moves() -> None:
    """One of some thirty moves for each line, and each said again in words that the buyer takes for the same."""
    games = [moves_of(ExpertPolicy(seed), seed) for seed in range(12)]
    plain = [played(ExpertPolicy(seed), seed)[0] for seed in range(12)]
    assert np.mean([total for total, _ in games]) > np.mean(plain) - 0.08
    moves = {move for _, game in games for move in game}
    moves |= {move for seed in range(12) for move in moves_of(make_policy(ID, "mixed", seed=seed), seed)[1]}
    assert {"welcome", "budget", "features", "show0", "list", "down2", "close"} <= moves
    assert len(moves) < 40 and not any(" " in move for move in moves)


def test_facts_are_what_was_heard_and_moves_are_about_it() -> None:
    view = task(ID).surface.views["moves"]
    env = start(3, brand="Audi", type="sedan", features=["third row"], budget=30_000, personality="friendly")
    facts = view.texts(env.transcript)
    assert facts == ["turn0 hurry0 far0 after: 0:???? 1:???? 2:???? 3:????"]  # no wish has been told
    say(env, "Welcome! What are you looking for today?", "What is your budget?")
    told = view.texts(env.transcript)
    assert told[1::2] == ["welcome", "budget"] and told[0] == facts[0]
    first = next(piece for piece in told[-1].split() if piece.startswith("0:"))
    assert first[2:4] == "yy"  # seed 3 has an Audi sedan
    shown = view.action("show0", env.transcript)
    say(env, shown)
    car = next(car for car in stock_of(env) if short(car) in shown)
    assert view.action("list", env.transcript).count(money(car["msrp"])) == 1
    say(env, view.action("list", env.transcript))
    assert money(round(0.9 * car["msrp"], -1)) in view.action("down10", env.transcript)
    offer = next(int(found.replace(",", "")) for found in re.findall(r"\$([\d,]+)", env.transcript[-1].text)[-1:])
    assert view.action("down40", env.transcript).count(money(max(offer, round(0.6 * car["msrp"], -1)))) == 1


@pytest.mark.parametrize("move", ["show99", "show" + "9" * 5000, "down", "list", "close", "nonsense", ""])
def test_moves_about_nothing_do_no_harm(move: str) -> None:
    view = task(ID).surface.views["moves"]
    strange = Transcript.from_texts(
        ["no list of cars", "x" * 5000, "?", "I want $ 5,, for it", "$" + "9" * 5000], [0.0, 0.0]
    )
    assert isinstance(view.action(move, strange), str)
    assert view.texts(strange)[1] == "chat" and view.texts(Transcript()) == []


def test_what_is_said_of_one_car_is_no_claim_of_another() -> None:
    for seed in range(20):
        env = start(seed)
        pairs = itertools.permutations(env._hidden["stock"], 2)
        one, other = next((a, b) for a, b in pairs if set(a["features"]) - set(b["features"]))
        own = next(feature for feature in one["features"] if feature not in other["features"])
        line = f"There is the {short(one)} with {own}, and the {short(other)} with {other['features'][0]}."
        assert "listed" not in say(env, line)[0]
