"""Folders of models from elsewhere: sizes are compared with the weights before anything is made of them, oddities are named."""

from __future__ import annotations

import json
import shutil
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lmrl_agents.models.model import LanguageModel, ModelConfig
from lmrl_agents.models.tokenizer import train_tokenizer
from lmrl_agents.models.tokens import TextFormat
from lmrl_agents.playing.loading import load_agent
from lmrl_agents.playing.protocol import AgentError


@pytest.fixture(scope="module", params=[False, True], ids=["tied", "composed"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "final"
    tokenizer = train_tokenizer(["move up", "move down", "There are no walls near you."] * 3)
    config = ModelConfig(layers=1, width=16, heads=2, max_positions=64, compose=request.param)
    form = TextFormat(max_tokens=48, max_action_tokens=4)
    LanguageModel.create(config, tokenizer, form, 0).save(folder, {"env_id": "lmrl/MazeFullyObserved-v0"})
    return folder


def edited(name: str, **changes: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        whole = json.loads((folder / name).read_text())
        for key, value in changes.items():
            table, _, field = key.rpartition("__")
            place = whole[table] if table else whole
            if value is ...:
                del place[field]
            else:
                place[field] = value
        (folder / name).write_text(json.dumps(whole))

    return edit


def written(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text) and None


def not_finite(folder: Path) -> None:
    weights = load_file(folder / "weights.safetensors")
    name = sorted(weights)[0]
    save_file({**weights, name: torch.full_like(weights[name], float("nan"))}, folder / "weights.safetensors")


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a million layers": (edited("config.json", n_layer=10**6), "n_layer is 1000000"),
    "a million heads": (edited("config.json", n_head=10**6), "n_head is 1000000"),
    "wide": (edited("config.json", n_embd=10**6), "do not fit"),
    "long": (edited("config.json", n_positions=10**9), "do not fit"),
    "many tokens": (edited("config.json", vocab_size=10**9), "do not fit"),
    "a network of brackets": (written("config.json", "[" * 100_000), r"config\.json"),
    "a network that is a list": (written("config.json", "[]"), r"config\.json: Expected object"),
    "a network of layers of text": (edited("config.json", n_layer="2"), "final"),
    "a list": (written("lmrl.json", "[]"), r"lmrl\.json: Expected object, got array"),
    "brackets": (written("lmrl.json", "[" * 100_000), r"lmrl\.json"),
    "no tokenizer": (edited("lmrl.json", tokenizer=...), r"lmrl\.json: tokenizer is missing"),
    "a tokenizer of numbers": (edited("lmrl.json", tokenizer=5), r"lmrl\.json: tokenizer: Expected str"),
    "no format": (edited("lmrl.json", format=...), r"lmrl\.json: format is missing"),
    "a format with more": (edited("lmrl.json", format__more=1), "format: unknown field 'more'"),
    "a format of text": (edited("lmrl.json", format__max_tokens="x"), "max_tokens: Expected int"),
    "endless actions": (edited("lmrl.json", format__max_action_tokens=10**9), "max_action_tokens: Expected int <="),
    "a width that is none": (edited("lmrl.json", model__width=10**9), "width: Expected int <="),
    "a model that is true": (edited("lmrl.json", model__layers=True), "layers: Expected int, got bool"),
    "weights that are NaN": (not_finite, "no finite numbers"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_folders_are_named_soon_and_for_little(name: str, model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model, tmp_path / "final")
    change, message = HOSTILE[name]
    change(folder)
    started = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(AgentError, match=message) as refused:
            load_agent(str(folder))
    finally:
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert str(folder) in str(refused.value) and most < 200 << 20 and time.process_time() - started < 60


def test_the_model_itself_is_loaded(model: Path) -> None:
    assert load_agent(str(model)).act([]) == []
