"""What files and models from elsewhere cannot do: run code, reach a server or a file, take over a terminal, learn a secret."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import lzma
import os
import re
import shutil
import tarfile
import tomllib
import tracemalloc
from pathlib import Path

import pytest
from fault_tools import lmrl
from faulty_server import FaultyServer
from packaging.requirements import Requirement

from lmrl_benchmarks.reporting.publish import publish
from lmrl_benchmarks.reporting.submission import SubmissionError, unpack
from lmrl_benchmarks.running.suite import SuiteError, load_suite
from lmrl_datasets import DatasetError, generate, load_dataset, read_jsonl
from lmrl_datasets.exchange import write_jsonl
from lmrl_envs.core import Transcript
from lmrl_envs.files import printable, write_atomically

ROOT = Path(__file__).resolve().parents[1]
CODE = [
    path
    for folder in ("lmrl_envs", "datasets", "agents", "benchmarks/lmrl_benchmarks")
    for path in (ROOT / folder).rglob("*.py")
]

# -- no code out of files

MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml", "telnetlib", "ftplib"}
CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "torch.load",
    "tempfile.mktemp",
    "pickle.load",
}


def _breaches(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [f"imports {name}" for name in names if name.split(".")[0] in MODULES]
        if not isinstance(node, ast.Call):
            continue
        name, given = ast.unparse(node.func), {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if name in CALLS or name.endswith((".extractall", ".unpack_archive")):
            found.append(f"calls {name}")
        if given.get("shell", "False") != "False":
            found.append("runs a shell")
        if name == "np.load" and given.get("allow_pickle") != "False":
            found.append("np.load without allow_pickle=False")
        if given.get("trust_remote_code", "False") != "False":
            found.append("trusts remote code")
        if name.endswith("from_pretrained"):
            if "trust_remote_code" not in given and "**options" not in ast.unparse(node):
                found.append(f"{name} without trust_remote_code=False")
            if re.search(r"Auto(Model|kind)|^kind\.", name) and given.get("use_safetensors") != "True":
                found.append(f"{name} without use_safetensors=True")
        if name.startswith("subprocess.") and node.args and not isinstance(node.args[0], ast.List | ast.Name):
            found.append(f"{name} of something that is no list")
    return found


def test_no_file_from_elsewhere_is_run() -> None:
    assert len(CODE) > 150
    found = {path.relative_to(ROOT).as_posix(): _breaches(ast.parse(path.read_text("utf-8"))) for path in CODE}
    assert {name: breaches for name, breaches in found.items() if breaches} == {}


def test_the_check_finds_breaches() -> None:
    wrong = [
        "import pickle", "from yaml import load", "eval('1')", "torch.load(f)", "subprocess.run('ls', shell=True)",
        "subprocess.run(f'ls {x}')", "AutoConfig.from_pretrained(p)", "AutoModelForCausalLM.from_pretrained(p, trust_remote_code=False)",
        "AutoConfig.from_pretrained(p, trust_remote_code=True)", "np.load(f)", "archive.extractall(folder)",
    ]  # fmt: skip
    assert all(_breaches(ast.parse(code)) for code in wrong)


# -- datasets from elsewhere


def _with_manifest(data: Path, target: Path, change) -> Path:
    shutil.copytree(data, target)
    manifest = json.loads((target / "manifest.json").read_text())
    change(manifest)
    (target / "manifest.json").write_text(json.dumps(manifest))
    return target


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate("twenty_questions/mixed-v1", tmp_path_factory.mktemp("data") / "questions", episodes=4)


def test_a_dataset_decides_on_no_server_and_no_file(
    questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its manifest holds the environment's arguments: a server of its author's would be sent the API key."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
    victim = tmp_path / "victim"
    with FaultyServer() as server:
        options = {"base_url": server.url, "record": str(victim)}
        hostile = {"simulator": "openai:theirs", "simulator_options": options}
        folder = _with_manifest(questions, tmp_path / "hostile", lambda m: m["recipe"].update(env_kwargs=hostile))
        data = load_dataset(folder)
        assert len(data[0].actions) > 0 and data.stats()["episodes"] == 4  # reading needs no environment
        with pytest.raises(DatasetError, match="asked only by name"):
            data.recover_environment()
        done = lmrl("data", "verify", folder, "--replay", OPENAI_API_KEY="sk-mine")
        assert done.returncode == 1 and "asked only by name" in done.stderr
        mine = data.recover_environment(simulator="scripted")
        mine.reset(seed=0)
        mine.step("Is it an animal?")
        assert server.bodies == [] and not victim.exists()


@pytest.mark.parametrize(
    "name", ["../evil.parquet", "/etc/evil.parquet", "a/b.parquet", "..", "", 7, None, ["x.parquet"]]
)
def test_shards_lie_in_their_folder(questions: Path, tmp_path: Path, name: object) -> None:
    folder = _with_manifest(questions, tmp_path / "copy", lambda manifest: manifest["shards"][0].update(file=name))
    with pytest.raises(DatasetError, match=r"shards\[0\]\.file: Expected str"):
        load_dataset(folder)


def test_planted_links_are_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "manifest.json").symlink_to(victim)
    (folder / f".manifest.json.{os.getpid()}.tmp").symlink_to(victim)
    write_atomically(folder / "manifest.json", "new")
    assert victim.read_text() == "precious" and (folder / "manifest.json").read_text() == "new"
    assert not (folder / "manifest.json").is_symlink()


@pytest.mark.parametrize("name", ["../evil-v0", "../../evil-v0", "maze/../evil-v0", "/maze/evil-v0", ".maze/evil-v0"])
def test_names_of_datasets_are_no_paths(maze_data: Path, tmp_path: Path, name: str) -> None:
    write_jsonl(load_dataset(maze_data)[:3], tmp_path / "games.jsonl")
    with pytest.raises(ValueError, match="must look like"):
        read_jsonl(tmp_path / "games.jsonl", tmp_path / "out", name)
    assert not (tmp_path / "out").exists()


# -- suites and submissions from elsewhere


@pytest.mark.parametrize(
    "agent",
    [
        'name = "../../evil"',
        'name = "/evil"',
        'name = "a"\ntrain = "../../evil"',
        'name = "a"\ntrain = "bc"\npreset = "../../evil"',
    ],
)
def test_names_of_suites_are_no_paths(agent: str, tmp_path: Path) -> None:
    head = (
        'name = "s"\nversion = 1\nepisodes = 1\nseed = 0\ntraining_seeds = [0]\ntasks = [{ id = "lmrl/Wordle-v0" }]\n'
    )
    (tmp_path / "s.toml").write_text(f"{head}[[agents]]\n{agent}\n")
    with pytest.raises(SuiteError, match="evil"):
        load_suite(str(tmp_path / "s.toml"))


def test_published_pages_lie_in_their_folder(tmp_path: Path) -> None:
    """A page is named after its suite, and the suite of a submission is whatever its author wrote."""
    suite = {"name": "../../evil", "version": 1, "episodes": 1, "seed": 0, "training_seeds": [0], "agents": []}
    made = {"git": None, "processor": "", "cpus": 1, "platform": "", "python": "", "packages": {}}
    about = {"suite": {**suite, "tasks": [{"id": "lmrl/Wordle-v0"}]}, "digest": "x", "provenance": made}
    files = {"suite.json": json.dumps(about).encode()}
    listed = {name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in files.items()}
    manifest = {"schema_version": 1, "suite": "evil", "suite_version": 1, "suite_digest": "x", "agents": []}
    manifest |= {"provenance": made, "files": listed}
    files["submission.json"] = json.dumps(manifest).encode()
    (tmp_path / "results").mkdir()
    with tarfile.open(tmp_path / "results" / "evil.tar.xz", "w:xz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    found = publish(tmp_path / "results", tmp_path / "a" / "b" / "pages")
    assert not found.pages and "evil" in found.refused["evil.tar.xz"]
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.html")] == ["a/b/pages/index.html"]


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_an_archive_cannot_fill_the_memory(kind: bytes, tmp_path: Path) -> None:
    """A name of 64 MB is 10 kB in an archive."""
    header = tarfile.TarInfo("long")
    header.type, header.size = kind, 64 << 20
    with lzma.open(tmp_path / "bomb.tar.xz", "wb", preset=0) as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        for _ in range(64):
            file.write(bytes(1 << 20))
    assert (tmp_path / "bomb.tar.xz").stat().st_size < 100_000
    tracemalloc.start()
    with pytest.raises(SubmissionError, match="is no submission"):
        unpack(tmp_path / "bomb.tar.xz", tmp_path / "there")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 16 << 20


def test_what_an_archive_unpacks_to_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmrl_envs.files.archives.UNPACKED", 100_000)
    monkeypatch.setattr("lmrl_envs.files.archives.MEMBERS", 5)
    for number, sizes in enumerate([[60_000, 60_000], [1] * 6]):
        with tarfile.open(tmp_path / f"{number}.tar.xz", "w:xz") as archive:
            for k, size in enumerate(sizes):
                member = tarfile.TarInfo(f"cells/file{k}")
                member.size = size
                archive.addfile(member, io.BytesIO(bytes(size)))
        with pytest.raises(SubmissionError, match="more than a run can be"):
            unpack(tmp_path / f"{number}.tar.xz", tmp_path / f"there-{number}")
        assert sum(path.stat().st_size for path in (tmp_path / f"there-{number}").rglob("*")) < 200_000


# -- terminals

HOSTILE = "\x1b]52;c;cm0gLXJm\x07\x1b[2J\x9b31m\r\x7f[bold]\ud800"


def test_no_text_from_elsewhere_is_obeyed_by_a_terminal(maze_data: Path, tmp_path: Path) -> None:
    text = printable(f"a\tb\n{HOSTILE}")
    assert text.startswith("a\tb\n␛]52;c;") and not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", text)
    talk = Transcript.from_texts([f"hello {HOSTILE}", HOSTILE, "bye"], [0.0])
    assert [turn.text for turn in talk.printable()][1] == printable(HOSTILE) and talk.printable()[1].reward == 0.0
    write_jsonl(load_dataset(maze_data)[:1], tmp_path / "games.jsonl")
    row = json.loads((tmp_path / "games.jsonl").read_text())
    row["actions"][0] = HOSTILE[:-1]
    (tmp_path / "games.jsonl").write_text(json.dumps(row) + "\n")
    folder = read_jsonl(tmp_path / "games.jsonl", tmp_path / "data", "maze/hostile-v0")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "name": HOSTILE[:-1]}))
    for order in (["show", folder, 0], ["stats", folder], ["info", folder], ["verify", folder]):
        done = lmrl("data", *order)
        told = done.stdout + done.stderr
        assert "␛[2J" in told and "\x1b]" not in told and "\x1b[2J" not in told and "\x9b" not in told, order


# -- what is installed


def test_pins_meet_the_ranges_of_what_is_asked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    lines = [line for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if not line.startswith("#")]
    pins = dict(re.fullmatch(r"([A-Za-z0-9_.-]+)==([0-9][0-9a-z.]*)", line).groups() for line in lines)  # type: ignore[union-attr]
    pins = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    wanted += [entry for extra in project["project"]["optional-dependencies"].values() for entry in extra]
    asked = [Requirement(entry) for entry in wanted if not entry.startswith("lmrl[")]
    unpinned = sorted({need.name.lower() for need in asked} - pins.keys())
    assert unpinned == []
    assert [
        f"{need} but {pins[need.name.lower()]}" for need in asked if pins[need.name.lower()] not in need.specifier
    ] == []
