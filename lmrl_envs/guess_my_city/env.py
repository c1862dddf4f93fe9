"""Guess My City as an environment."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

from lmrl_envs.core import Outcome, PartnerTextEnv, check_choice, draw_index
from lmrl_envs.guess_my_city.partner import CityOracle
from lmrl_envs.guess_my_city.prompt import CityPrompt
from lmrl_envs.guess_my_city.rules import (
    KEPT_LENGTH,
    MAX_QUESTIONS,
    OPENING,
    QUESTION_REWARD,
    WIN_REWARD,
    guessed_city,
    tokens,
)  # fmt: skip
from lmrl_envs.guess_my_city.table import cities, split_names
from lmrl_envs.language.lists import toml
from lmrl_envs.partners import PartnerReply, PartnerRequest, make_partner
from lmrl_envs.vector import vector_of

_TEXTS = toml(__file__, "data/instructions.toml")
RIGHT, WRONG = "Yes, that's it!", "No, that's not my city."
EMPTY = "Please ask a question."


class GuessMyCityEnv(PartnerTextEnv):
    """Guess My City.

    **Action**: a yes/no question in English (with ``answers="open"`` any question), or a guess: a text that names exactly one
    city and asks whether that is it (``Is it Tokyo?``; case and accents do not matter).
    **Observation**: ``Questions:`` at first, then the oracle's answer: ``Yes.``, ``No.``, ``It depends.`` (people would say
    different things), or that it did not understand; an open question is refused in words, or with ``answers="open"``
    answered in a sentence.
    **Reward**: -1 a question (an empty one too), 0 for the right guess.
    **End**: terminated by the right guess, and after 20 questions (the limit is a rule of the game).
    **Info**: ``understood`` tells whether the oracle could read the question; at the end ``success``, ``secret`` and
    ``country``.
    **Options**: ``{"secret": city}``, a name or alias of any city of the table, whatever the split.

    Whether a text wins is decided by the rules, never by the simulator. Several cities in one text are no guess, and are
    answered "One city at a time, please."; "Is it in Japan?" is answered truthfully whatever ``reveal_country`` says.

    Args:
        simulator: "scripted", or a language model: "transformers:<path-or-id>", "openai:<model>", "replay:<file>".
        split: cities to draw from: "all" (100), "train" (80) or "test" (20 held-out ones).
        reveal_country: whether the question which country it is gets an answer (with ``answers="open"``).
        answers: "yes_no", as in LMRL-Gym, or "open": questions such as "What do people eat there?" are answered, too.
        simulator_options: keyword arguments of the simulator.

    Version history: v1, the game is another than v0 (never published).
    """

    option_keys = frozenset({"secret"})

    def __init__(
        self,
        simulator: str = "scripted",
        split: Literal["all", "train", "test"] = "all",
        reveal_country: bool = False,
        simulator_options: Mapping[str, Any] | None = None,
        render_mode: str | None = None,
        answers: Literal["yes_no", "open"] = "yes_no",
    ) -> None:
        super().__init__(render_mode=render_mode)
        check_choice("split", split, ("all", "train", "test"))
        self._names = split_names(split)
        self._reveal_country = bool(reveal_country)
        self._answers = check_choice("answers", answers, ("yes_no", "open"))
        told = (
            ", and its country only when you ask for it"
            if reveal_country and answers == "open"
            else " nor its country's"
        )
        self.instructions = _TEXTS[answers].format(country=told)
        self.partner_prompt = CityPrompt()
        self.partner = make_partner(simulator, CityOracle, self.partner_prompt, **dict(simulator_options or {}))
        self._secret, self._seed = "", 0

    def _begin(self, options: Mapping[str, Any]) -> str:
        if "secret" in options:
            secret = guessed_city(options["secret"]) if isinstance(options["secret"], str) else None
            if secret is None or not _is_name(options["secret"], secret):
                raise ValueError(
                    f"secret={options['secret']!r} is not one of the {len(cities())} cities: {', '.join(sorted(cities()))}"
                )
            self._secret = secret
        else:
            self._secret = self._names[draw_index(self.np_random, len(self._names))]
        self._seed = draw_index(self.np_random, 2**31)
        return OPENING

    def _ask(self, action: str) -> PartnerRequest | None:
        if not (_asks(action) if len(action) <= KEPT_LENGTH else _asks.__wrapped__(action)):
            return None
        turn = len(self._rewards)
        seed = (self._seed ^ (turn + 1) * 0x9E3779B1) % 2**31
        hidden = {"city": self._secret, "reveal_country": self._reveal_country, "answers": self._answers}
        return PartnerRequest(hidden, tuple(self._texts), action, seed >> 3)

    def _answer(self, action: str, reply: PartnerReply | None) -> Outcome:
        last = len(self._rewards) + 1 >= MAX_QUESTIONS
        if reply is not None:
            return reply.text, QUESTION_REWARD, last, False, {"valid": True, "understood": reply.understood}
        guess = guessed_city(action)
        if guess is None:
            return EMPTY, QUESTION_REWARD, last, False, {"valid": False, "understood": False}
        if guess == self._secret:
            return RIGHT, WIN_REWARD, True, False, {"valid": True, "understood": True}
        return WRONG, QUESTION_REWARD, last, False, {"valid": True, "understood": True}

    def _reveal(self) -> dict[str, Any]:
        won = self._rewards[-1] == WIN_REWARD
        return {"success": won, "secret": self._secret, "country": cities()[self._secret].country.name}

    game_fields = {"secret": str, "seed": int}

    def _check_game(self, game: Mapping[str, Any]) -> None:
        super()._check_game(game)
        if game["secret"] not in cities():
            raise ValueError("game: secret is no city")

    def _get_game(self) -> dict[str, Any]:
        return {"secret": self._secret, "seed": self._seed}

    def _set_game(self, state: Mapping[str, Any]) -> None:
        self._secret, self._seed = state["secret"], state["seed"]


@lru_cache(maxsize=16384)
def _asks(action: str) -> bool:
    """Whether an action is the oracle's to answer: it holds words, and they are no guess."""
    return bool(tokens(action[:1000])) and guessed_city(action) is None


def _is_name(text: str, city: str) -> bool:
    return tokens(text) in {tokens(name) for name in cities()[city].names}


GuessMyCityVectorEnv = vector_of(GuessMyCityEnv)
