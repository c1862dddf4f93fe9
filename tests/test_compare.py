"""A person who compares pairs, or coaches an agent, in the page: what is shown, kept and taken back, also after a kill; in a real Chromium."""

from __future__ import annotations

import json
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from serving import Server

from lmrl_agents import load_agent
from lmrl_agents.learning.coached_games import FEEDBACK, load_coached
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.learning.train import train
from lmrl_agents.playing.collecting import Collection, collect
from lmrl_benchmarks.serve.compare import Comparing
from lmrl_benchmarks.serve.environments import Refused
from lmrl_datasets.preferences import load_preferences
from lmrl_datasets.preferences.checking import about, verify_preferences
from lmrl_datasets.preferences.labellers import load_labeller
from lmrl_datasets.preferences.labelling import label_pairs
from lmrl_datasets.preferences.store import LABELS, read_lines

HEADLINE, MAZE = "lmrl/Headline-v0", "lmrl/MazeFullyObserved-v0"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    folder = tmp_path / "pairs"
    collect(
        Collection(HEADLINE, ["suboptimal", "expert"], 30), [load_agent("suboptimal"), load_agent("expert")], folder
    )
    return folder


def better(state: dict[str, Any]) -> str:
    """Who has the longer headline, as a person with a taste would say."""
    left, right = (len(side["turns"][1]["text"]) for side in state["sides"])
    return "left" if left > right else "right" if right > left else "tie"


def test_answers_are_labels_of_the_pair_whatever_stood_left(pairs: Path) -> None:
    person = Comparing(pairs, "ann")
    while not (state := person.state())["over"]:
        person.say(state["number"], better(state))
    found = load_preferences(pairs)
    assert len(found.labels) == 30 and {label.annotator for label in found.labels} == {"person:ann"}
    assert {label.shown_first for label in found.labels} == {"first", "second"}
    for label in found.labels:
        sizes = [len(side.actions[0]) for side in (found.pairs[label.pair_id].first, found.pairs[label.pair_id].second)]
        assert label.label == (0.5 if sizes[0] == sizes[1] else float(sizes[0] > sizes[1]))
    repeats = [line for line in read_lines(pairs, 30) if line.mark == "repeat"]
    first = {label.pair_id: label for label in found.labels}
    assert len(repeats) == 3 and all(line.shown_first != first[line.pair_id].shown_first for line in repeats)
    (told,) = [text for key, text in about(found) if key == "person:ann"]
    assert "30 labels" in told and "the same again of 3 of 3 pairs" in told
    assert not list(verify_preferences(pairs, replay=True))
    label_pairs(pairs, "gold")  # another annotator leaves all of it
    assert [line for line in read_lines(pairs, 30) if line.annotator == "person:ann"] == person.stand


def test_who_played_and_what_it_is_worth_is_never_shown(pairs: Path) -> None:
    label_pairs(pairs, "gold")
    state = Comparing(pairs, "ann").state()
    text = json.dumps({**state, "instructions": ""})
    assert not any(
        word in text for word in ("expert", "suboptimal", "policy", "reward", "gold", "seed", "Worth", "first")
    )
    assert [set(turn) for side in state["sides"] for turn in side["turns"]] == [{"text", "action"}] * 6


def test_undo_is_a_line_and_takes_back_what_stands(pairs: Path) -> None:
    person = Comparing(pairs, "ann")
    for answer in ("left", "skip", "right"):
        state = person.say(person.state()["number"], answer)
    assert state["done"] == 3 and load_preferences(pairs).labels[1].label is None
    before = person.undo(3)
    assert before["done"] == 2 and len((pairs / LABELS).read_text().splitlines()) == 4
    person.undo(2)
    assert [label.pair_id for label in load_preferences(pairs).labels] == [0]
    person.say(1, "tie")
    assert [label.label for label in load_preferences(pairs).labels][1] == 0.5
    for wrong in (lambda: person.say(1, "left"), lambda: person.undo(7), lambda: Comparing(pairs, "bo").undo(0)):
        with pytest.raises(Refused, match="Load the page again"):
            wrong()
    for answer in ("up", 1, None):
        with pytest.raises(Refused, match="must be one of"):
            person.say(2, answer)
    with pytest.raises(ValueError, match="1 to 40"):
        Comparing(pairs, "")
    with pytest.raises(ValueError, match="--compare"):
        load_labeller("person")


def test_a_cut_line_and_two_windows_lose_nothing(pairs: Path) -> None:
    person = Comparing(pairs, "ann")
    for _ in range(12):
        person.say(person.state()["number"], "left")
    stand = person.stand
    with (pairs / LABELS).open("a") as file:
        file.write('{"pair_id":12,"annot')  # a kill in the midst of a line
    again = Comparing(pairs, "ann")
    assert again.stand == stand and again.state() == {**person.state()}
    again.say(len(stand), "right")
    assert len(Comparing(pairs, "ann").stand) == len(stand) + 1
    with pytest.raises(Refused, match="elsewhere"):
        Comparing(pairs, "ann").say(len(stand), "left")


def test_an_answer_that_breaks_off_is_none_and_one_whose_reply_nobody_reads_counts_once(pairs: Path) -> None:
    with Server("--compare", pairs, "--name", "ann", "--rate", 1000) as server:

        def number() -> int:
            return server.http.get("/api/compare").json()["number"]

        def send_and_leave(body: bytes, declared: int, path: str = "say") -> None:
            """What a page sends that is closed then: nobody waits for the reply."""
            head = f"POST /api/compare/{path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: application/json\r\n"
            with socket.create_connection(("127.0.0.1", server.port)) as connection:
                connection.sendall(f"{head}Content-Length: {declared}\r\n\r\n".encode() + body)
                if declared > len(body):  # no more comes: until the server has seen it
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(4096):
                        pass

        def settles_at(wanted: int) -> bool:
            until = time.monotonic() + 10
            while number() != wanted and time.monotonic() < until:
                time.sleep(0.02)
            return number() == wanted == len(read_lines(pairs, 30))

        left = json.dumps({"number": 0, "answer": "left"}).encode()
        send_and_leave(left[:12], len(left))
        send_and_leave(left, len(left) + 1)  # an answer to the eye; more was to come
        assert settles_at(0) and "Traceback" not in server.stderr()
        send_and_leave(left, len(left))
        assert settles_at(1)
        send_and_leave(left, len(left))  # the same once more, as a browser or a person does who saw no reply
        again = server.post("/api/compare/say", number=0, answer="right")
        assert again.status_code == 409 and "answered elsewhere" in again.text and settles_at(1)
        undo = json.dumps({"number": 1}).encode()
        send_and_leave(undo, len(undo), "undo")
        assert settles_at(0)
        assert server.post("/api/compare/undo", number=1).status_code == 409
        assert server.post("/api/compare/say", number=0, answer="tie").json()["done"] == 1
        server.stop(signal.SIGKILL)
    assert [label.label for label in load_preferences(pairs).labels] == [0.5]
    assert len((pairs / LABELS).read_text().splitlines()) == 3  # the answer, the undo, the answer in its place


def test_stretches_and_texts_from_elsewhere_can_be_compared(tmp_path: Path) -> None:
    folder = tmp_path / "maze"
    collect(Collection(MAZE, ["suboptimal"], 3, unit="segment:4"), [load_agent("suboptimal")], folder)
    state = Comparing(folder, "ann").state()
    assert {side["kind"] for side in state["sides"]} == {"grid"} and state["instructions"]
    source = tmp_path / "rows.jsonl"
    source.write_text(json.dumps({"prompt": "Say hello.\n", "chosen": "Hello!", "rejected": "No."}) + "\n")
    from lmrl_datasets.preferences.exchange import import_pairs

    import_pairs(source, tmp_path / "texts")
    assert {side["kind"] for side in Comparing(tmp_path / "texts", "ann").state()["sides"]} == {"chat"}


def coached(folder: Path, keys: str = "+-+", agent: str = "expert") -> dict[str, Any]:
    """A game coached over HTTP, with feedback also after its end."""
    with Server("--coach", MAZE, "--agent", agent, "--out", folder, "--rate", 1000) as server:
        state = server.begin("MazeFullyObserved", mode="watch", agent=agent)
        path = f"/api/games/{state['id']}"
        assert state["coached"] and server.post(f"{path}/feedback", value=1).status_code == 409  # nothing was done yet
        number = 0
        while not state["over"]:
            state = server.post(f"{path}/advance", turn=state["turn"]).json()
            assert (
                server.post(f"{path}/feedback", value=1 if keys[number % len(keys)] == "+" else -1).status_code == 200
            )
            number += 1
        assert [server.post(f"{path}/feedback", value=value).status_code for value in (-1, 0, True, "1")] == [200] + [
            422
        ] * 3
        server.stop(signal.SIGKILL)
    return state


def test_a_coached_game_is_kept_and_learned_from(tmp_path: Path, maze_data: Path) -> None:
    state = coached(tmp_path / "kept")
    (game,) = load_coached(str(tmp_path / "kept"), MAZE)
    assert list(game.actions) == [turn["text"] for turn in state["turns"] if turn["action"]]
    assert (
        len(game.signals) == len(game.actions) + 1
        and game.signals[-1][1] == -1
        and len(game.shown) == len(game.actions)
    )
    shares = game.shares(0.0, 1e-3)
    assert shares.shape == (len(game.signals), len(game.actions)) and (shares[-1][:-1] == 0).all()
    small = {"model.layers": 1, "model.width": 16, "model.heads": 1, "bc.steps": 4, "bc.batch_size": 16}
    for name in ("tamer", "deep_tamer", "coach"):
        own = {f"{name}.feedback": f"person:{tmp_path / 'kept'}", f"{name}.iterations": 2}
        run = TrainingRun(name, MAZE, str(maze_data), tmp_path / name, overrides={**small, **own}, show_progress=False)
        assert (train(run) / "lmrl.json").is_file()
    with pytest.raises(ValueError, match="lmrl serve --coach"):
        load_coached(str(tmp_path / "kept"), HEADLINE)
    (tmp_path / "kept" / FEEDBACK).write_text('{"game":1}\n')
    with pytest.raises(ValueError, match="line 1 is damaged"):
        load_coached(str(tmp_path / "kept"), MAZE)


def test_what_cannot_be_served_is_told(tmp_path: Path) -> None:
    for arguments, why in (
        (("--compare", tmp_path), "holds no preference data"),
        (("--coach", MAZE), "--agent SPEC"),
    ):
        with pytest.raises(RuntimeError, match=why):
            Server(*arguments)


# -- in a browser

pytest.importorskip("playwright")
from test_browser import Open, browser, no_sideways_scrolling, open_page  # noqa: E402, F401  (fixtures)


@pytest.mark.browser
def test_twenty_pairs_by_hand_with_a_kill_between(open_page: Open, pairs: Path) -> None:  # noqa: F811
    from playwright.sync_api import expect

    page = open_page(("ERR_CONNECTION_REFUSED", "Failed to load"))
    with Server("--compare", pairs, "--name", "ann", "--rate", 1000) as server:
        port = server.port
        page.goto(server.url)
        progress = page.locator("[data-progress]")
        expect(progress).to_have_text("0 of 30 pairs")
        assert page.url.endswith("#/compare") and page.locator("[data-say=undo]").is_disabled()
        no_sideways_scrolling(page)
        body = page.locator("main").inner_text()
        assert "expert" not in body and "suboptimal" not in body and "Worth" not in body
        for number, key in enumerate(("ArrowLeft", "ArrowRight", "=", "s", "1", "2", "ArrowDown"), 1):
            page.keyboard.press(key)
            expect(progress).to_have_text(f"{number} of 30 pairs")
        page.keyboard.press("u")
        expect(progress).to_have_text("6 of 30 pairs")
        page.locator("[data-say=right]").click()
        expect(progress).to_have_text("7 of 30 pairs")
        server.stop(signal.SIGKILL)
        page.keyboard.press("ArrowLeft")
        expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    with Server("--compare", pairs, "--name", "ann", "--rate", 1000, port=port):
        page.reload()
        expect(progress).to_have_text("7 of 30 pairs")
        labels = [line.label for line in read_lines(pairs, 30)]
        assert labels.count(None) == 1 and labels.count(0.5) == 1
        done = 7
        while done < 20:
            before = len(read_lines(pairs, 30))
            page.keyboard.press("ArrowLeft")
            page.wait_for_function(
                "n => fetch('/api/compare').then(r => r.json()).then(s => s.number === n)", arg=before + 1
            )
            done = len(load_preferences(pairs).labels)
            expect(progress).to_have_text(f"{done} of 30 pairs")
    lines = read_lines(pairs, 30)
    assert sum(line.mark == "repeat" for line in lines) == 2 and len(load_preferences(pairs).labels) == 20
    assert all(line.seconds >= 0 for line in lines) and any(line.seconds > 0 for line in lines)


@pytest.mark.browser
def test_plus_and_minus_while_an_agent_plays(open_page: Open, tmp_path: Path) -> None:  # noqa: F811
    from playwright.sync_api import expect

    page = open_page()
    with Server("--coach", MAZE, "--agent", "expert", "--out", tmp_path / "kept", "--rate", 1000) as server:
        page.goto(server.url)
        page.locator("[data-task=MazeFullyObserved] [data-mode=watch]").click()
        page.locator("[data-do=step]").click()
        page.wait_for_function("document.querySelectorAll('.log .mine').length === 1")
        page.keyboard.press("+")
        expect(page.locator("[data-told]")).to_have_text("+1 −0")
        page.locator("[data-judge='-1']").click()
        expect(page.locator("[data-told]")).to_have_text("+1 −1")
        page.get_by_label("Speed").select_option("fast")
        page.locator("[data-do=toggle]").click()
        expect(page.locator(".result")).to_be_visible()
        page.keyboard.press("-")
        expect(page.locator("[data-told]")).to_have_text("+1 −2")
        page.wait_for_timeout(100)
    (game,) = load_coached(str(tmp_path / "kept"), MAZE)
    assert [value for _, value in game.signals] == [1, -1, -1] and game.terminated
