"""What is known of the task outside the game: see `lmrl_envs.surface`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmrl_envs.chat.rules import BLIND_RETURN, MORE_TOPICS, TOPICS, TURNS
from lmrl_envs.chat.views import ACTS, MOVES
from lmrl_envs.core import Transcript
from lmrl_envs.language.answers import SpeechForm
from lmrl_envs.partners.attacks import Target
from lmrl_envs.surface import Invariants, Picture, Surface


class ChatSurface(Surface):
    """See `lmrl_envs.surface.Surface`."""

    answer_form = SpeechForm("stranger", "person")
    views = {**Surface.views, "acts": ACTS, "moves": MOVES}

    def turn_limit(self, env: Any) -> int:
        return TURNS

    def secret(self, env: Any) -> dict[str, Any]:
        return {"person": env.get_state()["game"]["person"]}

    def doubt(self, transcript: Transcript, action: str, env: Any) -> str | None:
        from lmrl_envs.chat.reading import read, said_before

        acts = read(action).acts
        if all(act.name in ("filler", "unread", "empty") for act in acts):
            return "Nothing in it would be understood: ask something, tell something of yourself, or react to them."
        if said_before(action, transcript.actions):
            return "You have said that before."
        return None

    def picture(self, transcript: Transcript, ended: Mapping[str, Any] | None = None) -> Picture | None:
        """The talk; after the end who the person was, and how each line went down."""
        if not ended or "person" not in ended:
            return None
        person, rewards = ended["person"], transcript.rewards
        lines = [f"Person: {transcript[0].text}"]
        for i, (action, reply) in enumerate(zip(transcript.actions, transcript.observations[1:], strict=True)):
            lines += [f"You: {action[:200]}  ({rewards[i]:+.2f})", f"Person: {reply}"]
        needed = " and needed some comfort" if person["need"] else ""
        lines.append(
            f"You talked to somebody {person['temper']} who likes {' and '.join(person['likes'])}, "
            f"not {person['dislikes']}{needed}."
        )
        return {"kind": "list", "lines": lines, "actions": []}

    def attacks(self) -> Target:
        from lmrl_envs.chat.attacks import Stranger

        return Stranger()

    variants = (
        {"reward": "words_elicited"},
        {"reward": {"question": 0.3, "laughter": 0.3, "votes": 1.0}, "details": True},
        {"split": "test", "more_topics": True},
        {"need_returns": True, "split": "train"},
    )
    same_game = Surface.same_game | {"details"}
    blind = BLIND_RETURN
    equals = {"reward": {"gold": 1.0}}

    def optimum(self, env_id: str, kwargs: Mapping[str, Any]) -> tuple[float, str, str] | None:
        if kwargs.get("reward", "gold") not in ("gold", {"gold": 1.0}) or kwargs.get("need_returns"):
            return None
        from lmrl_envs.chat.planner import plan

        topics = MORE_TOPICS if kwargs.get("more_topics") else TOPICS
        return plan(len(topics)).optimum(), "exact", "backward induction over all beliefs (lmrl_envs.chat.planner)"

    def invariants(self, kwargs: Mapping[str, Any]) -> Invariants:
        from lmrl_envs.chat.env import _weights

        gold = _weights(kwargs.get("reward", "gold")) == {"gold": 1.0}
        # Other rewards of a turn are at most 4 (laughs) in size, times their weights.
        most = 0.0 if gold else 40.0 * sum(abs(weight) for weight in _weights(kwargs["reward"]).values())
        return Invariants(returns=None if gold else (-most, most), truncates=False, hidden=())

    def breach(self, ended: Mapping[str, Any]) -> str | None:
        """Who likes a topic does not dislike it, and what is told of the talk fits it."""
        person = ended["person"]
        if person["dislikes"] in person["likes"] or len(set(person["likes"])) != 2:
            return f"no such person: {person}"
        return None


SURFACE = ChatSurface()
