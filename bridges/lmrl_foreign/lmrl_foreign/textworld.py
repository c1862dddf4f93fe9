"""TextWorld's generated quests, by its logic alone (no Inform 7)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from lmrl_envs.files import needs
from lmrl_foreign.env import Said

LIMIT = 20


@lru_cache(maxsize=256)
def made(size: int, seed: int) -> tuple[Any, Any]:
    """A game and its words; clones of an environment share them."""
    import textworld
    from textworld.generator import make_game
    from textworld.generator.inform7 import Inform7Game

    options = textworld.GameOptions()
    options.nb_rooms, options.nb_objects, options.quest_length, options.seeds = size, size + 2, size, seed
    game = make_game(options)
    return game, Inform7Game(game)


class Game:
    """See `lmrl_foreign.env.Source`."""

    def __init__(self, name: str) -> None:
        needs("foreign/TextWorld", "textworld")
        self.size = int(name)
        self.turns = 0
        self.instructions = "Fulfil the quest. Answer with one of the commands that are listed."

    def start(self, seed: int) -> str:
        from textworld.generator.game import GameProgression

        game, self.words = made(self.size, seed)
        self.progress = GameProgression(game)
        self.commands = self._commands()
        return f"{game.objective}\n{self.told()}"

    def _commands(self) -> dict[str, object]:
        """What can be done now."""
        actions = sorted(self.progress.valid_actions, key=str)
        return dict(zip(self.words.gen_commands_from_actions(actions), actions, strict=True))

    def told(self) -> str:
        """The commands there are, in order."""
        return "Commands: " + ", ".join(sorted(self.commands))

    def play(self, action: str) -> Said:
        self.turns += 1
        last = self.turns >= LIMIT
        chosen = self.commands.get(" ".join(action.lower().split()))
        if chosen is None:
            return Said(self.told(), 0.0, False, last, False)
        self.progress.update(chosen)
        self.commands = self._commands()
        won, lost = bool(self.progress.completed), bool(self.progress.failed)
        text = (
            "You have fulfilled the quest."
            if won
            else "The quest cannot be fulfilled any more."
            if lost
            else self.told()
        )
        return Said(text, float(won), won or lost, last and not (won or lost), True, won)
