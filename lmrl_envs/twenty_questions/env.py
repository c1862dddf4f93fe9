"""20 Questions as an environment."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

from lmrl_envs.core import Outcome, PartnerTextEnv, check_choice, draw_index
from lmrl_envs.language.knowledge import Knowledge
from lmrl_envs.language.lists import toml
from lmrl_envs.partners import Partner, PartnerReply, PartnerRequest, make_partner
from lmrl_envs.twenty_questions.partner import ScriptedOracle
from lmrl_envs.twenty_questions.prompt import OraclePrompt
from lmrl_envs.twenty_questions.rules import (
    MAX_QUESTION_LENGTH,
    MAX_QUESTIONS,
    NO,
    QUESTION_REWARD,
    SPLITS,
    UNREAD,
    WIN_REWARD,
    YES,
    load_knowledge,
    split_indices,
)
from lmrl_envs.vector import vector_of

OPENING = "Questions:"
Split = Literal["all", "train", "test"]


class TwentyQuestionsEnv(PartnerTextEnv):
    """20 Questions.

    **Action**: a yes/no question in free English.
    **Observation**: ``Questions:`` at first; then ``Yes.``, ``No.``, ``It depends.`` (people would say different things), or
    "I don't understand the question; please put it another way.".
    **Reward**: -1 a question, 0 for the one that wins.
    **End**: terminated when won, and after 20 questions (the limit is a rule of the game).
    **Win**: a question about identity that names exactly one object, the right one or an alias of it ("Is it a dog?",
    "Dog?", "My guess is: dog"). A list, a category, or the name inside another question is no guess. What counts as a
    guess is decided here, whoever answers.
    **Info**: ``valid``: the action has words and at most 500 characters. ``understood``: the oracle could read all of the
    question. At the end ``success`` and ``secret``.
    **Options**: ``{"secret": name}``, any of the 158 objects.

    Args:
        simulator: "scripted", "transformers:<path-or-id>", "openai:<model>" or "replay:<file>".
        split: which objects are drawn: "all", "train" (without the held-out ones) or "test" (only those).
        simulator_options: keyword arguments for the simulator.
        unread: what is said to a question that is not understood: "say" says so, "no" answers ``No.`` as LMRL-Gym does.

    Version history: v1, the game is another than v0 (never published).
    """

    instructions = toml(__file__, "instructions.toml")["instructions"]
    option_keys = frozenset({"secret"})

    def __init__(
        self,
        simulator: str = "scripted",
        split: Split = "all",
        simulator_options: Mapping[str, Any] | None = None,
        render_mode: str | None = None,
        unread: Literal["say", "no"] = "say",
    ) -> None:
        super().__init__(render_mode=render_mode)
        self.unread = check_choice("unread", unread, ("say", "no"))
        self.split = check_choice("split", split, SPLITS)
        self.partner_prompt = OraclePrompt()
        self.partner: Partner = make_partner(
            simulator, ScriptedOracle, self.partner_prompt, **(simulator_options or {})
        )
        self._secret = -1
        self._seed = 0

    @property
    def knowledge(self) -> Knowledge:
        """The objects and what is said of them."""
        return load_knowledge()

    def _begin(self, options: Mapping[str, Any]) -> str:
        if "secret" in options:
            secret = options["secret"]
            if secret not in self.knowledge.names:
                raise ValueError(
                    f"secret={secret!r} is not one of the {len(self.knowledge.names)} objects: {', '.join(self.knowledge.names)}"
                )
            self._secret = self.knowledge.names.index(secret)
        else:
            drawn = split_indices(self.split)
            self._secret = drawn[draw_index(self.np_random, len(drawn))]
        self._seed = draw_index(self.np_random, 2**31)
        return OPENING

    def _ask(self, action: str) -> PartnerRequest | None:
        from lmrl_envs.twenty_questions.reader import read  # at the first question: making the game stays fast

        if not _is_valid(action) or read(action).guess == self._secret:
            return None
        return PartnerRequest(
            hidden=_hidden(self._secret),
            texts=tuple(self._texts),
            action=action,
            seed=(self._seed + len(self._rewards)) % 2**31,
        )

    def _answer(self, action: str, reply: PartnerReply | None) -> Outcome:
        last = len(self._rewards) + 1 >= MAX_QUESTIONS
        if reply is not None:
            text = NO if self.unread == "no" and not reply.understood else reply.text
            return text, QUESTION_REWARD, last, False, {"valid": True, "understood": reply.understood}
        if _is_valid(action):  # the right guess needs no oracle
            return YES, WIN_REWARD, True, False, {"valid": True, "understood": True}
        text = NO if self.unread == "no" else UNREAD
        return text, QUESTION_REWARD, last, False, {"valid": False, "understood": False}

    def _reveal(self) -> dict[str, Any]:
        return {"success": self._rewards[-1] == WIN_REWARD, "secret": self.knowledge.names[self._secret]}

    game_fields = {"secret": str, "seed": int}

    def _get_game(self) -> dict[str, Any]:
        return {"secret": self.knowledge.names[self._secret], "seed": self._seed}

    def _set_game(self, state: Mapping[str, Any]) -> None:
        self._secret = self.knowledge.names.index(state["secret"])
        self._seed = state["seed"]


@lru_cache(maxsize=256)
def _hidden(secret: int) -> dict[str, Any]:
    own = load_knowledge().aliases[secret]
    return {"secret": own[0], "aliases": list(own[1:])}


def _is_valid(action: str) -> bool:
    return len(action) <= MAX_QUESTION_LENGTH and any(map(str.isalnum, action))


TwentyQuestionsVectorEnv = vector_of(TwentyQuestionsEnv)
