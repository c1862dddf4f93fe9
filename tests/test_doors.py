"""The doors: one loader for installed names, modules and files, in this process and in those that it starts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest

from lmrl_agents import AgentError, load_agent
from lmrl_agents.learning.train import algorithms, load_algorithm
from lmrl_benchmarks.running.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.running.records import RecordFile
from lmrl_benchmarks.running.verify import verify_records
from lmrl_datasets import Dataset, DatasetError, load_dataset
from lmrl_envs import doors, load_task, make_policy, task

FILE = '''
"""A task of one file."""
from helper import SECRET
from lmrl_envs import Reference, Task, TextEnv

class CoinEnv(TextEnv):
    """Say heads."""
    instructions = "Say heads or tails."
    def _begin(self, options):
        return "Heads or tails?"
    def _play(self, action):
        return "thanks", float(action == SECRET), True, False, {"valid": action in ("heads", "tails")}
    def _reveal(self):
        return {"success": self._rewards[-1] == 1.0}
    def _get_game(self):
        return {}
    def _set_game(self, state):
        pass

class Heads:
    def __init__(self, seed=0, **_):
        pass
    def act(self, transcript):
        return "heads"

ROW = Task(
    id="coin/Coin-v0", family="coin", summary="Say heads.", tags=("strategy",), return_range=(0.0, 1.0),
    reference=Reference(random=0.5, optimum=1.0), entry_point=CoinEnv,
    policies={"random": Heads, "suboptimal": Heads, "expert": Heads},
)
'''
AGENT = "class A:\n    def act(self, requests):\n        return ['heads' for _ in requests]\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "coin.py").write_text(FILE)
    (tmp_path / "helper.py").write_text("SECRET = 'heads'\n")
    (tmp_path / "agent.py").write_text(f"import helper\nassert helper.SECRET == 'heads'\n{AGENT}")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "agent.py").write_text(f"import helper\nassert helper.SECRET == 'tails'\n{AGENT}")
    (tmp_path / "other" / "helper.py").write_text("SECRET = 'tails'\n")
    return tmp_path


def in_a_process(code: str, place: Path) -> str:
    """Run code in a process of its own: registries of this one are what other tests are parametrised over."""
    path = os.pathsep.join([str(place), *(p for p in sys.path if p)])
    environment = {key: value for key, value in os.environ.items() if key != doors.PLUGINS} | {"PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "door", ["lmrl.envs", "lmrl.agents", "lmrl.algorithms", "lmrl.rewards", "lmrl.labellers", "lmrl.partners"]
)
def test_what_ships_comes_in_as_everything_else_does(door: doors.Door) -> None:
    for name, point in doors.installed(door).items():
        found, rest = doors.find(door, name)
        assert rest == "" and found is doors.find(door, point.value)[0]


def test_names_of_nothing_are_told_with_the_nearest() -> None:
    for spec, told in (
        ("ppoo", "did you mean 'ppo'"),
        ("no_such_module:train", "no algorithm"),
        ("missing.py:train", "no file"),
    ):
        with pytest.raises(doors.DoorError, match=told):
            doors.find("lmrl.algorithms", spec)
    with pytest.raises(doors.DoorError, match="has no 'trian'; did you mean 'train'"):
        doors.find("lmrl.algorithms", "lmrl_agents.algorithms.bc:trian")
    with pytest.raises(doors.DoorError, match="no algorithm"):
        load_algorithm("lmrl_agents.algorithms.bc:__doc__")
    assert all(text and "\n" not in text for text in algorithms().values())


def test_files_import_their_neighbours_and_not_those_of_others(place: Path) -> None:
    for _ in range(2):
        for agent in (place / "agent.py", place / "other" / "agent.py"):
            assert load_agent(f"{agent}:A").act([None]) == ["heads"]  # type: ignore[list-item]
    (place / "broken.py").write_text("import no_such_neighbour\n")
    with pytest.raises(AgentError, match=r"broken\.py cannot be loaded: ModuleNotFoundError"):
        load_agent(f"{place / 'broken.py'}:A")
    assert os.environ.get(doors.PLUGINS, "").find(str(place)) == -1  # only tasks are loaded by other processes, too


TASK = """
import gymnasium, json, sys
from pathlib import Path
from lmrl_agents.playing.rollout import Rollout
from lmrl_agents import load_agent
from lmrl_benchmarks.running.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.running.verify import verify_records
from lmrl_datasets import generate, load_dataset
from lmrl_envs import check_text_env, load_task, task
row = load_task(SPEC)
assert row.spec == WHERE and task(row.spec) is row is task(row.id)
check_text_env(row.id, actions=("heads", "tails"))
if __name__ == "__main__":
    data = load_dataset(generate("coin/random-v0", Path("data"), episodes=40, workers=2, shard_size=10))
    data.verify(replay=True)
    spec = EvaluationSpec(row.spec, "expert", 10, 0)
    assert evaluate(spec, Path("eval"))["success_rate"] == 1.0
    assert list(verify_records(Path("eval"))) == []
    print(json.loads(Path("eval/run.json").read_text())["spec"]["env_id"])
"""


@pytest.mark.parametrize("spec", ["coin.py:coin/Coin-v0", "coin:coin/Coin-v0"])
def test_a_task_by_module_or_file_is_one_on_every_floor(place: Path, spec: str) -> None:
    code = TASK.replace("SPEC", repr(spec)).replace("WHERE", repr(spec))
    (place / "run.py").write_text(code)
    assert in_a_process("import runpy; runpy.run_path('run.py', run_name='__main__')", place).strip() == spec
    command = ["train", "bc", "--env", spec, "--data", "data", "--set", "bc.steps=2", "--out", "model"]
    assert "model in" in in_a_process(f"from lmrl_benchmarks.commands.cli import run; run({command})", place)


def test_records_name_no_module_to_import(place: Path) -> None:
    """What a stranger sends is looked up; it runs nothing."""
    code = "from lmrl_envs import task\ntry:\n    task('coin:coin/Coin-v0')\nexcept Exception as problem:\n    print(problem)"
    assert "if you trust coin, name it in $LMRL_PLUGINS" in in_a_process(code, place)
    named = f"import os; os.environ['LMRL_PLUGINS'] = 'coin'\n{code}\nprint(task('coin:coin/Coin-v0').id)"
    assert in_a_process(named, place).strip() == "coin/Coin-v0"


PARTNER = """
from pathlib import Path
from lmrl_envs.partners import PartnerReply
Path(__file__).with_name("loaded").touch()

class Contrary:
    def __init__(self, argument, prompt, *, understands=True):
        self.says, self.prompt, self.understands = argument or "No.", prompt, understands
    def reply(self, requests):
        return [PartnerReply(self.says, self.understands) for _ in requests]
    def close(self):
        pass
"""


def test_a_partner_from_a_file_plays_and_no_record_loads_it(place: Path) -> None:
    (place / "contrary.py").write_text(PARTNER)
    loaded, simulator = place / "loaded", f"{place / 'contrary.py'}:Contrary"
    folder, id = place / "eval", "lmrl/TwentyQuestions-v1"
    env = gymnasium.make_vec(id, num_envs=2, vectorization_mode="vector_entry_point", simulator=f"{simulator}:Yes.")
    env.reset(seed=0)
    replies, _, _, _, infos = env.step(["Is it alive?", "Is it made of stone?"])
    assert replies == ("Yes.", "Yes.") and infos["valid"].all() and loaded.exists()
    env.close()
    kwargs = {"simulator": simulator, "simulator_options": {"record": str(place / "said.jsonl")}}
    evaluate(EvaluationSpec(id, "random", 2, 0, env_kwargs=kwargs), folder)
    assert {"No."} == {text for record in RecordFile(folder).read() for text in record.observations[1:-1]}

    del sys.modules[type(env.unwrapped._prototype.partner).__module__]
    loaded.unlink()
    assert ["cannot be asked again" in breach for breach in verify_records(folder)] == [True]
    run = json.loads((folder / "run.json").read_text())
    shutil.copy(place / "said.jsonl", folder)  # as the message says; it has to lie with the records
    run["spec"]["env_kwargs"] = {"simulator": "replay:said.jsonl"}
    (folder / "run.json").write_text(json.dumps(run))
    assert not [breach for breach in verify_records(folder) if "episode" in breach]
    sample = load_dataset("twenty_questions/mixed-v1", sample=True)
    recipe = sample.manifest["recipe"] | {"env_kwargs": {"simulator": simulator}}
    changed = Dataset(sample.folder, sample.manifest | {"recipe": recipe})
    with pytest.raises(DatasetError, match="asked only by name"):
        changed.recover_environment()
    with pytest.raises(DatasetError, match="row 0: env_kwargs is not the manifest's"):
        changed.verify()
    assert not loaded.exists()
    with pytest.raises(ValueError, match="unexpected keyword argument 'wit'"):
        gymnasium.make(id, simulator=simulator, simulator_options={"wit": 1})
    with pytest.raises(ValueError, match=r"'scripted' is the task's own; no partner 'opena'.*did you mean 'openai'"):
        gymnasium.make(id, simulator="opena")


def test_a_family_belongs_to_one_namespace(place: Path) -> None:
    (place / "theirs.py").write_text(FILE.replace("coin/Coin-v0", "theirs/Coin-v0"))
    code = "from lmrl_envs import load_task\nload_task('coin.py:coin/Coin-v0')\ntry:\n    load_task('theirs.py:theirs/Coin-v0')\nexcept ValueError as problem:\n    print(problem)"
    assert "has the family 'coin' of 'coin/Coin-v0'" in in_a_process(code, place)


def test_a_plugin_that_fails_is_left_out(place: Path) -> None:
    (place / "bad.py").write_text("raise RuntimeError('not today')\n")
    code = "import os, warnings; os.environ['LMRL_PLUGINS'] = 'bad'\nwith warnings.catch_warnings(record=True) as told:\n    warnings.simplefilter('always')\n    import lmrl_envs\nprint([str(w.message) for w in told], len(lmrl_envs.task_ids()))"
    shown = in_a_process(code, place)
    assert "tasks of bad are left out" in shown and "not today" in shown and int(shown.split()[-1]) >= 11


def test_ids_of_the_suite_need_no_place() -> None:
    assert load_task("lmrl_envs:lmrl/Wordle-v0") is task("lmrl/Wordle-v0")
    assert gymnasium.make("lmrl_envs:lmrl/Wordle-v0").spec is not None
    assert make_policy("lmrl/Wordle-v0", "expert")
    assert json.dumps(task("lmrl/Wordle-v0").spec) == '"lmrl/Wordle-v0"'
