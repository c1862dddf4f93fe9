"""Every training algorithm: runs, resumes exactly, refuses what it cannot do, and its steps are what the data says."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lmrl_agents import AgentError, Request, load_agent
from lmrl_agents.algorithms import ppo
from lmrl_agents.algorithms.filtered_bc import Config as FilterConfig
from lmrl_agents.algorithms.filtered_bc import chosen_steps
from lmrl_agents.algorithms.grpo import Config as GroupConfig
from lmrl_agents.algorithms.grpo import advantages_of, flat_episodes, sequence_ratios, token_weights
from lmrl_agents.learning.curves import read_metrics
from lmrl_agents.learning.online import OnlineConfig, new_logprobs, play, slices
from lmrl_agents.learning.run import CHECKPOINT, METRICS, TrainingError, TrainingRun
from lmrl_agents.learning.session import Session
from lmrl_agents.learning.train import algorithms, load_algorithm, train
from lmrl_agents.models.critic import Critic, CriticConfig
from lmrl_agents.models.distributed import backward, clip_gradients
from lmrl_agents.models.guided import GuidedPolicy
from lmrl_agents.models.model import LanguageModel, ModelConfig
from lmrl_agents.models.sampling import Generated, Memo, Sampling, _Tree, generate
from lmrl_agents.models.steps import NONE, StepStore, decisions
from lmrl_agents.models.tokenizer import train_tokenizer
from lmrl_agents.models.tokens import TextFormat, TokenEpisode
from lmrl_agents.playing.conformance import check_agent, sample_requests
from lmrl_agents.playing.explain import state_values
from lmrl_agents.playing.policy_agent import LanguageModelAgent, PolicyAgent, Recorder
from lmrl_agents.playing.rollout import Rollout
from lmrl_agents.presets import load_preset
from lmrl_benchmarks.running.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.running.records import RecordFile
from lmrl_envs import Transcript
from lmrl_envs.files import FolderError

MAZE = "lmrl/MazeFullyObserved-v0"
FROM_GAMES = [
    name
    for name in algorithms()
    if name not in ("chai", "planning") and not getattr(load_algorithm(name), "__globals__", {}).get("TAKES_PAIRS")
]
"""Others are held to the same elsewhere: those that learn from pairs in test_preference_methods.py, planning, which learns from logged
candidates, in test_planning.py, chai, which learns only where
somebody bargains, in test_chai.py."""

OFFLINE = {"bc", "filtered_bc", "mc", "ilql", "cql", "kl_control", "batch_q", "dbcq"}
SHORT = {
    "model": {"layers": 1, "width": 16, "heads": 1, "max_positions": 512},
    "bc": {"steps": 12, "batch_size": 32, "checkpoint_every": 4, "log_every": 2},
    "filtered_bc": {"steps": 12, "batch_size": 32, "checkpoint_every": 4, "log_every": 2},
    **{
        name: {"steps": 12, "batch_size": 32, "checkpoint_every": 4, "betas": [1.0], "validation_episodes": 2}
        for name in ("mc", "ilql", "cql", "kl_control", "batch_q", "dbcq")
    },
    **{name: {"iterations": 3, "episodes": 4, "checkpoint_every": 1} for name in FROM_GAMES if name not in OFFLINE},
}
for name in ("grpo", "christiano", "rlaif", "self_training"):
    SHORT[name] |= {"episodes": 2, "group_size": 2}
SHORT["christiano"] |= {"queries": 4, "fit_steps": 2}
SHORT["rlaif"] |= {"pairs": 8, "unit": "segment:4", "reward_epochs": 1}
SHORT["online_dpo"] |= {"labeller": "gold"}
SHORT["archer"] |= {"critic_updates": 2, "batch_size": 16, "positions": 16, "critic_rounds": 1, "memory": 2}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Presets cut to seconds; games to 12 moves."""
    import lmrl_agents.learning.run as training

    original = load_preset

    def shorter(name: str, env_id: str):
        tables = original(name, env_id)
        return {**tables, **{key: {**tables.get(key, {}), **values} for key, values in SHORT.items()}}

    monkeypatch.setattr(training, "load_preset", shorter)


def settings(algorithm: str, out: Path, data: Path, **changes) -> TrainingRun:
    return TrainingRun(algorithm, MAZE, str(data), out, show_progress=False, **changes)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    found = {}
    for file in sorted((folder / "final").glob("*.safetensors")):
        found |= {f"{file.stem}.{name}": tensor for name, tensor in load_file(file).items()}
    return found


@pytest.fixture(scope="module")
def start(maze_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy to start from, hardly trained."""
    out = tmp_path_factory.mktemp("start") / "bc"
    overrides = {f"{table}.{key}": value for table in ("model", "bc") for key, value in SHORT[table].items()}
    train(settings("bc", out, maze_data, overrides=overrides))
    return out


@pytest.mark.parametrize(
    ("algorithm", "overrides"),
    [
        *((name, {}) for name in FROM_GAMES),
        ("ppo", {"ppo.value_trunk": "shared"}),
        ("cql", {"cql.backup": "sarsa"}),
        ("online_filtered_bc", {"online_filtered_bc.memory": 2}),
        ("ilql", {"ilql.discount_unit": "token"}),
        (
            "grpo",
            {
                "grpo.importance_sampling_level": "sequence",
                "grpo.credit": "state",
                "grpo.drop_flat": True,
                "grpo.ratio_clip_high": 0.28,
            },
        ),
    ],
)
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    algorithm: str,
    overrides: dict,
    maze_data: Path,
    start: Path,
    tmp_path: Path,
    short: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begin = None if algorithm in ("bc", "filtered_bc") else start
    how = {"start": begin, "overrides": overrides}
    train(settings(algorithm, tmp_path / "whole", maze_data, **how))
    real, seen = Session.update, []

    def failing(self, *arguments, **named):
        if (tmp_path / "parts" / CHECKPOINT / "state.json").exists():
            seen.append(1)
            if len(seen) == 2:  # in the middle of something, after a checkpoint
                raise KeyboardInterrupt
        return real(self, *arguments, **named)

    monkeypatch.setattr(Session, "update", failing)
    with pytest.raises(KeyboardInterrupt):
        train(settings(algorithm, tmp_path / "parts", maze_data, **how))
    monkeypatch.setattr(Session, "update", real)
    done = json.loads((tmp_path / "parts" / CHECKPOINT / "state.json").read_text())["step"]
    assert done in (1, 2, 4)
    train(settings(algorithm, tmp_path / "parts", maze_data, **how, resume=True))
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert whole.keys() == parts.keys() and all(torch.equal(whole[key], parts[key]) for key in whole)
    steps = [json.loads(line)["step"] for line in (tmp_path / "parts" / METRICS).read_text().splitlines()]
    assert steps == sorted(set(steps))
    agent = load_agent(str(tmp_path / "parts"))
    assert not check_agent(agent, [MAZE]).breaches


def test_without_a_mask_nlpo_is_ppo_bit_for_bit(maze_data: Path, start: Path, tmp_path: Path, short: None) -> None:
    for algorithm, overrides in (("ppo", {}), ("nlpo", {"nlpo.mask": 1.0}), ("nlpo", {"nlpo.mask": 0.6})):
        out = tmp_path / f"{algorithm}{overrides.get('nlpo.mask', '')}"
        train(settings(algorithm, out, maze_data, start=start, overrides=overrides))
    whole, same, masked = (weights(tmp_path / name) for name in ("ppo", "nlpo1.0", "nlpo0.6"))
    assert whole.keys() == same.keys() and all(torch.equal(whole[key], same[key]) for key in whole)
    assert any(not torch.equal(whole[key], masked[key]) for key in whole)


@pytest.mark.parametrize("algorithm", FROM_GAMES)
def test_a_loss_that_is_no_number_stops_training(
    algorithm: str, maze_data: Path, start: Path, tmp_path: Path, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Session.update
    monkeypatch.setattr(
        Session, "update", lambda self, name, loss, *a, **k: real(self, name, loss * float("nan"), *a, **k)
    )
    begin = None if algorithm in ("bc", "filtered_bc") else start
    with pytest.raises(TrainingError, match="nan"):
        train(settings(algorithm, tmp_path / "run", maze_data, start=begin))
    assert not (tmp_path / "run" / "final").exists()


@pytest.mark.parametrize("algorithm", ["ppo", "reinforce", "grpo"])
def test_a_round_that_moves_the_policy_too_far_is_taken_back(
    algorithm: str, maze_data: Path, start: Path, tmp_path: Path, short: None
) -> None:
    wild = {
        f"{algorithm}.{name}": value
        for name, value in {"learning_rate": 3.0, "warmup": 0, "floor": 1.0, "iterations": 2}.items()
    }
    # The start wins no game: groups are flat, and GRPO's weights move by their decay alone.
    wild |= {"ppo": {"ppo.kl_stop": 0.0}, "grpo": {"grpo.weight_decay": 10.0}}.get(algorithm, {})
    free = {**wild, f"{algorithm}.kl_limit": 0.0}
    train(settings(algorithm, tmp_path / "kept", maze_data, start=start, overrides=wild))
    train(settings(algorithm, tmp_path / "moved", maze_data, start=start, overrides=free))
    begun, kept, moved = weights(start), weights(tmp_path / "kept"), weights(tmp_path / "moved")
    assert all(torch.equal(begun[key], kept[key]) for key in begun)
    assert not all(torch.equal(begun[key], moved[key]) for key in begun)
    rates = [json.loads(line)["rate"] for line in (tmp_path / "kept" / METRICS).read_text().splitlines()]
    assert rates == [0.5, 0.25]


@pytest.mark.parametrize("trunk", ["separate", "shared"])
def test_values_move_the_policy_only_where_they_share_its_transformer(
    trunk: str, maze_data: Path, start: Path, tmp_path: Path, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a policy loss of no gradient, what the policy learns it learns from the values."""
    monkeypatch.setattr(ppo, "clipped_policy_loss", lambda logprobs, *_: 0.0 * logprobs.sum())
    overrides = {"ppo.entropy": 0.0, "ppo.kl_limit": 0.0, "ppo.kl_stop": 0.0, "ppo.value_trunk": trunk}
    train(settings("ppo", tmp_path / "run", maze_data, start=start, overrides=overrides))
    before, after = weights(start), weights(tmp_path / "run")
    inner = "transformer.h.0.attn.c_attn.weight"
    moved = not torch.equal(before[f"weights.lm.{inner}"], after[f"weights.lm.{inner}"])
    assert moved == (trunk == "shared")
    of_critic = after["critic.trunk.h.0.attn.c_attn.weight"]
    assert torch.equal(of_critic, after[f"weights.lm.{inner}"]) == (trunk == "shared")
    assert not torch.equal(of_critic, before[f"weights.lm.{inner}"])
    assert after["critic.heads.value.weight"].any()


def test_a_round_taken_back_takes_a_shared_head_back(
    maze_data: Path, start: Path, tmp_path: Path, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = {"ppo.value_trunk": "shared", "ppo.kl_limit": 1e-12}  # every round is taken back
    train(settings("ppo", tmp_path / "run", maze_data, start=start, overrides=overrides))
    before, after = weights(start), weights(tmp_path / "run")
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not after["critic.heads.value.weight"].any()  # as it began


def test_running_out_of_memory_is_said_with_what_to_change(
    maze_data: Path, tmp_path: Path, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self, *arguments, **named):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.")

    monkeypatch.setattr(Session, "update", full)
    with pytest.raises(TrainingError, match=r"20 GiB.*--set bc.batch_size"):
        train(settings("bc", tmp_path / "run", maze_data))


def test_refusals(maze_data: Path, wordle_data: Path, start: Path, tmp_path: Path, short: None) -> None:
    with pytest.raises(ValueError, match="write table"):
        train(settings("bc", tmp_path / "a", maze_data, overrides={"steps": 3}))
    with pytest.raises(ValueError, match="no hyperparameter 'stesp'"):
        train(settings("bc", tmp_path / "b", maze_data, overrides={"bc.stesp": 3}))
    with pytest.raises(TrainingError, match="no trained model"):
        train(settings("ppo", tmp_path / "c", maze_data, start=tmp_path))
    other = TrainingRun("ppo", "lmrl/Wordle-v0", str(wordle_data), tmp_path / "d", start=start, show_progress=False)
    with pytest.raises(TrainingError, match="was trained on lmrl/MazeFullyObserved-v0"):
        train(other)
    with pytest.raises(ValueError, match="backup='td'"):
        train(settings("cql", tmp_path / "e", maze_data, start=start, overrides={"cql.backup": "td"}))


def test_without_a_start_the_data_is_cloned_first(maze_data: Path, tmp_path: Path, short: None) -> None:
    train(settings("ilql", tmp_path / "a", maze_data))
    train(settings("bc", tmp_path / "b", maze_data))
    cloned, own = weights(tmp_path / "a" / "start"), weights(tmp_path / "b")
    assert all(torch.equal(cloned[key], own[key]) for key in own)


def test_a_game_that_fails_stops_training(
    maze_data: Path, start: Path, tmp_path: Path, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self, batch):
        return {i: "SimulatorError: the engine is gone" for i, action in enumerate(batch) if action is not None}

    monkeypatch.setattr(Rollout, "_step", failing)
    with pytest.raises(TrainingError, match=r"training stream \(seed \d+\): SimulatorError: the engine is gone"):
        train(settings("ppo", tmp_path / "run", maze_data, start=start))


def test_the_temperature_is_chosen_on_validation_games(maze_data: Path, tmp_path: Path, short: None) -> None:
    overrides = {"bc.temperatures": [1.0, 0.0], "bc.evaluation_episodes": 2}
    final = train(settings("bc", tmp_path / "run", maze_data, overrides=overrides))
    description = json.loads((final / "lmrl.json").read_text())
    # Descriptions travel with records: they do not say where the data lay.
    assert description["data"].split()[0] == "maze/mixed-v0" and str(maze_data) not in json.dumps(description)
    decoding = description["decoding"]
    tried = {float(t): value for t, value in decoding["validation_return"].items()}
    assert set(tried) == {1.0, 0.0} and tried[decoding["temperature"]] == max(tried.values())
    agent = load_agent(str(final), temperature="best")
    assert agent.sampling.temperature == decoding["temperature"]
    request = sample_requests(MAZE, 1)[0]
    talking = load_agent(str(final), record_logprobs=True)
    (action,) = talking.act_with_details([request])
    assert action.text == talking.act([request])[0]
    pairs = action.details["token_logprobs"]
    assert "".join(text for text, _ in pairs if text != "<eoa>") == action.text and all(p <= 0 for _, p in pairs)
    assert action.details["completion_tokens"] == len(pairs)
    train(settings("bc", tmp_path / "other", maze_data))
    with pytest.raises(AgentError, match="no temperature was chosen"):
        load_agent(str(tmp_path / "other"), temperature="best")
    with pytest.raises(AgentError, match="'warm'"):
        load_agent(str(final), temperature="warm")


@pytest.fixture(scope="module")
def dropping(maze_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A start whose network has dropout, as pretrained ones do that were not told otherwise."""
    out = tmp_path_factory.mktemp("dropping") / "bc"
    overrides = {f"{table}.{key}": value for table in ("model", "bc") for key, value in SHORT[table].items()}
    train(settings("bc", out, maze_data, overrides=overrides | {"model.dropout": 0.3}))
    rates = {m.p for m in LanguageModel.load(out / "final").modules() if isinstance(m, torch.nn.Dropout)}
    assert rates == {0.3}
    return out


@pytest.mark.parametrize("algorithm", ["ppo", "reinforce", "grpo"])
def test_ratios_are_one_before_the_first_step_whatever_the_networks_dropout(
    algorithm: str, maze_data: Path, dropping: Path, tmp_path: Path, short: None
) -> None:
    overrides = {f"{algorithm}.learning_rate": 0.0, f"{algorithm}.iterations": 1}
    train(settings(algorithm, tmp_path, maze_data, start=dropping, overrides=overrides))
    logged = read_metrics(tmp_path / METRICS)
    assert logged["kl_moved"][1][0] == pytest.approx(0, abs=1e-9)
    assert all(abs(value) < 1e-9 for value in logged.get("kl_played", ([], [0.0]))[1])


@pytest.mark.parametrize("algorithm", ["ppo", "reinforce", "grpo", "archer", "online_filtered_bc", "online_dpo"])
def test_games_values_and_references_are_read_in_the_precision_of_updates(
    algorithm: str, maze_data: Path, start: Path, tmp_path: Path, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every reading of every network between a round's first move and the end of learning, so that ratios compare like with like."""
    seen: list[bool] = []
    real_rounds, real_finish = Session.__iter__, Session.finish
    hook: list[torch.utils.hooks.RemovableHandle] = []

    def note(module: torch.nn.Module, args: object) -> None:
        if isinstance(module, torch.nn.LayerNorm):
            seen.append(torch.is_autocast_enabled("cpu"))

    def counted(self: Session):
        hook.append(torch.nn.modules.module.register_module_forward_pre_hook(note))
        yield from real_rounds(self)

    def finish(self: Session, *args: object, **facts: object) -> Path:
        hook[-1].remove()
        return real_finish(self, *args, **facts)

    monkeypatch.setattr(Session, "__iter__", counted)
    monkeypatch.setattr(Session, "finish", finish)
    overrides = {f"{algorithm}.iterations": 1}
    train(settings(algorithm, tmp_path, maze_data, start=start, overrides=overrides, dtype="bf16"))
    assert len(seen) > 20 and all(seen), f"{seen.count(False)} of {len(seen)} readings in float32"


@pytest.mark.parametrize("algorithm", ["ilql", "cql", "mc"])
def test_validation_leaves_frozen_networks_without_dropout(
    algorithm: str, maze_data: Path, dropping: Path, tmp_path: Path, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = Session.validate, []

    def validate(self: Session, policy, episodes: int) -> None:
        real(self, policy, episodes)
        seen.append(
            [m.training for network in policy.networks for m in network.modules() if isinstance(m, torch.nn.Dropout)]
        )

    monkeypatch.setattr(Session, "validate", validate)
    overrides = {
        f"{algorithm}.{key}": value
        for key, value in {"steps": 4, "evaluate_every": 2, "validation_episodes": 2}.items()
    }
    train(settings(algorithm, tmp_path, maze_data, start=dropping, overrides=overrides))
    assert len(seen) == 2 and len(seen[0]) >= 6 and not any(map(any, seen))


def test_rows_longer_than_the_network_reads_are_refused(
    maze_data: Path, start: Path, tmp_path: Path, short: None
) -> None:
    for algorithm, how in (("bc", {}), ("ppo", {"start": start})):
        overrides = {"model.max_positions": 64, "text.max_tokens": 96}
        if algorithm == "ppo":  # the start's own format counts
            model = LanguageModel.load(start / "final")
            model.form = dataclasses.replace(model.form, max_tokens=model.max_positions + 1)
            model.save(tmp_path / "long", {"env_id": MAZE})
            how = {"start": tmp_path / "long"}
        with pytest.raises(TrainingError, match="tokens that the model can read"):
            train(settings(algorithm, tmp_path / algorithm, maze_data, overrides=overrides, **how))


def test_the_time_that_is_told_counts_encoding_and_choosing(
    maze_data: Path, tmp_path: Path, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slower(function, seconds: float):
        def slow(*arguments, **named):
            until = time.process_time() + seconds
            while time.process_time() < until:
                pass
            return function(*arguments, **named)

        return slow

    from lmrl_agents.algorithms import bc

    monkeypatch.setattr(bc, "cached_steps", slower(bc.cached_steps, 1.25))
    monkeypatch.setattr(Session, "_mean_return", slower(lambda *_: 0.0, 0.625))
    train(settings("bc", tmp_path, maze_data, overrides={"bc.temperatures": [1.0, 0.5]}))
    logged = [json.loads(line)["cpu_seconds"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    told = json.loads((tmp_path / "final" / "lmrl.json").read_text())["cpu_seconds"]
    assert logged[0] >= 1.25 and told >= logged[-1] + 1.2  # rounded to tenths


def test_a_checkpoint_keeps_the_random_numbers_of_a_gpu(
    maze_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lmrl_agents.learning.checkpoints import load_checkpoint, save_checkpoint

    told: list[tuple] = []
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: torch.arange(4, dtype=torch.uint8))
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: told.append((state.tolist(), device)))
    layer, policy = torch.nn.Linear(2, 2), SimpleNamespace(tokenizer=SimpleNamespace(fingerprint=lambda: "one"))
    run = settings("bc", tmp_path, maze_data, device="cuda:1")
    parts = ({"layer": layer}, {"layer": torch.optim.AdamW(layer.parameters())})
    save_checkpoint(run, policy, *parts, 3, {})  # type: ignore[arg-type]
    assert load_checkpoint(run, policy, *parts, {}) == 3 and told == [([0, 1, 2, 3], "cuda:1")]  # type: ignore[arg-type]
    load_checkpoint(dataclasses.replace(run, device="cpu"), policy, *parts, {})  # type: ignore[arg-type]
    assert len(told) == 1


def test_curves_and_events_are_written(maze_data: Path, tmp_path: Path, short: None) -> None:
    overrides = {"bc.evaluate_every": 6, "bc.evaluation_episodes": 2}
    train(settings("bc", tmp_path / "run", maze_data, overrides=overrides))
    assert "<svg" in (tmp_path / "run" / "curves.svg").read_text("utf-8")
    curves = read_metrics(tmp_path / "run" / METRICS)
    assert curves["evaluation_return"][0] == [6, 12] and curves["evaluation_return_greedy"][0] == [6, 12]
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))


def test_the_algorithm_of_the_docs_runs_as_written(maze_data: Path, tmp_path: Path, short: None) -> None:
    text = (Path(__file__).parent.parent / "docs" / "add-an-algorithm.md").read_text("utf-8")
    source = text.split("```python\n")[1].split("```")[0]
    (tmp_path / "weighted_bc.py").write_text(source, "utf-8")
    algorithm = f"{tmp_path / 'weighted_bc.py'}:train"
    train(
        settings(
            algorithm, tmp_path / "run", maze_data, overrides={"weighted_bc.steps": 8, "weighted_bc.batch_size": 16}
        )
    )
    assert not check_agent(load_agent(str(tmp_path / "run")), [MAZE]).breaches


# -- steps

TALK = Transcript.from_texts(
    ["go to 8, 6.", "move up", "a wall", "move left", "a wall", "move up", "a hole"], [-1.0, -2.0, -3.0]
)


def talk(form: TextFormat, truncated: bool = True):
    tokenizer = train_tokenizer([turn.text for turn in TALK], units="phrases", min_count=1)
    return tokenizer, TokenEpisode.from_transcript(TALK, not truncated, truncated, tokenizer, form)


@pytest.mark.parametrize("turns", [None, 1, 2])
@pytest.mark.parametrize("truncated", [True, False])
def test_steps_and_their_successors(turns: int | None, truncated: bool) -> None:
    form = TextFormat(context_turns=turns)
    tokenizer, episode = talk(form, truncated)
    steps = StepStore.of([episode, episode], form, tokenizer.pad)
    assert len(steps) == 2 * 6  # two tokens an action
    assert steps.reward.tolist() == [0, -1, 0, -2, 0, -3] * 2
    assert steps.last.tolist() == ([False] * 5 + [True]) * 2
    assert steps.turn.tolist() == [0, 0, 1, 1, 2, 2] * 2
    next_rows, next_columns = steps.successors(np.arange(12))
    for i in range(6):
        # What stands before the token in its row is what a model in play is given.
        prefix = steps.row_tokens(steps.row[i])[: steps.column[i] + 1].tolist()
        context = form.context(TokenEpisode(episode.observations[: i // 2 + 1], episode.actions[: i // 2]))
        assert prefix == context + list(episode.actions[i // 2][: i % 2])
        assert steps.token[i] == episode.actions[i // 2][i % 2]
        if i < 5:
            assert (next_rows[i], next_columns[i]) == (steps.row[i + 1], steps.column[i + 1])
    if truncated:
        after = steps.row_tokens(next_rows[5])[: next_columns[5] + 1].tolist()
        assert after == form.context(TokenEpisode(episode.observations, episode.actions))
    else:
        assert next_rows[5] == NONE
    chosen, counts, kind = steps.distinct(np.arange(12))
    assert kind[:6].tolist() == kind[6:].tolist() and sorted(chosen.tolist()) == [*range(6)] and (counts == 2).all()


def test_tokens_that_decide_nothing_are_left_out() -> None:
    form = TextFormat(context_turns=1)
    tokenizer, episode = talk(form)
    steps = StepStore.of([episode], form, tokenizer.pad, decisions(episode.actions))
    assert len(steps) == 3 and steps.reward.tolist() == [-1, -2, -3]
    assert tokenizer.eoa not in steps.token
    assert all(
        steps.row_tokens(row)[-1] == tokenizer.act for row in range(steps.rows)
    )  # rows end where the decision is taken
    assert decisions([(1, 2, 3), (1, 4, 3), (5, 3)]) == {(1, 2, 3): [0, 1], (1, 4, 3): [0, 1], (5, 3): [0]}
    assert decisions([(1, 2)]) == {(1, 2): []} and decisions([]) == {}


def test_decisions_are_where_the_data_goes_more_than_one_way() -> None:
    """Against the definition: how many tokens follow a beginning, over all actions, also those that were cut."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        actions = [tuple(rng.integers(3, size=rng.integers(5)).tolist()) for _ in range(rng.integers(1, 12))]
        following: dict[tuple[int, ...], set[int]] = {}
        for action in actions:
            for i, token in enumerate(action):
                following.setdefault(action[:i], set()).add(token)
        assert decisions(actions) == {a: [i for i in range(len(a)) if len(following[a[:i]]) > 1] for a in actions}


def test_an_action_without_a_decision_is_paid_with_the_one_before() -> None:
    # All actions begin alike, and the second was cut there.
    episode = TokenEpisode([(1,)] * 3, [(5, 6), (5,), (5, 7)], [-1.0, -2.0, -3.0], terminated=True)
    for form in (TextFormat(), TextFormat(context_turns=1)):
        steps = StepStore.of([episode], form, 0, decisions(episode.actions))
        assert steps.token.tolist() == [6, 7] and steps.turn.tolist() == [0, 2]
        assert steps.reward.tolist() == [-3.0, -3.0]  # the second action's -2 went to the first
        assert steps.last.tolist() == [False, True]


def test_a_batch_reads_each_row_once_and_changes_no_gradient() -> None:
    form = TextFormat(context_turns=1)
    tokenizer, episode = talk(form)
    steps = StepStore.of([episode] * 5, form, tokenizer.pad)
    model = LanguageModel.create(ModelConfig(layers=1, width=16, heads=1, max_positions=64), tokenizer, form, 0)
    everything = np.arange(len(steps))
    gradients = []
    for which, counts in (steps.distinct(everything)[:2], (everything, None)):
        batch = steps.batch(which, counts)
        logprobs, _ = new_logprobs(model, batch, 1.0)
        model.zero_grad()
        (-(logprobs * batch.weight).sum() / batch.weight.sum()).backward()
        gradients.append(torch.cat([p.grad.flatten().clone() for p in model.parameters() if p.grad is not None]))
        assert len(batch.tokens) == steps.rows
    assert torch.allclose(*gradients, atol=1e-6)
    assert len(steps.distinct(everything)[0]) == 6


def test_minibatches_cover_every_step_once() -> None:
    form = TextFormat()
    tokenizer, episode = talk(form)
    steps = StepStore.of([episode] * 7, form, tokenizer.pad)
    parts = slices(steps, 10, (0, 1))
    assert sorted(np.concatenate([steps.steps_of(part) for part in parts]).tolist()) == list(range(len(steps)))
    assert len(parts) > 1


# -- play


@pytest.mark.parametrize("id", [MAZE, "lmrl/MazePartiallyObserved-v0", "lmrl/Wordle-v0"])
def test_rollout_logprobs_equal_teacher_forced_ones(id: str, tmp_path: Path) -> None:
    """What was recorded in play is what training computes, for windows and whole conversations alike."""
    import gymnasium

    env = gymnasium.make(id)
    texts = [env.reset(seed=seed)[0] for seed in range(20)] + ["move up", "move left", "crane", "g y b b b"]
    turns = {"lmrl/Wordle-v0": None, MAZE: 1}.get(id, 4)
    form = TextFormat(context_turns=turns, max_tokens=200, max_action_tokens=5)
    tokenizer = train_tokenizer(texts, units="words", min_count=1)
    model = LanguageModel.create(ModelConfig(layers=1, width=16, heads=1, max_positions=200), tokenizer, form, 0).eval()
    run = TrainingRun("ppo", id, "unused", tmp_path)
    config = OnlineConfig(slots=3, temperature=0.7)
    episodes = play(run, model, range(5), config)
    steps = StepStore.of(episodes, form, tokenizer.pad)
    with torch.no_grad():
        found = new_logprobs(model, steps.batch(np.arange(len(steps))), 0.7)[0]
    assert found.tolist() == pytest.approx(steps.logprob.tolist(), abs=2e-5)
    again = play(run, model, range(5), OnlineConfig(slots=5, temperature=0.7))
    assert [e.actions for e in again] == [e.actions for e in episodes]  # however many games are played at once


def test_groups_start_alike_and_go_their_own_ways(tmp_path: Path) -> None:
    form = TextFormat(context_turns=1, max_action_tokens=3)
    tokenizer = train_tokenizer(["move up move down 1 2 3 4 5"], units="words", min_count=1)
    model = LanguageModel.create(ModelConfig(layers=1, width=16, heads=1), tokenizer, form, 0)
    episodes = play(TrainingRun("grpo", MAZE, "unused", tmp_path), model, range(3), OnlineConfig(slots=4), group_size=4)
    assert [episode.group for episode in episodes] == [0] * 4 + [1] * 4 + [2] * 4
    for group in range(3):
        own = [episode for episode in episodes if episode.group == group]
        assert len({episode.observations[0] for episode in own}) == 1
        assert len({tuple(episode.actions) for episode in own}) == 4


def test_advantages_of_groups_by_turn() -> None:
    a = TokenEpisode([(1,), (1,), (1,)], [(5,), (6,)], [-1.0, 0.0], terminated=True, group=0)
    b = TokenEpisode([(1,), (1,)], [(6,)], [0.0], terminated=True, group=0)
    c = TokenEpisode([(1,), (1,), (1,)], [(5,), (7,)], [-1.0, -1.0], terminated=True, group=0)
    steps = StepStore.of([a, b, c], TextFormat(), 0)
    config = GroupConfig(scale_rewards="none", credit="turn")
    found = advantages_of([a, b, c], steps, config)
    # First turns: returns -1, 0, -2; second turns: 0, -1.
    assert found.tolist() == pytest.approx([0.0, 0.5, 1.0, -1.0, -0.5])
    whole = advantages_of([a, b, c], steps, GroupConfig(scale_rewards="none"))
    assert whole.tolist() == pytest.approx([0.0, 0.0, 1.0, -1.0, -1.0])
    assert token_weights(steps, "grpo").tolist() == pytest.approx([5 / 6, 5 / 6, 5 / 3, 5 / 6, 5 / 6])


def test_advantages_of_groups_by_position() -> None:
    """GiGPO: the episode's advantage, and the return from a turn on beside that of the group's turns in the same position."""
    a = TokenEpisode([(1,), (2,), (1,)], [(5,), (6,)], [-1.0, 0.0], terminated=True, group=0)
    b = TokenEpisode([(1,)], [(6,)], [0.0], terminated=True, group=0)
    c = TokenEpisode([(1,), (2,), (1,)], [(5,), (7,)], [-1.0, -1.0], terminated=True, group=0)
    other = TokenEpisode([(1,), (2,)], [(5,), (7,)], [-1.0, -1.0], terminated=True, group=1)
    episodes = [a, b, c, other]
    settings = {"scale_rewards": "none", "credit": "state", "state_weight": 0.5}
    whole = [0.0, 0.0, 1.0, -1.0, -1.0, 0.0, 0.0]
    # The last observation alone is seen. First positions: returns -1, 0, -2 about -1; second: 0, -1; the other group is alone.
    windowed = StepStore.of(episodes, TextFormat(context_turns=1), 0)
    apart = np.array([0.0, 0.5, 1.0, -1.0, -0.5, 0.0, 0.0])
    found = advantages_of(episodes, windowed, GroupConfig(**settings))
    assert found.tolist() == pytest.approx((whole + 0.5 * apart).tolist())
    # All that was said is seen: c said something else on the way, so its second position is its own.
    c.actions[0] = (6,)
    grown = StepStore.of(episodes, TextFormat(), 0)
    apart = np.array([0.0, 0.0, 1.0, -1.0, 0.0, 0.0, 0.0])
    found = advantages_of(episodes, grown, GroupConfig(**settings))
    assert found.tolist() == pytest.approx((whole + 0.5 * apart).tolist())
    with pytest.raises(ValueError, match="choose one of episode, turn, state"):
        advantages_of(episodes, grown, GroupConfig(credit="game"))
    assert flat_episodes(episodes).tolist() == [False, False, False, True]


def test_ratios_of_utterances_are_the_mean_over_their_tokens() -> None:
    logprobs = torch.tensor([-1.0, -2.0, -0.5, -1.5], requires_grad=True)
    old = torch.tensor([-1.2, -2.2, -0.1, -1.6])
    found = sequence_ratios(logprobs, old, torch.tensor([4, 4, 9, 9]))
    assert found.tolist() == pytest.approx([0.2, 0.2, -0.15, -0.15])
    found[:2].sum().backward()
    assert logprobs.grad is not None and logprobs.grad.tolist() == [1.0, 1.0, 0.0, 0.0]


def test_turns_chosen_by_what_followed() -> None:
    won = TokenEpisode([(1,), (2,)], [(5,), (6,)], [-1.0, 0.0])
    lost = TokenEpisode([(1,), (3,)], [(7,), (8,)], [-1.0, -1.0])

    def chosen(*episodes: TokenEpisode, seed: int = 0, **settings) -> tuple[list[tuple[int, int]], float]:
        """(episode, turn) of each, and the least return."""
        steps = StepStore.of(episodes, TextFormat(), 0)
        kept, least = chosen_steps(steps, FilterConfig(**settings), seed)
        return list(zip(steps.episode[kept].tolist(), steps.turn[kept].tolist(), strict=True)), least

    assert chosen(won, lost, unit="turn", share=0.25) == ([(0, 1)], 0.0)
    assert chosen(won, lost, unit="episode", share=0.5) == ([(0, 0), (0, 1)], -1.0)
    other = TokenEpisode([(2,), (3,)], [(7,), (8,)], [-5.0, -1.0])
    assert chosen(won, lost, other, unit="start", share=0.5) == ([(0, 0), (0, 1), (2, 0), (2, 1)], -6.0)
    soon = TokenEpisode([(1,), (2,)], [(5,), (6,)], [0.0, 1.0])
    late = TokenEpisode([(1,), (2,), (2,)], [(5,), (5,), (6,)], [0.0, 0.0, 1.0])
    for seed in range(4):
        found = chosen(late, soon, seed=seed, unit="episode", share=0.5, discount=0.9)
        assert found == ([(1, 0), (1, 1)], 0.9)


@pytest.mark.parametrize(
    ("algorithm", "optimizer"),
    [
        ("bc", 0),
        ("online_filtered_bc", 0),
        ("ilql", 0),
        ("ppo", 0),
        ("ppo", 1),
        ("reinforce", 0),
        ("grpo", 0),
        ("archer", 0),
    ],
)
def test_gradients_of_many_passes_are_those_of_one(
    algorithm: str, optimizer: int, maze_data: Path, start: Path, tmp_path: Path, short: None, monkeypatch
) -> None:
    import lmrl_agents.learning.session as sessions

    class Enough(Exception):
        pass

    found: list[torch.Tensor] = []
    read: list[int] = []
    real = Session.update

    def counting(self, name, loss, rate, batch, more=False):
        read.append(int(batch.length.sum()))
        return real(self, name, loss, rate, batch, more)

    def keeping(parameters, limit):
        found.append(torch.cat([p.grad.flatten() for p in parameters]).clone())
        if len(found) > optimizer:
            raise Enough
        return clip_gradients(parameters, limit)

    def uneven(episodes, steps, config):  # these games all end alike
        return np.arange(len(steps)) % 3 - 1.0

    monkeypatch.setattr("lmrl_agents.algorithms.grpo.advantages_of", uneven)
    monkeypatch.setattr(Session, "update", counting)
    monkeypatch.setattr(sessions, "clip_gradients", keeping)
    seen = []
    for most in (0, 120):
        found.clear(), read.clear()
        begin = None if algorithm == "bc" else start
        with pytest.raises(Enough):
            train(settings(algorithm, tmp_path / str(most), maze_data, start=begin, pass_tokens=most))
        seen.append((found[-1], list(read)))
    (whole, once), (joined, often) = seen
    assert len(often) > len(once) and max(often) < max(once)
    assert (
        torch.allclose(joined, whole, atol=1e-6 * float(whole.abs().max()) + 1e-8, rtol=1e-4)
        and float(whole.norm()) > 0
    )


# -- guided policies


def test_guided_sampling_by_hand_and_known_distributions_change_nothing() -> None:
    form = TextFormat(context_turns=1, max_action_tokens=4)
    tokenizer, _ = talk(form)
    model = LanguageModel.create(ModelConfig(layers=1, width=16, heads=1, max_positions=64), tokenizer, form, 0)
    critic = Critic.beside(model, CriticConfig(("q1", "q2")))
    for head in critic.heads.values():
        torch.nn.init.normal_(head.weight)
    policy = GuidedPolicy(model, critic, beta=2.0, support=1e-4).eval()
    states = [torch.randn(3, 16), torch.randn(3, 16)]
    with torch.no_grad():
        prior = torch.log_softmax(model.logits(states[:1]), 1)
        least = torch.minimum(*critic.q(states[1]))
        expected = torch.softmax((prior + 2 * least).masked_fill(prior.exp() < 1e-4, -torch.inf), 1)
        assert torch.allclose(torch.softmax(policy.logits(states), 1), expected, atol=1e-6)
    contexts = [[tokenizer.obs, *tokenizer.encode(text), tokenizer.act] for text in ("a wall", "a hole", "a wall")]

    def sources():
        return [np.random.default_rng(seed).random for seed in range(3)]

    sampling = Sampling(max_tokens=4)
    plain = generate(policy, contexts, sources(), sampling)
    memo = Memo(policy, sampling, most_bytes=8 * 16 * len(tokenizer))
    for _ in range(2):
        remembered = generate(policy, contexts, sources(), sampling, memo)
        assert [a.ids for a in remembered] == [a.ids for a in plain]
        assert remembered[0].logprobs == pytest.approx(plain[0].logprobs, abs=1e-5)


def test_a_window_is_read_once_and_then_a_token_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    form = TextFormat(context_turns=1, max_action_tokens=12)
    tokenizer, _ = talk(form)
    model = LanguageModel.create(ModelConfig(layers=1, width=16, heads=1, max_positions=64), tokenizer, form, 0)
    read, forward = [], _Tree._forward

    def counting(self, tokens, positions):
        read.append(tokens.numel())
        forward(self, tokens, positions)

    monkeypatch.setattr(_Tree, "_forward", counting)
    contexts = [[tokenizer.obs, *np.random.default_rng(k).integers(4, 200, 40), tokenizer.act] for k in range(8)]

    def actions(memo: Memo | None) -> list[tuple[int, ...]]:
        read.clear()
        sources = [np.random.default_rng(seed).random for seed in range(8)]
        return [a.ids for a in generate(model, contexts, sources, Sampling(max_tokens=12), memo)]

    memo = Memo(model, Sampling(max_tokens=12))
    plain, cached = actions(None), sum(read)
    assert actions(memo) == plain and sum(read) <= 1.5 * cached
    assert actions(memo) == plain and not read, "what is known is not read again"


def test_ids_that_were_sampled_are_not_encoded_again() -> None:
    form = TextFormat(max_action_tokens=12)
    tokenizer, _ = talk(form)
    model = LanguageModel.create(ModelConfig(layers=1, width=16, heads=1, max_positions=64), tokenizer, form, 0)
    agent = PolicyAgent(model, form, Sampling())
    spelled = (*tokenizer.hf.convert_tokens_to_ids([*"move", "\u0120", *"up"]), tokenizer.eoa)
    assert tokenizer.decode(spelled) == "move up" and tokenizer.encode("move up") != spelled[:-1]
    agent.generate = lambda keys, *_: [Generated(spelled, (0.0,) * len(spelled)) for _ in keys]  # type: ignore[method-assign]
    begun = Transcript.from_texts([TALK[0].text], [])
    assert agent.act([Request(MAZE, 0, 0, begun)]) == ["move up"]
    later = Transcript.from_texts([TALK[0].text, "move up", "a wall"], [-1.0])
    end = [tokenizer.obs, *tokenizer.encode("a wall"), tokenizer.act]
    (context,) = agent.contexts([Request(MAZE, 0, 0, later)])
    assert context[-len(spelled) - len(end) :] == [*spelled, *end]
    other, changed = Request(MAZE, 1, 0, later), Transcript.from_texts([TALK[0].text, "move left", "a wall"], [-1.0])
    encoded = [[*tokenizer.encode(text), tokenizer.eoa, *end] for text in ("move up", "move left")]
    for request, tail in zip([other, Request(MAZE, 0, 0, changed)], encoded, strict=True):
        (context,) = agent.contexts([request])
        assert context[-len(tail) :] == tail, "nobody's, or not what was said: the text is all there is"
    agent.finished([0])
    assert not agent._kept


def test_values_start_where_they_are_told_and_leave_the_policy_as_it_is() -> None:
    form = TextFormat()
    tokenizer, _ = talk(form)
    for compose in (False, True):
        config = ModelConfig(layers=1, width=16, heads=1, max_positions=64, compose=compose)
        model = LanguageModel.create(config, tokenizer, form, 0).requires_grad_(False)
        critic = Critic.beside(model, CriticConfig(("value", "q1", "q2"), hidden=8, compose=compose), initial=-5.0)
        states = torch.randn(4, 16)
        assert all(torch.equal(q, torch.full((4, len(tokenizer)), -5.0)) for q in critic.q(states))
        assert torch.equal(critic.value(states), torch.full((4,), -5.0))
        # A frozen policy makes no frozen critic (values would then hardly learn).
        assert all(parameter.requires_grad for parameter in critic.parameters())
        target = critic.target()
        with torch.no_grad():
            for parameter in critic.parameters():
                parameter.add_(1.0)
        target.follow(critic, 0.25)
        assert torch.allclose(target.heads["value"].bias, critic.heads["value"].bias - 0.75)
        large = critic.scaled(10.0)
        assert torch.allclose(large.value(states), 10 * critic.value(states))
        assert torch.allclose(large.least_q(states), 10 * critic.least_q(states), atol=1e-4)


@pytest.mark.parametrize("algorithm", ["ppo", "reinforce"])
def test_values_of_online_algorithms_are_kept_in_units_of_the_return(
    algorithm: str, maze_data: Path, start: Path, tmp_path: Path, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned = []
    real = Critic.scaled
    monkeypatch.setattr(Critic, "scaled", lambda self, factor: learned.append(self) or real(self, factor))
    run = settings(algorithm, tmp_path / "run", maze_data, start=start, overrides={f"{algorithm}.reward_scale": 0.25})
    train(run)
    spec = EvaluationSpec(MAZE, str(tmp_path / "run"), 2, 0, agent_kwargs={"record_values": True})
    evaluate(spec, tmp_path / "played")
    agent = LanguageModelAgent(tmp_path / "run")
    for record in RecordFile(tmp_path / "played").read():
        transcript = Transcript.from_texts(record.observations[:1], [])
        (context,) = agent.contexts([Request(MAZE, 0, 0, transcript)])
        (value,) = state_values(learned[0], [context])
        assert value and record.details[0]["value"] == pytest.approx(value / 0.25, abs=1e-3)
        assert not any("action_value" in details for details in record.details)
    with pytest.raises(AgentError, match="beta"):
        LanguageModelAgent(tmp_path / "run", beta=1.0)


def test_recorded_ids_are_kept_however_the_text_would_be_encoded() -> None:
    form = TextFormat(max_action_tokens=6)
    tokenizer = train_tokenizer(["move up a wall"], units="phrases", min_count=1)
    spelled = tuple(tokenizer.encode("m")) + tuple(tokenizer.encode("o"))  # bytes, where the text has a token
    model = LanguageModel.create(ModelConfig(layers=1, width=16, heads=1, max_positions=64), tokenizer, form, 0)
    recorder = Recorder(model, form, Sampling(max_tokens=6))
    from lmrl_agents import Request
    from lmrl_agents.models.sampling import Generated

    first = Request("x", 0, 1, Transcript.from_texts(["a wall"], []))
    recorder.draw = lambda requests, contexts: [Generated((*spelled, tokenizer.eoa), (0.0,) * 3)]  # type: ignore[method-assign]
    recorder.act([first])
    contexts: list[list[int]] = []
    recorder.draw = lambda requests, given: contexts.extend(given) or [Generated((1,), (0.0,))]  # type: ignore[func-returns-value,method-assign]
    recorder.act([Request("x", 0, 1, Transcript.from_texts(["a wall", "mo", "a wall"], [-1.0]))])
    opening = len(
        TokenEpisode.from_transcript(Transcript(first.transcript[:1]), False, False, tokenizer, form).observations[0]
    )
    assert tuple(contexts[0][opening : opening + 3]) == (*spelled, tokenizer.eoa)
    assert isinstance(recorder, PolicyAgent)


# -- several processes

_TOGETHER = """
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from lmrl_agents.learning.train import train
from lmrl_agents.learning.run import TrainingRun
overrides = {"model.layers": 2, "model.width": 16, "model.heads": 1, "bc.steps": 8, "bc.batch_size": 32,
             "bc.checkpoint_every": 3, "ilql.steps": 6, "ilql.checkpoint_every": 4, "ilql.batch_size": 32,
             "ilql.betas": [1.0, 4.0], "ilql.evaluate_every": 3, "ilql.validation_episodes": 2,
             "ppo.iterations": 2, "ppo.episodes": 5, "ppo.batch_size": 64}
out, last = Path(sys.argv[3]), int(sys.argv[5])
# What online algorithms learn in one round from the same games.
overrides |= {f"{name}.{key}": value for name in ("reinforce", "grpo", "archer", "online_filtered_bc") for key, value in
              {"iterations": 1, "episodes": 6, "batch_size": 100_000, "warmup": 0, "clip": 1e9}.items()}
overrides |= {"grpo.scale_rewards": "batch", "grpo.group_size": 2, "grpo.episodes": 4, "reinforce.baseline": "batch",
              "online_filtered_bc.updates": 1, "grpo.kl_limit": 0.0, "reinforce.kl_limit": 0.0,
              "archer.kl_limit": 0.0, "archer.batch_size": 32, "archer.critic_updates": 1, "archer.critic_rounds": 0}
start = Path(sys.argv[6]) if len(sys.argv) > 6 else None
if out.name == "start":
    overrides |= {"bc.steps": 80, "bc.checkpoint_every": 100}
if start:
    overrides |= {"ppo.iterations": 1, "ppo.episodes": 6, "ppo.batch_size": 100_000, "ppo.epochs": 1, "ppo.warmup": 0,
                  "ppo.kl_limit": 0.0, "ppo.clip": 1e9}
if last:  # as if killed when this step was done
    import os
    import lmrl_agents.learning.session as session
    save = session.save_checkpoint
    def save_and_die(run, policy, modules, optimizers, step, state):
        save(run, policy, modules, optimizers, step, state)
        if step >= last:
            torch.distributed.barrier()
            os._exit(9)
    import torch
    session.save_checkpoint = save_and_die
train(TrainingRun(sys.argv[1], "lmrl/MazeFullyObserved-v0", sys.argv[2], out, show_progress=False,
                  overrides=overrides, shard=sys.argv[4] == "shard", resume=True, start=start))
"""


@pytest.fixture
def together(maze_data: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Trains in processes of their own."""
    script = tmp_path / "together.py"
    script.write_text(_TOGETHER)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"}

    def run(
        algorithm: str, out: str, processes: int, shard: bool = False, until: int = 0, start: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable]
        if processes > 1:
            command += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        arguments = [str(script), algorithm, str(maze_data), str(tmp_path / out), "shard" if shard else "-", str(until)]
        arguments += [str(start)] if start else []
        return subprocess.run(
            [*command, *arguments], env=environment, timeout=300, capture_output=True, encoding="utf-8"
        )

    return run


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_from_the_joined_batch(together, tmp_path: Path) -> None:
    for out, processes in (("one", 1), ("two", 2)):
        found = together("bc", out, processes)
        assert found.returncode == 0, found.stderr
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert all(torch.allclose(one[key], two[key], atol=2e-5) for key in one)
    found = together("ppo", "ppo", 2)  # an odd number of games: the processes have different numbers of minibatches
    assert found.returncode == 0, found.stderr
    assert not check_agent(load_agent(str(tmp_path / "ppo")), [MAZE]).breaches


@pytest.mark.slow
def test_two_processes_take_the_step_of_one_in_every_online_algorithm(together, tmp_path: Path) -> None:
    """Baselines, moments and filters are those of all games: the update has the direction that one process gives it."""
    assert together("bc", "start", 1).returncode == 0
    start = weights(tmp_path / "start")
    for algorithm in ("ppo", "reinforce", "grpo", "archer", "online_filtered_bc"):
        moved = []
        for processes in (1, 2):
            out = f"{algorithm}-{processes}"
            found = together(algorithm, out, processes, start=tmp_path / "start")
            assert found.returncode == 0, found.stderr
            after = weights(tmp_path / out)
            # Adam's first step is the sign of each gradient: those near 0 may round to either side.
            moved.append(torch.cat([(after[key] - start[key]).flatten() for key in start]).double())
        assert moved[0].norm() > 0, algorithm
        agree = torch.nn.functional.cosine_similarity(*moved, dim=0).item()
        assert agree > 0.995, (algorithm, agree)
        told = [read_metrics(tmp_path / f"{algorithm}-{processes}" / METRICS)["return"][1] for processes in (1, 2)]
        assert told[0] == pytest.approx(told[1]), algorithm


@pytest.mark.slow
def test_sharded_weights_learn_what_whole_ones_learn(together, tmp_path: Path) -> None:
    """Cloning and ILQL (three networks, one of them frozen, one that follows), with a kill on the way."""
    for out, processes, shard in (("one", 1, False), ("sharded", 2, True)):
        found = together("ilql", out, processes, shard)
        assert found.returncode == 0, found.stderr
    for stage in ("start", "."):  # in cloning, then in ILQL
        assert together("ilql", "killed", 2, True, until=4).returncode != 0
        assert (tmp_path / "killed" / stage / CHECKPOINT).is_dir()
    found = together("ilql", "killed", 2, True)
    assert found.returncode == 0, found.stderr
    one, sharded, killed = (weights(tmp_path / out) for out in ("one", "sharded", "killed"))
    assert len(one) > 40 and any(key.startswith("critic.") for key in one)
    assert all(torch.allclose(one[key], sharded[key], atol=2e-5) for key in one)
    assert all(torch.equal(sharded[key], killed[key]) for key in one)


def test_sharding_that_cannot_be_is_refused(maze_data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nlpo cannot be sharded"):
        train(TrainingRun("nlpo", MAZE, str(maze_data), tmp_path / "nlpo", shard=True))
    sharded = TrainingRun("bc", MAZE, str(maze_data), tmp_path / "sharded", shard=True)
    sharded.claim()
    dataclasses.replace(sharded, resume=True).claim()
    # Sharded sums round differently: what is resumed would not equal what was never interrupted.
    with pytest.raises(FolderError, match=r"differs in shard\)"):
        dataclasses.replace(sharded, shard=False, resume=True).claim()
    with pytest.raises(TrainingError, match="one process"):
        train(TrainingRun("bc", MAZE, str(maze_data), tmp_path / "bc", shard=True))


def test_gradients_of_one_process_are_its_own() -> None:
    parameter = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    backward((parameter**2).sum(), [parameter], 3.0)
    assert parameter.grad is not None and parameter.grad.tolist() == [2.0, 4.0]
    assert clip_gradients([parameter], 1.0).item() == pytest.approx(20**0.5)
    assert parameter.grad.norm().item() == pytest.approx(1.0, abs=1e-4)
