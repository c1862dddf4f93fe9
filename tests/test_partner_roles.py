"""Language models as partners: what they plausibly write, and what the game makes of it."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import pytest
from faulty_server import FaultyServer

from lmrl_envs.car_dealer.prompt import EARLIER_LENGTH, QUOTED_LENGTH, CarBuyerPrompt
from lmrl_envs.guess_my_city.prompt import CityPrompt
from lmrl_envs.partners import PartnerRequest, SimulatorError
from lmrl_envs.partners.prompting import ANSWERS, first_sentence, reply_text, yes_no
from lmrl_envs.twenty_questions.prompt import OraclePrompt

OBJECTS, CITIES, CARS = "lmrl/TwentyQuestions-v1", "lmrl/GuessMyCity-v1", "lmrl/CarDealer-v1"


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def made(id: str, server: FaultyServer, **options: Any) -> Any:
    """The task with the server's model as partner."""
    options = {"base_url": server.url, "max_retries": 2, "backoff": 0.01, **options}
    return gym.make(id, simulator="openai:toy", simulator_options=options).unwrapped


# -- yes, no and the third answer


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Yes.", "yes"), ("yes", "yes"), ("Yes, it is.", "yes"), ("Answer: Yes", "yes"), ("**Answer:** No", "no"), ("Yes (usually)", "yes"),
        ('"No."', "no"), ("No, it isn't.", "no"), ("NO!", "no"), ("Oracle: Yes.", "yes"), ("- Yes", "yes"), ("Well, yes.", "yes"),
        ("Correct!", "yes"), ("That's right.", "yes"), ("It is.", "yes"), ("It is not.", "no"), ("Usually not.", "no"), ("Not really.", "no"),
        ("Mostly no.", "no"), ("It is usually not.", "no"), ("It's a mammal.", "yes"), ("It's never red.", "no"), ("Certainly not", "no"), ("Kind of.", "depends"),
        ("Yes, no doubt about it.", "yes"), ("The answer is yes.", "yes"), ("The final answer is: **No**", "no"),
        ("A dog is a mammal, so yes.", "yes"), ("Dogs are mammals. So the answer is: Yes.", "yes"), ("Yes \u2014 dogs can swim.", "yes"),
        ("It depends.", "depends"), ("It depends on the breed.", "depends"), ("Sometimes.", "depends"), ("Not always.", "depends"),
        ("Yes and no.", "depends"), ("It can be.", "depends"), ("Answer: It depends", "depends"),
        ("I don't understand.", "unread"), ("I don\u2019t know.", "unread"), ("That is not a yes/no question.", "unread"), ("Not sure.", "unread"),
        ("I'm sorry, I can't help with that.", "unread"),
        ("", None), ("banana", None), ("Yes or no", None), ("Yes/No", None), ("No. Yes.", None), ("Yes. No, it is not.", None),
        ("Perhaps it is, yes or no.", None), ("The hidden object is a dog.", None), ("Is it an animal?", None), ("!!!", None),
    ],
)  # fmt: skip
def test_a_reply_to_a_yes_no_question(text: str, meant: str | None) -> None:
    assert yes_no(text) == meant
    request = PartnerRequest({"secret": "dog"}, ("Questions:",), "Is it an animal?", 0)
    reply = OraclePrompt().parse(text, request)
    assert (reply and reply.text) == (meant and ANSWERS[meant])
    assert reply is None or reply.understood == (meant != "unread")
    city = CityPrompt().parse(text, PartnerRequest({"city": "Lima", "answers": "yes_no"}, ("Questions:",), "?", 0))
    assert city == reply


@pytest.mark.parametrize("meant", list(ANSWERS))
def test_what_oracles_say_is_read_as_what_it_means(meant: str) -> None:
    assert yes_no(ANSWERS[meant]) == meant


def test_a_model_may_say_that_it_depends_and_that_it_does_not_understand() -> None:
    said = iter(["It depends on the kind.", "Yes, it is an animal.", "That's not a question."])
    with FaultyServer(answer=lambda messages: next(said)) as server:
        env = made(OBJECTS, server)
        env.reset(seed=0, options={"secret": "dog"})
        steps = [env.step(line) for line in ("Is it white?", "Is it an animal?", "A blue one")]
    assert [step[0] for step in steps] == ["It depends.", "Yes.", ANSWERS["unread"]]
    assert [step[4]["understood"] for step in steps] == [True, True, False]
    assert [step[1] for step in steps] == [-1.0] * 3


@pytest.mark.parametrize(("id", "hidden"), [(OBJECTS, {"secret": "dog"}), (CITIES, {"city": "Lima"})])
def test_an_oracle_sees_what_was_asked_before(id: str, hidden: dict[str, str]) -> None:
    texts = ("Questions:", "Is it smaller than a car?", "Yes.")
    request = PartnerRequest(hidden, texts, 'And than "a cat"?', 0)
    lines = gym.make(id).unwrapped.partner_prompt.messages(request)[-1]["content"].splitlines()  # type: ignore[attr-defined]
    assert lines[:3] == ['Player: "Is it smaller than a car?"', 'You: "Yes."', "Player: \"And than 'a cat'?\""]
    many = PartnerRequest(hidden, ("Questions:", *["Is it?", "No."] * 12), "And now?", 0)
    shown = gym.make(id).unwrapped.partner_prompt.messages(many)[-1]["content"]  # type: ignore[attr-defined]
    assert shown.count('You: "No."') == 2


# -- thoughts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<think>Yes? No...</think>\n\nNo.", "No."),
        ("<thinking>\nIt could be.\n</thinking>Yes", "Yes"),
        ("[THINK]hm[/THINK] Yes.", "Yes."),
        ("<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>Yes.", "Yes."),
        ("analysisLet us see.assistantfinalNo.", "No."),
        ("It could be... </think> Yes.", "Yes."),
        ("<think>It could be yes, or", ""),  # the room was used up
        ("Yes, I think.", "Yes, I think."),
    ],
)
def test_thoughts_are_no_part_of_a_reply(text: str, said: str) -> None:
    assert reply_text(text) == said


def test_a_thinking_model_has_room_by_a_setting_and_is_told_of_it_without() -> None:
    with FaultyServer(answer=lambda messages: "<think>" + "so " * 50) as server:
        env = made(OBJECTS, server, max_retries=0)
        env.reset(seed=0)
        with pytest.raises(SimulatorError, match="last text"):
            env.step("Is it alive?")
    thought = {"choices": [{"message": {"content": "<think>so so"}, "finish_reason": "length"}]}
    with FaultyServer(whole=lambda body: {**thought, "usage": {"completion_tokens": body["max_tokens"]}}) as server:
        env = made(OBJECTS, server, max_retries=0, max_new_tokens=4096)
        env.reset(seed=0)
        with pytest.raises(SimulatorError, match=r"4096 tokens went into thoughts.*max_new_tokens"):
            env.step("Is it alive?")
        assert server.bodies[0]["max_tokens"] == 4096
    with pytest.raises(ValueError, match="max_new_tokens"):
        made(OBJECTS, server, max_new_tokens=0)


# -- a city's oracle


@pytest.mark.parametrize(
    ("city", "text", "said"),
    [
        ("Chicago", "It is in North America.", "It is in North America."),
        ("Chicago", "Yes, it is in North America.", "Yes, it is in North America."),
        ("Chicago", "Yes, on the U.S. East Coast.", "Yes, on its country East Coast."),
        ("Chicago", "Yes, it's in the United States of America.", "Yes, it's in its country."),
        ("Chicago", "It gives us snow.", "It gives us snow."),
        ("Hong Kong", "It is on the South China Sea.", "It is on the South China Sea."),
        ("Mexico City", "No, the Gulf of Mexico is far.", "No, the Gulf of Mexico is far."),
        ("Tokyo", "It can be hot in summer.", "It can be hot in summer."),
        ("Sydney", "The continent is Australia.", None),
        ("Tokyo", "It's in Japan.", None),
        ("Tokyo", "It is Tokyo.", None),
        ("Rome", "Yes, St. Peter's Basilica is nearby. It is large.", "Yes, St. Peter's Basilica is nearby."),
        ("Paris", "It has approx. 2.1 million inhabitants. It grows.", "It has approx. 2.1 million inhabitants."),
        ("Paris", "No. It is large.", "No."),
        ("Paris", "It depends on the season.", "It depends."),
        ("Paris", "I don't know how to answer that.", ANSWERS["unread"]),
    ],
)
def test_a_sentence_about_a_city(city: str, text: str, said: str | None) -> None:
    reply = CityPrompt().parse(text, PartnerRequest({"city": city}, ("Questions:",), "?", 0))
    assert (reply and reply.text) == said


@pytest.mark.parametrize(
    ("text", "said"), [("It is Lima, Peru.", "I can't say"), ("It's in Peru.", "It's in its country.")]
)
def test_a_model_that_cannot_but_tell_the_secret_does_not_end_the_game(text: str, said: str) -> None:
    request = PartnerRequest({"city": "Lima"}, ("Questions:",), "Where is it?", 0)
    assert CityPrompt().parse(text, request) is None
    settled = CityPrompt().settle(text, request)
    assert settled is not None and settled.text.startswith(said) and "Peru" not in settled.text


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("It is red. It is big.", "It is red."),
        ("Mt. Fuji is near. Yes.", "Mt. Fuji is near."),
        ("It ranks no. 1 in size. Really.", "It ranks no. 1 in size."),
        ("No. 2 is wrong", "No. 2 is wrong"),
        ("The U.S. dollar. Yes.", "The U.S. dollar."),
        ("Really? Yes.", "Really?"),
        ("One line\nAnother", "One line"),
    ],
)
def test_first_sentences(text: str, first: str) -> None:
    assert first_sentence(text) == first


# -- a buyer

STOCK = [
    {"name": "2022 Subaru sedan", "year": 2022, "brand": "Subaru", "type": "sedan", "features": ["sunroof"], "msrp": 55_000},
    {"name": "2024 Kia SUV", "year": 2024, "brand": "Kia", "type": "SUV", "features": ["third row"], "msrp": 60_000},
]  # fmt: skip
BUYER = {"personality": "shy", "brand": "Subaru", "type": "sedan", "features": ["sunroof"], "budget": 50_000, "patience": 6, "concession": 1.0}  # fmt: skip


def asked(
    line: str = "The Subaru sedan is yours for $49,000.", texts: tuple[str, ...] = ("opening",)
) -> PartnerRequest:
    return PartnerRequest({"buyer": BUYER, "stock": STOCK}, texts, line, 0)


SALE = {"decision": "accept", "car": "2022 Subaru sedan", "price": 49_000}


@pytest.mark.parametrize(
    ("text", "words", "outcome"),
    [
        ("Fine.\nDecision: accept 2022 Subaru sedan at $49,000", "Fine.", SALE),
        ("Great! Decision: accept the Subaru sedan for $49,000.", "Great!", SALE),
        (
            "**Decision:** accept 2022 Subaru sedan at 49k",
            "All right, I'll take the 2022 Subaru sedan for $49,000.",
            SALE,
        ),
        ("Good.\n**Decision: Accepted, $49,000 for the Subaru sedan**", "Good.", SALE),
        ("Good.\nDecision - accept $49,000", "Good.", SALE),
        ("Bye.\n**Decision:** reject", "Bye.", {"decision": "reject"}),
        ("Bye. Decision: rejected", "Bye.", {"decision": "reject"}),
        ("Bye.\nDecision: I decline the offer of $49,000", "Bye.", {"decision": "reject"}),
        ("Decision: reject", "No, thank you. I'm leaving.", {"decision": "reject"}),
        ("Bye.\nFinal decision: REJECT", "Bye.", {"decision": "reject"}),
        ('{"decision": "reject"}', "No, thank you. I'm leaving.", {"decision": "reject"}),
        ("Good. **My decision**: Accept \u2013 2022 Subaru Sedan \u2013 $49,000", "Good.", SALE),
        ("That's a deal breaker.", "That's a deal breaker.", {}),
        ("Let me see.\nDecision: none yet", "Let me see.", {}),
        ("Hm.\nDecision: pending", "Hm.", {}),
        ('Customer: "How about $45,000?"', "How about $45,000?", {}),
        ("**Buyer:** Too much. Seller: Then $47,000? Customer: Deal!", "Too much.", {}),
        ("Sounds fair.\nSeller: Great!\nDecision: accept 2022 Subaru sedan at $49,000", "Sounds fair.", {}),
        ("I'll take it for $45,000.", "I'll take it for $45,000.", {}),  # an offer
        ("I'd take it if you came down.", "I'd take it if you came down.", {}),
        ("No deal.", "No deal.", {}),
    ],
)
def test_what_a_buyer_says(text: str, words: str, outcome: dict[str, Any]) -> None:
    reply = CarBuyerPrompt().parse(text, asked())
    assert reply is not None and (reply.text, reply.outcome) == (words, outcome)


@pytest.mark.parametrize(
    "text",
    [
        "I'll take the Subaru for $49,000, deal!",  # no decision
        "It's a deal!",
        "I accept.",
        "Okay, sold!",
        "Good.\nDecision: accept",
        "Good.\nDecision: accept 2022 Subaru sedan at $48,000",  # nobody said that
        "Good.\nDecision: accept 2024 Kia SUV at $51,000",  # over the budget
        "Good.\nDecision: accept 2020 Lada sedan at $49,000",
        "Good.\nDecision: perhaps",
        "Decision: reject\nOr rather: Decision: accept the Subaru sedan at $49,000",
    ],
)
def test_what_is_asked_again_and_then_played_on_as_no_decision(text: str) -> None:
    request = asked("The Subaru sedan is yours for $49,000, the Kia SUV for $51,000.")
    assert CarBuyerPrompt().parse(text, request) is None
    settled = CarBuyerPrompt().settle(text, request)
    assert settled is not None and not settled.outcome and settled.text == "Let me think about that."


@pytest.mark.parametrize(
    ("line", "sells"),
    [
        ("Deal!", True), ("Okay, $45,000 it is.", True), ("You've got yourself a deal.", True), ("That works for me.", True),
        ("I can't accept that.", False), ("$45,000 is too low.", False), ("I need more than $45,000.", False), ("Is $45,000 your best?", False),
        ("How about $48,000?", False), ("I'd lose money at $45,000.", False),
    ],
)  # fmt: skip
def test_a_buyer_cannot_buy_at_its_own_offer_that_the_seller_turns_down(line: str, sells: bool) -> None:
    request = asked(line, ("opening", "The Subaru sedan for $49,000.", "I could do $45,000."))
    reply = CarBuyerPrompt().parse("Good.\nDecision: accept 2022 Subaru sedan at $45,000", request)
    assert (reply is not None) is sells
    higher = CarBuyerPrompt().parse("Good.\nDecision: accept 2022 Subaru sedan at $49,000", request)
    assert higher is not None  # what the seller asked stands


def test_a_buyer_that_overspends_costs_the_seller_nothing() -> None:
    said: list[str] = []

    def answer(messages: list[dict[str, str]]) -> str:
        said.append(
            "Great!\nDecision: accept {} at $51,000".format(messages[0]["content"].partition("- ")[2].partition(",")[0])
        )
        return said[-1]

    with FaultyServer(answer=answer) as server:
        env = made(CARS, server)
        env.reset(seed=1, options={"buyer": {"budget": 10_000}})
        text, reward, terminated, _, info = env.step("Any car for $51,000?")
        assert (text, reward, terminated) == ("Let me think about that.", 0.0, False) and len(said) == 3
        assert info["understood"]


def test_a_price_that_the_model_did_not_see_was_not_said() -> None:
    decision = "Good.\nDecision: accept 2022 Subaru sedan at $49,000"
    hidden = "word " * 200 + "$49,000"
    assert CarBuyerPrompt().parse(decision, asked(hidden)) is None
    assert CarBuyerPrompt().parse(decision, asked("The Subaru. $49,000. " + "word " * 200)) is not None
    for early, seen in (("$49,000 " + "x" * EARLIER_LENGTH, True), ("y" * EARLIER_LENGTH + " $49,000", False)):
        reply = CarBuyerPrompt().parse(decision, asked("Well? The Subaru?", ("opening", early, "Hm.")))
        assert (reply is not None) is seen
    # A number that the cut goes through is none.
    cut = "The Subaru. " + "z" * (QUOTED_LENGTH - 23) + " $49,000,000"
    assert CarBuyerPrompt().parse(decision, asked(cut)) is None


def test_the_game_holds_the_buyer_to_its_patience() -> None:
    with FaultyServer(answer=lambda messages: "Tell me more.") as server:
        env = made(CARS, server, temperature=0.5)
        env.reset(seed=3, options={"buyer": {"patience": 3}})
        replies = [env.step(f"It has {n} doors.") for n in range(5)]
        told = [body["messages"][-1]["content"] for body in server.bodies]
    assert [reply[2] for reply in replies] == [False] * 4 + [True]
    assert replies[-1][4]["decision"] == "reject" and "Goodbye" in replies[-1][0]
    assert ["losing your patience" in text for text in told] == [False, True, True, False, False]
    assert ["lost your patience" in text for text in told] == [False] * 3 + [True] * 2
    assert not any("patience" in body["messages"][0]["content"] for body in server.bodies)
