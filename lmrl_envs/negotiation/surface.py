"""What is known of the task outside the game: see `lmrl_envs.surface`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmrl_envs.core import Transcript
from lmrl_envs.language.answers import SpeechForm
from lmrl_envs.negotiation.haggling import SHORT, Haggling
from lmrl_envs.negotiation.reading import formal_act
from lmrl_envs.negotiation.rules import MAX_TURNS, MOST_PAID, NO_DEAL, RANGES, REWARDS, ROLES
from lmrl_envs.partners.attacks import Target
from lmrl_envs.surface import Invariants, Profits, Surface


class NegotiationSurface(Surface):
    """See `lmrl_envs.surface.Surface`."""

    answer_form = SpeechForm("seller", "buyer")
    views = {**Surface.views, "short": SHORT}
    bargaining = Haggling()

    def turn_limit(self, env: Any) -> int:
        return MAX_TURNS

    def secret(self, env: Any) -> dict[str, Any]:
        hidden = env.get_state()["game"]["hidden"]
        return {"partner": hidden["partner"], "item": hidden["card"]["title"]}

    def doubt(self, transcript: Transcript, action: str, env: Any) -> str | None:
        act = formal_act(action)
        if act is None:
            return None
        if act.name == "offer" and act.price is None:
            return "A formal offer is a line such as: offer $320"
        if act.name in ("accept", "reject") and not any("\noffer $" in text for text in transcript.observations):
            return "Your partner has made no formal offer yet."
        return None

    def attacks(self) -> Target:
        from lmrl_envs.negotiation.attacks import Haggler

        return Haggler()

    # Who knows the kind plays another game; how an offer is judged too.
    variants = (
        {"role": "buyer"},
        {"partner": "utility", "strict": True},
        {"reward": "chai"},
        {"reward": "margin", "role": "buyer"},
        {"split": "test", "details": True},
    )
    same_game = Surface.same_game | {"details"}

    def optimum(self, env_id: str, kwargs: Mapping[str, Any]) -> tuple[float, str, str] | None:
        from lmrl_envs.negotiation.policies import plans

        role = kwargs.get("role", "seller")
        if kwargs.get("reward", REWARDS[role][0]) != REWARDS[role][0]:
            return None
        strict = " strict" if kwargs.get("strict") else ""
        found = plans()[f"{role} {kwargs.get('partner', 'mixed')}{strict}"]
        return found["value"], "best known", "the plan of tools/negotiation_plans.py against every hidden partner"

    def invariants(self, kwargs: Mapping[str, Any]) -> Invariants:
        role = kwargs.get("role", "seller")
        returns = RANGES[kwargs.get("reward") or REWARDS[role][0]]
        return Invariants(returns=returns, only_at_end=True, truncates=False, hidden=())

    def profits(self, ended: Mapping[str, Any]) -> Profits | None:
        """He et al.'s margins; without a deal -.5 for either."""
        if "profits" not in ended:
            return None
        return Profits(ended["profits"] or dict.fromkeys(ROLES, NO_DEAL), NO_DEAL)

    def breach(self, ended: Mapping[str, Any]) -> str | None:
        """Nobody pays above the listed price, nor below nothing."""
        if 0 <= ended["price"] <= MOST_PAID * ended["listed"]:
            return None
        return f"a deal at {ended['price']}, listed at {ended['listed']}"


SURFACE = NegotiationSurface()
