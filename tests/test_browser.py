"""The pages in a real Chromium: every kind of game clicked through, agents watched, the leaderboard's report."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import Server

from lmrl_benchmarks.reporting.report import write_report
from lmrl_benchmarks.running.runner import run_suite
from lmrl_benchmarks.running.suite import SuiteTask, load_suite
from lmrl_envs import Transcript, make_policy, task_ids

pytestmark = pytest.mark.browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    why = "no Chromium is installed: apt-get install chromium"
    warnings.warn(f"THE BROWSER TESTS ARE SKIPPED: {why}", stacklevel=1)
    pytest.skip(why, allow_module_level=True)

from axe_playwright_python.sync_playwright import Axe  # noqa: E402
from playwright.sync_api import Browser, Page, expect, sync_playwright  # noqa: E402  (needed only with a browser)

expect.set_options(timeout=20_000)

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 740},
    "is_mobile": True,
    "has_touch": True,
    "color_scheme": "dark",
}
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script></td></ol>&lt;b&gt;\u202egnorw" + "W" * 400

FROM_LEFT_TO_RIGHT = """small => [0, 1].map(k => {
    const range = document.createRange();
    range.setStart(small.firstChild, k); range.setEnd(small.firstChild, k + 1);
    return range.getBoundingClientRect().left;
}).reduce((first, second) => first < second)"""

AGENTS = f"""
from lmrl_agents import Action

TOKENS = [["move", -0.1], [" down", -2.3], ["<eoa>", 0.0]]
TOLD = Action("move down", {{
    "token_logprobs": TOKENS, "token_values": [-3.5, None, 1.25],
    "alternatives": [["move down", -3.25], [{HOSTILE!r}, -9.0]],
}})
WEIGHED = Action("move down", {{
    "value": -3.0, "action_value": -3.25, "token_logprobs": TOKENS, "token_values": [-3.25, None, None],
    "alternatives": [["move up", -3.0], ["move down", -3.25], [{HOSTILE!r}, -9.0]],
}})

class Telling:
    def act(self, requests):
        return ["move down"] * len(requests)
    def act_with_details(self, requests):
        return [TOLD] * len(requests)

class Valued(Telling):
    def act_with_details(self, requests):
        return [WEIGHED] * len(requests)

class Weighing:
    def act(self, requests):
        return ["move down"] * len(requests)
    def act_with_details(self, requests):
        return [WEIGHED] * len(requests)

class Hostile:
    def act(self, requests):
        return [{HOSTILE!r}] * len(requests)

class Writing(Hostile):
    def act_with_details(self, requests):
        return [Action({HOSTILE!r}, {{"raw": "I thought: " + {HOSTILE!r}}})] * len(requests)
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:  # a fresh profile each time
        running = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("agents") / "players.py"
    path.write_text(AGENTS)
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, agents: Path) -> Iterator[Server]:
    specs = ("expert", f"{agents}:Telling", f"{agents}:Writing", f"{agents}:Valued")
    out = tmp_path_factory.mktemp("serve") / "run"
    with Server("--out", out, "--rate", 1000, "--agent", *specs) as running:
        yield running


Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Makes pages; at the end nothing may have gone wrong in any of them that the test did not expect."""
    problems: list[str] = []
    contexts = []

    def make(expected: tuple[str, ...] = (), **options: Any) -> Page:
        context = browser.new_context(**options)
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()

        def wrong(kind: str, text: str) -> None:
            if not any(part in text for part in expected):
                problems.append(f"{kind}: {text}")

        page.on(
            "console",
            lambda message: wrong(message.type, message.text) if message.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: wrong("exception", str(error)))
        page.on("dialog", lambda dialog: (wrong("dialog", dialog.message), dialog.dismiss()))
        return page

    yield make
    for context in contexts:
        context.close()
    assert problems == []


def begin(
    page: Page, server: Server, slug: str, mode: str = "practice", seed: int | None = None, agent: str = ""
) -> None:
    page.goto(server.url)
    if seed is not None:
        page.get_by_label("Seed of the next game").fill(str(seed))
    if agent:
        page.get_by_label("Agent to watch").select_option(agent)
    page.locator(f"[data-task={slug}] [data-mode={mode}]").click()
    expect(page.locator(".game")).to_be_visible()


def state_of(page: Page, server: Server) -> dict[str, Any]:
    """What the server knows of the page's game."""
    return server.http.get(f"/api/games/{page.url.rsplit('/', 1)[1]}").json()


def expert_move(state: dict[str, Any]) -> str:
    turns = state["turns"]
    seen = Transcript.from_texts([t["text"] for t in turns], [t["reward"] for t in turns if t["action"]])
    return make_policy(state["env_id"], "expert").act(seen) or ""


def over(page: Page) -> bool:
    return page.locator(".result").is_visible()


def no_sideways_scrolling(page: Page) -> None:
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{page.url}: {wide} pixels too wide"


def settled(page: Page, turn: int) -> None:
    """Wait until the page shows that many turns."""
    page.wait_for_function(
        "turn => document.querySelectorAll('.log .mine').length === turn && !document.querySelector('.game[aria-busy]')",
        arg=turn,
    )


# -- games


def test_wordle_by_keyboard_and_by_touch(open_page: Open, server: Server) -> None:
    page = open_page()
    begin(page, server, "Wordle", seed=3)
    page.keyboard.type("crank")
    page.keyboard.press("Backspace")
    page.keyboard.type("e")
    expect(page.locator(".tile.typed")).to_have_count(5)
    page.keyboard.press("Enter")
    settled(page, 1)
    state = state_of(page, server)
    colours = {"g": "placed", "y": "elsewhere", "b": "absent"}
    for i, mark in enumerate(state["picture"]["rows"][0]["marks"]):
        classes = page.locator(".word").first.locator(".tile").nth(i).get_attribute("class")
        assert classes and colours[mark] in classes
        assert colours[mark] in (page.locator(f"[data-key={'crane'[i]}]").get_attribute("class") or "")
    for letter in "zzzzz":
        page.locator(f"[data-key={letter}]").click()
    page.keyboard.press("Enter")  # the word, not the last key once more
    expect(page.get_by_role("alert")).to_contain_text("not in this task's word list")
    page.get_by_role("button", name="Change it").click()
    assert state_of(page, server)["turn"] == 1
    page.locator("[data-key=enter]").click()
    page.get_by_role("button", name="Send it anyway").click()
    settled(page, 2)
    expect(page.locator(".word.invalid")).to_contain_text("zzzzz")
    for turn in range(3, 7):
        page.keyboard.type("about")
        page.keyboard.press("Enter")
        settled(page, turn)
    result = state_of(page, server)["result"]
    expect(page.locator(".result")).to_contain_text(result["hidden"]["secret"])
    expect(page.locator(".result")).to_contain_text("This game is kept.")
    page.get_by_text("Reward of every turn").click()
    expect(page.locator(".result tbody tr")).to_have_count(6)
    page.get_by_role("button", name="Again").click()
    expect(page.locator(".tile.typed")).to_have_count(0)
    expect(page.locator(".count")).to_have_text("turn 1 of 6")


@pytest.mark.parametrize("slug", ["MazeFullyObserved", "MazePartiallyObserved"])
def test_maze_with_hints_and_arrow_keys(open_page: Open, server: Server, slug: str) -> None:
    page = open_page()
    begin(page, server, slug, seed=4)
    expect(page.locator(".map .here")).to_have_count(1)
    expect(page.locator(".map .unknown").first).to_be_visible()
    turn = 0
    while not over(page):
        page.get_by_role("button", name="Hint").click()
        move = page.locator(".hint").inner_text()
        if turn % 2:
            page.locator(f"[data-action='{move}']").click()
        else:
            page.keyboard.press(f"Arrow{move.removeprefix('move ').title()}")
        turn += 1
        settled(page, turn)
    expect(page.locator(".result h2")).to_have_text("Done!")
    expect(page.locator(".map .unknown")).to_have_count(0)
    expect(page.locator(".map .walked").first).to_be_visible()


@pytest.mark.parametrize("slug", ["TextNavFullyObserved", "TextNavPartiallyObserved"])
def test_text_nav_by_its_buttons(open_page: Open, server: Server, slug: str) -> None:
    page = open_page()
    begin(page, server, slug, seed=1)
    turn = 0
    while not over(page):
        state = state_of(page, server)
        move = expert_move(state)
        offered = page.locator(".choices button")
        assert offered.count() == len(state["picture"]["actions"])
        if turn == 0:
            page.keyboard.press(str(state["picture"]["actions"].index(move) + 1))
            page.wait_for_function("() => document.activeElement.closest('.choices')")  # Tab goes on from here
        else:
            page.locator(f".choices [data-action='{move}']").click()
        turn += 1
        settled(page, turn)
        assert turn < 50
    expect(page.locator(".result h2")).to_have_text("Done!")
    expect(page.locator(".scene")).to_contain_text("You win.")


def test_chess_on_the_board(open_page: Open, server: Server) -> None:
    import chess

    page = open_page()
    begin(page, server, "ChessEndgames", seed=2)
    turn = 0
    while not over(page):
        state = state_of(page, server)
        board = chess.Board(state["picture"]["fen"])
        move = board.parse_san(expert_move(state).replace(" ", ""))
        source, target = chess.square_name(move.from_square), chess.square_name(move.to_square)
        for square, piece in board.piece_map().items():
            place = page.locator(f"[data-square={chess.square_name(square)}]")
            name = f"{'white' if piece.color else 'black'} {chess.piece_name(piece.piece_type)}"
            assert name in (place.get_attribute("aria-label") or "")
        assert page.locator(".square span").count() == len(board.piece_map())
        page.locator(f"[data-square={source}]").click()
        assert page.locator(".square.target").count() == len(
            {m.to_square for m in board.legal_moves if m.from_square == move.from_square}
        )
        page.locator(f"[data-square={target}]").click()
        turn += 1
        settled(page, turn)
    expect(page.locator(".result h2")).to_have_text("Done!")
    expect(page.locator(".result")).to_contain_text("checkmate")
    assert "#" in page.locator(".moves").inner_text()


def test_chess_by_keyboard_and_in_writing(open_page: Open, server: Server) -> None:
    page = open_page()
    begin(page, server, "Chess", seed=1)
    page.locator("[data-square=e2]").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".square.target")).to_have_count(2)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    settled(page, 1)
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowRight", "Enter", "ArrowLeft", "ArrowUp", "Enter"):
        page.keyboard.press(key)  # the board keeps the place: from e4 to the bishop on f1, and with it to e2
    settled(page, 2)
    page.get_by_label("Or type a move").fill("Ke9")
    page.get_by_role("button", name="Move").click()
    expect(page.get_by_role("alert")).to_contain_text("no legal move")
    page.get_by_label("Or type a move").fill("Nf3")
    page.keyboard.press("Enter")
    settled(page, 3)
    moves = page.locator(".moves").inner_text()
    assert moves.startswith("1. e4") and "2. Be2" in moves and "3. Nf3" in moves


def test_promotion_asks_for_the_piece(open_page: Open, server: Server) -> None:
    page = open_page()
    sent: list[dict[str, Any]] = []

    def answer(route: Any) -> None:
        if route.request.method == "POST":
            sent.append(route.request.post_data_json)
        state = route.fetch().json() if route.request.method == "GET" else json.loads(json.dumps(shown))
        state["picture"] |= {"fen": "8/4P3/8/8/8/8/k7/7K w - - 0 1", "legal": {"e7": ["e8"]}, "promotions": ["e7e8"]}
        shown.update(state)
        route.fulfill(json=state)

    shown: dict[str, Any] = {}
    page.route("**/api/games/*", answer)
    page.route("**/api/games/*/actions", answer)
    begin(page, server, "Chess")
    page.locator("[data-square=e7]").click()
    page.locator("[data-square=e8]").click()
    page.get_by_role("button", name="rook").click()
    page.wait_for_function("() => !document.querySelector('.game[aria-busy]')")
    assert [entry["action"] for entry in sent] == ["e7e8r"]


@pytest.mark.parametrize("slug", ["TwentyQuestions-v1", "GuessMyCity-v1", "CarDealer-v1"])
def test_conversations(open_page: Open, server: Server, slug: str) -> None:
    page = open_page()
    begin(page, server, slug, mode="ranked")
    expect(page.get_by_role("button", name="Hint")).to_have_count(0)
    if slug == "CarDealer-v1":
        expect(page.locator(".opening summary")).to_have_text("Cars for sale:")
    turn = 0
    while not over(page):
        field = page.get_by_label("Your message")
        field.fill(expert_move(state_of(page, server)))
        if turn % 2:
            page.get_by_role("button", name="Send").click()
        else:
            field.press("Enter")
        turn += 1
        settled(page, turn)
    state = state_of(page, server)
    said = [t["text"] for t in state["turns"] if t["action"]]
    assert [b.removesuffix("\n") for b in page.locator(".chat .mine > span").all_inner_texts()] == said
    expect(page.locator(".chat .reward")).to_have_count(turn)
    expect(page.locator(".result")).to_contain_text("of the leaderboard's list")
    hidden = state["result"]["hidden"]
    expect(page.locator(".revealed")).to_contain_text(
        hidden["secret"] if "secret" in hidden else hidden["buyer"]["personality"]
    )


def test_a_game_goes_on_after_a_reload_and_can_be_given_up(open_page: Open, server: Server) -> None:
    page = open_page()
    begin(page, server, "TwentyQuestions-v1")
    page.get_by_label("Your message").fill("Is it an animal?")
    page.keyboard.press("Enter")
    settled(page, 1)
    page.reload()
    settled(page, 1)
    expect(page.locator(".chat .mine")).to_have_text("Is it an animal?")
    page.get_by_role("button", name="Give up").click()
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("button", name="Give up").click()
    page.get_by_role("alert").get_by_role("button", name="Give up").click()
    expect(page.locator(".result h2")).to_have_text("Given up")
    expect(page.locator(".revealed")).to_contain_text(state_of(page, server)["result"]["hidden"]["secret"])
    page.get_by_role("link", name="All tasks").click()
    expect(page.locator(".card")).to_have_count(len(task_ids()))


# -- watching


def test_an_agent_is_watched_beside_its_values(open_page: Open, server: Server) -> None:
    page = open_page()
    begin(page, server, "MazeFullyObserved", mode="watch", seed=0, agent="players.py:Telling")
    page.get_by_role("button", name="One turn").click()
    settled(page, 1)
    expect(page.locator(".token")).to_have_count(3)
    assert page.locator(".token b").all_inner_texts() == ["move", "\u00b7down", "end"]
    expect(page.locator(".token").first).to_contain_text("90 %")
    expect(page.locator(".token").first).to_contain_text("V \u22123.5")
    expect(page.locator(".values tr").first).to_contain_text("move down")
    expect(page.locator(".values tr").nth(1)).to_contain_text("<script>alert(2)</script>")
    page.get_by_role("button", name="One turn").click()
    settled(page, 2)
    page.get_by_role("button", name="earlier turn").click()
    expect(page.locator(".thoughts h2")).to_contain_text("Turn 1")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".result h2")).to_have_text("Given up")


def test_values_of_the_position_and_of_other_actions_are_watched(open_page: Open, server: Server) -> None:
    page = open_page()
    begin(page, server, "MazeFullyObserved", mode="watch", seed=0, agent="players.py:Valued")
    page.get_by_role("button", name="One turn").click()
    settled(page, 1)
    expect(page.locator(".position")).to_have_text(
        "Value of the position \u22123, of this action \u22123.25 (advantage \u22120.25)"
    )
    rows = page.locator(".values tr")
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("move up")
    expect(page.locator(".values tr.taken")).to_contain_text("move down")
    expect(rows.nth(2)).to_contain_text("<script>alert(2)</script>")
    expect(page.locator(".token").first).to_contain_text("V \u22123.25")


def test_an_agent_plays_by_itself_and_pauses(open_page: Open, server: Server) -> None:
    page = open_page()
    begin(page, server, "MazeFullyObserved", mode="watch", seed=0, agent="expert")
    page.get_by_label("Speed").select_option("fast")
    page.get_by_role("button", name="Go").click()
    expect(page.locator(".result h2")).to_have_text("Done!")
    assert state_of(page, server)["result"]["success"]
    begin(page, server, "MazeFullyObserved", mode="watch", seed=0, agent="players.py:Telling")
    page.get_by_label("Speed").select_option("fast")
    page.get_by_role("button", name="Go").click()
    page.wait_for_function("() => document.querySelectorAll('.log .mine').length >= 2")
    page.get_by_role("button", name="Pause").click()
    page.wait_for_function("() => !document.querySelector('.game[aria-busy]')")
    paused = state_of(page, server)["turn"]
    page.wait_for_timeout(600)
    assert state_of(page, server)["turn"] == paused < 100


# -- trust


@pytest.mark.parametrize("slug", ["Wordle", "MazeFullyObserved", "Chess", "TextNavFullyObserved", "TwentyQuestions-v1"])
def test_hostile_text_is_text(open_page: Open, server: Server, slug: str) -> None:
    page = open_page(**PHONE)
    begin(page, server, slug, mode="watch", agent="players.py:Writing")
    for turn in range(1, 4):
        page.get_by_role("button", name="One turn").click()
        settled(page, turn)
    no_sideways_scrolling(page)
    expect(page.locator(".raw p")).to_contain_text("I thought: <img src=x onerror=alert(1)>")
    page.get_by_text("Word for word").click()
    expect(page.locator(".log .mine").first).to_contain_text("<script>alert(2)</script></td></ol>&lt;b&gt;")
    assert page.locator("main img, main script, main b:not(.token b)").count() == 0
    no_sideways_scrolling(page)


def test_what_a_person_says_is_text_too(open_page: Open, server: Server) -> None:
    page = open_page()
    begin(page, server, "TwentyQuestions-v1")
    page.get_by_label("Your message").fill(HOSTILE)
    page.keyboard.press("Enter")
    settled(page, 1)
    assert page.locator(".chat .mine > span").inner_text() == HOSTILE
    assert page.locator("main img").count() == 0


ELSEWHERE = """<!doctype html><title>elsewhere</title><script>
async function attack(url, key) {
  const tried = {};
  const path = `${url}/api/games/${key}`;
  const body = JSON.stringify({ action: "about", sure: true });
  for (const [name, options] of Object.entries({
    read: {}, json: { method: "POST", body, headers: { "content-type": "application/json" } },
    form: { method: "POST", body, headers: { "content-type": "text/plain" } }, blind: { method: "POST", body, mode: "no-cors" },
  })) {
    try {
      const response = await fetch(path + (options.method ? "/actions" : ""), { credentials: "include", ...options });
      tried[name] = response.type === "opaque" ? "sent blindly" : await response.text();
    } catch (problem) { tried[name] = "refused"; }
  }
  const frame = document.createElement("iframe");
  frame.src = url;
  const loaded = new Promise(done => frame.addEventListener("load", done));
  document.body.append(frame);
  await loaded;
  try { tried.frame = frame.contentDocument ? "empty" : "refused"; } catch { tried.frame = "refused"; }
  return tried;
}
</script>"""


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_another_site_neither_plays_nor_reads(open_page: Open, server: Server, tmp_path: Path, name: str) -> None:
    """Another origin, and another site (for browsers localhost is another one than 127.0.0.1)."""
    (tmp_path / "index.html").write_text(ELSEWHERE)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    elsewhere = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
    try:
        key = server.begin("Wordle")["id"]
        page = open_page(expected=("",))  # the refusals are shown in the console
        page.goto(f"http://{name}:{elsewhere.server_address[1]}/index.html")
        tried = page.evaluate("([url, key]) => attack(url, key)", [server.url, key])
    finally:
        elsewhere.shutdown()
        elsewhere.server_close()
    assert tried == {
        "read": "refused",
        "json": "refused",
        "form": "refused",
        "blind": "refused",
        "frame": "refused",
    }
    assert server.http.get(f"/api/games/{key}").json()["turn"] == 0


def test_the_token_is_asked_for(open_page: Open) -> None:
    with Server("--host", "0.0.0.0", "--no-record", "--env", "lmrl/Wordle-v0") as server:
        page = open_page(expected=("401",))
        page.goto(server.url)
        page.get_by_label("Token").fill("not the token")
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_role("alert")).to_have_text("That is not the token.")
        page.get_by_label("Token").fill(server.token or "")
        page.keyboard.press("Enter")
        expect(page.locator(".card")).to_have_count(1)
        assert server.token not in page.url
        assert page.evaluate("document.cookie") == ""
        again = open_page()
        again.goto(f"{server.url}/?token={server.token}")
        expect(again.locator(".card")).to_have_count(1)
        assert "token" not in again.url


def test_a_server_that_went_away_is_told(open_page: Open, tmp_path: Path) -> None:
    refused = ("ERR_CONNECTION_REFUSED", "410")
    page = open_page(expected=refused)
    with Server("--out", tmp_path / "run", "--env", "lmrl/TwentyQuestions-v1") as server:
        begin(page, server, "TwentyQuestions-v1")
    page.get_by_label("Your message").fill("Is it an animal?")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    with Server("--out", tmp_path / "run", "--env", "lmrl/TwentyQuestions-v1", port=server.port):
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("alert")).to_contain_text("the server was started again")
        page.get_by_role("alert").get_by_role("button", name="All tasks").click()
        expect(page.locator(".card")).to_have_count(1)


def test_a_simulator_that_fails_can_be_asked_again(open_page: Open) -> None:
    from faulty_server import FaultyServer

    with FaultyServer(["server_error"], answer=lambda _: "No.") as model:
        options = json.dumps({"base_url": model.url, "max_retries": 0})
        arguments = ("--no-record", "--env", "lmrl/TwentyQuestions-v1", "--simulator", "openai:some-model")
        with Server(*arguments, "--env-arg", f"simulator_options={options}") as server:
            page = open_page(expected=("502",))
            page.goto(server.url)
            page.get_by_role("button", name="Play").click()
            page.get_by_label("Your message").fill("Is it an animal?")
            page.keyboard.press("Enter")
            expect(page.get_by_role("alert")).to_contain_text("Nothing was lost")
            page.get_by_role("button", name="Try again").click()
            settled(page, 1)
            expect(page.locator(".chat .theirs").last).to_have_text("No.")


# -- screens


@pytest.mark.parametrize("slug", ["Wordle", "MazeFullyObserved", "Chess", "TextNavFullyObserved", "CarDealer-v1"])
def test_a_phone_in_the_dark(open_page: Open, server: Server, slug: str) -> None:
    page = open_page(**PHONE)
    page.goto(server.url)
    expect(page.locator(".card").first).to_be_visible()
    no_sideways_scrolling(page)
    begin(page, server, slug, seed=1)
    page.get_by_text("How it is played").click()
    page.get_by_text("Word for word").click()
    no_sideways_scrolling(page)
    red, green, blue = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert max(red, green, blue) < 60
    # What is to be tapped is large enough to be hit.
    for button in page.locator(".below button:visible").all():
        box = button.bounding_box()
        assert box and box["height"] >= 40 and box["x"] >= 0 and box["x"] + box["width"] <= 360


def test_the_keyboard_reaches_everything(open_page: Open, server: Server) -> None:
    page = open_page()
    page.goto(server.url)
    expect(page.locator(".card").first).to_be_visible()
    for _ in range(12):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.closest('[data-task]')?.dataset.task")
        if focused == "MazeFullyObserved" and page.evaluate("document.activeElement.textContent") == "Play":
            break
    page.keyboard.press("Enter")
    expect(page.locator(".game")).to_be_visible()
    assert (
        page.evaluate("getComputedStyle(document.querySelector(':focus-visible') ?? document.body).outlineStyle")
        is not None
    )
    page.keyboard.press("ArrowUp")
    settled(page, 1)


# -- the report


SUITE = """
name = "shown"
version = 1
episodes = 8
seed = 3
training_seeds = [0]
[[tasks]]
id = "lmrl/Wordle-v0"
[[tasks]]
id = "lmrl/MazeFullyObserved-v0"
[[tasks]]
id = "lmrl/ChessEndgames-v0"
[[tasks]]
id = "lmrl/GuessMyCity-v1"
[[agents]]
name = "random"
[[agents]]
name = "expert"
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, agents: Path) -> Path:
    folder = tmp_path_factory.mktemp("report")
    hostile = f"[[agents]]\nname = {json.dumps('hostile')}\nspec = {json.dumps(f'{agents}:Hostile')}\n"
    hostile += f"[[agents]]\nname = 'weighing'\nspec = {json.dumps(f'{agents}:Weighing')}\n"
    (folder / "shown.toml").write_text(SUITE + hostile)
    assert run_suite(load_suite(str(folder / "shown.toml")), folder / "run", workers=1) == {}
    return write_report(folder / "run", folder / "report.html")


def scores(page: Page, table: int, column: int) -> list[float | str]:
    cells = (
        page.locator("table:has(thead)").nth(table).locator(f"tbody tr td:nth-child({column + 1})").all_inner_texts()
    )
    found: list[float | str] = []
    for text in cells:
        number = text.strip().split(" ")[0].rstrip("*+%").replace("\u2212", "-")
        try:
            found.append(float(number))
        except ValueError:
            found.append(text.strip())
    return found


def test_the_reports_tables_sort(open_page: Open, report: Path) -> None:
    page = open_page()
    page.goto(report.as_uri())
    sorted_by = 0
    for table in range(page.locator("table:has(thead)").count()):
        heads = page.locator("table:has(thead)").nth(table).locator("thead th")
        for column in range(heads.count()):
            button = heads.nth(column).locator("button")
            before = scores(page, table, column)
            if not button.count() or len(set(before)) < 2 or len({type(value) for value in before}) > 1:
                continue
            orders = []
            for _ in range(2):
                button.click()
                orders.append(scores(page, table, column))
            assert sorted(map(str, orders[0])) == sorted(map(str, before))
            assert sorted(orders, key=str) == sorted([sorted(before), sorted(before, reverse=True)], key=str)  # type: ignore[type-var]
            sorted_by += 1
    assert sorted_by >= 3


def test_the_reports_games_open_and_filter(open_page: Open, report: Path) -> None:
    page = open_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    games = page.locator("details[data-task]")
    every = games.count()
    assert every >= 12
    chosen = page.locator("select").first
    for value in ("Wordle", "GuessMyCity-v1"):
        chosen.select_option(value)
        visible = [game for game in games.all() if game.is_visible()]
        assert 0 < len(visible) < every and {game.get_attribute("data-task") for game in visible} == {value}
    visible[-1].locator("summary").click()
    expect(visible[-1].locator(".chat").first).to_be_visible()
    chosen.select_option(index=0)
    hostile = games.filter(has_text="hostile").filter(has_text="Wordle").first
    hostile.locator("summary").click()
    expect(hostile).to_contain_text("<script>alert(2)</script>")
    reward = hostile.locator(".agent small").first  # stands as it is read, whatever direction the action asked for
    assert reward.inner_text() == "-1" and reward.evaluate(FROM_LEFT_TO_RIGHT)
    weighing = games.filter(has_text="weighing").filter(has_text="Maze").first
    weighing.locator("summary").click()
    expect(weighing.locator(".agent small").first).to_contain_text("value -3.00, of this action -3.25 (-0.25)")
    expect(weighing.locator(".ways").first.locator(".taken")).to_have_text("move down -3.25")
    expect(weighing.locator(".ways").first).to_contain_text("<script>alert(2)</script>")
    assert page.locator("main img, details img").count() == 0
    assert asked == [report.as_uri()]  # one file, nothing from elsewhere


def test_the_report_without_scripts_and_on_a_phone(open_page: Open, report: Path) -> None:
    page = open_page(java_script_enabled=False)
    page.goto(report.as_uri())
    table = page.locator("table:has(thead)").first
    expect(table.locator("tbody tr").first).to_be_visible()
    for agent in ("random", "expert", "hostile"):
        expect(page.locator("tbody").get_by_text(agent, exact=True).first).to_be_visible()
    page.locator("details[data-task] summary").first.click()
    expect(page.locator("details[data-task]").first.locator(".chat").first).to_be_visible()
    phone = open_page(**PHONE)
    phone.goto(report.as_uri())
    no_sideways_scrolling(phone)
    red, green, blue = phone.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert max(red, green, blue) < 60


# -- accessibility: axe-core finds nothing

SCHEMES = pytest.mark.parametrize("options", [{"color_scheme": "light"}, PHONE], ids=["light", "dark phone"])


def accessible(page: Page) -> None:
    """Nothing that axe-core's rules, the best practices among them, complain of."""
    found = Axe().run(page).response["violations"]
    told = [f"{v['id']}: {v['help']}: " + "; ".join(n["html"][:150] for n in v["nodes"][:4]) for v in found]
    assert told == [], page.url


@SCHEMES
@pytest.mark.parametrize("id", task_ids())
def test_games_are_accessible(open_page: Open, server: Server, id: str, options: dict[str, Any]) -> None:
    page = open_page(**options)
    begin(page, server, SuiteTask(id).slug, seed=1)
    accessible(page)
    page.get_by_role("button", name="Give up").click()
    page.get_by_role("alert").get_by_role("button", name="Give up").click()
    expect(page.locator(".result")).to_be_visible()
    accessible(page)


@SCHEMES
def test_the_list_and_watching_are_accessible(open_page: Open, server: Server, options: dict[str, Any]) -> None:
    page = open_page(**options)
    page.goto(server.url)
    expect(page.locator(".card").first).to_be_visible()
    accessible(page)
    begin(page, server, "MazeFullyObserved", mode="watch", seed=0, agent="players.py:Telling")
    page.get_by_role("button", name="One turn").click()
    settled(page, 1)
    accessible(page)


@SCHEMES
def test_the_report_is_accessible(open_page: Open, report: Path, options: dict[str, Any]) -> None:
    page = open_page(**options)
    page.goto(report.as_uri())
    for summary in page.locator("details > summary").all():
        if summary.is_visible():
            summary.click()
    accessible(page)


@pytest.fixture(scope="module")
def served_site(site: Path) -> Iterator[str]:
    """The address of the documentation's site."""
    handler = functools.partial(Quiet, directory=str(site / "site"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@SCHEMES
@pytest.mark.parametrize("name", ["", "environments/wordle-v0/", "algorithms/ilql/", "results/"])
def test_the_documentation_is_accessible(open_page: Open, served_site: str, name: str, options: dict[str, Any]) -> None:
    page = open_page(**options)
    page.goto(f"{served_site}/{name}")
    accessible(page)
