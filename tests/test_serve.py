"""`lmrl serve` over HTTP: real uvicorn processes, played as the page plays."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chess
import gymnasium as gym
import httpx
import pytest
from serving import Server, environment

from lmrl_benchmarks.commands.cli import run as main
from lmrl_benchmarks.reporting.results import load_results
from lmrl_benchmarks.running.records import RecordFile, read_as_dataset
from lmrl_benchmarks.running.runner import run_suite
from lmrl_benchmarks.running.suite import SuiteTask, load_suite
from lmrl_benchmarks.running.verify import verify_records, verify_run
from lmrl_benchmarks.serve.environments import EnvironmentPool, Refused
from lmrl_benchmarks.serve.game import Limits, LiveGame
from lmrl_benchmarks.serve.human_records import HumanRecords
from lmrl_benchmarks.serve.live_games import LiveGames
from lmrl_datasets import load_dataset
from lmrl_envs import Transcript, make_policy, task, task_ids
from lmrl_envs.contract import HOSTILE_ACTIONS
from lmrl_envs.twenty_questions.partner import ScriptedOracle

ROOT = Path(__file__).resolve().parents[1]

AGENTS = """
from lmrl_agents import Action

class Valued:
    def act(self, requests):
        return ["move down"] * len(requests)
    def act_with_details(self, requests):
        values = [["move down", -3.25], ["move up", -7.5]]
        return [Action("move down", {"alternatives": values})] * len(requests)

class Failing:
    def act(self, requests):
        raise RuntimeError("no idea, <b>really</b>")

DETAILS = {"raw": "Thinking aloud. Answer: move up", "token_logprobs": [["move", 0.0], [" up", -700.0]]}

class Writing(Valued):
    def act_with_details(self, requests):
        return [Action("move up", DETAILS)] * len(requests)
"""


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("agents") / "players.py"
    path.write_text(AGENTS)
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, agents: Path) -> Iterator[Server]:
    out = tmp_path_factory.mktemp("serve") / "run"
    specs = ("expert", f"{agents}:Valued", f"{agents}:Failing", f"{agents}:Writing")
    with Server("--out", out, "--rate", 5000, "--agent", *specs) as running:
        running.out = out  # type: ignore[attr-defined]
        yield running
    assert "Traceback" not in running.stderr()


def transcript_of(state: dict[str, Any]) -> Transcript:
    turns = state["turns"]
    return Transcript.from_texts([t["text"] for t in turns], [t["reward"] for t in turns if t["action"]])


def play(server: Server, slug: str, most: int = 60, policy: str = "suboptimal", **values: Any) -> list[dict[str, Any]]:
    """A whole game; all states, the last one over."""
    states = [server.begin(slug, **values)]
    player = make_policy(states[0]["env_id"], policy, seed=1)
    while not states[-1]["over"]:
        if states[-1]["turn"] >= most:
            states.append(server.give_up(states[-1]))
        else:
            states.append(server.act(states[-1], player.act(transcript_of(states[-1])) or ""))
    return states


def slug_of(id: str) -> str:
    return id.removeprefix("lmrl/").removesuffix("-v0")


# -- games


@pytest.mark.parametrize("id", task_ids())
def test_a_game_is_the_environments_own(server: Server, id: str) -> None:
    """The page's game with a seed is the game of that seed, to the last text and reward, and says how it ended."""
    last = play(server, slug_of(id), most=12, seed="7")[-1]
    env = gym.make(id)
    env.reset(seed=7)
    info: dict[str, Any] = {}
    for action in transcript_of(last).actions:
        *_, info = env.step(action)
    assert env.unwrapped.transcript == transcript_of(last)  # type: ignore[attr-defined]
    assert last["instructions"] == env.unwrapped.instructions  # type: ignore[attr-defined]
    result = last["result"]
    assert result["rewards"] == list(transcript_of(last).rewards) and result["seed"] == "7" and result["kept"]
    if result["error"] is None:
        hidden = {k: v for k, v in info.items() if k not in ("turn", "valid", "success", "understood")}
        assert result["success"] == info["success"] and result["hidden"] == json.loads(json.dumps(hidden))


def numbers(value: Any, key: str = "") -> Iterator[str]:
    """Names of the fields that hold numbers."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from numbers(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers(inner, key)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield key


def plain_forms(secret: str) -> set[str]:
    """A text cased, reversed and spelled out."""
    cased = {secret, secret.lower(), secret.upper(), secret.title(), secret.swapcase()}
    cased |= {text[::-1] for text in cased}
    return cased | {separator.join(text) for text in cased for separator in " -,"}


def coded_forms(secret: str) -> set[str]:
    """A text in hex and in base64, there also in the midst of other bytes; what of it does not depend on them."""
    found = set()
    for text in plain_forms(secret):
        found.add(text.encode().hex())
        for shift in range(3):
            bits = 8 * (shift + len(text.encode()))
            coded = base64.b64encode(b"\0" * shift + text.encode()).decode()
            found.add(coded[(0, 2, 3)[shift] : bits // 6])
    return {form for form in found if len(form) >= 4}


@pytest.mark.parametrize("id", task_ids())
def test_nothing_hidden_is_answered_before_the_end(server: Server, id: str) -> None:
    """No answer tells the secret: not in plain, cased, reversed, coded or counted, nor the seed that gives it away."""
    answers: list[httpx.Response] = []
    server.http.event_hooks = {"response": [lambda response: answers.append(response)]}
    try:
        states = [state for mode in ("practice", "ranked") for state in play(server, slug_of(id), most=6, mode=mode)]
        key = server.begin(slug_of(id), mode="practice")["id"]
        server.http.get(f"/api/games/{key}")
    finally:
        server.http.event_hooks = {"response": []}
    constant = set(server.http.get("/api/tasks").headers.items())
    ends = [state for state in states if state["over"]]
    assert len(ends) == 2
    for end in ends:
        hidden = end["result"]["hidden"]
        secrets = [str(hidden[k]) for k in ("secret", "country", "room") if k in hidden]
        if "buyer" in hidden:
            secrets.append(hidden["buyer"]["personality"])
        seen = [r for r in answers if end["id"] in r.text and not r.json()["over"]]
        assert len(seen) == end["turn"] + (0 if end["result"]["error"] is None else 1)
        for response in seen:
            state = response.json()
            assert state["result"] is None
            # Numbers stand only where a game's own count does: no index of a secret, no seed, no place.
            assert set(numbers(state)) <= {"turn", "limit", "return", "reward", "hints", "length", "guesses"}
            assert end["result"]["seed"] not in response.text + str(response.headers)
            del state["instructions"], state["id"]  # the same in every game; random
            state["turns"] = [turn for turn in state["turns"] if not turn["action"]]
            for row in state["picture"]["rows"] if state["kind"] == "tiles" else []:
                row.pop("guess")  # what the player said
            # Headers that every answer has ("frame-ancestors", "style-src") hold words that may be secrets by chance.
            own = [pair for pair in response.headers.items() if pair not in constant]
            shown = json.dumps(state, ensure_ascii=False) + str(own)
            for secret in secrets:
                for form in plain_forms(secret):  # whole words: "rice" is no secret told by "price"
                    assert not re.search(rf"(?<!\w){re.escape(form)}(?!\w)", shown), f"{form!r} shows before the end"
                for form in coded_forms(secret):
                    assert form not in shown, f"{form!r} (of {secret!r}) shows before the end"
            if "position" in hidden and "Partially" in id:
                assert not re.search(r"\d+, ?\d+", shown)


def test_hints_come_only_when_asked_for_and_never_in_games_that_count(server: Server) -> None:
    state = server.begin("Wordle", seed=5)
    hint = server.post(f"/api/games/{state['id']}/hint").json()["hint"]
    expert = make_policy("lmrl/Wordle-v0", "expert", seed=0)
    assert hint == expert.act(transcript_of(state))
    state = server.act(server.act(state, "about"), "world")
    assert server.post(f"/api/games/{state['id']}/hint").json()["hint"].isalpha()
    assert server.http.get(f"/api/games/{state['id']}").json()["hints"] == 2
    ranked = server.begin("Wordle", mode="ranked")
    response = server.post(f"/api/games/{ranked['id']}/hint")
    assert response.status_code == 409 and "no hints" in response.json()["error"]
    server.give_up(ranked)


@pytest.mark.parametrize(
    ("slug", "action", "message"),
    [
        ("Wordle", "zzzzz", "word list"),
        ("MazeFullyObserved", "go up", "costs 4 points"),
        ("TextNavFullyObserved", "fly", "available actions"),
        ("Chess", "e5", "no legal move"),
    ],
)
def test_what_would_be_wasted_is_asked_about_first(server: Server, slug: str, action: str, message: str) -> None:
    state = server.begin(slug, seed=2)
    assert message in server.act(state, action, sure=False)["doubt"]
    assert server.http.get(f"/api/games/{state['id']}").json()["turn"] == 0
    after = server.act(state, action, sure=True)
    assert after["turn"] == 1 and after["turns"][1]["valid"] is False


@pytest.mark.parametrize("slug", ["Wordle", "TwentyQuestions-v1", "CarDealer-v1", "TextNavPartiallyObserved"])
def test_any_text_can_be_said(server: Server, slug: str) -> None:
    state = server.begin(slug)
    for action in HOSTILE_ACTIONS:
        if len(action) > 4000:
            response = server.post(f"/api/games/{state['id']}/actions", action=action, sure=True)
            assert response.status_code == 413 and "error" in response.json()
            continue
        state = server.begin(slug) if state["over"] else state
        # As a browser sends it: half a surrogate pair is legal in JSON.
        body = json.dumps({"action": action, "sure": True, "turn": state["turn"]})
        headers = {"content-type": "application/json"}
        response = server.http.post(f"/api/games/{state['id']}/actions", content=body, headers=headers)
        assert response.status_code == 200, response.text
        state = response.json()
        assert state["turns"][-2]["text"] == action


def test_moves_are_played_once(server: Server) -> None:
    state = server.begin("TwentyQuestions-v1")
    path = f"/api/games/{state['id']}"
    server.act(state, "Is it an animal?")
    again = server.post(f"{path}/actions", action="Is it an animal?", turn=0)
    assert again.status_code == 409 and "gone on elsewhere" in again.json()["error"]
    over = server.give_up(state)
    assert over["over"] and over["result"]["hidden"]["secret"]
    for what in ("actions", "hint", "give-up"):
        late = server.post(f"{path}/{what}", action="Is it big?")
        assert late.status_code == 409 and "over" in late.json()["error"]
    assert server.http.get(path).json() == over


def test_a_game_is_shown_while_its_move_is_answered() -> None:
    entry = SuiteTask("lmrl/TwentyQuestions-v1")
    sessions = LiveGames(EnvironmentPool([entry]), None, {})
    game = sessions.begin(entry, "practice", None, 1)
    before, asked, answer = game.shown_state, threading.Event(), threading.Event()

    class Slow:
        def reply(self, requests: Any) -> Any:
            asked.set()
            assert answer.wait(30)
            return ScriptedOracle().reply(requests)

    game.env.partner = Slow()  # type: ignore[attr-defined]
    thread = threading.Thread(target=sessions.act, args=(game.key, "Is it an animal?", 0, True))
    thread.start()
    assert asked.wait(30) and sessions.find(game.key).shown_state is before
    with pytest.raises(Refused, match="still being answered"):
        sessions.act(game.key, "Is it big?", 0, True)
    answer.set()
    thread.join()
    assert sessions.find(game.key).shown_state["turn"] == 1


def test_many_players_at_once(server: Server) -> None:
    """Games do not mix, whoever plays them when."""
    ends: dict[int, dict[str, Any]] = {}

    def one(seed: int) -> None:
        with httpx.Client(base_url=server.url, timeout=60) as http:
            state = http.post("/api/games", json={"task": "GuessMyCity-v1", "seed": seed}).json()
            player = make_policy("lmrl/GuessMyCity-v1", "expert", seed=seed)
            while not state["over"]:
                values = {"action": player.act(transcript_of(state)), "turn": state["turn"]}
                state = http.post(f"/api/games/{state['id']}/actions", json=values).json()
            ends[seed] = state

    threads = [threading.Thread(target=one, args=(seed,)) for seed in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(12):
        env = gym.make("lmrl/GuessMyCity-v1")
        env.reset(seed=seed)
        for action in transcript_of(ends[seed]).actions:
            *_, info = env.step(action)
        assert ends[seed]["result"]["hidden"]["secret"] == info["secret"]


# -- what is drawn


def test_chess_is_drawn_from_the_position(server: Server) -> None:
    state = server.begin("Chess", seed=1)
    for move in ("e4", "d 4", "Qh9"):
        state = server.act(state, move)
    view = state["picture"]
    board = chess.Board(view["fen"])
    assert {a + b for a, ends in view["legal"].items() for b in ends} == {move.uci()[:4] for move in board.legal_moves}
    texts = [move["text"] for move in view["moves"]]
    assert [re.sub(r" \S+$", "", text) for text in texts[:2]] == ["1. e4", "2. d4"] and texts[2] == "Qh9?"
    assert [move["legal"] for move in view["moves"]] == [True, True, False]
    reply = texts[1].split()[-1]
    before = chess.Board(transcript_of(state).observations[1].replace("   ", "\n").replace(" ", "").replace("\n", " "))
    before.push_san("d4")
    assert chess.square_name(before.parse_san(reply).to_square) == view["last"][1]


def test_the_map_holds_what_has_been_told(server: Server) -> None:
    from lmrl_envs.maze.rules import named_maze

    maze = named_maze("double_t")
    state = server.begin("MazePartiallyObserved", seed=3)
    player = make_policy(state["env_id"], "expert")
    while not state["over"]:
        rows = state["picture"]["rows"]
        assert "path" not in state["picture"] and "G" not in "".join(rows)
        assert sum(mark != "?" for row in rows for mark in row) <= 5 + 4 * state["turn"]
        here = next((r, row.index("@")) for r, row in enumerate(rows) if "@" in row)
        if state["turn"] == 0:
            start, offset = here, None
        # Wherever the drawing can lie in the maze, no mark of it may be wrong: the true place is among the fits.
        fits = [
            (r - here[0], c - here[1])
            for r, c in maze.cells
            if all(
                mark == "?" or (mark == "#") == (maze.rows[i + r - here[0]][j + c - here[1]] == "#")
                for i, row in enumerate(rows)
                for j, mark in enumerate(row)
                if 0 <= i + r - here[0] < len(maze.rows) and 0 <= j + c - here[1] < len(maze.rows[0])
            )
        ]
        assert fits
        state = server.act(state, player.act(transcript_of(state)))
    rows, path = state["picture"]["rows"], state["picture"]["path"]
    assert [row.count("#") for row in rows] == [row.count("#") for row in maze.rows]
    assert rows[maze.goal[0]][maze.goal[1]] == "@" and start and offset is None
    assert len(path) == state["turn"] + 1 and tuple(path[-1]) == maze.goal


def test_wordles_letters_keep_their_best_mark(server: Server) -> None:
    state = server.begin("Wordle", seed=3)
    for word in ("crane", "about", "zzzzz"):
        state = server.act(state, word)
    view, told = state["picture"], transcript_of(state).observations
    assert [row["marks"] for row in view["rows"]] == [told[1].replace(" ", ""), told[2].replace(" ", ""), None]
    assert view["keys"]["c"] == told[1][0] and set(view["keys"]) == set("craneabout")


# -- watching


def test_an_agent_is_watched_with_its_values(server: Server) -> None:
    tasks = server.http.get("/api/tasks").json()
    assert tasks["agents"] == ["expert", "players.py:Valued", "players.py:Failing", "players.py:Writing"]
    state = server.begin("MazeFullyObserved", mode="watch", agent="players.py:Valued", seed=0)
    state = server.post(f"/api/games/{state['id']}/advance", turn=0).json()
    turn = state["turns"][1]
    assert turn["text"] == "move down" and turn["thoughts"]["tokens"] == []
    assert turn["thoughts"]["alternatives"] == [
        {"action": "move down", "value": -3.25},
        {"action": "move up", "value": -7.5},  # and no NaN, which JSON does not know
    ]
    expert = server.begin("MazeFullyObserved", mode="watch", agent="expert", seed=0)
    while not expert["over"]:
        expert = server.post(f"/api/games/{expert['id']}/advance", turn=expert["turn"]).json()
    assert expert["result"]["success"] and not expert["result"]["kept"]
    assert server.post(f"/api/games/{state['id']}/actions", action="move up").status_code == 409
    state = server.begin("MazeFullyObserved", mode="watch", agent="players.py:Writing", seed=0)
    turn = server.post(f"/api/games/{state['id']}/advance").json()["turns"][1]
    assert turn["text"] == "move up" and turn["thoughts"]["raw"] == "Thinking aloud. Answer: move up"
    assert [(token["text"], round(token["probability"])) for token in turn["thoughts"]["tokens"]] == [
        ("move", 1),
        (" up", 0),
    ]


def test_agents_are_named_by_who_starts_the_server(server: Server, tmp_path: Path) -> None:
    trap = tmp_path / "trap.py"
    trap.write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\nmake = None\n")
    for agent in (f"{trap}:make", "random", None, "../players.py:Valued"):
        response = server.post("/api/games", task="Wordle", mode="watch", agent=agent)
        assert response.status_code == 404 and "named when it is started" in response.json()["error"]
    assert not (tmp_path / "sprung").exists()


def test_an_agent_that_fails_is_said_to_and_can_be_asked_again(server: Server) -> None:
    state = server.begin("Wordle", mode="watch", agent="players.py:Failing")
    response = server.post(f"/api/games/{state['id']}/advance")
    assert response.status_code == 502 and response.json()["retry"] and "RuntimeError" in response.json()["error"]
    assert server.http.get(f"/api/games/{state['id']}").json()["turn"] == 0
    assert server.give_up(state)["over"]


def test_a_language_models_tokens_are_shown(maze_data: Path, tmp_path: Path) -> None:
    from lmrl_agents import Request
    from lmrl_agents.models.model import LanguageModel, ModelConfig
    from lmrl_agents.models.tokenizer import train_tokenizer
    from lmrl_agents.models.tokens import TextFormat
    from lmrl_agents.playing.policy_agent import LanguageModelAgent
    from lmrl_benchmarks.reporting.thoughts import thoughts_of

    texts = [turn.text for episode in load_dataset(maze_data) for turn in episode.transcript]
    tokenizer = train_tokenizer(texts, units="words")
    model = LanguageModel.create(ModelConfig(layers=1, width=16, heads=1), tokenizer, TextFormat(context_turns=1), 0)
    model.save(tmp_path / "model", {"max_action_tokens": 5, "env_id": "lmrl/MazeFullyObserved-v0"})
    agent = LanguageModelAgent(tmp_path / "model")
    request = Request("lmrl/MazeFullyObserved-v0", 0, 11, load_dataset(maze_data)[0].transcript[:1])  # type: ignore[arg-type]
    request = Request(request.env_id, 0, 11, Transcript(request.transcript))
    LiveGames(EnvironmentPool([]), None, {"model": agent})  # has it tell all
    (action,) = agent.act_with_details([request])
    tokens = thoughts_of(action.text, action.details).tokens
    sampled = agent.sample([request])[0]
    assert action.text == agent.act([request])[0] == "".join(t["text"] for t in tokens if t["text"] != "<eoa>")
    assert [t["probability"] for t in tokens] == pytest.approx(
        [2.718281828459045**x for x in sampled.logprobs], rel=1e-3
    )


# -- what is kept


def breaches(out: Path) -> list[str]:
    return [f"{name}: {breach}" for name, found in verify_run(out) for breach in found]


@pytest.fixture(scope="module")
def played(server: Server) -> Path:
    """The folder of the server after two games, at least, of every task."""
    for id in task_ids():
        for mode in ("practice", "ranked"):
            play(server, slug_of(id), most=3, mode=mode)
    return server.out  # type: ignore[attr-defined]


def test_games_become_a_dataset_and_stand_on_the_leaderboard(server: Server, played: Path, tmp_path: Path) -> None:
    from lmrl_benchmarks.reporting.report import write_report

    out = played
    for _ in range(2):
        last = play(server, "Wordle", mode="ranked", policy="expert")[-1]
    assert last["result"]["kept"] and last["result"]["episode"] is not None
    assert breaches(out) == []
    rows = {row.task: row for row in load_results(out).rows}
    assert set(rows) == {slug_of(id) for id in task_ids()} and {row.agent for row in rows.values()} == {"human"}
    progress = {t["slug"]: t["ranked"] for t in server.http.get("/api/tasks").json()["tasks"]}
    assert rows["Wordle"].episodes == progress["Wordle"]["played"] >= 3 and progress["Wordle"]["of"] == 1000
    page = write_report(out, tmp_path / "report.html").read_text("utf-8")
    assert page.count("human") > 11
    for id in task_ids():
        name = f"{task(id).family}/human-v0"
        data = load_dataset(read_as_dataset(out / "human" / slug_of(id), tmp_path / slug_of(id), name))
        data.verify(replay=True)
        assert data.env_id == id and len(data) >= 2 and [e.episode_id for e in data] == list(range(len(data)))
        assert {e.policy.split(",")[0] for e in data} == {"human"}


def test_the_records_of_people_are_checked_like_all_others(played: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    shutil.copytree(played, out)
    path = out / "cells" / "TwentyQuestions-v1" / "human" / "seed-0" / "episodes.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    records[0]["rewards"][0] = 0.0
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert "earns" in " ".join(breaches(out))
    # Only people may stop early: another agent could do so when it is ahead.
    cell = out / "cells" / "Wordle" / "human"
    shutil.copytree(cell, cell.with_name("lucky"))
    run = cell.with_name("lucky") / "seed-0" / "run.json"
    run.write_text(run.read_text().replace('"agent": "human"', '"agent": "lucky"'))
    assert re.search(r"lucky on Wordle.*episodes is \d+, the suite says 1000", " ".join(breaches(out)))


SUITE = """
name = "mine"
version = 1
episodes = 3
seed = 5
training_seeds = [0]
[[tasks]]
id = "lmrl/ChessEndgames-v0"
kwargs = { positions = "evaluation" }
[[tasks]]
id = "lmrl/Wordle-v0"
[[agents]]
name = "random"
"""


def test_people_join_a_run_and_a_kill_loses_only_the_games_under_way(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(SUITE)
    out = tmp_path / "run"
    assert run_suite(load_suite(str(tmp_path / "small.toml")), out, workers=1) == {}
    with Server("--out", out, "--env", "lmrl/Wordle-v0", "lmrl/ChessEndgames-v0") as server:
        offered = {t["slug"]: t["ranked"] for t in server.http.get("/api/tasks").json()["tasks"]}
        assert offered == {
            "ChessEndgames-evaluation": {"played": 0, "of": 3},
            "ChessEndgames": None,
            "Wordle": {"played": 0, "of": 3},
        }
        assert server.post("/api/games", task="ChessEndgames", mode="ranked").status_code == 409
        first, second = (server.begin("Wordle", mode="ranked") for _ in range(2))
        while not second["over"]:
            second = server.act(second, "about")
        assert breaches(out) == [] and {row.agent for row in load_results(out).rows} == {
            "random"
        }  # waits for episode 0
        first = server.act(first, "crane")
        server.stop(signal.SIGKILL)
    journal = out / "human" / "Wordle" / "episodes.jsonl"
    with journal.open("a") as file:
        file.write(journal.read_text()[:100])  # as if killed while writing
    with Server("--out", out, "--env", "lmrl/Wordle-v0") as server:
        gone = server.http.get(f"/api/games/{first['id']}")
        assert gone.status_code == 410 and "started again" in gone.json()["error"]
        again = server.begin("Wordle", mode="ranked")  # the first one's episode, which was lost
        while not again["over"]:
            again = server.act(again, "world")
        assert again["result"]["episode"] == 0
        given_up = server.give_up(server.begin("Wordle", mode="ranked"))
        assert given_up["result"]["episode"] == 2
        assert server.post("/api/games", task="Wordle", mode="ranked").status_code == 409
        assert breaches(out) == []
        server.stop(signal.SIGKILL)
    cell = out / "cells" / "Wordle" / "human" / "seed-0"
    records = RecordFile(cell).read()
    assert [record.episode for record in records] == [0, 1, 2] and list(verify_records(cell)) == []
    assert records[2].error == "given up by the player"
    summary = json.loads((cell / "summary.json").read_text())
    assert summary["return_mean"] == (-6 - 6 + task("lmrl/Wordle-v0").return_range[0]) / 3 and summary["errors"] == 1
    assert [(row.task, row.agent) for row in load_results(out).rows][-1] == ("Wordle", "human")
    assert (
        main(
            ["data", "import", str(out / "human" / "Wordle"), "--name", "wordle/human-v0", "--out", str(tmp_path / "d")]
        )
        == 0
    )
    data = load_dataset(tmp_path / "d")
    data.verify(replay=True)
    assert [episode.actions[0] for episode in data] == ["about", "world"]  # a game without a move is no data


def test_a_game_that_cannot_be_kept_is_said_to_and_its_number_is_free_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    entry = SuiteTask("lmrl/Wordle-v0")
    sessions = LiveGames(EnvironmentPool([entry]), HumanRecords(tmp_path / "run", [entry]), {})
    journal = tmp_path / "run" / "human" / "Wordle" / "episodes.jsonl"
    for full in (False, True, False):
        game = sessions.begin(entry, "ranked", None, None)
        with monkeypatch.context() as disk:
            if full:
                disk.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("No space left on device")))
            sessions.give_up(game.key)
        assert game.shown_state["result"]["kept"] is not full
        assert game.episode == (1 if full else len(journal.read_text().splitlines()) - 1)
    assert "No space left" in caplog.text
    assert breaches(tmp_path / "run") == [] and len(RecordFile(tmp_path / "run/cells/Wordle/human/seed-0").read()) == 2


PLUG_IN = """
import toy_task
from lmrl_benchmarks.running.suite import SuiteTask
from lmrl_benchmarks.serve.environments import EnvironmentPool, tasks_of
from lmrl_benchmarks.serve.live_games import LiveGames
from lmrl_envs import task_ids

entry = next(entry for entry in tasks_of(task_ids(), {}) if entry.id == "toy/HotCold-v0")
sessions = LiveGames(EnvironmentPool([entry]), None, {})
game = sessions.begin(entry, "practice", None, 3)
while not game.over:
    sessions.act(game.key, sessions.hint(game.key), None, False)
state = game.shown_state
assert state["kind"] == "list" and state["limit"] == 7 and state["picture"]["lines"][-1].endswith(": found")
assert "no number" in sessions.act(sessions.begin(entry, "practice", None, 3).key, "hot", None, False)
assert game.shown_state["result"]["hidden"]["secret"] and sum(game.hints) == game.env.turn
print("played")
"""


def test_a_plug_ins_task_is_played_too() -> None:
    path = os.pathsep.join([str(ROOT / "tests"), *(p for p in sys.path if p)])
    result = subprocess.run(
        [sys.executable, "-c", PLUG_IN], env=environment(PYTHONPATH=path), capture_output=True, text=True
    )
    assert result.stdout == "played\n", result.stderr


# -- games that are left


def aged(game: LiveGame, seconds: float) -> None:
    game.used -= seconds


def test_idle_games_are_dropped_and_room_is_made(tmp_path: Path) -> None:
    entry = SuiteTask("lmrl/Wordle-v0")
    recorder = HumanRecords(tmp_path / "run", [entry])
    sessions = LiveGames(EnvironmentPool([entry]), recorder, {}, Limits(sessions=3, idle_seconds=100))
    begun, looked_at, practice = (sessions.begin(entry, mode, None, None) for mode in ("ranked", "ranked", "practice"))
    sessions.act(begun.key, "about", 0, True)
    with pytest.raises(Refused, match="Too many games"):
        sessions.begin(entry, "practice", None, None)
    for game in (begun, looked_at):
        aged(game, 101)
    sessions.drop_idle()
    assert len(sessions) == 1 and sessions.find(practice.key) is practice
    with pytest.raises(Refused, match=r"nothing was played for 1\.66667 minutes, or the server was started again"):
        sessions.find(begun.key)
    # The one that was begun counts as lost; the one that was only looked at is the next one's.
    again = sessions.begin(entry, "ranked", None, None)
    assert (again.episode, again.seed) == (1, looked_at.seed)
    sessions.give_up(again.key)
    sessions.begin(entry, "practice", None, None)
    sessions.begin(entry, "practice", None, None)  # in the place of the finished one
    assert len(sessions) == 3 and again.over
    aged(practice, 61)
    sessions.begin(entry, "practice", None, None)  # in the place of the one that was left alone for a minute
    with pytest.raises(Refused, match="no longer here"):
        sessions.find(practice.key)
    records = RecordFile(tmp_path / "run" / "cells" / "Wordle" / "human" / "seed-0").read()
    assert [record.error for record in records] == ["left by the player", "given up by the player"]
    assert breaches(tmp_path / "run") == []


def test_nobody_needs_to_come_for_idle_games_to_be_dropped(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with Server("--out", out, "--idle-minutes", 0.01, "--env", "lmrl/Wordle-v0") as server:
        server.act(server.begin("Wordle"), "about")
        deadline = time.monotonic() + 60
        while not (out / "human" / "Wordle" / "episodes.jsonl").is_file() and time.monotonic() < deadline:
            time.sleep(0.05)
    (episode,) = load_dataset(read_as_dataset(out / "human" / "Wordle", tmp_path / "data", "wordle/human-v0"))
    assert episode.stopped and episode.actions == ("about",)


def test_a_finished_game_makes_room(tmp_path: Path) -> None:
    with Server("--no-record", "--max-games", 1, "--env", "lmrl/Wordle-v0") as server:
        over = server.give_up(server.begin("Wordle"))
        assert not over["result"]["kept"]
        server.begin("Wordle")
        assert server.http.get(f"/api/games/{over['id']}").status_code == 410
    assert not (tmp_path / "run").exists()


# -- simulators that fail


def test_a_simulator_that_fails_is_told_and_the_game_goes_on(tmp_path: Path) -> None:
    from faulty_server import FaultyServer

    with FaultyServer(["server_error", "good", "wrong_format", "good"], answer=lambda _: "No.") as model:
        options = json.dumps({"base_url": model.url, "max_retries": 0})
        arguments = ("--env", "lmrl/TwentyQuestions-v1", "--simulator", "openai:some-model")
        with Server("--out", tmp_path / "run", *arguments, "--env-arg", f"simulator_options={options}") as server:
            (offered,) = server.http.get("/api/tasks").json()["tasks"]
            assert re.fullmatch(r"TwentyQuestions-v1-\w{8}", offered["slug"])  # the server's arguments are not shown
            assert offered["ranked"] is None and offered["simulator"] == "openai:some-model"
            state = server.begin(offered["slug"])
            path = f"/api/games/{state['id']}"
            bodies = []
            for turn in range(2):
                question = f"Is it number {turn}?"  # equal questions are not asked again
                failed = server.post(f"{path}/actions", action=question, turn=turn)
                assert (
                    failed.status_code == 502
                    and failed.json()["retry"]
                    and "try the same again" in failed.json()["error"]
                )
                state = server.act(state, question)
                assert state["turn"] == turn + 1 and state["turns"][-1]["text"] == "No."
                bodies.append(failed.text)
            secret = server.give_up(state)["result"]["hidden"]["secret"]
            assert secret not in " ".join(bodies) and secret not in server.stderr()
            assert "simulator failed" in server.stderr()
