"""The OpenEnv server, asked by OpenEnv's own client and validator."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import gymnasium
import httpx
import pytest
import uvicorn
from openenv.core import GenericEnvClient

import lmrl_envs
from lmrl_bridges.openenv import LmrlEnvironment, Message, create
from lmrl_envs.seeding import episode_seed

SPACE = Path(__file__).resolve().parents[1] / "openenv_space"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(create("lmrl/Wordle-v0"), host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def played(client, seed: int, env_id: str) -> list[tuple[str, float, bool]]:
    found = client.reset(seed=seed, env_id=env_id)
    said = [(found.observation["text"], 0.0, False)]
    texts, rewards = [said[0][0]], []
    while not found.done:
        player = lmrl_envs.make_policy(env_id, "expert", seed=seed)
        for turn in range(len(rewards) + 1):  # players are functions of their seed and the transcripts so far
            upto = lmrl_envs.Transcript.from_texts(texts[: 2 * turn + 1], rewards[:turn])
            action = player.act(upto)
        found = client.step({"message": action})
        texts += [action, found.observation["text"]]
        rewards.append(found.reward)
        said.append((found.observation["text"], found.reward, found.done))
    return said


@pytest.mark.parametrize("env_id", ["lmrl/Wordle-v0", "lmrl/TwentyQuestions-v1", "lmrl/MazePartiallyObserved-v0"])
def test_two_sessions_with_one_seed_play_one_game(url: str, env_id: str) -> None:
    with GenericEnvClient(base_url=url).sync() as one, GenericEnvClient(base_url=url).sync() as two:
        first, second = played(one, 5, env_id), played(two, 5, env_id)
        state = one.state()
    assert first == second and first[-1][2]
    env = gymnasium.make(env_id)
    assert env.reset(seed=5)[0] == first[0][0]
    assert state["finished"] and state["score"] == pytest.approx(sum(reward for _, reward, _ in first))
    assert "secret" not in str(state)


def test_an_unfinished_game_scores_the_least(url: str) -> None:
    with GenericEnvClient(base_url=url).sync() as client:
        client.reset(seed=1)
        paid = client.step({"message": "My guess is crane."}).reward
        assert client.state()["score"] == paid == lmrl_envs.task("lmrl/Wordle-v0").return_range[0]
        assert client.state()["step_count"] == 1


CLIENT = """
import sys
class No:
    def find_spec(self, name, *_):
        if name.startswith("lmrl"):
            raise ImportError(name)
sys.meta_path.insert(0, No())
from openenv.core import GenericEnvClient
with GenericEnvClient(base_url=sys.argv[1]).sync() as env:
    found = env.reset(seed=3)
    for word in ("crane", "moist", "bulky", "crane", "moist", "bulky"):
        found = env.step({"message": word})
    print(found.done, found.observation["metadata"]["terminated"] if "metadata" in found.observation else found.metadata["terminated"])
"""


def test_a_client_needs_nothing_of_ours(url: str) -> None:
    done = subprocess.run([sys.executable, "-c", CLIENT, url], capture_output=True, text=True, timeout=120)
    assert done.stdout == "True True\n", done.stdout + done.stderr


def test_lists_of_games(url: str) -> None:
    splits = httpx.get(f"{url}/lmrl/splits").json()
    assert [split["name"] for split in splits] == ["train", "validation", "test"]
    assert httpx.post(f"{url}/lmrl/num_tasks", json={"split": "train"}).json()["num_tasks"] == 10_000
    row = httpx.post(f"{url}/lmrl/task", json={"split": "test", "index": 3}).json()["task"]
    assert row["seed"] == episode_seed("evaluation", 0, 3)
    with GenericEnvClient(base_url=url).sync() as client:
        texts = [client.reset(split="test", index=3).observation["text"]]
        client.step({"message": "crane"})
        for action in ("crane", "moist"):
            texts.append(client.step({"message": action}).observation["text"])
    env = gymnasium.make("lmrl/Wordle-v0")
    env.reset(seed=row["seed"])
    assert [env.step(action)[0] for action in ("crane", "crane", "moist")][1:] == texts[1:]


def test_clients_name_no_files_and_no_live_partners() -> None:
    room = LmrlEnvironment("lmrl/Wordle-v0")
    with pytest.raises(ValueError, match="no files"):
        room.reset(env_kwargs={"vocabulary": "/etc/hostname.txt"})
    with pytest.raises(ValueError, match="no live partner"):
        room.reset(env_id="lmrl/CarDealer-v1", env_kwargs={"simulator": "openai:any"})
    assert room.reset(seed=1, rewards="step").text and room.step(Message(message="crane")).reward == -1.0


def test_openenv_validates_it(url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "openenv.cli", "validate", "--url", url], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and "Verdict: PASS" in done.stdout and "FAIL" not in done.stdout, (
        done.stdout + done.stderr
    )


def test_the_space_is_ready_to_be_pushed(tmp_path: Path) -> None:
    """All but its uv.lock, which `uv lock` makes of it where packages can be had."""
    from openenv.cli._validation import validate_multi_mode_deployment

    assert validate_multi_mode_deployment(SPACE) == (False, ["Missing uv.lock - run 'uv lock' to generate it"])
    assert (SPACE / "Dockerfile").is_file() and (SPACE / "openenv.yaml").is_file()
    done = subprocess.run(
        [sys.executable, "-c", "import server.app as a; print(a.app.title)"], cwd=SPACE, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
