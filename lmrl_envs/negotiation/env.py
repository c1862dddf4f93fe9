"""Haggling over a used thing as an environment."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Literal

from lmrl_envs.core import Outcome, PartnerTextEnv, check_choice, draw_index
from lmrl_envs.files.states import check_fields
from lmrl_envs.language.lists import toml
from lmrl_envs.negotiation import rules
from lmrl_envs.negotiation.items import SPLITS, TITLES, Split, check_card, draw_card, in_split
from lmrl_envs.negotiation.partner import ScriptedPartner, greeting, invalid_act
from lmrl_envs.negotiation.prompt import NegotiationPrompt, opening
from lmrl_envs.negotiation.reading import formal_act
from lmrl_envs.negotiation.rules import KINDS, MAX_TURNS, PATIENCES, REWARDS, ROLES, TARGETS, Act, Hidden, Role, State
from lmrl_envs.negotiation.wording import MANNERS, say
from lmrl_envs.partners import PartnerReply, PartnerRequest, SimulatorError, make_partner
from lmrl_envs.vector import vector_of

_TEXTS = toml(__file__, "instructions.toml")


class NegotiationEnv(PartnerTextEnv):
    """Sell a used thing, or buy one, in ten turns.

    **Action**: what is said, in free English, or a formal act as a whole line: ``offer $320``, ``accept``, ``reject``, ``quit``. Talk
    binds nobody; a formal offer is taken or ends the talk.
    **Observation**: the listing and the partner's greeting; then what the partner says, its formal offers on a line of their own.
    **Reward**: at the end, see `lmrl_envs.negotiation.rules.reward_of`.
    **End**: terminated by a deal, by who leaves, and after ten turns.
    **Info**: ``valid`` is False for a formal act that cannot be (an answer to no offer, a price that is none) and for silence,
    ``understood`` for words of which nothing was made. At the end ``price`` (0 without a deal), ``partner`` (what was hidden of it),
    ``profits`` of both sides (He et al.'s margin; {} without a deal), ``item``. With ``details``, ``read``: the act and price that were read.
    **Options**: ``{"partner": {"kind", "target", "patience"}, "item": title}``, each may be left out.

    Args:
        role: the agent's, "seller" or "buyer".
        partner: one of the five kinds, or "mixed": each as often, and hidden.
        reward: see `lmrl_envs.negotiation.rules.REWARDS`; None: revenue for a seller, saving for a buyer.
        strict: whether partners of the kinds fairness and length judge formal offers as they judge prices in talk.
        split: titles to draw from: "all", "train", or "test" (one in five).
        details: whether ``info`` tells what was read.
        simulator: ``scripted``, ``transformers:<path-or-id>``, ``openai:<model>`` or ``replay:<file>``.
        simulator_options: keyword arguments of that simulator.

    Version history: v0, initial.
    """

    option_keys = frozenset({"partner", "item"})

    def __init__(
        self,
        role: Role = "seller",
        partner: Literal["mixed", "rule_based", "stingy", "utility", "fairness", "length"] = "mixed",
        reward: str | None = None,
        strict: bool = False,
        split: Split = "all",
        details: bool = False,
        simulator: str = "scripted",
        simulator_options: Mapping[str, Any] | None = None,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(render_mode=render_mode)
        self.role: Role = check_choice("role", role, ROLES)
        self.kind = check_choice("partner", partner, ("mixed", *KINDS))
        self.reward = check_choice("reward", REWARDS[role][0] if reward is None else reward, REWARDS[role])
        self.strict = check_choice("strict", strict, (False, True))
        self.split = check_choice("split", split, SPLITS)
        self.details = check_choice("details", details, (False, True))
        self.instructions = "\n".join(
            (
                _TEXTS[role].format(turns=MAX_TURNS, none=_TEXTS["none"][self.reward]).strip(),
                _TEXTS["goals"][self.reward],
            )
        )
        self.partner_prompt = NegotiationPrompt()
        self.partner = make_partner(simulator, ScriptedPartner, self.partner_prompt, **dict(simulator_options or {}))
        self._hidden: dict[str, Any] = {}
        self._partner: Mapping[str, Any] = {}
        self._seed = 0
        self._price: float | None = None

    # -- the game

    def _begin(self, options: Mapping[str, Any]) -> str:
        other: Role = "buyer" if self.role == "seller" else "seller"
        pinned = self._pinned(options.get("partner", {}), other)
        title = self._title(options["item"]) if "item" in options else None

        def roll(n: int) -> int:
            return draw_index(self.np_random, n)

        kinds = KINDS if self.kind == "mixed" else (self.kind,)
        drawn = {
            "kind": kinds[roll(len(kinds))],
            "target": TARGETS[other][roll(3)],
            "patience": PATIENCES[roll(3)],
            "overshoot": roll(3) - 1,
            "bottom": roll(3) - 1,
        }
        titles = in_split(self.split)
        chosen = titles[roll(len(titles))]
        card = draw_card(title or chosen, roll)
        own = card["listed"] * (1.0 if self.role == "seller" else TARGETS["buyer"][roll(3)])
        self._hidden = {
            "partner": {**drawn, **pinned},
            "card": card,
            "role": other,
            "strict": self.strict,
            "manner": MANNERS[roll(len(MANNERS))],
            "own": own,
        }
        self._seed = roll(2**31)
        self._partner, self._price = {}, None
        return self._opening()

    def _pinned(self, partner: Any, other: Role) -> dict[str, Any]:
        allowed = {
            "kind": KINDS if self.kind == "mixed" else (self.kind,),
            "target": TARGETS[other],
            "patience": PATIENCES,
        }
        if not isinstance(partner, Mapping) or not set(partner) <= set(allowed):
            raise ValueError(f"partner={partner!r} must be a mapping with some of {', '.join(allowed)}")
        for key, value in partner.items():
            if isinstance(value, bool) or not isinstance(value, str | int | float) or value not in allowed[key]:
                raise ValueError(f"partner: {key}={value!r} is not one of {', '.join(map(str, allowed[key]))}")
        return dict(partner)

    def _title(self, item: Any) -> Any:
        if not isinstance(item, str) or item not in TITLES:
            raise ValueError(f"item={item!r} is not a title such as {next(iter(TITLES))!r}")
        return TITLES[item]

    def _opening(self) -> str:
        hidden = self._hidden
        return opening(hidden["card"], self.role, hidden["own"], greeting(hidden, self._seed))

    def _turn_seed(self) -> int:
        return (self._seed * 1_000_003 + (len(self._rewards) + 1) * 0x9E3779B1) & 0x7FFFFFFF

    def _own_end(self, action: str) -> Act | None:
        """A formal act that needs no partner: it ends the talk, or cannot be."""
        act = formal_act(action)
        most = (rules.MOST_ASKED if self.role == "seller" else rules.MOST_PAID) * self._hidden["card"]["listed"]
        if act is None or (act.name == "offer" and act.price is not None and act.price <= most):
            return None
        return act

    def _ask(self, action: str) -> PartnerRequest | None:
        if self._own_end(action) is not None:
            return None
        return PartnerRequest(self._hidden, tuple(self._texts), action, self._turn_seed(), self._partner)

    def _answer(self, action: str, reply: PartnerReply | None) -> Outcome:
        last = len(self._rewards) + 1 >= MAX_TURNS
        info: dict[str, Any] = {"valid": bool(action.strip()), "understood": True}
        act = self._own_end(action)
        if reply is None or act is not None:
            assert act is not None
            text, ended = self._own_answer(act, info)
        else:
            text, ended = self._partner_answer(action, reply, info)
        if last and not ended:
            text += "\n" + self._say("leave")
        reward = 0.0
        if ended or last:
            card = self._hidden["card"]
            target = self._hidden["own"] if self.role == "buyer" else self._hidden["partner"]["target"] * card["listed"]
            events = 2 * (len(self._rewards) + 1)
            reward = rules.reward_of(self.reward, self.role, self._price, card["listed"], target, events)
        return text, float(reward), ended or last, False, info

    def _say(self, name: str, price: float | None = None) -> str:
        hidden = self._hidden
        return say(name, hidden["role"], hidden["manner"], self._turn_seed(), price, item="")

    def _own_answer(self, act: Act, info: dict[str, Any]) -> tuple[str, bool]:
        standing = self._partner.get("offer")
        if act.name == "accept" and standing is not None:
            self._price = standing
            return self._say("closed", standing), True
        if act.name == "quit" or (act.name == "reject" and standing is not None):
            return self._say("leave"), True
        info["valid"] = False
        return invalid_act(act, self._hidden, self._turn_seed()), False

    def _partner_answer(self, action: str, reply: PartnerReply, info: dict[str, Any]) -> tuple[str, bool]:
        decision = reply.outcome.get("decision")
        if decision == "accept":
            act = formal_act(action)
            if act is None or act.name != "offer" or act.price is None:
                raise SimulatorError("the partner accepted where nothing was formally offered")
            self._price = act.price
        offer, most = reply.state.get("offer"), rules.MOST_PAID * self._hidden["card"]["listed"]
        if offer is not None and not (type(offer) in (int, float) and 0 < offer <= most):
            raise SimulatorError(f"the partner offers {offer!r:.40}: the price must be above 0 and at most {most:g}")
        if decision not in (None, "accept", "reject", "leave"):
            raise SimulatorError(f"the partner decided {decision!r:.40}, which is no decision")
        self._partner = reply.state
        info["understood"] = reply.understood
        if self.details and "read" in reply.outcome:
            info["read"] = reply.outcome["read"]
        return reply.text, decision is not None

    def _reveal(self) -> dict[str, Any]:
        hidden, price = self._hidden, self._price
        card = hidden["card"]
        target = hidden["own"] if self.role == "buyer" else hidden["partner"]["target"] * card["listed"]
        profits = {}
        if price is not None:
            profits = {role: round(rules.margin(role, price, card["listed"], target), 6) for role in ROLES}
        return {
            "success": price is not None,
            "price": 0.0 if price is None else float(price),
            "listed": card["listed"],
            "profits": profits,
            "partner": copy.deepcopy(hidden["partner"]),
            "item": card["title"],
        }

    game_fields = {"hidden": dict[str, Any], "partner": dict[str, Any], "seed": int, "price": float | None}

    def _check_game(self, game: Mapping[str, Any]) -> None:
        super()._check_game(game)
        hidden, other = game["hidden"], "buyer" if self.role == "seller" else "seller"
        kinds = {"partner": Hidden, "card": dict[str, Any], "role": str, "strict": bool, "manner": str, "own": float}
        check_fields(hidden, kinds)
        if game["partner"]:
            check_fields({"partner": game["partner"]}, {"partner": State})
        if (hidden["role"], hidden["strict"]) != (other, self.strict) or hidden["manner"] not in MANNERS:
            raise ValueError("game: another partner than the environment's")
        if hidden["partner"]["kind"] not in KINDS or hidden["partner"]["overshoot"] not in (-1, 0, 1):
            raise ValueError("game: no partner that could be drawn")
        check_card(hidden["card"])

    def _get_game(self) -> dict[str, Any]:
        return {"hidden": self._hidden, "partner": dict(self._partner), "seed": self._seed, "price": self._price}

    def _set_game(self, state: Mapping[str, Any]) -> None:
        self._hidden, self._partner = state["hidden"], state["partner"]
        self._seed, self._price = state["seed"], state["price"]


NegotiationVectorEnv = vector_of(NegotiationEnv)
