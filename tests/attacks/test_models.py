"""Folders of models from elsewhere: sizes are compared with the weights before anything is made of them, oddities are named."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import socket
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fault_tools import lmrl
from safetensors.torch import load_file, save_file

from lmrl_agents.models.chat import ChatLayout
from lmrl_agents.models.model import LanguageModel, ModelConfig
from lmrl_agents.models.tokenizer import TaskTokenizer, train_tokenizer
from lmrl_agents.models.tokens import TextFormat
from lmrl_agents.playing.loading import load_agent
from lmrl_agents.playing.protocol import AgentError, Request
from lmrl_agents.playing.room import RoomSettings, close, open_agent
from lmrl_benchmarks.running.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.running.records import RecordFile
from lmrl_envs import Transcript
from lmrl_envs.files.checkpoints import digest_of
from lmrl_envs.partners.local_model import LocalModel, LocalSettings


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


def many_tokens(folder: Path) -> None:
    whole = json.loads((folder / "tokenizer.json").read_text())
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    whole["added_tokens"] += [{"id": 1000 + k, "content": f"x{k}", **flags} for k in range(20_000)]
    (folder / "tokenizer.json").write_text(json.dumps(whole))


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
    "tokens without end": (many_tokens, r"tokenizer\.json: more than 10000 added tokens"),
    "special tokens without end": (edited("tokenizer_config.json", extra_special_tokens=[f"x{k}" for k in range(20_000)]), "more than 10000 added"),
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


@pytest.mark.parametrize(
    "settings",
    [
        {"tokenizer_file": "/dev/zero", "vocab_file": "/dev/zero", "merges_file": "/dev/zero", "gguf_file": "/dev/zero"},
        {"auto_map": {"AutoTokenizer": ["evil.Own", "evil.Own"]}, "tokenizer_class": "Own"},
        {"auto_map": {"AutoTokenizer": ["owner/name--evil.Own", None]}, "tokenizer_class": "Own", "name_or_path": "owner/name"},
    ],
)  # fmt: skip
def test_a_tokenizers_settings_name_no_file_and_no_code(
    settings: dict[str, Any], model: Path, tmp_path: Path, no_network: list[Any]
) -> None:
    folder = shutil.copytree(model, tmp_path / "final")
    (folder / "evil.py").write_text("import pathlib\n\npathlib.Path(__file__).with_name('ran').touch()\n")
    edited("tokenizer_config.json", **settings)(folder)
    assert load_agent(str(folder)).act([]) == []  # its own tokenizer.json is what counts
    assert not (folder / "ran").exists() and not no_network


def test_the_model_itself_is_loaded(model: Path) -> None:
    assert load_agent(str(model)).act([]) == []


# -- models that are played by prompt


@pytest.fixture(scope="module")
def prompted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as anybody publishes it: a network, a tokenizer, a chat template."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("prompted") / "model"
    core = Tokenizer(models.WordLevel({"<pad>": 0, "<eos>": 1, "crane": 2, "x": 3}, unk_token="x"))
    core.pre_tokenizer = pre_tokenizers.Split(" ", "isolated")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="<eos>")
    tokenizer.chat_template = "{{ messages[-1]['content'] }}"
    tokenizer.save_pretrained(folder)
    sizes = {
        "vocab_size": 4,
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
    }
    LlamaForCausalLM(LlamaConfig(**sizes, max_position_embeddings=4096)).save_pretrained(folder)
    return folder


ROUND = "{% for i in range(99999) %}"
PROGRAMS = {
    "a template without end": (ROUND * 3 + "{% endfor %}" * 3, " ", r"no answer within 4 s \(--patience\)"),
    "a prompt of gigabytes": ("{{ 'a' * 6000000000 }}", " ", r"its process (used \d\.\d GB|was killed)|no answer within 4 s"),
    "a slow regular expression": ("{{ 'a' * 90000 }}", "(?:a|a){21}(?<!a)", r"no answer within 4 s \(--patience\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_in_a_models_folder_cost_its_own_games(name: str, prompted: Path, tmp_path: Path) -> None:
    template, expression, why = PROGRAMS[name]
    folder = shutil.copytree(prompted, tmp_path / "model")
    (folder / "chat_template.jinja").write_text(template)
    edited("tokenizer.json", pre_tokenizer={
        "type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False,
    })(folder)  # fmt: skip
    agent = open_agent(f"transformers:{folder}", {"max_tokens": 4}, RoomSettings(patience=4, memory=2))
    (action,) = agent.act_with_details([Request("lmrl/Wordle-v0", 0, 0, Transcript.from_texts(["Wordle:"], []))])  # type: ignore
    close(agent)
    assert action.error and re.search(why, action.error)


def test_a_template_without_end_ends_its_evaluation(prompted: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(prompted, tmp_path / "model")
    (folder / "chat_template.jinja").write_text(PROGRAMS["a template without end"][0])
    asked = ["--env", "lmrl/Wordle-v0", "--episodes", 1, "--patience", 1, "--out", tmp_path / "out"]
    found = lmrl("eval", "--agent", f"transformers:{folder}", *asked)
    assert found.returncode == 1 and "no answer within 1 s (--patience)" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_model_by_prompt_plays_in_its_process(prompted: Path, tmp_path: Path) -> None:
    spec = EvaluationSpec("lmrl/Wordle-v0", f"transformers:{prompted}", 2, 0, agent_kwargs={"max_tokens": 2})
    summary = evaluate(spec, tmp_path / "own")
    inside = evaluate(spec, tmp_path / "inside", agent=load_agent(spec.agent, max_tokens=2))
    assert summary["errors"] == 0 and summary["return_mean"] == inside["return_mean"]
    own, here = (RecordFile(tmp_path / name).read() for name in ("own", "inside"))
    assert [record.actions for record in own] == [record.actions for record in here]


# -- adapters, which name a checkpoint


@pytest.fixture(scope="module")
def adapted(prompted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter beside the model that is played by prompt."""
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("adapted") / "final"
    layout = ChatLayout(before="", opening="", turn="", asks="", told="", lead="", end="<eos>")
    tokenizer = TaskTokenizer(AutoTokenizer.from_pretrained(prompted), layout)
    form = TextFormat(max_tokens=48, max_action_tokens=4, chat=layout)
    config = ModelConfig(source=str(prompted), lora_rank=2)
    model = LanguageModel.create(config, tokenizer, form, 0)
    model.save(folder, {"env_id": "lmrl/Wordle-v0"})
    model.export(folder.parent / "peft")
    return folder


def odd_checkpoints(folder: Path) -> dict[str, str]:
    """Names that a stranger's adapter may give its checkpoint, and what is told of them."""
    (folder / "piped").mkdir()
    os.mkfifo(folder / "piped/config.json")
    (folder / "linked").mkdir()
    (folder / "linked/config.json").write_text("{}")
    (folder / "linked/model.safetensors").symlink_to("/dev/zero")
    (folder / "leads-out").mkdir()
    (folder / "leads-out/config.json").write_text("{}")
    (folder / "leads-out/model.safetensors.index.json").write_text('{"weight_map": {"a": "../../w.safetensors"}}')
    (folder / "chained").mkdir()
    (folder / "chained/adapter_config.json").write_text('{"base_model_name_or_path": "owner/name"}')
    none, plain = "is neither a folder of a network nor the hub's name of one", "is no plain file in it"
    return {
        "/proc/self/environ": none,
        "/dev/zero": none,
        "/proc/self": plain,
        "/": plain,
        "../../..": plain,
        "//host/share": none,
        "\\\\host\\share": none,
        "https://example.org/model": none,
        "owner/../name": none,
        "owner/no-such-model-here": "is not on this machine; if you trust it: hf download",
        "a\x1b[2J\nb": none,
        "": none,
        "piped": plain,
        "linked": plain,
        "leads-out": plain,
        "chained": "is no checkpoint but an adapter",
    }


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Nothing is fetched on a stranger's word: connections are told, and refused."""
    asked: list[Any] = []

    def connect(self: socket.socket, address: Any) -> None:
        asked.append(address)
        raise OSError("no network")

    monkeypatch.setattr(socket.socket, "connect", connect)
    return asked


def test_an_adapter_names_no_file_no_device_and_nothing_to_fetch(
    adapted: Path, tmp_path: Path, no_network: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, peft = (shutil.copytree(path, tmp_path / path.name) for path in (adapted, adapted.parent / "peft"))
    monkeypatch.chdir(tmp_path)
    names = odd_checkpoints(folder)
    odd_checkpoints(peft)
    assert len(names) > 15
    for name, why in names.items():
        edited("lmrl.json", model__source=name)(folder)
        edited("adapter_config.json", base_model_name_or_path=name)(peft)
        with pytest.raises(ValueError, match=re.escape(why)) as refused:
            LanguageModel.load(folder)
        with pytest.raises(ValueError, match=re.escape(why)):
            LocalModel(peft, LocalSettings(), "agent")
        assert "\n" not in str(refused.value) and "\x1b" not in str(refused.value), name
    assert not no_network


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: not_the_last(folder),
        edited("config.json", num_hidden_layers=10**6),
        edited("config.json", rope_theta=1.0),
    ],
    ids=["the last number", "layers", "another constant"],
)
def test_an_adapter_knows_every_byte_of_its_checkpoint(
    change: Callable[[Path], None], adapted: Path, prompted: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(adapted, tmp_path / "final")
    shutil.copytree(prompted, folder / "own")
    edited("lmrl.json", model__source="own")(folder)
    LanguageModel.load(folder)  # moved into its folder, it is the same
    change(folder / "own")
    with pytest.raises(ValueError, match="is another checkpoint than its adapters were trained beside"):
        LanguageModel.load(folder)


def not_the_last(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    name = sorted(weights)[-1]
    weights[name].reshape(-1)[-1] += 1.0
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(("key", "message"), [("num_hidden_layers", "is 1000000, and its weights"), ("vocab_size", "")])
def test_a_hostile_checkpoint_within_the_folder_costs_little(
    key: str, message: str, adapted: Path, prompted: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(adapted, tmp_path / "final")
    own = Path(shutil.copytree(prompted, folder / "own"))
    edited("config.json", **{key: 10**6 if key != "vocab_size" else 10**9})(own)
    edited("lmrl.json", model__source="own", checkpoint=digest_of(own))(folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=message):
        LanguageModel.load(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20  # kB


def test_an_adapter_of_pickles_is_not_read(adapted: Path, tmp_path: Path) -> None:
    peft = Path(shutil.copytree(adapted.parent / "peft", tmp_path / "peft"))
    LocalModel(peft, LocalSettings(), "agent")
    (peft / "adapter_model.safetensors").rename(peft / "adapter_model.bin")
    with pytest.raises(ValueError, match=r"adapter_model\.safetensors is no plain file"):
        LocalModel(peft, LocalSettings(), "agent")
