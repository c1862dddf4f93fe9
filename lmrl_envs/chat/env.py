"""A talk with a stranger as an environment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lmrl_envs.chat import rules
from lmrl_envs.chat.partner import ScriptedPerson
from lmrl_envs.chat.prompt import PersonPrompt
from lmrl_envs.chat.reading import read, said_before
from lmrl_envs.chat.rules import MORE_TOPICS, TOPICS, TURNS, Person, State, Step
from lmrl_envs.chat.wording import SPLITS, Split, say
from lmrl_envs.core import Outcome, PartnerTextEnv, check_choice, draw_index
from lmrl_envs.language import conversation
from lmrl_envs.language.lists import toml
from lmrl_envs.partners import PartnerReply, PartnerRequest, make_partner
from lmrl_envs.vector import vector_of

_TEXTS = toml(__file__, "instructions.toml")
REWARDS = ("gold", "votes", *conversation.NAMES)
HIDDEN = frozenset(("gold", "votes"))
"""Rewards that there is a hidden person to."""
VOTES = 0.15
"""How often a person gives a thumb, up or down, for a line."""


class ChatEnv(PartnerTextEnv):
    """Talk with a stranger for ten turns so that they enjoy it.

    **Action**: what is said, in free English. What it does is read sentence by sentence: an open question, a question or a word of one's
    own about a topic, a joke, praise, comfort. A line that does several things is worth the least of them.
    **Observation**: what the person says: only words, never what a line was worth.
    **Reward**: gold, what a line was worth to the hidden person (`lmrl_envs.chat.rules`), or another, see ``reward``.
    **End**: terminated after ten turns, or from the eighth on when the person is in the lowest mood and leaves.
    **Info**: ``valid`` is False where nothing was understood. At the end ``success`` (the person leaves in a good mood), ``person``
    (what was hidden), ``rewards`` (the sum of each reward, gold among them; those whose extra is missing are left out), ``acts`` (what
    counted of each line), ``harm`` (``insults``, and ``ignored``: turns in need without comfort), ``mood``, ``left_early``. With
    ``details``, ``read``: the act that counted, at every turn.
    **Options**: ``{"person": {"likes": [two topics], "dislikes": topic, "temper": one of three, "need": bool}}``; any may be left out.

    Args:
        reward: ``gold``, ``votes`` (a thumb for some of the lines, by the sign of gold), the name of a reward read off the words
            (`lmrl_envs.language.conversation.NAMES`), or a weighted mix of them (``{"sentiment": .3, "question": .3}``).
        split: persons with all wordings and things to talk of ("all"), with those for training, or with those held out ("test").
        more_topics: whether there are ten topics instead of eight.
        need_returns: whether a comforted person is in need again some turns later.
        details: whether ``info`` tells what was read.
        simulator: ``scripted``, ``transformers:<path-or-id>``, ``openai:<model>`` or ``replay:<file>``: who words what the person says.
            ``agent:<spec>``: an agent is the other side and says what it likes (self-play): there is no hidden person, all talks have
            ten turns, and rewards are read off the words alone.
        simulator_options: keyword arguments of that simulator.

    Version history: v0, initial.
    """

    option_keys = frozenset({"person"})

    def __init__(
        self,
        reward: str | Mapping[str, float] = "gold",
        split: Split = "all",
        more_topics: bool = False,
        need_returns: bool = False,
        details: bool = False,
        simulator: str = "scripted",
        simulator_options: Mapping[str, Any] | None = None,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(render_mode=render_mode)
        self.weights = _weights(reward)
        self.self_play = str(simulator).startswith("agent:")
        if self.self_play and not self.weights.keys().isdisjoint(HIDDEN):
            raise ValueError(
                f"simulator={simulator!r} with reward={reward!r}: an agent in the person's seat enjoys nothing; choose rewards that "
                "are read off the words"
            )
        self.reward = reward
        self.split: Split = check_choice("split", split, SPLITS)
        self.more_topics = check_choice("more_topics", more_topics, (False, True))
        self.need_returns = check_choice("need_returns", need_returns, (False, True))
        self.details = check_choice("details", details, (False, True))
        self.topics = MORE_TOPICS if more_topics else TOPICS
        told = _TEXTS["rewards"]["gold" if self.weights == {"gold": 1.0} else "other"]
        names = ", ".join(f"{weight:g} {name}" for name, weight in self.weights.items())
        self.instructions = "\n".join((_TEXTS["task"].format(turns=TURNS).strip(), told.format(names=names)))
        self.partner_prompt = PersonPrompt()
        self.partner = make_partner(simulator, ScriptedPerson, self.partner_prompt, **dict(simulator_options or {}))
        self._person = Person(("music", "food"), "sport", "curious", False)
        self._state = rules.start(self._person)
        self._seed = 0
        self._golds: tuple[float, ...] = ()
        self._acts: tuple[str, ...] = ()
        self._taken: tuple[State, str, Step] | None = None

    # -- the game

    def _begin(self, options: Mapping[str, Any]) -> str:
        pinned = rules.check_person(options.get("person", {}), self.topics)

        def roll(n: int) -> int:
            return draw_index(self.np_random, n)

        drawn = rules.draw_person(roll, self.topics)
        self._person = rules.pinned(drawn, pinned, self.topics)
        self._seed = roll(2**31)
        self._state, self._golds, self._acts = rules.start(self._person), (), ()
        return say([("opening need" if self._person.need else "opening fine", "")], self._seed, self.split)

    def _turn_seed(self) -> int:
        return (self._seed * 1_000_003 + (len(self._rewards) + 1) * 0x9E3779B1) & 0x7FFFFFFF

    def _step(self, action: str) -> Step:
        """What an action comes to; the game stays as it is. Asked twice a turn, for the partner and for its answer."""
        if self._taken is not None and self._taken[0] is self._state and self._taken[1] == action:
            return self._taken[2]
        line = read(action)
        shown = (self._turn_seed() * 0x85EBCA6B >> 7) % 1000 < 1000 * rules.SHOWN
        step = rules.take(
            line.acts, self._person, self._state, before=said_before(action, self._texts[1::2]), long=line.long,
            shown=shown, returns=self.need_returns,
        )  # fmt: skip
        step = step._replace(ended=step.state.turns >= TURNS) if self.self_play else step
        self._taken = self._state, action, step
        return step

    def _ask(self, action: str) -> PartnerRequest | None:
        parts = [list(part) for part in self._step(action).parts]
        if self.self_play:
            return PartnerRequest({"seed": self._seed}, tuple(self._texts), action, self._turn_seed())
        hidden = {"person": self._person._asdict(), "parts": parts, "split": self.split}
        return PartnerRequest(hidden, tuple(self._texts), action, self._turn_seed())

    def _answer(self, action: str, reply: PartnerReply) -> Outcome:
        step = self._step(action)
        read_as = step.act.name + (f" {step.act.topic}" if step.act.topic else "")
        self._state, self._golds, self._acts = step.state, (*self._golds, step.gold), (*self._acts, read_as)
        texts = [*self._texts, action, reply.text]
        reward = math.fsum(weight * self._of_turn(name, texts, step.ended)[-1] for name, weight in self.weights.items())
        info: dict[str, Any] = {"valid": step.act.name not in ("filler", "unread", "empty")}
        if self.details:
            info["read"] = read_as
        return reply.text, reward, step.ended, False, info

    def _of_turn(self, name: str, texts: list[str], ended: bool) -> list[float]:
        if name == "gold":
            return list(self._golds)
        if name == "votes":
            return [self._vote(i) for i in range(len(self._golds))]
        return conversation.text_reward(name, texts, ended)

    def _vote(self, i: int) -> float:
        drawn = ((self._seed + i) * 0xC2B2AE35 >> 5) % 1000 < 1000 * VOTES
        gold = self._golds[i]
        return float((gold > 0) - (gold < 0)) if drawn else 0.0

    def _reveal(self) -> dict[str, Any]:
        state = self._state
        rewards = {
            name: round(math.fsum(self._of_turn(name, self._texts, True)), 6)
            for name in REWARDS
            if conversation.available(name) and not (self.self_play and name in HIDDEN)
        }
        if self.self_play:
            return {"success": False, "rewards": rewards, "acts": list(self._acts)}
        person = {**self._person._asdict(), "likes": list(self._person.likes)}
        return {
            "success": state.mood >= rules.GLAD_MOOD,
            "person": person,
            "mood": state.mood,
            "rewards": rewards,
            "acts": list(self._acts),
            "harm": {"insults": state.insults, "ignored": state.ignored},
            "left_early": state.turns < TURNS,
        }

    # -- save and restore

    game_fields = {"person": Person, "state": State, "seed": int, "golds": list[float], "acts": list[str]}

    def _check_game(self, game: Mapping[str, Any]) -> None:
        super()._check_game(game)
        if set(rules.check_person(game["person"], self.topics)) != set(Person._fields):
            raise ValueError("game: a person of whom something is missing")
        state = game["state"]
        in_range = 0 <= state["mood"] <= rules.BEST_MOOD and 0 <= state["turns"] <= TURNS
        known = all(topic in self.topics for topic in (*state["told"], *([state["last"]] if state["last"] else [])))
        if len(game["golds"]) != len(game["acts"]) or len(game["acts"]) != state["turns"]:
            raise ValueError("game: not one act and one worth a turn")
        if not (in_range and known and min(state["row"], state["jokes"], state["praises"]) >= 0):
            raise ValueError("game: no state that a talk can be in")

    def _get_game(self) -> dict[str, Any]:
        person, state = self._person._asdict(), self._state._asdict()
        return {
            "person": {**person, "likes": list(person["likes"])},
            "state": {**state, "told": list(state["told"])},
            "seed": self._seed,
            "golds": list(self._golds),
            "acts": list(self._acts),
        }

    def _set_game(self, state: Mapping[str, Any]) -> None:
        own = state["person"]
        self._person = Person(**{**own, "likes": tuple(own["likes"])})
        self._state = State(**{**state["state"], "told": tuple(state["state"]["told"])})
        self._seed, self._golds, self._acts = state["seed"], tuple(state["golds"]), tuple(state["acts"])


def _weights(reward: Any) -> dict[str, float]:
    """The weights of a mix, checked.

    Raises:
        ValueError: no such reward, or no weight.
        gymnasium.error.DependencyNotInstalled: it needs an extra.
    """
    given = {reward: 1.0} if isinstance(reward, str) else reward
    if not isinstance(given, Mapping) or not given:
        raise ValueError(f"reward={reward!r} must be a name, or names with weights")
    for name, weight in given.items():
        check_choice("reward", name, REWARDS)
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
            raise ValueError(f"reward: {name}={weight!r} is no finite weight")
        if name in conversation.EXTRA:
            conversation.text_reward(name, ("", "", ""), False)
    return {name: float(weight) for name, weight in given.items()}


ChatVectorEnv = vector_of(ChatEnv)
