"""Games of other suites as tasks: see README.md."""

from lmrl_envs import Task

_LIST = {
    # name: (game, what it is, least and greatest return)
    "FrozenLake-v0": ("toy_text:FrozenLake", "Cross a frozen lake of 4 by 4 fields on slippery ice.", (0.0, 1.0)),
    "FrozenLake8x8-v0": ("toy_text:FrozenLake8x8", "Cross a frozen lake of 8 by 8 fields on slippery ice.", (0.0, 1.0)),
    "Taxi-v0": ("toy_text:Taxi", "Drive a passenger to where it wants to go.", (-2000.0, 20.0)),
    "CliffWalking-v0": ("toy_text:CliffWalking", "Walk along a cliff.", (-20000.0, 0.0)),
    "Blackjack-v0": ("toy_text:Blackjack", "Beat the dealer.", (-1.0, 1.0)),
    **{
        f"Reasoning-{name.title().replace('_', '')}-v0": (f"reasoning:{name}", f"One question of reasoning-gym's {name}.", (0.0, 1.0))
        for name in (
            "chain_sum", "decimal_chain_sum", "products", "gcd", "lcm", "count_bits", "spell_backward", "letter_counting", "base_conversion",
        )
    },
    "TextArena-GuessTheNumber-v0": ("textarena:GuessTheNumber-v0-raw", "Guess a number from 1 to 20.", (0.0, 1.0)),
    "TextArena-GuessTheNumberHardcore-v0": ("textarena:GuessTheNumber-v0-hardcore-raw", "Guess a number from 1 to 50.", (0.0, 1.0)),
    "TextArena-Mastermind-v0": ("textarena:Mastermind-v0-raw", "Find a code of four digits.", (0.0, 1.0)),
    "TextArena-TowerOfHanoi-v0": ("textarena:TowerOfHanoi-v0-raw", "Move three disks.", (0.0, 1.0)),
    "Gem-GuessTheNumberEasy-v0": ("gem:game:GuessTheNumber-v0-easy", "Guess a number from 1 to 10 in four turns.", (-1.0, 1.0)),
    "Gem-GuessTheNumberHard-v0": ("gem:game:GuessTheNumber-v0-hard", "Guess a number from 1 to 50 in seven turns.", (-1.0, 1.0)),
    "Gem-Mastermind-v0": ("gem:game:Mastermind-v0-hard", "Find a code of four digits out of eight.", (-10.0, 10.0)),
    "TextWorld-Quest-v0": ("textworld:3", "A quest of three steps in three rooms.", (0.0, 1.0)),
    "TextWorld-QuestLong-v0": ("textworld:5", "A quest of five steps in five rooms.", (0.0, 1.0)),
}  # fmt: skip

GAMES = frozenset(game for game, _, _ in _LIST.values())

ROWS = tuple(
    Task(
        id=f"foreign/{name}",
        family="foreign_" + name.removesuffix("-v0").lower().replace("-", "_"),
        summary=summary,
        tags=("strategy",),
        return_range=bounds,
        reference=None,  # measured ones are in references.toml
        folder="lmrl_foreign",
        kwargs={"game": game},
        entry_point="lmrl_foreign.env:ForeignEnv",
        vector_entry_point="lmrl_foreign.env:ForeignVectorEnv",
        policies="lmrl_foreign.players",
        surface_at="lmrl_foreign.env:SURFACE",
    )
    for name, (game, summary, bounds) in _LIST.items()
)
