"""The pure game."""

LOWEST, HIGHEST, GUESSES = 1, 100, 7


def answer(guess: int, secret: int) -> str:
    """What a guess is told."""
    return "found" if guess == secret else "higher" if secret > guess else "lower"
