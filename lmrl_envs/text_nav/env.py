"""The two Text-Nav tasks as environments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from lmrl_envs.core import Outcome, TextEnv, check_choice, draw_index
from lmrl_envs.language.lists import toml
from lmrl_envs.text_nav.engine import Engine, Scene, default_engine, require_textworld
from lmrl_envs.text_nav.house import LOST, WON, Facts, random_house, random_rooms
from lmrl_envs.vector import vector_of

MAX_MOVES = 50

WIN_REWARD, STEP_REWARD = 1.0, 0.0

UNREADABLE = "That is not a command."
IMPOSSIBLE = "That cannot be done here and now."
VERBS = frozenset({"go", "take", "put", "insert", "open", "close", "drop", "eat"})

_TEXTS = toml(__file__, "instructions.toml")


class TextNavEnv(TextEnv):
    """A house of text: find the stale food, put it into the fridge, close the fridge.

    **Action**: one of the available actions of the last observation; case and extra white space do not matter.
    **Observation**: room, what is carried, what is seen, exits, feedback, then ``Available actions: [...]``, sorted,
    empty after the end. ``observability="partial"`` leaves out the room's name and description and what is carried.
    Anything else is refused (looking around and taking stock are no commands here) and costs a turn.
    **Reward**: 1 for the command that wins, else 0.
    **End**: terminated when the stale food is in the closed fridge (won) or eaten (lost), truncated after 50 actions.
    **Options**: ``{"start": "kitchen"}``, a room of this house.

    No observation tells what happened in other rooms, so a full observation is not a Markov state; it is enough to
    play optimally from any opening.

    The rules are run by TextWorld (extra ``textworld``; it is under the MIT licence, and imports jericho, which is
    under the GPL, version 2 or later). It is imported when the first game begins.

    Args:
        observability: "full" or "partial".
        layout: "default" (LMRL-Gym's house), or "random:<rooms>": another house of 4 to 12 rooms at every reset.
        max_moves: actions until truncation.

    Raises:
        gymnasium.error.DependencyNotInstalled: TextWorld is not installed.

    Version history: v0, initial.
    """

    option_keys = frozenset({"start"})

    def __init__(
        self,
        observability: Literal["full", "partial"] = "full",
        layout: str = "default",
        max_moves: int = MAX_MOVES,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(render_mode=render_mode)
        check_choice("observability", observability, _TEXTS["views"])
        if max_moves < 1:
            raise ValueError(f"max_moves={max_moves} must be at least 1")
        self._random_rooms = random_rooms(layout)
        require_textworld()
        self.observability, self.layout, self.max_moves = observability, layout, max_moves
        self.instructions = _TEXTS["instructions"].format(view=_TEXTS["views"][observability], limit=max_moves)
        self._full = observability == "full"
        self._house_seed: int | None = None
        self._engine: Engine | None = None
        self._facts: Facts = frozenset()
        self._scene: Scene

    def _enter(self, house_seed: int | None) -> Engine:
        """The engine of the house with this seed (None: the default house)."""
        if self._engine is None or house_seed != self._house_seed:
            if self._random_rooms is None or house_seed is None:
                self._engine = default_engine()
            else:
                self._engine = Engine(random_house(self._random_rooms, house_seed))
            self._house_seed = house_seed
        return self._engine

    def _begin(self, options: Mapping[str, Any]) -> str:
        house_seed = None if self._random_rooms is None else draw_index(self.np_random, 2**31)
        engine = self._enter(house_seed)
        rooms = engine.house.rooms
        if "start" in options:
            start = check_choice("start", options["start"], rooms)
        else:
            start = rooms[draw_index(self.np_random, len(rooms))]
        self._facts = engine.house.opening(start)
        self._scene = engine.scene(self._facts)
        return self._tell(self._scene, "", True)

    def _tell(self, scene: Scene, feedback: str, more: bool) -> str:
        parts = [scene.where, scene.seen] if self._full else [scene.seen]
        if feedback:
            parts.append(feedback)
        parts.append(scene.available if more else "Available actions: []")
        return "\n".join(parts)

    def _play(self, action: str) -> Outcome:
        # Not len(transcript): this runs once per command, and the count includes the command being played.
        truncated = len(self._rewards) + 1 >= self.max_moves
        commands = self._scene.commands
        words = [] if action in commands else action.lower().split()
        effect = commands.get(" ".join(words) if words else action)
        if effect is None:
            refusal = IMPOSSIBLE if words and words[0] in VERBS else UNREADABLE
            return self._tell(self._scene, refusal, not truncated), STEP_REWARD, False, truncated, {"valid": False}
        facts = self._facts = effect.apply(self._facts)
        scene = self._scene = self._engine.scene(facts)  # type: ignore[union-attr]
        if facts >= WON:
            text = f"{effect.feedback} The stale food is put away. You win."
            return self._tell(scene, text, False), WIN_REWARD, True, False, {"valid": True}
        if LOST in facts:
            text = f"{effect.feedback} It can no longer be put away. You lose."
            return self._tell(scene, text, False), STEP_REWARD, True, False, {"valid": True}
        return self._tell(scene, effect.feedback, not truncated), STEP_REWARD, False, truncated, {"valid": True}

    def _reveal(self) -> dict[str, Any]:
        return {"success": self._facts >= WON} | ({} if self._full else {"room": self._scene.room})

    game_fields = {"house_seed": int | None, "facts": list[list[str]]}

    def _check_game(self, game: Mapping[str, Any]) -> None:
        super()._check_game(game)
        if (game["house_seed"] is None) != (self._random_rooms is None):
            raise ValueError("game: house_seed is there if houses are drawn")

    def _get_game(self) -> dict[str, Any]:
        return {"house_seed": self._house_seed, "facts": sorted(map(list, self._facts))}

    def _set_game(self, state: Mapping[str, Any]) -> None:
        engine = self._enter(state["house_seed"])
        self._facts = frozenset(tuple(fact) for fact in state["facts"])
        if not engine.house.is_state(self._facts):
            raise ValueError("game: facts are no state of the house")
        self._scene = engine.scene(self._facts)

    def _draw(self) -> str:
        from lmrl_envs.text_nav.surface import SURFACE

        return SURFACE.draw(self)


TextNavVectorEnv = vector_of(TextNavEnv)
