"""The judge of a buyer's replies to hand-judged lines of the seller: see `lmrl_envs.partners.judged`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

from lmrl_envs.car_dealer.rules import least_offer, match_share, money, short
from lmrl_envs.core import TextEnv
from lmrl_envs.partners.judged import Row, Verdict

_AMOUNT = re.compile(r"\$\s?(\d[\d,]*)")


class SaleRow(TypedDict):
    """A line of the seller, after others, to a buyer whose hidden fields are pinned."""

    buyer: dict[str, Any]
    seed: int
    context: list[str]
    line: str
    expected: Literal["sale", "no_sale", "talks", "leaves"]
    kind: NotRequired[str]


class SaleJudge:
    """``expected`` is ``sale`` (the buyer has to buy), ``no_sale`` (it must not), ``talks`` (it must do neither) or ``leaves``.

    Lines hold ``{car}`` (the affordable car that suits the buyer best), ``{list}`` and ``{ask}`` (its list price, and a price
    a little below), ``{counter}`` (the buyer's last offer), and ``{dear}`` and ``{over}`` (the dearest car, at its list price,
    which is above the budget).
    """

    row_type = SaleRow
    line_key = "line"

    def game(self, row: Row) -> tuple[int, dict[str, Any]]:
        return row["seed"], {"buyer": row["buyer"]}

    def wording(self, line: str, env: TextEnv) -> str | None:
        hidden = env._get_game()["hidden"]
        buyer, stock = hidden["buyer"], hidden["stock"]
        affordable = [car for car in stock if car["msrp"] <= 1.1 * buyer["budget"]]
        car = max(affordable or stock[:1], key=lambda car: (match_share(buyer, car), car["msrp"]))
        dear = max(stock, key=lambda car: car["msrp"])
        amounts = [int(amount.replace(",", "")) for amount in _AMOUNT.findall(env._texts[-1])] if env.turn else []
        counter = min((amount for amount in amounts if amount >= least_offer(car)), default=None)
        if (counter is None and "{counter}" in line) or (dear["msrp"] <= buyer["budget"] and "{over}" in line):
            return None
        return line.format(
            car=short(car),
            list=money(car["msrp"]),
            ask=money(0.97 * car["msrp"] // 50 * 50),
            counter=money(counter or 0),
            dear=short(dear),
            over=money(dear["msrp"]),
        )

    def verdict(self, row: Row, reply: str, ended: bool, info: Mapping[str, Any]) -> Verdict:
        became = {"accept": "sale", "reject": "leaves"}[info["decision"]] if ended else "talks"
        if became != "sale" if row["expected"] == "no_sale" else became == row["expected"]:
            return "right"
        return "wrong" if info.get("understood", True) else "unread"
