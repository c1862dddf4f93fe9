"""Every registered id keeps the contract, in every form it can be played."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import CustomSpaceError, ResetNeeded
from gymnasium.utils.env_checker import check_env

import lmrl_envs
from lmrl_envs import check_text_env, make_policy, task, task_ids
from lmrl_envs.contract import HOSTILE_ACTIONS

IDS = task_ids()


def play(id: str, seed: int, policy: str = "suboptimal", max_steps: int = 60):
    """Texts and rewards of one episode."""
    env = gym.make(id)
    env.reset(seed=seed)
    player = make_policy(id, policy, seed=seed)
    for _ in range(max_steps):
        _, _, terminated, truncated, _ = env.step(player.act(env.unwrapped.transcript))
        if terminated or truncated:
            break
    transcript = env.unwrapped.transcript
    env.close()
    return transcript


@pytest.mark.parametrize("id", IDS)
def test_gymnasium_checker(id: str) -> None:
    check_env(gym.make(id).unwrapped, skip_render_check=True)


@pytest.mark.parametrize("id", IDS)
def test_contract(id: str) -> None:
    check_text_env(id)


@pytest.mark.parametrize("id", IDS)
def test_made_by_module_syntax(id: str) -> None:
    assert gym.make(f"lmrl_envs:{id}").spec.id == id


@pytest.mark.parametrize("id", IDS)
def test_spec_is_json(id: str) -> None:
    assert gym.envs.registration.EnvSpec.from_json(gym.spec(id).to_json()).id == id


@pytest.mark.parametrize("id", IDS)
@pytest.mark.parametrize("policy", ["random", "suboptimal", "expert"])
def test_policies_are_seeded_and_within_the_return_range(id: str, policy: str) -> None:
    first, again = play(id, 3, policy), play(id, 3, policy)
    assert first == again
    low, high = task(id).return_range
    assert low <= first.episode_return <= high


@pytest.mark.parametrize("id", IDS)
def test_expert_beats_random_and_scores_are_on_scale(id: str) -> None:
    reference = task(id).reference
    assert reference is not None
    assert lmrl_envs.normalized_score(id, reference.random) == pytest.approx(0)
    assert lmrl_envs.normalized_score(id, reference.optimum) == pytest.approx(100)
    if reference.lmrl:
        assert [lmrl_envs.normalized_score(id, x, "lmrl") for x in reference.lmrl] == pytest.approx([0, 50, 100])
    expert = np.mean([play(id, s, "expert", 450).episode_return for s in range(8)])
    rand = np.mean([play(id, s, "random", 450).episode_return for s in range(8)])
    assert expert > rand


@pytest.mark.parametrize("id", IDS)
def test_ansi_rendering(id: str) -> None:
    env = gym.make(id, render_mode="ansi")
    env.reset(seed=1)
    before = env.render()
    env.step(make_policy(id, "expert").act(env.unwrapped.transcript))
    assert isinstance(before, str) and before.strip() and isinstance(env.render(), str)


@pytest.mark.parametrize("id", IDS)
def test_vector_games_equal_single_games(id: str) -> None:
    """Ragged ends, hostile actions, skipped slots and masked resets included."""
    n, steps = 5, 24
    vector = gym.make_vec(id, num_envs=n, vectorization_mode="vector_entry_point")
    singles = [gym.make(id) for _ in range(n)]
    seeds = [11, 5, 11, 900, 2]
    observations, _ = vector.reset(seed=seeds)
    assert observations == tuple(env.reset(seed=seed)[0] for env, seed in zip(singles, seeds, strict=True))
    policies = [make_policy(id, "suboptimal", seed=i) for i in range(n)]
    rng = np.random.default_rng(0)
    live = np.ones(n, bool)
    for _ in range(steps):
        acting = live & (rng.random(n) < 0.8)
        actions: list[str | None] = [None] * n
        for i in np.flatnonzero(acting):
            hostile = rng.random() < 0.1
            actions[i] = (
                HOSTILE_ACTIONS[int(rng.integers(len(HOSTILE_ACTIONS)))]
                if hostile
                else policies[i].act(singles[i].unwrapped.transcript)
            )
        texts, rewards, terminated, truncated, infos = vector.step(actions)
        for i in range(n):
            if actions[i] is None:
                assert texts[i] == "" and rewards[i] == 0 and (terminated[i] | truncated[i]) == (not live[i])
                continue
            text, reward, term, trunc, info = singles[i].step(actions[i])
            assert (text, reward, term, trunc) == (texts[i], rewards[i], terminated[i], truncated[i])
            for key, value in info.items():
                assert infos["_" + key][i]
                if not isinstance(value, dict):
                    assert infos[key][i] == value
            live[i] = not (term or trunc)
        assert vector.transcripts == tuple(env.unwrapped.transcript for env in singles)
        if not live.all() and rng.random() < 0.5:
            vector.reset(options={"reset_mask": ~live})
            for i in np.flatnonzero(~live):
                singles[i].reset()
            live[:] = True
            assert vector.transcripts == tuple(env.unwrapped.transcript for env in singles)
    rebuilt = vector.envs
    assert [env.transcript for env in rebuilt] == [env.unwrapped.transcript for env in singles]
    vector.close()


@pytest.mark.parametrize("id", IDS)
def test_vector_refusals(id: str) -> None:
    vector = gym.make_vec(id, num_envs=2, vectorization_mode="vector_entry_point")
    with pytest.raises(ResetNeeded):
        vector.step(["x", "y"])
    vector.reset(seed=0)
    for wrong in (["x", 3], ["x", b"y"]):
        with pytest.raises(TypeError):
            vector.step(wrong)
    with pytest.raises(ValueError, match="actions"):
        vector.step(["x"])
    with pytest.raises(ValueError):
        vector.reset(options={"nonsense": 1})
    assert all(len(t) <= 1 for t in vector.transcripts)


@pytest.mark.parametrize("id", IDS)
def test_sync_and_async_vectors(id: str) -> None:
    sync = gym.make_vec(id, num_envs=2, vectorization_mode="sync")
    opening, _ = sync.reset(seed=[4, 7])
    first = [make_policy(id, "expert").act(lmrl_envs.Transcript.from_texts([text], [])) for text in opening]
    texts = sync.step(first)[0]
    sync.close()
    assert opening == tuple(gym.make(id).reset(seed=s)[0] for s in (4, 7))
    many = gym.make_vec(id, num_envs=2, vectorization_mode="async", vector_kwargs={"shared_memory": False})
    try:
        assert many.reset(seed=[4, 7])[0] == opening
        assert many.step(first)[0] == texts
    finally:
        many.close()


def test_async_default_fails_clearly() -> None:
    with pytest.raises((CustomSpaceError, ValueError), match="shared_memory"):
        gym.make_vec(IDS[0], num_envs=2, vectorization_mode="async")


_SCRIPT = """
import json, sys
sys.path.insert(0, {tests!r})
from test_contract import play
print(json.dumps({{id: play(id, 12) for id in {ids!r}}}))
"""


def test_same_transcripts_in_another_process_with_another_hash_seed() -> None:
    code = _SCRIPT.format(tests=os.path.dirname(__file__), ids=list(IDS))
    environment = {**os.environ, "PYTHONHASHSEED": "4242", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    output = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    there = json.loads(output.stdout)
    for id in IDS:
        assert there[id] == json.loads(json.dumps(play(id, 12)))


def test_import_is_light() -> None:
    code = (
        "import sys, lmrl_envs; bad = {'torch', 'transformers', 'textworld', 'pyarrow'} & set(sys.modules); print(bad)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    output = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "set()"


def test_unknown_names_suggest() -> None:
    with pytest.raises(gym.error.NameNotFound, match="lmrl/Wordle-v0"):
        task("lmrl/Wordel-v0")
    with pytest.raises(gym.error.UnregisteredEnv, match="Wordle"):
        gym.make("lmrl/Wordel-v0")
    with pytest.raises(ValueError, match="expert"):
        make_policy(IDS[0], "oracle")
    with pytest.raises(ValueError, match="render_mode"):
        gym.make(IDS[0]).unwrapped.__class__(render_mode="human")
