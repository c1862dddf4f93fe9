"""What is known of the task outside the game: see `lmrl_envs.surface`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmrl_envs.car_dealer.judge import SaleJudge
from lmrl_envs.car_dealer.rules import MAX_TURNS, RETURN_RANGES
from lmrl_envs.car_dealer.views import MOVES
from lmrl_envs.language.answers import SpeechForm
from lmrl_envs.partners.attacks import Target
from lmrl_envs.partners.judged import Judge
from lmrl_envs.surface import Invariants, Surface


class CarDealerSurface(Surface):
    """See `lmrl_envs.surface.Surface`."""

    answer_form = SpeechForm("seller", "dealer", "car dealer", "salesperson", "salesman", "sales rep")

    views = {**Surface.views, "moves": MOVES}

    def turn_limit(self, env: Any) -> int:
        return MAX_TURNS

    def secret(self, env: Any) -> dict[str, Any]:
        return {"buyer": env.get_state()["game"]["hidden"]["buyer"]}

    def attacks(self) -> Target:
        from lmrl_envs.car_dealer.attacks import Buyer

        return Buyer()

    def judge(self) -> Judge:
        return SaleJudge()

    lmrl_needs: Mapping[str, Any] = {"reward": "fancy"}
    variants = ({"reward": "fancy"}, {"reward": "revenue"})

    def invariants(self, kwargs: Mapping[str, Any]) -> Invariants:
        return Invariants(
            returns=RETURN_RANGES[kwargs.get("reward", "deal")], only_at_end=True, truncates=False, hidden=()
        )

    def breach(self, ended: Mapping[str, Any]) -> str | None:
        """Nobody pays more than the budget or the list price."""
        if ended["decision"] != "accept":
            return None
        most = min(ended["buyer"]["budget"], ended["car"]["msrp"])
        return None if 0 < ended["price"] <= most else f"sold for {ended['price']}, the most is {most}"


SURFACE = CarDealerSurface()
