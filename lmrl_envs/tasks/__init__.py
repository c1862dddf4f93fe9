"""One table of all tasks. A new task is one folder and one row here, or in a package of its own (see docs/add-a-task.md)."""

from lmrl_envs.tasks.registry import (
    Policy,
    Reference,
    Task,
    discover,
    load_task,
    load_tasks,
    make_policy,
    normalized_score,
    plugin_folders,
    register_task,
    task,
    task_ids,
)

__all__ = [
    "TABLE",
    "Policy",
    "Reference",
    "Task",
    "discover",
    "load_task",
    "load_tasks",
    "make_policy",
    "normalized_score",
    "plugin_folders",
    "register_all",
    "register_task",
    "task",
    "task_ids",
]

PARTNERS = ("scripted", "transformers:", "openai:", "replay:")
"""What answers in tasks with a partner in words."""

STRATEGY, LANGUAGE, CREDIT, PARTIAL, STITCHING = (
    "strategy",
    "language",
    "credit_assignment",
    "partial_observability",
    "stitching",
)

TABLE: tuple[Task, ...] = (
    Task(
        id="lmrl/MazeFullyObserved-v0",
        folder="lmrl_envs.maze",
        vector_entry_point="lmrl_envs.maze.vector:MazeVectorEnv",
        family="maze",
        summary="Walk to the goal of a maze; position, goal and walls are told.",
        tags=(CREDIT, STITCHING),
        return_range=(-400.0, 0.0),
        reference=Reference(random=-85.1396, optimum=-171 / 25, lmrl=(-101.0, -83.0, -6.84)),
        context="last",
        kwargs={"observability": "full"},
    ),
    Task(
        id="lmrl/MazePartiallyObserved-v0",
        folder="lmrl_envs.maze",
        vector_entry_point="lmrl_envs.maze.vector:MazeVectorEnv",
        family="maze",
        summary="Walk to the goal of a maze; only the walls around you are told.",
        tags=(CREDIT, PARTIAL, STITCHING),
        return_range=(-400.0, 0.0),
        reference=Reference(random=-85.1396, optimum=-181 / 25, lmrl=(-101.0, -83.0, -25.75)),
        kwargs={"observability": "partial"},
    ),
    Task(
        id="lmrl/Wordle-v0",
        folder="lmrl_envs.wordle",
        vector_entry_point="lmrl_envs.wordle.vector:WordleVectorEnv",
        family="wordle",
        summary="Find the hidden five-letter word in six guesses (431 words).",
        tags=(STRATEGY, CREDIT, PARTIAL, STITCHING),
        return_range=(-6.0, 0.0),
        reference=Reference(random=-5.9515, optimum=-810 / 431, lmrl=(-6.0, -4.12, -1.94)),
        kwargs={"vocabulary": "common"},
    ),
    Task(
        id="lmrl/Wordle-Full-v0",
        folder="lmrl_envs.wordle",
        entry_point="lmrl_envs.wordle.env:WordleEnv",
        vector_entry_point="lmrl_envs.wordle.vector:WordleVectorEnv",
        family="wordle_full",
        summary="Wordle with over 2,000 answers and 10,000 allowed guesses.",
        tags=(STRATEGY, CREDIT, PARTIAL, STITCHING),
        return_range=(-6.0, 0.0),
        reference=Reference(random=-5.9981, optimum=-2.4505, optimum_is="best known"),
        kwargs={"vocabulary": "full"},
    ),
    Task(
        id="lmrl/TextNavFullyObserved-v0",
        folder="lmrl_envs.text_nav",
        family="text_nav",
        summary="Put the stale food into the fridge of a house of text and close it; room and hands are told.",
        tags=(CREDIT, STITCHING),
        return_range=(0.0, 1.0),
        # optimum: exact, the planner wins from every start; random: measured, 100,000 games.
        reference=Reference(random=0.00138, optimum=1.0, lmrl=(0.0, 0.26, 1.0)),
        # Not a Markov state (other rooms are out of sight), but enough to play optimally.
        context="last",
        kwargs={"observability": "full"},
        extra="textworld",
    ),
    Task(
        id="lmrl/TextNavPartiallyObserved-v0",
        folder="lmrl_envs.text_nav",
        family="text_nav",
        summary="Put the stale food into the fridge of a house of text and close it; only what is in sight is told.",
        tags=(CREDIT, PARTIAL, STITCHING),
        return_range=(0.0, 1.0),
        reference=Reference(random=0.00138, optimum=1.0, lmrl=(0.0, 0.26, 1.0)),
        kwargs={"observability": "partial"},
        extra="textworld",
    ),
    Task(
        id="lmrl/Chess-v0",
        folder="lmrl_envs.chess",
        family="chess",
        summary="Win a game of chess as White.",
        tags=(STRATEGY, CREDIT),
        return_range=(-400.0, 1.0),
        # Measured over 400 games with the built-in opponent (standard error .004); no policy is known to win always.
        reference=Reference(random=-0.9925, optimum=1.0, lmrl=(-401.0, 0.21, 1.0), optimum_is="best known"),
        context="last",
        partners=("builtin", "stockfish", "random"),
    ),
    Task(
        id="lmrl/ChessEndgames-v0",
        folder="lmrl_envs.chess",
        policies="lmrl_envs.chess.endgame_policies",
        surface_at="lmrl_envs.chess.surface:ENDGAMES",
        family="chess_endgames",
        summary="Mate the bare king with queen, rook, queen and rook, or two rooks.",
        tags=(STRATEGY, CREDIT),
        return_range=(-400.0, 1.0),
        # Retrograde analysis: every start is won. The random policy was measured over 500 games (standard error .004).
        reference=Reference(random=0.008, optimum=1.0, lmrl=(-1.0, 0.586, 1.0)),
        context="last",
        partners=("builtin", "stockfish", "random"),
    ),
    Task(
        id="lmrl/CarDealer-v1",
        folder="lmrl_envs.car_dealer",
        family="car_dealer",
        summary="Sell a car to a buyer whose wishes, budget and temper are hidden; haggle in free text.",
        tags=(STRATEGY, LANGUAGE, CREDIT, PARTIAL),
        return_range=(0.0, 1.0),
        # Measured and best known: car_dealer/SOURCE.md. LMRL-Gym's scale is under reward="fancy", up to the expert's mean.
        reference=Reference(random=0.1496, optimum=0.9771, lmrl=(0.0, 0.562, 0.6554), optimum_is="best known"),
        partners=PARTNERS,
    ),
    Task(
        id="lmrl/GuessMyCity-v1",
        folder="lmrl_envs.guess_my_city",
        family="guess_my_city",
        summary="Find a hidden large city with at most 20 yes/no questions (100 cities).",
        tags=(STRATEGY, LANGUAGE, CREDIT, PARTIAL, STITCHING),
        return_range=(-20.0, 0.0),
        # random: measured over 10,000 games; optimum: exact, the bound of language.strategy.least_questions(100), which the expert keeps.
        reference=Reference(random=-19.7611, optimum=-4.19, lmrl=(-20.0, -18.8, -8.56)),
        partners=PARTNERS,
    ),
    Task(
        id="lmrl/TwentyQuestions-v1",
        folder="lmrl_envs.twenty_questions",
        family="twenty_questions",
        summary="Find the hidden object with at most 20 yes/no questions (158 objects).",
        tags=(STRATEGY, LANGUAGE, CREDIT, PARTIAL, STITCHING),
        return_range=(-20.0, 0.0),
        # random: measured over 4,000 games; optimum: the best question tree found, see policies.best_question.
        reference=Reference(random=-19.342, optimum=-734 / 158, lmrl=(-20.0, -17.3, -12.6), optimum_is="best known"),
        partners=PARTNERS,
    ),
    Task(
        id="lmrl/Headline-v0",
        folder="lmrl_envs.headline",
        family="headline",
        summary="Write one headline from notes: the three most severe facts, and nothing that is not in them.",
        tags=(LANGUAGE,),
        return_range=(-1.0, 1.0),
        # Both exact: all headlines of the random policy by enumeration (tests/test_headline.py).
        reference=Reference(random=-0.63866, optimum=1.0),
        context="last",
    ),
    Task(
        id="lmrl/Negotiation-v0",
        folder="lmrl_envs.negotiation",
        family="negotiation",
        summary="Sell a used thing, or buy one: haggle in free text and formal offers with a partner of a hidden kind.",
        tags=(STRATEGY, LANGUAGE, CREDIT, PARTIAL),
        return_range=(0.0, 1.02),
        # random: measured over 10,000 games; optimum: the best plan found against every hidden partner (negotiation/SOURCE.md).
        reference=Reference(random=0.3244, optimum=0.868, optimum_is="best known"),
        partners=PARTNERS,
    ),
    Task(
        id="lmrl/Chat-v0",
        folder="lmrl_envs.chat",
        family="chat",
        summary="Ten turns with a stranger who should enjoy the talk; what they like shows in their words alone.",
        tags=(STRATEGY, LANGUAGE, CREDIT, PARTIAL, STITCHING),
        return_range=(-10.0, 7.0),
        # random: measured over 10,000 talks (standard error .014); optimum: exact, the plan over all beliefs (chat/planner.py).
        reference=Reference(random=-0.9283, optimum=5.8749),
        partners=PARTNERS,
    ),
)


def register_all() -> None:
    """Register every row of `TABLE` and those of installed packages (done on import of `lmrl_envs`)."""
    for row in TABLE:
        register_task(row)
    discover()
