"""The judge of a buyer's replies to hand-judged lines of the seller: see `lmrl_envs.partners.judged`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

from lmrl_envs.car_dealer.rules import least_offer, most_ever
from lmrl_envs.car_dealer.stock import money, short
from lmrl_envs.core import TextEnv
from lmrl_envs.partners.judged import Row, Verdict

ASKED = (0.95, 0.9)
"""What the seller asks for a car (``{ask}``, ``{lower}``), as shares of its list price."""
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

    Lines hold ``{car}`` (the car for which the buyer would pay most), ``{list}``, ``{ask}`` and ``{lower}`` (its list price, and
    prices below), ``{counter}`` (the buyer's last offer: an amount in its reply that the seller did not ask), ``{offered}``
    (nothing, where there must be such an offer), and ``{dear}`` and ``{over}`` (the dearest car, and its list price, which is
    above the budget).
    """

    row_type = SaleRow
    line_key = "line"

    def game(self, row: Row) -> tuple[int, dict[str, Any]]:
        return row["seed"], {"buyer": row["buyer"]}

    def wording(self, line: str, env: TextEnv) -> str | None:
        hidden = env._get_game()["hidden"]
        buyer, stock = hidden["buyer"], hidden["stock"]
        car = max(stock, key=lambda car: (most_ever(buyer, car), car["msrp"]))
        dear = max(stock, key=lambda car: car["msrp"])
        asks = [share * car["msrp"] // 50 * 50 for share in ASKED]
        amounts = [int(amount.replace(",", "")) for amount in _AMOUNT.findall(env._texts[-1])] if env.turn else []
        counter = min((amount for amount in amounts if least_offer(car) <= amount < min(asks)), default=None)
        if (counter is None and ("{counter}" in line or "{offered}" in line)) or (
            dear["msrp"] <= buyer["budget"] and "{over}" in line
        ):
            return None
        return line.format(
            car=short(car),
            list=money(car["msrp"]),
            ask=money(asks[0]),
            lower=money(asks[1]),
            counter=money(counter or 0),
            offered="",
            dear=short(dear),
            over=money(dear["msrp"]),
        )

    def verdict(self, row: Row, reply: str, ended: bool, info: Mapping[str, Any]) -> Verdict:
        became = {"accept": "sale", "reject": "leaves"}[info["decision"]] if ended else "talks"
        if became != "sale" if row["expected"] == "no_sale" else became == row["expected"]:
            return "right"
        return "wrong" if info.get("understood", True) else "unread"
