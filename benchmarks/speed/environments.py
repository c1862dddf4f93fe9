"""Environments beside other packages' text games, one thread; steps with observations, resets apart (see README's table).

Each game is measured alone (`gymnasium.make`), with the whole conversation as chat messages (`ChatObservation`), and as many
games at once in its vector form, masked resets included. Where no package has the game, the nearest one stands beside it and
the row says so.
"""

from __future__ import annotations

import itertools
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import gymnasium as gym
from limits import chess_plies, empty_steps
from peers import Peers
from table import Contender, NotMeasured, Table

from lmrl_datasets import load_dataset
from lmrl_envs.chess import native, partner
from lmrl_envs.wrappers import ChatObservation

QUESTIONS = [
    "Is it alive?", "is it bigger than a microwave oven", "Would you find it in a kitchen?", "Does it have wheels?",
    "Can you wear it?", "is it made of metal or plastic", "Do people play music with it?", "Is it something you eat?",
]  # fmt: skip
CITY = [
    "Is it in Asia?", "Do people there speak Spanish?", "is it on the coast", "Does it border Russia?",
    "Does it snow there in winter?", "Is it bigger than Madrid?", "Is it on a river?", "Do they drive on the left?",
]  # fmt: skip
SALES = [
    "Hi, welcome! What are you looking for?", "What is your budget?", "How about the Toyota SUV for 27.5k?",
    "I can knock two thousand off.", "It has leather seats and a sunroof.", "What would you pay?",
]  # fmt: skip
OPENERS = (
    "", "So, ", "Okay, ", "Ok, ", "Well, ", "Hmm, ", "Alright, ", "All right, ", "Now, ", "Great, ", "Thanks, ", "Right, ", "I see, ", "Good, ", "Hm, ", "Oh, ",
)  # fmt: skip
CLOSERS = ("", ", please", ", then", ", by any chance", ", I wonder")
"""What people say around what they say."""
MOVES = ["move up", "move down", "move left", "move right"]
LONGEST = 100
"""Steps after which a game is left, so that games without an end are begun anew."""


def alone(env: Any, actions: Sequence[str], seconds: float) -> float:
    """Steps per CPU second of one environment; actions go round."""
    spent, steps, seed = 0.0, 0, 0
    while spent < seconds:
        env.reset(seed=seed)
        seed += 1
        over, played = False, 0
        started = time.thread_time()
        while not over and played < LONGEST:
            _, _, terminated, truncated, _ = env.step(actions[steps % len(actions)])
            over = terminated or truncated
            steps += 1
            played += 1
        spent += time.thread_time() - started
    return steps / spent


def chosen(env: Any, choose: Callable[[Any], str], seconds: float) -> float:
    """As `alone`, each action chosen from the game's state outside the clock."""
    spent, steps, seed = 0.0, 0, 0
    while spent < seconds:
        env.reset(seed=seed)
        seed += 1
        over, played = False, 0
        while not over and played < LONGEST:
            action = choose(env.unwrapped)
            started = time.thread_time()
            _, _, terminated, truncated, _ = env.step(action)
            spent += time.thread_time() - started
            over = terminated or truncated
            steps, played = steps + 1, played + 1
    return steps / spent


def together(vector: Any, batches: Iterator[list[str]], seconds: float, least: int = 1) -> float:
    """Game steps per CPU second of a vector environment, its masked resets included; batches are made outside the clock.

    Args:
        vector: the environment.
        batches: actions of all games.
        seconds: least CPU seconds.
        least: least number of batches.
    """
    vector.reset(seed=0)
    spent, steps = 0.0, 0
    while spent < seconds or steps < least * vector.num_envs:
        batch = next(batches)
        started = time.thread_time()
        _, _, terminated, truncated, _ = vector.step(batch)
        over = terminated | truncated
        if over.any():
            vector.reset(options={"reset_mask": over})
        spent += time.thread_time() - started
        steps += len(batch)
    return steps / spent


def drawn(actions: Sequence[str], count: int) -> Iterator[list[str]]:
    """Batches of actions drawn at random."""
    rng = random.Random(1)
    batches = [[rng.choice(actions) for _ in range(count)] for _ in range(16)]
    while True:
        yield from batches


def any_move(env: Any) -> str:
    return random.choice([move.uci() for move in env._board.legal_moves])


def any_command(env: Any) -> str:
    return random.choice(env.transcript[-1].text.rsplit("[", 1)[-1].rstrip("]").split(", "))


def every_line_new(name: str) -> Iterator[str]:
    """What players say in a dataset's sample, each line in every frame: none comes twice, and nearly all are understood."""
    said = {action: None for game in load_dataset(name, sample=True) for action in game.transcript.actions}
    found = [_framed(line, opener, closer) for line in said for opener in OPENERS for closer in CLOSERS]
    random.Random(2).shuffle(found)
    yield from found


def _framed(line: str, opener: str, closer: str) -> str:
    first = line if not opener or line.startswith(("I ", "I'")) else line[0].lower() + line[1:]
    return f"{opener}{first[:-1]}{closer}{first[-1]}" if first[-1] in "?.!" else f"{opener}{first}{closer}"


def read_anew(env: Any, lines: Iterator[str], seconds: float) -> tuple[float, float]:
    """Steps per CPU second of one environment, of lines that come once, and the share of them that its partner understood.

    Raises:
        NotMeasured: there were too few lines.
    """
    spent, steps, understood, seed = 0.0, 0, 0, 0
    while spent < seconds:
        env.reset(seed=seed)
        seed += 1
        batch = list(itertools.islice(lines, 20))
        if not batch:
            raise NotMeasured("all lines were said")
        started = time.thread_time()
        for line in batch:
            _, _, terminated, truncated, info = env.step(line)
            steps, understood = steps + 1, understood + info["understood"]
            if terminated or truncated:
                break
        spent += time.thread_time() - started
    return steps / spent, understood / steps


class Games:
    """The rows of one table."""

    def __init__(self, table: Table, peers: Peers) -> None:
        self.table, self.peers, self.seconds = table, peers, table.seconds
        self.limit = ("an empty Gymnasium environment", empty_steps(self.seconds))

    def others(self, names: Sequence[str], actions: Sequence[str] = ()) -> dict[str, Contender]:
        """Peers by name; actions in the brackets that each wants."""
        found = {}
        for name in names:
            form = "\\boxed{%s}" if name.startswith("GEM") else "%s" if "Twenty" in name else "[%s]"
            order = {"game": name, "seconds": self.seconds, "actions": [form % a for a in actions]}
            group = "chess" if "Chess" in name else "games"
            found[name] = lambda group=group, order=order: self.peers.ask(group, "games", order)["rate"]
        return found

    def game(
        self,
        id: str,
        actions: Sequence[str],
        bare: dict[str, Contender],
        chat: dict[str, Contender],
        note: str = "",
        count: int = 1024,
    ) -> None:
        """Alone, as chat, and many at once."""
        env, talk = gym.make(id), ChatObservation(gym.make(id))
        vector = gym.make_vec(id, num_envs=count, vectorization_mode="vector_entry_point")
        batches, seconds, aim = drawn(actions, count), self.seconds, 2 if bare else None
        for one in (env, talk):
            alone(one, actions, 0.3 * seconds)  # word lists and knowledge are loaded once, what recurs is known
        rest: dict[str, Any] = {"target": aim, "limit": self.limit, "note": note}
        self.table.compare(f"{id}, alone", lambda: alone(env, actions, seconds), bare, **rest)
        title = f"{id}, conversation as chat messages"
        self.table.compare(title, lambda: alone(talk, actions, seconds), chat, **rest)
        title, aim = f"{id}, {count:,} at once", 10 if bare else None
        self.table.compare(title, lambda: together(vector, batches, seconds), bare, target=aim, note=note)

    def word_games(self) -> None:
        words = list(gym.make("lmrl/Wordle-v0").unwrapped.vocabulary)  # type: ignore[attr-defined]
        guesses = random.Random(0).choices(words, k=1000)
        self.game(
            "lmrl/Wordle-v0",
            guesses,
            self.others(("TextArena Wordle-v0-raw", "GEM Wordle"), guesses),
            self.others(("TextArena Wordle-v0", "GEM Wordle, concat_with_action", "verifiers Wordle-v0"), guesses),
            "GEM knows no dictionary; verifiers steps TextArena's game",
        )

    def mazes(self) -> None:
        near = "no package has this maze; beside it TextArena's FrozenLake, a 4 by 4 grid in text"
        moves = random.Random(0).choices(MOVES, k=1000)
        directions = [move.removeprefix("move ") for move in moves]
        for id in ("lmrl/MazeFullyObserved-v0", "lmrl/MazePartiallyObserved-v0"):
            self.game(
                id,
                moves,
                self.others(("TextArena FrozenLake-v0-raw",), directions),
                self.others(("TextArena FrozenLake-v0",), directions),
                near,
            )

    def dialogues(self) -> None:
        coin = "TextArena's game master is a language model; a coin stands in for it"
        questions = ("TextArena TwentyQuestions-v1-raw",), ("TextArena TwentyQuestions-v1",)
        cars = ("TextArena UsedCarNegotiation-v0-raw",), ("TextArena UsedCarNegotiation-v0",)
        for id, data, lines, (raw, chat), note in (
            ("lmrl/TwentyQuestions-v1", "twenty_questions/mixed-v1", QUESTIONS, questions, coin),
            (
                "lmrl/GuessMyCity-v1",
                "guess_my_city/mixed-v1",
                CITY,
                questions,
                f"no package has this game; beside it 20 Questions. {coin}",
            ),
            (
                "lmrl/CarDealer-v1",
                "car_dealer/mixed-v1",
                SALES,
                cars,
                "TextArena's game has no partner: both sides are given",
            ),
        ):
            said = SALES_MARKED if "Car" in id else QUESTIONS
            self.game(id, lines, self.others(raw, said), self.others(chat, said), f"the same lines again. {note}", 256)
            env, fresh = gym.make(id), every_line_new(data)
            read_anew(env, fresh, 0.1 * self.seconds)  # word lists and knowledge are loaded once
            shares: list[float] = []

            def ours(env: Any = env, fresh: Iterator[str] = fresh, shares: list[float] = shares) -> float:
                rate, share = read_anew(env, fresh, 0.7 * self.seconds)
                shares.append(share)
                return rate

            title = f"{id}, alone, every line new"
            self.table.compare(
                title,
                ours,
                self.others(raw, said),
                target=2,
                limit=self.limit,
                note=f"every sentence is read anew. {note}",
            )
            self.table.find(f"{id}, share of new lines that are understood", min(shares))

    def houses(self) -> None:
        try:
            env: Any = gym.make("lmrl/TextNavFullyObserved-v0")
        except gym.error.DependencyNotInstalled as problem:
            print(f"Text-Nav not measured: {problem}")
            return
        env.reset(seed=0)
        talk = ChatObservation(gym.make("lmrl/TextNavFullyObserved-v0"))
        with tempfile.TemporaryDirectory() as folder:
            peer = {"TextWorld": textworld_contender(Path(folder), self.seconds)}
            note = "TextWorld's own environment over a JSON game of 8 rooms; it gives facts and commands, but no text"
            for name, form in (("alone", env), ("conversation as chat messages", talk)):
                ours = lambda form=form: chosen(form, any_command, self.seconds)  # noqa: E731
                self.table.compare(
                    f"lmrl/TextNavFullyObserved-v0, {name}", ours, peer, target=2, limit=self.limit, note=note
                )
            self.table.compare(
                "lmrl/TextNavFullyObserved-v0, 256 at once",
                lambda: self._chosen_together("lmrl/TextNavFullyObserved-v0", any_command),
                peer,
                target=10,
                note=note,
            )

    def _chosen_together(self, id: str, choose: Callable[[Any], str], count: int = 256, **arguments: Any) -> float:
        vector: Any = gym.make_vec(id, num_envs=count, vectorization_mode="vector_entry_point", **arguments)

        def batches() -> Iterator[list[str]]:
            while True:
                yield [choose(env) for env in vector.envs]

        return together(vector, batches(), self.seconds)

    def chess(self) -> None:
        limit = ("python-chess (legal moves, pick, push)", chess_plies(self.seconds))
        note = "plies: ours are the agent's move and a random reply; one board and one step as text for each ply of the peer's"
        raw, wrapped = self.others(("TextArena Chess-v0-raw",)), self.others(("TextArena Chess-v0",))
        for id in ("lmrl/Chess-v0", "lmrl/ChessEndgames-v0"):
            bare, chat = (raw, wrapped) if id == "lmrl/Chess-v0" else ({}, {})
            env: Any = gym.make(id, simulator="random")
            talk = ChatObservation(gym.make(id, simulator="random"))
            for name, form, others in (("alone", env, bare), ("conversation as chat messages", talk, chat)):
                ours = lambda form=form: 2 * chosen(form, any_move, self.seconds)  # noqa: E731
                self.table.compare(
                    f"{id}, {name}", ours, others, unit="plies/s", target=2 if others else None, limit=limit, note=note
                )
            self.table.compare(
                f"{id}, 64 at once",
                lambda id=id: 2 * self._chosen_together(id, any_move, 64, simulator="random"),
                bare,
                unit="plies/s",
                target=10 if bare else None,
                limit=limit,
                note=f"{note}; ten times the peer would be past python-chess itself" if bare else note,
            )
        engine: Any = gym.make("lmrl/Chess-v0")

        def against_engine() -> float:
            partner._known.clear()  # what either has found is not the other's
            return chosen(engine, any_move, 3 * self.seconds)

        def against_python() -> float:
            with mock.patch.object(native, "library", lambda: None):
                return against_engine()

        self.table.compare(
            "lmrl/Chess-v0 against the built-in engine",
            against_engine,
            {"the same search in Python": against_python} if native.library() else {},
            unit="agent moves/s",
            note="the engine's search is compiled where there is a C compiler; the agent draws a random legal move",
            repeats=1,
        )

    def engines(self) -> None:
        """Stockfish's own time is not ours: wall seconds."""
        if not (shutil.which("stockfish") or Path("/usr/games/stockfish").exists()):
            raise NotMeasured("Stockfish is not installed")
        nodes = 2_000 if self.table.quick else 100_000
        rates = {size: stockfish_rate(size, nodes, 6 * self.seconds) for size in (1, 2)}
        self.table.compare(
            f"lmrl/Chess-v0 against Stockfish, nodes={nodes}, a pool of two",
            lambda: rates[2],
            {"one engine": lambda: rates[1]},
            unit="agent moves/s",
            clock="wall s",
            note="needs two idle cores",
            repeats=1,
        )


SALES_MARKED = ["DISCUSS: It has leather seats.", "OFFER: $8200", "DISCUSS: What would you pay?", "OFFER: $8100"]
GAMES = 32


def stockfish_rate(pool_size: int, nodes: int, seconds: float) -> float:
    """Agent moves per wall second against Stockfish, many more games at once than engines in the pool.

    A batch is over when its last game is, so that with few games an engine would wait for the other.
    """
    vector: Any = gym.make_vec(
        "lmrl/Chess-v0",
        num_envs=GAMES,
        vectorization_mode="vector_entry_point",
        simulator="stockfish",
        nodes=nodes,
        pool_size=pool_size,
    )
    vector.reset(seed=0)
    count, started = 0, None
    while started is None or time.perf_counter() - started < seconds:
        _, _, terminated, truncated, _ = vector.step([any_move(env) for env in vector.envs])
        over = terminated | truncated
        if over.any():
            vector.reset(options={"reset_mask": over})
        if started is None:  # the first step starts the engines
            started = time.perf_counter()
            continue
        count += GAMES
    rate = count / (time.perf_counter() - started)
    vector.close()
    return rate


def textworld_contender(folder: Path, seconds: float) -> Contender:
    """TextWorld's environment over a house of its own making, random admissible commands."""
    import textworld
    from textworld.generator import make_game

    options = textworld.GameOptions()
    options.nb_rooms, options.nb_objects, options.quest_length, options.seeds = 8, 10, 4, 0
    path = folder / "house.json"
    make_game(options).save(str(path))
    env = textworld.start(str(path), textworld.EnvInfos(admissible_commands=True, facts=True))

    def measure() -> float:
        rng, spent, steps = random.Random(0), 0.0, 0
        while spent < seconds:
            state, over, played = env.reset(), False, 0
            while not over and played < 50:
                command = rng.choice(state["admissible_commands"])
                started = time.thread_time()
                state, _, over = env.step(command)
                spent += time.thread_time() - started
                steps, played = steps + 1, played + 1
        return steps / spent

    return measure


def rows(table: Table, peers: Peers) -> None:
    """All rows of the environments."""
    games = Games(table, peers)
    for part in (games.word_games, games.mazes, games.dialogues, games.houses, games.chess, games.engines):
        try:
            part()
        except NotMeasured as problem:
            print(f"  not measured: {problem}")
