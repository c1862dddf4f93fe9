"""What an agent's answers depend on beside its spec, as far as files tell: the digest of a plug-in's code and weights, or of a
trained model's folder. Old games are never shown for a file that was edited since, nor for another file of the same name.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lmrl_agents.rewards.loading import load_reward
from lmrl_agents.rewards.protocol import TASK
from lmrl_envs import doors
from lmrl_envs.files import sha256_of
from lmrl_envs.files.untrusted import read

WEIGHTS = {".safetensors", ".npz", ".npy", ".pt", ".pth", ".ckpt", ".bin", ".onnx", ".gguf", ".pkl", ".joblib", ".h5"}
"""Suffixes of files that count as part of an agent when its code or its arguments name them."""
MODEL = {".json", ".safetensors", ".txt", ".model", ".jinja"}
"""Suffixes of the files of a trained model."""
ABOUT, TOLD = "lmrl.json", {"cpu_seconds", "data"}
"""What describes a trained model; and what it tells of the training that answers do not depend on: how long it took, and where the
data lay."""
PACKAGED = {".py", ".toml", *WEIGHTS}
"""Suffixes of the files of a package that count as its code."""
OURS = ("lmrl_envs", "lmrl_datasets", "lmrl_agents", "lmrl_benchmarks")
"""Packages whose agents come with this one."""
BEST_OF = "best_of"
"""The installed agent that is made of a reward and another agent."""
_INSTALLED = {"site-packages", "dist-packages", Path(contextlib.__file__).parent.name}
"""Folders whose modules are no neighbours of each other."""


def is_model_folder(path: Path) -> bool:
    """Whether a folder holds a trained model, or a training run with one."""
    return (path / "lmrl.json").is_file() or (path / "final" / "lmrl.json").is_file()


def is_ours(spec: str) -> bool:
    """Whether an agent's code comes with this package: its installed names, and the folders of trained models. Best of n is what
    it is made of."""
    place, _, argument = spec.partition(":")
    if place == BEST_OF and argument:
        _, reward, policy = parts_of_best_of(argument)
        return is_ours(policy) and not code_of(_place_of_reward(reward))
    point = doors.installed("lmrl.agents").get(place)
    module = point.value.partition(":")[0] if point else place
    return is_model_folder(Path(spec)) or (module.partition(".")[0] in OURS and not place.endswith(".py"))


def model_folder(folder: str | Path) -> Path:
    """The folder of the model itself: that of a run, or its ``final``."""
    path = Path(folder)
    return path / "final" if not (path / "lmrl.json").is_file() and (path / "final").is_dir() else path


def identity_of(spec: str, kwargs: Mapping[str, Any] | None = None) -> str:
    """Kind and digest of the files behind an agent's spec; "" for what comes with this package, and for what is no spec.

    A plug-in is its file with the neighbours that it imports, or its whole package, and the weights (see `WEIGHTS`) that its
    code or its arguments name. Nothing is imported. Weights that it finds in another way are for its ``fingerprint()``.
    """
    if is_model_folder(Path(spec)):
        return "" if "server" in (kwargs or {}) else model_digest(model_folder(spec))
    place, colon, argument = spec.partition(":")
    if place == BEST_OF and argument:
        _, reward, policy = parts_of_best_of(argument)
        return "; ".join(filter(None, (code_of(_place_of_reward(reward)), identity_of(policy, kwargs))))
    point = doors.installed("lmrl.agents").get(place)
    if is_ours(spec) or not (point or colon):
        return ""
    named = [path for value in (kwargs or {}).values() if isinstance(value, str) for path in _weights(Path(value))]
    return code_of(point.value.partition(":")[0] if point else place, named)


def reward_identity(spec: str) -> str:
    """Digest of the code of a reward that does not come with this package, and its own fingerprint; "" where there is neither.

    Raises:
        RewardError, ValueError: there is no such reward.
    """
    if spec == TASK:
        return ""
    own = getattr(load_reward(spec), "fingerprint", None)
    return " ".join(filter(None, (code_of(_place_of_reward(spec)), str(own()) if callable(own) else "")))


def _place_of_reward(spec: str) -> str:
    """The module or file that a reward comes from."""
    place = spec.partition(":")[0]
    point = doors.installed("lmrl.rewards").get(place)
    return point.value.partition(":")[0] if point else place


def parts_of_best_of(argument: str) -> tuple[int, str, str]:
    """Of ``N,REWARD,POLICY`` the three; a reward may have commas.

    Raises:
        ValueError: it is something else.
    """
    number, _, rest = argument.partition(",")
    reward, _, policy = rest.rpartition(",")
    if not (number.isascii() and number.isdecimal() and int(number) >= 1 and reward and policy):
        raise ValueError(
            f"best_of:{argument}: write best_of:N,REWARD,POLICY, such as best_of:16,learned:runs/model,suboptimal"
        )
    return int(number), reward, policy


def code_of(place: str, besides: Sequence[Path] = ()) -> str:
    """Digest of the code of a file or module, and of other files; "" for this package's, and where there is none."""
    folder, code = ("", set()) if place.partition(".")[0] in OURS else _code_of(place)
    return f"code {_digest(Path(folder), [*sorted(code), *besides])}" if code else ""


def model_digest(folder: Path) -> str:
    """Of a trained model: its weights, those of a critic, its tokenizer and settings."""
    paths = sorted(path for path in folder.iterdir() if path.suffix in MODEL and path.is_file())
    about = read(folder / ABOUT, dict[str, Any])
    kept = json.dumps({key: value for key, value in about.items() if key not in TOLD}, sort_keys=True)
    files = _digest(folder, [path for path in paths if path.name != ABOUT])
    return hashlib.sha256(f"{files} {kept}".encode()).hexdigest()[:16]


def _digest(folder: Path, paths: list[Path]) -> str:
    """Of names, relative to a folder where they lie in it, and contents."""
    digest = hashlib.sha256()
    for path in dict.fromkeys(paths):
        name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
        digest.update(f"{name}\0{sha256_of(path)}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def _code_of(place: str) -> tuple[Path, set[Path]]:
    """The folder and the files of a file or module."""
    if place.endswith(".py"):
        path = Path(place).resolve()
        return path.parent, _with_neighbours(path) if path.is_file() else set()
    found = None
    with contextlib.suppress(ImportError, ValueError, AttributeError):
        found = importlib.util.find_spec(place.partition(".")[0])  # of a top-level module: nothing is imported for it
    if found is None:
        return Path(), set()
    if found.submodule_search_locations is not None:
        folders = [Path(folder) for folder in found.submodule_search_locations]
        return folders[0].parent if folders else Path(), {
            path for folder in folders for path in folder.rglob("*") if path.suffix in PACKAGED
        }
    path = Path(found.origin or "")
    return path.parent, _with_neighbours(path) if path.suffix == ".py" else set()


def _with_neighbours(path: Path) -> set[Path]:
    """A file, what it imports from its own folder, directly or by way of others, and the weights that they name."""
    folder, found, waiting = path.parent, set(), [path]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        if path.suffix != ".py" or path.parent != folder or folder.name in _INSTALLED:
            continue
        with contextlib.suppress(SyntaxError, ValueError, RecursionError):
            tree = ast.parse(path.read_bytes())
            for name in _imported(tree):
                waiting += [entry for entry in [folder / f"{name}.py"] if entry.is_file()]
                waiting += (folder / name).rglob("*.py") if (folder / name).is_dir() else []
            texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
            for text in texts:
                if isinstance(text, str) and 0 < len(text) < 256 and "\0" not in text:
                    waiting += _weights(folder / text)
    return found


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _weights(path: Path) -> list[Path]:
    """The files with weights that a path names: it is one, or the folder of some."""
    with contextlib.suppress(OSError):
        if path.suffix in WEIGHTS:
            return [path] if path.is_file() else []
        if path.name not in ("", "..") and path.is_dir():
            return sorted(entry for entry in path.iterdir() if entry.suffix in WEIGHTS and entry.is_file())
    return []
