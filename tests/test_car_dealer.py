"""Rules, rewards, buyers and policies of Car Dealer."""

from __future__ import annotations

import json
import re
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from lmrl_envs import make_policy, task
from lmrl_envs.car_dealer import rules
from lmrl_envs.car_dealer.buyer_state import GREATEST_PERSUASION
from lmrl_envs.car_dealer.env import CarDealerEnv
from lmrl_envs.car_dealer.reading import named, read
from lmrl_envs.car_dealer.rules import BRANDS, FEATURES, PERSONALITIES, TYPES, fancy_reward, revenue_reward
from lmrl_envs.car_dealer.wording import LINES
from lmrl_envs.partners import PartnerReply, SimulatorError
from tools.car_dealer_reference import best_play, bound, drawn_game

ID = "lmrl/CarDealer-v1"
BUYER = {"brand": "Toyota", "type": "SUV", "features": ["sunroof"], "budget": 50_000, "patience": 22, "concession": 1.0}


def stock_of(env: CarDealerEnv) -> list[dict[str, Any]]:
    return rules.parse_stock(env.transcript[0].text)


def start(seed: int = 0, **buyer: Any) -> CarDealerEnv:
    env = CarDealerEnv()
    env.reset(seed=seed, options={"buyer": buyer} if buyer else None)
    return env


def short(car: dict[str, Any]) -> str:
    return f"{car['brand']} {car['type']}"


def near(env: CarDealerEnv, amount: int) -> dict[str, Any]:
    """The car whose list price is nearest."""
    return min(stock_of(env), key=lambda car: abs(car["msrp"] - amount))


def say(env: CarDealerEnv, *lines: str) -> tuple[str, float, bool, dict[str, Any]]:
    """Say lines until the game ends; the last outcome."""
    for line in lines:
        text, reward, terminated, truncated, info = env.step(line)
        assert not truncated
        if terminated:
            break
    return text, reward, terminated, info


# -- rules


def test_rewards_on_hand_computed_numbers() -> None:
    assert fancy_reward("accept", 30_000, 30_000, 27_000) == pytest.approx(0.9)
    assert fancy_reward("accept", 50_000, 30_000, 30_000) == pytest.approx(0.75)
    assert fancy_reward("reject", 30_000, 40_000) == pytest.approx(0.25)
    assert fancy_reward("reject", 90_000, 30_000) == pytest.approx(-2.0)
    assert revenue_reward("accept", 50_000, 30_000, 28_500) == pytest.approx(28.5)
    assert revenue_reward("reject", 90_000, 30_000) == 0.0
    assert rules.RETURN_RANGE["fancy"] == (pytest.approx(-9.0), 1.0) == task(ID).return_range


def test_stock_has_every_brand_every_type_and_cars_for_every_budget() -> None:
    for seed in range(60):
        stock = rules.draw_stock(np.random.default_rng(seed))
        assert {car["brand"] for car in stock} == set(BRANDS) and len(stock) == len(BRANDS)
        for kind in TYPES:
            assert sum(car["type"] == kind for car in stock) >= 2
        for car in stock:
            assert rules.LEAST_MSRP <= car["msrp"] <= rules.GREATEST_MSRP and car["msrp"] % 100 == 0
            assert 2 <= len(set(car["features"])) == len(car["features"]) <= 4 and set(car["features"]) <= set(FEATURES)
        for budget in rules.BUDGETS:
            assert any(0.75 * budget <= car["msrp"] <= 1.35 * budget for car in stock)
        assert rules.parse_stock(rules.opening_text(stock)) == stock


def test_buyers_are_drawn_over_the_whole_range() -> None:
    buyers = [rules.draw_buyer(np.random.default_rng(seed)) for seed in range(800)]
    assert {b["personality"] for b in buyers} == set(PERSONALITIES) and len(PERSONALITIES) == 10
    assert {b["brand"] for b in buyers} == set(BRANDS) and len(BRANDS) == 13
    assert {b["type"] for b in buyers} == set(TYPES) and len(TYPES) == 6
    assert {len(b["features"]) for b in buyers} == {1, 2, 3, 4}
    assert {f for b in buyers for f in b["features"]} == set(FEATURES) and len(FEATURES) == 8
    assert {b["budget"] for b in buyers} == {10_000, 30_000, 50_000, 70_000, 90_000}


def test_the_reservation_price_is_under_budget_and_list_price() -> None:
    car = {"brand": "Toyota", "type": "SUV", "features": ["sunroof"], "msrp": 40_000}
    buyer = {**BUYER, "personality": "vain"}
    assert rules.reservation(buyer, car) == 40_000  # .80 + .20: everything fits
    assert rules.reservation({**buyer, "brand": "BMW"}, car) == 38_000
    assert rules.reservation({**buyer, "type": "truck", "brand": "BMW", "features": ["third row"]}, car) == 32_000
    assert rules.reservation({**buyer, "budget": 30_000}, car, 0.2) == 30_000
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


def test_a_sale_pays_the_formula_and_reveals_the_buyer() -> None:
    env = start(0, personality="friendly", **BUYER)
    car = near(env, 50_000)
    text, reward, terminated, info = say(
        env, "Welcome!", f"The {short(car)} for ${car['msrp']:,}.", f"{car['msrp'] // 2}"
    )
    assert terminated and info["success"] and info["decision"] == "accept"
    assert info["price"] == car["msrp"] // 2 and info["car"] == car
    assert reward == pytest.approx(info["price"] / ((50_000 + car["msrp"]) / 2))
    assert info["buyer"]["personality"] == "friendly" and f"${info['price']:,}" in text


def test_the_sellers_deal_takes_the_buyers_own_offer() -> None:
    env = start(0, personality="frugal", **BUYER)
    car = near(env, 50_000)
    text, *_ = say(env, "Hello.", f"How about the {short(car)} for ${car['msrp']:,}?")
    offered = int(re.findall(r"\$([\d,]+)", text)[-1].replace(",", ""))
    assert offered < car["msrp"]
    _, _, terminated, info = say(env, "Deal!")
    assert terminated and info["success"] and info["price"] == offered


def test_a_buyer_sent_away_pays_by_the_car_talked_about() -> None:
    env = start(3, budget=30_000)
    car = stock_of(env)[-1]
    _, reward, terminated, info = say(env, f"Look at the {short(car)}.", "Goodbye.")
    assert terminated and not info["success"] and info["decision"] == "reject" and info["price"] == 0
    assert reward == pytest.approx(-(30_000 - car["msrp"]) / car["msrp"]) and info["car"] == car


def test_silence_never_pays_more_than_talking_about_a_car() -> None:
    env = start(3, budget=90_000)
    cheapest = min(car["msrp"] for car in stock_of(env))
    _, reward, terminated, info = say(env, "Goodbye.")
    assert terminated and info["car"] == {} and reward == pytest.approx(-(90_000 - cheapest) / cheapest)


def test_revenue() -> None:
    env = CarDealerEnv(reward="revenue")
    env.reset(seed=0, options={"buyer": {**BUYER, "personality": "friendly"}})
    car = near(env, 50_000)
    _, reward, _, info = say(env, "Welcome!", f"The {short(car)} for ${car['msrp']:,}.", f"{car['msrp'] // 2}")
    assert info["success"] and reward == pytest.approx(car["msrp"] / 2000)
    env.reset(seed=1)
    assert say(env, "Goodbye.")[1] == 0.0
    with pytest.raises(ValueError, match="fancy"):
        CarDealerEnv(reward="profit")  # type: ignore[arg-type]


def test_the_buyer_leaves_after_25_turns() -> None:
    env = start(0, personality="friendly", patience=60)
    polite = ["Please take your time, no pressure.", "We have a warranty."]
    for turn in range(1, 26):
        _, _, terminated, truncated, info = env.step(f"{polite[turn % 2]} That is thing number {turn}.")
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
        and reward != 0.0
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
        car = near(env, 50_000)
        price, offers = car["msrp"], []
        say(env, "Hello.")
        for _ in range(12):
            text, _, terminated, _ = say(env, f"I can do ${price:,} for the {short(car)}.")
            if terminated:
                break
            offers += [int(x.replace(",", "")) for x in re.findall(r"\$([\d,]+)", text) if x != f"{price:,}"]
            price -= 500
        assert len(offers) >= 3 and offers == sorted(offers) and offers[-1] > offers[0]


def test_conceding_moves_the_buyer_more_than_repeating() -> None:
    """After six rounds of the same price its counter-offer is lower than after six small concessions."""

    def last_offer(step: int) -> int:
        env = start(0, personality="analytical", budget=50_000, patience=40)
        car = near(env, 50_000)
        for i in range(7):
            say(env, f"That would be ${car['msrp'] - step * i:,} for the {short(car)}, round {i}.")
        return env._partner["counter"]

    assert 0 < last_offer(0) < last_offer(600)


def test_repetition_pressure_and_insults_cost_patience() -> None:
    def turns(*lines: str) -> int:
        env = start(0, personality="cautious", patience=12)
        for turn in range(25):
            if env.step(lines[turn % len(lines)])[2]:
                return turn + 1
        return 99

    calm = turns("Please take your time.", "There is no pressure.", "We have a warranty.")
    assert turns("Buy it.") < calm
    assert turns("Hurry, it won't last!", "You must decide now!") < calm
    assert turns("You idiot.", "You are stupid.") < turns("Buy it.")


def test_false_claims_about_features_are_noticed() -> None:
    env = start(0, personality="friendly", features=["sunroof"])
    car = next(car for car in stock_of(env) if "sunroof" not in car["features"])
    trust = PERSONALITIES["friendly"].trust
    text, *_ = say(env, f"The {short(car)} has a sunroof.")
    assert "sunroof" in text and env._partner["trust"] < trust
    assert env._partner["praised"] in ((), [])


def test_trust_cannot_be_farmed() -> None:
    """Asking for its opinion, praising the same feature or assuring it again and again: the gain is bounded."""
    wish = {"type": "convertible", "brand": "Toyota", "features": ["sunroof"]}  # Toyota's is a convertible here
    env = start(0, personality="friendly", patience=60, budget=70_000, **wish)
    liked = max(stock_of(env), key=lambda car: rules.match_share(env._hidden["buyer"], car))
    assert rules.match_share(env._hidden["buyer"], liked) >= 0.12
    say(env, f"Look at the {short(liked)}.")
    before = env._partner["trust"]
    for i in range(8):
        say(env, f"So, number {i}: what do you think of it?")
    assert env._partner["trust"] <= before
    for i in range(12):
        say(env, f"Reason {i}: we are honest, thank you, and your taste is good.")
    assert env._partner["trust"] <= PERSONALITIES["friendly"].trust + 0.45


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


def profile(personality: str, extra: tuple[str, ...] = (), step: float = 0.02, games: int = 40) -> np.ndarray:
    """Price over list price when sold, share of sales, turns, under one script."""
    rows = []
    for seed in range(games):
        env = start(seed, personality=personality, budget=50_000)
        car = near(env, 50_000)
        price = car["msrp"]
        lines = ["Hello, welcome.", *extra, f"I suggest the {short(car)}."]
        for i in range(25 - len(lines)):
            lines.append(f"I can offer the {short(car)} for ${round(price * (1 - step * i), -2):,.0f}.")
        _, _, terminated, info = say(env, *lines)
        assert terminated
        rows.append((info["price"] / car["msrp"] if info["success"] else np.nan, info["success"], info["turn"]))
    table = np.array(rows, float)
    sold = table[table[:, 1] > 0, 0]
    return np.array([sold.mean() if len(sold) else 0.0, table[:, 1].mean(), table[:, 2].mean()])


def test_personalities_behave_differently_under_the_same_seller() -> None:
    table = {name: profile(name) for name in PERSONALITIES}
    price = {name: row[0] for name, row in table.items()}
    turns = {name: row[2] for name, row in table.items()}
    assert max(price, key=price.get) == "enthusiastic" and min(price, key=price.get) == "frugal"  # type: ignore[arg-type]
    assert price["enthusiastic"] - price["frugal"] > 0.12
    assert turns["frugal"] > turns["enthusiastic"] + 4
    names = list(table)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            assert not np.allclose(table[one], table[other], rtol=0, atol=0.002)


def test_a_slow_seller_loses_the_impatient_first_and_sells_to_the_enthusiastic_most() -> None:
    slow = {name: profile(name, step=0.004, games=25) for name in PERSONALITIES}
    turns = {name: row[2] for name, row in slow.items()}
    sales = {name: row[1] for name, row in slow.items()}
    assert min(turns, key=turns.get) == "impatient" and turns["impatient"] < turns["friendly"] - 6  # type: ignore[arg-type]
    assert max(sales, key=sales.get) == "enthusiastic" and sales["stubborn"] == sales["frugal"] == 0  # type: ignore[arg-type]


def test_compliments_and_pressure_work_on_some_and_backfire_on_others() -> None:
    praise = ("You have excellent taste.", "It suits you.")
    push = ("Another customer wants it.", "It won't last.")
    gain = {
        name: [rules_most(name, lines) - rules_most(name, ()) for lines in (praise, push)] for name in PERSONALITIES
    }
    assert gain["vain"][0] > 2_000 and gain["suspicious"][0] < 0 and gain["analytical"][0] < 0
    assert gain["shy"][1] > 0 and gain["cautious"][1] < -1_000 and gain["suspicious"][1] < -1_000


def rules_most(personality: str, lines: tuple[str, ...]) -> int:
    """The reservation price for a car that fits nothing, after some lines."""
    from lmrl_envs.car_dealer.buyer_state import opening_state, persuasion

    env = start(0, personality=personality, patience=30, budget=90_000)
    say(env, "One moment, I have to find the keys of the cars.", *lines)
    car = {"brand": "", "type": "", "features": [], "msrp": 60_000}
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


def test_expert_beats_the_middling_and_the_random_seller() -> None:
    means = {}
    for name in ("random", "suboptimal", "expert"):
        returns = []
        for seed in range(60):
            env = start(seed)
            policy = make_policy(ID, name, seed=seed)
            terminated = False
            while not terminated:
                _, reward, terminated, _, _ = env.step(policy.act(env.transcript) or "")
            returns.append(reward)
        means[name] = np.mean(returns)
    assert means["expert"] > means["suboptimal"] > means["random"] - 0.1 and means["expert"] > 0.85


def test_policies_stand_a_foreign_transcript() -> None:
    from lmrl_envs import Transcript

    for name in ("random", "suboptimal", "mixed", "expert"):
        policy = make_policy(ID, name, seed=1)
        for texts in (["Hi."], ["", "Deal!", "\x00 $1e9 $,"]):
            assert isinstance(policy.act(Transcript.from_texts(texts, [0.0])), str)


def test_the_middling_seller_makes_data_like_the_published() -> None:
    """400 games: length 16.5, a sale in .53 of them, return .562 (arXiv 2311.18232, Table 1), within sampling error."""
    lengths, sales, returns = [], [], []
    for seed in range(400):
        env = start(seed)
        policy = make_policy(ID, "mixed", seed=seed)
        terminated = False
        while not terminated:
            _, reward, terminated, _, info = env.step(policy.act(env.transcript) or "")
        lengths.append(info["turn"])
        sales.append(info["success"])
        returns.append(reward)
    assert abs(np.mean(lengths) - 16.5) < 0.8 and abs(np.std(lengths) - 3.61) < 0.6
    assert abs(np.mean(sales) - 0.53) < 0.08 and abs(np.mean(returns) - 0.562) < 0.08
    assert abs(np.std(returns) - 0.422) < 0.12


def test_no_play_exceeds_the_bound_and_the_best_play_nears_it() -> None:
    gaps = []
    for seed in range(40):
        buyer, stock = drawn_game(seed)
        played, lines = best_play(buyer, stock)
        env = CarDealerEnv()
        env.reset(seed=seed)
        _, reward, terminated, _ = say(env, *lines)
        assert terminated and reward == pytest.approx(played)
        gaps.append(bound(buyer, stock) - played)
        expert = make_policy(ID, "expert")
        env.reset(seed=seed)
        terminated = False
        while not terminated:
            _, reward, terminated, _, _ = env.step(expert.act(env.transcript) or "")
        assert reward <= bound(buyer, stock) + 1e-9
    assert min(gaps) >= -1e-9 and np.mean(gaps) < 0.01


def test_persuasion_never_adds_more_than_its_limit() -> None:
    for traits in PERSONALITIES.values():
        assert (
            2 * max(traits.flattery, 0) + 2 * max(traits.pressure, 0) + 4 * traits.features + 0.08
            <= GREATEST_PERSUASION + 0.05
        )


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
    stock = rules.draw_stock(np.random.default_rng(0))
    assert [index for _, index in named(read(line), stock, -1, [])] == [place % len(stock)]


def test_more_than_the_buyer_s_offer_is_counted_from_that_offer() -> None:
    """After a counter-offer "a thousand more than that" asks for the counter-offer and a thousand."""
    asked = 0
    for seed in range(12):
        env = CarDealerEnv()
        env.reset(seed=seed, options={"buyer": {"budget": 90_000, "personality": "friendly"}})
        car = rules.parse_stock(env.transcript[0].text)[4]
        for line in ("Hello.", f"The {car['brand']} {car['type']} for ${car['msrp']}."):
            env.step(line)
        counter = env.get_state()["game"]["partner"]["counter"]
        if counter <= 0:
            continue
        _, _, over, _, info = env.step("I could do a thousand more than that.")
        asked += 1
        heard = info["price"] if over else env.get_state()["game"]["partner"]["heard"]["4"]
        assert heard == counter + 1000
    assert asked > 3


def test_chat_spelling_is_read_as_the_words_it_stands_for() -> None:
    for typed, written in (
        ("whats ur budget", "what's your budget?"),
        ("u want a SUV or what", "you want a SUV or what"),
        ("whatcha looking for", "what are you looking for"),
    ):
        assert read(typed).acts >= read(written).acts - {"question"}, typed
    assert "greeting" in read("yo").acts
    assert "ask_offer" in read("whats your best price then").acts


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
        ("Who's the car for?", "whom"),
        ("Are you buying it for yourself?", "whom"),
        ("How soon do you need it?", "when"),
        ("What colour would you like?", "colour"),
        ("Why are you after that?", "why"),
        ("Got anything to trade in?", "trade_in"),
        ("We could take your old car off your hands for 3000", "trade_in"),
        ("What's your name, by the way?", "name"),
        ("Do you want a coffee?", "drink"),
    ],
)
def test_a_personal_question_gets_an_answer_to_it(line: str, intent: str) -> None:
    env = start(0, personality="friendly", **BUYER)
    text, _, _, info = say(env, "Hello!", line)
    assert info["understood"]
    assert text.startswith(LINES[intent]), text


def test_why_so_low_is_about_the_price() -> None:
    env = start(0, personality="friendly", **BUYER)
    car = near(env, 50_000)
    say(env, "Hello!", f"The {short(car)} is {rules.money(car['msrp'])}.")
    text, *_ = say(env, "Why so low?")
    assert text.startswith(LINES["why_price"]), text


def test_one_of_two_things_is_chosen() -> None:
    env = start(0, personality="friendly", **BUYER)
    assert "an SUV" in say(env, "Hello!", "Sedan or SUV?")[0]
    assert "a Toyota" in say(env, "A Toyota or a Ford?")[0]


def test_would_eighty_work_is_a_price() -> None:
    env = start(0, personality="friendly", **BUYER)
    car = near(env, 50_000)
    say(env, "Hello!", f"The {short(car)} is {rules.money(car['msrp'])}.", "Would 44 work for you?")
    assert env.get_state()["game"]["partner"]["heard"][str(stock_of(env).index(car))] == 44_000
