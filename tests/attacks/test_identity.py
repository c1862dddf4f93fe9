"""A cell is known by who played it: games of another agent of the same name, or of an edited file, are never shown as its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fault_tools import lmrl

from lmrl_agents.playing.identity import identity_of
from lmrl_benchmarks.running.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.running.runner import run_suite
from lmrl_benchmarks.running.suite import NAME, Suite, SuiteError, folder_name, load_suite
from lmrl_envs.files import FolderError

MAZE = "lmrl/MazeFullyObserved-v0"
SUITE = f"""
name = "one"
version = 1
episodes = 3
seed = 7
training_seeds = [0]
tasks = [{{ id = "{MAZE}" }}]
"""
AGENT = "class A:\n    def act(self, requests):\n        return ['move up'] * len(requests)\n"


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    (tmp_path / "one.toml").write_text(SUITE)
    return load_suite(str(tmp_path / "one.toml"))


def plug(folder: Path, text: str = AGENT) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "agent.py").write_text(text)
    return f"{folder}/agent.py:A"


# -- one agent, edited


def neighbours(folder: Path) -> str:
    """An agent that imports a neighbour, which imports another in a function, and reads weights."""
    spec = plug(folder, "import helper\n" + AGENT)
    (folder / "helper.py").write_text("def help():\n    from deep.part import x\n    return open('weights.npz'), x\n")
    (folder / "deep").mkdir(exist_ok=True)
    (folder / "deep" / "part.py").write_text("x = 1\n")
    (folder / "weights.npz").write_bytes(b"1")
    (folder / "other.py").write_text("")
    return spec


@pytest.mark.parametrize("name", ["agent.py", "helper.py", "deep/part.py", "weights.npz"])
def test_an_edited_file_is_another_agent(name: str, tmp_path: Path) -> None:
    spec = EvaluationSpec(MAZE, neighbours(tmp_path / "plug"), 3, 0)
    before = evaluate(spec, tmp_path / "eval")
    (tmp_path / "plug" / "other.py").write_text("x = 2\n")  # which nobody imports
    assert evaluate(spec, tmp_path / "eval") == before
    with (tmp_path / "plug" / name).open("a") as file:
        file.write("# edited\n")
    with pytest.raises(FolderError, match="the agent's code or weights"):
        evaluate(spec, tmp_path / "eval")


def test_a_moved_agent_is_the_same(tmp_path: Path) -> None:
    found = identity_of(neighbours(tmp_path / "a"))
    assert found.startswith("code ") and found == identity_of(neighbours(tmp_path / "b"))


def test_weights_named_by_an_argument_count(tmp_path: Path) -> None:
    spec, weights = plug(tmp_path / "a"), tmp_path / "w.safetensors"
    found = []
    for content in (b"1", b"2"):
        weights.write_bytes(content)
        found.append(identity_of(spec, {"weights": str(weights), "k": 3}))
    assert len({*found, identity_of(spec)}) == 3


def test_what_ships_and_what_is_no_spec_have_no_identity_of_files() -> None:
    assert {
        identity_of(spec)
        for spec in ("expert", "openai:x", "mine", "random", "no/such.py:A", "lmrl_agents.playing.scripted:random")
    } == {""}
    assert identity_of("unittest:main").startswith("code ")  # a package: all its files


def test_a_run_refuses_an_edited_agent(suite: Suite, tmp_path: Path) -> None:
    chosen = suite.only([plug(tmp_path / "a")])
    assert run_suite(suite, tmp_path / "run", agents=chosen, workers=1) == {}
    assert run_suite(suite, tmp_path / "run", agents=chosen, workers=1) == {}
    plug(tmp_path / "a", AGENT + "# edited\n")
    with pytest.raises(FolderError, match="its code or weights have changed"):
        run_suite(suite, tmp_path / "run", agents=chosen, workers=1)


# -- two agents of one name


def test_a_run_refuses_another_file_of_the_same_name(suite: Suite, tmp_path: Path) -> None:
    assert run_suite(suite, tmp_path / "run", agents=suite.only([plug(tmp_path / "a")]), workers=1) == {}
    with pytest.raises(
        FolderError, match=r"other games \(agent: '.*/a/a.*' there, '.*/b/a.*' here\)"
    ):  # long paths are cut
        run_suite(suite, tmp_path / "run", agents=suite.only([plug(tmp_path / "b")]), workers=1)
    (cell,) = (tmp_path / "run").glob("cells/*/*/*/run.json")
    assert json.loads(cell.read_text())["spec"]["agent"].endswith("/a/agent.py:A")


def test_models_of_two_owners_have_two_names(suite: Suite) -> None:
    specs = ["openai:meta-llama/Llama-3.2-1B-Instruct", "openai:unsloth/Llama-3.2-1B-Instruct"]
    assert len({agent.name for agent in suite.only(specs)}) == 2


@pytest.mark.parametrize("specs", [["a/agent.py:A", "b/agent.py:A"], ["A.py:x", "a.py:X"], ["runs/m", "other/m/"]])
def test_agents_that_would_share_a_folder_are_refused(specs: list[str], suite: Suite) -> None:
    with pytest.raises(SuiteError, match="would share the name"):
        suite.only(specs)


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("hangs.py:H", "hangs.py-H"),
        ("/home/me/hangs.py:H", "hangs.py-H"),
        ("runs/bc/", "bc"),
        ("openai:unsloth/x", "openai-unsloth--x"),
        ("transformers:/home/me/x", "transformers-x"),
        ("my.package:make", "my.package-make"),
        ("nul.py:A", "_nul.py-A"),
        ("ends.", "ends"),
        ("", "agent"),
    ],
)
def test_names_are_folders_on_every_system(spec: str, name: str) -> None:
    assert folder_name(spec) == name and NAME.fullmatch(name)


def test_long_names_stay_different() -> None:
    names = {folder_name(f"openai:{'x' * 90}{k}") for k in range(3)}
    assert len(names) == 3 and all(NAME.fullmatch(name) for name in names)


@pytest.mark.parametrize("name", ["a:b", "con", "NUL.txt", "lpt1", "dot.", "a b", "../x"])
def test_suites_with_names_that_no_folder_can_have_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(SUITE + f'agents = [{{ name = "{name}", spec = "random" }}]\n')
    with pytest.raises(SuiteError, match="letters, digits"):
        load_suite(str(tmp_path / "bad.toml"))


TASK = """
from lmrl_envs import Task, TextEnv
class OddEnv(TextEnv):
    def __init__(self, render_mode=None):
        super().__init__(render_mode=render_mode)
        self.instructions = "Say yes."
    def _begin(self, options):
        return "yes or no?"
    def _play(self, action):
        return "done", 1.0 if action == "move up" else 0.0, True, False, {"valid": True}
    def _reveal(self):
        return {"success": True}
    def _get_game(self):
        return {}
    def _set_game(self, state):
        pass
TASK = Task("mine/Odd-v0", "odd", "odd", (), (0.0, 1.0), None, entry_point=OddEnv, policies={"random": None})
"""


def test_an_edited_task_is_another_task(tmp_path: Path) -> None:
    """In a process of its own each: a module is loaded once."""
    (tmp_path / "odd.py").write_text(TASK)
    agent = plug(tmp_path / "a")
    order = [
        "eval",
        "--env",
        f"{tmp_path}/odd.py:mine/Odd-v0",
        "--agent",
        agent,
        "--episodes",
        2,
        "--out",
        tmp_path / "out",
    ]
    for text, status in ((TASK, 0), (TASK, 0), (TASK.replace("1.0 if", "0.5 if"), 1)):
        (tmp_path / "odd.py").write_text(text)
        done = lmrl(*order)
        assert done.returncode == status, done.stderr
    assert "differs in the task's code or weights" in done.stderr
