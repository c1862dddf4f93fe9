"""Checkpoints that a model's folder names: an adapter says beside which weights it was trained, and it may come from anybody.

What it names lies within the folder or on this machine already, in plain files; nothing is fetched on its word. Whether it is the
checkpoint that the adapter was trained beside, every byte of its files tells (`digest_of`), before any of it is loaded.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from lmrl_envs.files import sha256_of
from lmrl_envs.files.untrusted import read, shown

NETWORK, WEIGHTS, INDEX, ADAPTER = (
    "config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "adapter_config.json",
)
_ID = re.compile(r"\w[\w.-]{0,95}(/\w[\w.-]{0,95})?")


def named_checkpoint(folder: Path, name: str) -> Path:
    """The folder of the checkpoint that a model's folder names: within it, another one, or the hub's copy on this machine.

    Raises:
        ValueError: there is none, or it is more than a network with weights in plain files.
    """
    path, why = Path(name), "is neither a folder of a network nor the hub's name of one"
    if not name or not name.isprintable() or name.startswith(("\\\\", "//")):  # another machine's
        raise ValueError(f"{folder}: the checkpoint {shown(name)} {why}")
    if not path.is_absolute() and (folder / path).is_dir():
        path = folder / path
    elif not path.is_dir():
        path = _copy_of(name) if _ID.fullmatch(name) else path
        if path == Path(name):
            why = f"is not on this machine; if you trust it: hf download {name}" if _ID.fullmatch(name) else why
            raise ValueError(f"{folder}: the checkpoint {shown(name)} {why}")
    weights_of(path)
    return path


def _copy_of(name: str) -> Path:
    """The folder in the hub's cache, or the name where there is none."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return Path(name)


def weights_of(folder: Path) -> list[Path]:
    """The files of a checkpoint's weights.

    Raises:
        ValueError: there are none, they or the configuration are no plain files of the folder, or it is an adapter itself.
    """
    index = folder / INDEX
    names = {WEIGHTS}
    if index.exists():
        places = read(index, dict[str, Any]).get("weight_map")
        names = {str(name) for name in places.values()} if isinstance(places, dict) else {"weight_map"}
    if (folder / ADAPTER).exists():
        raise ValueError(f"{folder} is no checkpoint but an adapter")
    for name in sorted({NETWORK, *names}):
        if Path(name).name != name or not (folder / name).is_file():
            raise ValueError(f"{folder}: {shown(name)} is no plain file in it")
    return [folder / name for name in sorted(names)]


def digest_of(folder: Path) -> str:
    """Of a checkpoint's configuration and weights, all bytes: a gigabyte a second or so, once in a process."""
    digest = hashlib.sha256()
    for path in (folder / NETWORK, *weights_of(folder)):
        about = path.stat()
        digest.update(f"{path.name} {_hashed(path, about.st_size, about.st_mtime_ns)}\n".encode())
    return digest.hexdigest()[:16]


@lru_cache(256)
def _hashed(path: Path, size: int, changed: int) -> str:
    return sha256_of(path)
