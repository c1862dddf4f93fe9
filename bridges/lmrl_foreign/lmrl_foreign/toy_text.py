"""Gymnasium's toy text, worded."""

from __future__ import annotations

import gymnasium

from lmrl_foreign.env import Said

FOUR = ("left", "down", "right", "up")
GAMES = {
    "FrozenLake": ("FrozenLake-v1", FOUR, {"map_name": "4x4"}, 100),
    "FrozenLake8x8": ("FrozenLake-v1", FOUR, {"map_name": "8x8"}, 200),
    "Taxi": ("Taxi-v4", ("south", "north", "east", "west", "pickup", "dropoff"), {}, 200),
    "CliffWalking": ("CliffWalking-v1", ("up", "right", "down", "left"), {}, 200),
    "Blackjack": ("Blackjack-v1", ("stick", "hit"), {}, 100),
}
_PLACES = ("Red", "Green", "Yellow", "Blue", "in the taxi")
_RULES = {
    "FrozenLake": "Cross the frozen lake from the upper left to the lower right corner. The ice is slippery: two times out of three you slide to a side. Falling into a hole ends the game.",
    "Taxi": "Drive to the passenger, pick it up, drive to its destination and drop it off.",
    "CliffWalking": "Walk from the lower left to the lower right corner. Between them is a cliff: who falls starts again.",
    "Blackjack": "Come as close to 21 as you can, and closer than the dealer, without going over.",
}


def make(name: str) -> gymnasium.Env:
    """The environment that is worded."""
    id, _, kwargs, _ = GAMES[name]
    return gymnasium.make(id, disable_env_checker=True, max_episode_steps=-1, **kwargs).unwrapped


class Game:
    """See `lmrl_foreign.env.Source`."""

    def __init__(self, name: str) -> None:
        self.name, self.actions, self.limit = name, GAMES[name][1], GAMES[name][3]
        self.env, self.turns, self.state = make(name), 0, None
        rules = _RULES[name.removesuffix("8x8")]
        self.instructions = f"{rules} Answer with one of: {', '.join(self.actions)}."

    def start(self, seed: int) -> str:
        self.state, _ = self.env.reset(seed=seed)
        return self.told()

    def told(self) -> str:
        """The state in words."""
        if self.name == "Blackjack":
            total, shown, ace = self.state
            return f"Your hand: {total}{' with a usable ace' if ace else ''}. The dealer shows {shown}."
        if self.name == "Taxi":
            row, column, passenger, goal = self.env.decode(self.state)
            return f"Taxi: row {row}, column {column}. Passenger: {_PLACES[passenger]}. Destination: {_PLACES[goal]}."
        columns = 12 if self.name == "CliffWalking" else self.env.ncol
        text = f"You are at row {self.state // columns}, column {self.state % columns}."
        if self.name != "CliffWalking":
            text += "\n" + "\n".join("".join(c.decode() for c in row) for row in self.env.desc)
        return text

    def play(self, action: str) -> Said:
        self.turns += 1
        last = self.turns >= self.limit
        word = action.strip().lower()
        if word not in self.actions:
            return Said(f"Answer with one of: {', '.join(self.actions)}.", 0.0, False, last, False)
        self.state, reward, terminated, _, _ = self.env.step(self.actions.index(word))
        won = terminated and (reward > 0 or self.name == "CliffWalking")
        return Said(self.told(), float(reward), bool(terminated), last and not terminated, True, won)
