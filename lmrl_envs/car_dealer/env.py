"""Car Dealer as an environment."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, Literal

from lmrl_envs.car_dealer import rules, stock
from lmrl_envs.car_dealer.buyer_state import check_state
from lmrl_envs.car_dealer.partner import ScriptedBuyer
from lmrl_envs.car_dealer.prompt import CarBuyerPrompt
from lmrl_envs.core import Outcome, PartnerTextEnv, check_choice
from lmrl_envs.language.lists import toml
from lmrl_envs.partners import PartnerReply, PartnerRequest, SimulatorError, make_partner
from lmrl_envs.vector import vector_of

_TEXTS = toml(__file__, "instructions.toml")


class CarDealerEnv(PartnerTextEnv):
    """Car Dealer: the agent sells, the partner buys.

    **Action**: what the seller says, in free English.
    **Observation**: the stock list at first; then what the buyer says.
    **Reward**: 0 until the end, and without a sale. ``deal``: the price over the most that this buyer would ever pay for the
    car in stock that is best for it, within [0, 1]. ``revenue``: the price in thousands. ``fancy`` is LMRL-Gym's (arXiv
    2311.18232): a sale pays price / ((budget + msrp) / 2), a buyer who leaves -(budget - msrp) / msrp, with the MSRP of the car
    last talked about; when none was, of the cheapest car in stock.
    **End**: terminated when the buyer buys or leaves, and after 25 seller turns (then the buyer leaves).
    **Info**: ``understood`` says whether the buyer could make sense of the line; an empty line is not ``valid``. At the
    end ``buyer``, ``decision``, ``car`` (the one sold or last talked about; {} if none) and ``price`` (0 without a sale).
    **Options**: ``{"buyer": {...}}`` pins any of personality, brand, type, features, budget, patience, concession.

    A sale is never above the buyer's budget, nor above the car's MSRP; a price under a quarter of the MSRP is no offer to the buyer.

    Args:
        reward: "deal", "fancy" or "revenue".
        simulator: ``scripted``, ``transformers:<path-or-id>``, ``openai:<model>`` or ``replay:<file>``.
        simulator_options: keyword arguments of that simulator.

    Version history: v1, the game is another than v0 (never published).
    """

    option_keys = frozenset({"buyer"})

    def __init__(
        self,
        reward: Literal["deal", "fancy", "revenue"] = "deal",
        simulator: str = "scripted",
        simulator_options: Mapping[str, Any] | None = None,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(render_mode=render_mode)
        check_choice("reward", reward, rules.RETURN_RANGES)
        self.reward = reward
        self.instructions = _TEXTS["instructions"].format(turns=rules.MAX_TURNS, goal=_TEXTS["goals"][reward])
        self.partner_prompt = CarBuyerPrompt()
        self.partner = make_partner(simulator, ScriptedBuyer, self.partner_prompt, **dict(simulator_options or {}))
        self._hidden: dict[str, Any] = {}
        self._partner: Mapping[str, Any] = {}
        self._seed = 0
        self._end: dict[str, Any] = {}

    def _begin(self, options: Mapping[str, Any]) -> str:
        pinned = rules.check_pinned(options.get("buyer", {}))
        cars = stock.draw_stock(self.np_random)
        buyer = rules.draw_buyer(self.np_random, cars, pinned)
        self._hidden = {"buyer": buyer, "stock": cars}
        self._seed = int(self.np_random.integers(2**31))
        self._partner, self._end = {}, {}
        return stock.opening_text(cars)

    def _ask(self, action: str) -> PartnerRequest:
        seed = (self._seed * 1_000_003 + (len(self._rewards) + 1) * 0x9E3779B1) & 0x7FFFFFFF
        return PartnerRequest(self._hidden, tuple(self._texts), action, seed, self._partner)

    def _answer(self, action: str, reply: PartnerReply) -> Outcome:
        end = self._checked(reply.outcome)
        if not end and len(self._rewards) + 1 >= rules.MAX_TURNS:
            end = {"decision": "reject", "price": 0}
        self._partner = reply.state
        info = {"valid": bool(action.strip()), "understood": reply.understood}
        if not end:
            return reply.text, 0.0, False, False, info
        buyer, cars = self._hidden["buyer"], self._hidden["stock"]
        if "car" not in end:
            focus = reply.state.get("focus", -1)
            end["car"] = cars[focus] if 0 <= focus < len(cars) else {}
        self._end = end
        return reply.text, float(rules.reward(self.reward, buyer, cars, end["car"], end["price"])), True, False, info

    def _checked(self, outcome: Mapping[str, Any]) -> dict[str, Any]:
        """A partner's decision, held to the rules, whoever the partner is."""
        if not outcome:
            return {}
        decision = outcome.get("decision")
        if decision == "reject":
            return {"decision": "reject", "price": 0}
        cars = stock.named_cars(self._hidden["stock"], outcome.get("car", ""))
        price, budget = outcome.get("price"), self._hidden["buyer"]["budget"]
        if decision != "accept" or len(cars) != 1:
            raise SimulatorError(f"the buyer decided {dict(outcome)!r}: no decision about a car in stock")
        most = min(budget, cars[0]["msrp"])
        if not isinstance(price, int | float) or not math.isfinite(price) or not 0 < price <= most:
            raise SimulatorError(f"the buyer decided {dict(outcome)!r}: the price must be above 0 and at most {most}")
        return {"decision": "accept", "price": round(price), "car": cars[0]}

    def _reveal(self) -> dict[str, Any]:
        end = self._end
        return {
            "success": end["decision"] == "accept",
            "buyer": copy.deepcopy(self._hidden["buyer"]),
            "decision": end["decision"],
            "car": copy.deepcopy(end["car"]),
            "price": end["price"],
        }

    game_fields = {"hidden": dict[str, Any], "partner": dict[str, Any], "seed": int, "end": dict[str, Any]}

    def _check_game(self, game: Mapping[str, Any]) -> None:
        super()._check_game(game)
        hidden, end = game["hidden"], game["end"]
        if set(hidden) != {"buyer", "stock"} or not 0 <= game["seed"] < 2**31:
            raise ValueError("game: hidden is a buyer and a stock, seed below 2**31")
        if set(rules.check_pinned(hidden["buyer"])) != rules.BUYER_FIELDS:
            raise ValueError(f"game: a buyer has {', '.join(sorted(rules.BUYER_FIELDS))}")
        stock.check_stock(hidden["stock"])
        if end and not (
            set(end) == {"decision", "price", "car"}
            and end["decision"] in ("accept", "reject")
            and type(end["price"]) is int
            and (not end["car"] or end["car"] in hidden["stock"])
        ):
            raise ValueError("game: end is no decision about a car in stock")
        check_state(game["partner"], hidden["buyer"], len(hidden["stock"]))

    def _get_game(self) -> dict[str, Any]:
        return {"hidden": self._hidden, "partner": _plain(self._partner), "seed": self._seed, "end": self._end}

    def _set_game(self, state: Mapping[str, Any]) -> None:
        self._hidden, self._partner = state["hidden"], state["partner"]
        self._seed, self._end = state["seed"], state["end"]


def _plain(state: Mapping[str, Any]) -> dict[str, Any]:
    """Tuples as lists, as JSON would give them back."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in state.items()}


CarDealerVectorEnv = vector_of(CarDealerEnv)
