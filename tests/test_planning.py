"""Planning over logged candidates: known answers, data without them, a run from data to games."""

from pathlib import Path
from types import SimpleNamespace

import gymnasium as gym
import pytest
import torch

from lmrl_agents.algorithms.planning import Logged, Unlogged, loss_of, targets
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.learning.train import train
from lmrl_agents.playing.loading import load_agent
from lmrl_agents.playing.protocol import AgentError, Request
from lmrl_agents.playing.rollout import Rollout
from lmrl_benchmarks.running.runner import run_suite
from lmrl_benchmarks.running.suite import load_suite
from lmrl_benchmarks.running.verify import verify_run
from lmrl_datasets import generate, load_dataset
from lmrl_envs import Transcript
from lmrl_envs.seeding import player_seed
from lmrl_envs.wrappers import Candidates

CHAT = "lmrl/Chat-v0"
TINY = {"planning.steps": 6, "planning.batch_size": 8, "planning.width": 8, "planning.hidden": 8, "model.layers": 1,
        "model.width": 16, "model.heads": 1, "planning.checkpoint_every": 4}  # fmt: skip
TREE = [(a, b, n) for a, b, n in ((0, 0, 42), (0, 1, 28), (1, 0, 6), (1, 1, 24)) for _ in range(n)]
REWARD = torch.tensor([[0.0, 1.0], [3.0, -1.0]])
"""Two turns of two candidates; the reward is at the end, the speaker's shares are .7, .3 and (.6, .4), (.2, .8)."""


def fixed_point(method: str, open: dict[int, tuple[int, ...]]) -> torch.Tensor:
    """Q of the first turn's candidates, after rounds of means over the tree's talks; ``open``: the candidates by state."""
    talks = [one for one in TREE if one[1] in open[one[0] + 1]]
    states = torch.tensor([[0, a + 1] for a, _, _ in talks])
    taken = torch.tensor([[a, b] for a, b, _ in talks])
    rewards = torch.stack([torch.tensor([0.0, float(REWARD[a, b])]) for a, b, _ in talks])
    mask = torch.tensor([[0.0 if k in open[s] else -torch.inf for k in (0, 1)] for s in (0, 1, 2)])
    last, table = torch.tensor([[False, True]]).expand(len(talks), 2), torch.zeros(3, 2)
    for _ in range(3):
        y = targets(method, rewards, (table + mask)[states], taken, last, 1.0)
        for state in range(3):
            for action in open[state]:
                table[state, action] = y[(states == state) & (taken == action)].mean()
    return table[0]


@pytest.mark.parametrize(
    ("method", "open", "first"),
    [
        ("sarsa", {0: (0, 1), 1: (0, 1), 2: (0, 1)}, [0.4, -0.2]),
        ("q", {0: (0, 1), 1: (0, 1), 2: (0, 1)}, [1.0, 3.0]),  # the same set each turn: plain Q-learning
        ("cql", {0: (0, 1), 1: (0, 1), 2: (0, 1)}, [1.0, 3.0]),
        ("supervised", {0: (0, 1), 1: (0, 1), 2: (0, 1)}, [0.0, 0.0]),
        ("q", {0: (0, 1), 1: (0, 1), 2: (1,)}, [1.0, -1.0]),  # the maximum is over the next turn's own candidates
        ("q", {0: (0, 1), 1: (0,), 2: (1,)}, [0.0, -1.0]),  # one candidate: policy evaluation
        ("sarsa", {0: (0, 1), 1: (0,), 2: (1,)}, [0.0, -1.0]),
    ],
)
def test_targets_on_the_tree(method, open, first):
    assert fixed_point(method, open).tolist() == pytest.approx(first, abs=1e-6)


def test_conservatism_at_one_turn():
    """The speaker takes three candidates with .6, .3, .1, worth 1, 0, 2; a fourth is not offered."""
    q = torch.zeros(1, 4, requires_grad=True)
    taken = torch.tensor([[k] for k, n in enumerate((6, 3, 1)) for _ in range(n)])
    y = torch.tensor([[1.0, 0.0, 2.0][int(k)] for k in taken])[:, None]
    here = torch.ones(10, 1, dtype=torch.bool)
    closed = torch.tensor([[False, False, False, True]])
    found = torch.optim.LBFGS([q], max_iter=200, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        found.zero_grad()
        own = q.masked_fill(closed, -torch.inf).expand(10, 1, 4)
        value = loss_of("cql", own, taken, y, here, 0.1)
        value.backward()
        return value

    found.step(loss)  # type: ignore[arg-type]
    assert q[0, :3].tolist() == pytest.approx([1.04507, 0.05902, 1.55253], abs=1e-4)


class Rows(dict):
    def row(self, text: str) -> int:
        return self.setdefault(text, len(self))


def logged(**changes) -> Logged:
    game = {"episode_id": 7, "observations": ("o1", "o2", "o3"), "actions": ("a", "b"), "rewards": (1.0, 2.0), "terminated": True,
            "info": {"offered": [["a", "c"], ["b"]]}, **changes}  # fmt: skip
    return Logged([SimpleNamespace(**game)], Rows({"": 0}))  # type: ignore[list-item, arg-type]


def test_what_was_not_logged_is_an_error():
    with pytest.raises(Unlogged, match="episode 7: candidates of 0 turns"):
        logged(info={})
    with pytest.raises(Unlogged, match="episode 7: candidates of 1 turns"):
        logged(info={"offered": [["a"]]})
    with pytest.raises(Unlogged, match="episode 7, turn 2: 'b' is none"):
        logged(info={"offered": [["a"], ["c"]]})


def test_a_game_that_was_cut_off_teaches_nothing_of_its_last_turn():
    assert logged().known.tolist() == [[True, True]]
    assert logged(terminated=False).known.tolist() == [[True, False]]
    assert logged(terminated=False).here.tolist() == [[True, True]]


def run_of(out: Path, data: str, **settings) -> TrainingRun:
    return TrainingRun("planning", CHAT, data, out, sample=data.startswith("chat/"), overrides={**TINY, **settings}, show_progress=False)  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("planning")
    train(run_of(out / "run", "chat/candidates-v0"))
    return out / "run"


def test_data_without_candidates_are_refused(tmp_path):
    with pytest.raises(Unlogged, match="recipe with candidates"):
        train(run_of(tmp_path / "run", "chat/mixed-v0"))
    with pytest.raises(ValueError, match="choose of bc, supervised, sarsa, q, cql"):
        train(run_of(tmp_path / "other", "chat/candidates-v0", **{"planning.method": "guess"}))


def test_the_agent_says_one_of_its_candidates_whatever_the_batch(trained):
    agent = load_agent(str(trained))
    played = sorted(Rollout(agent, CHAT, slots=3).play(range(4), 0), key=lambda game: game.episode)
    assert all(2 <= detail["candidates"] <= 6 for game in played for detail in game.details)
    game = played[2]
    alone = next(iter(Rollout(load_agent(str(trained)), CHAT).play([2], 0)))
    assert alone.actions == game.actions
    late = load_agent(str(trained))  # asked in mid-game, its providers are led through the talk
    seed = player_seed(2)
    asked = Request(CHAT, 2, seed, Transcript(game.transcript[:9]))
    assert late.act([asked]) == [game.actions[4]]
    assert load_agent(str(trained), random=True).act([Request(CHAT, 0, 1, Transcript(game.transcript[:1]))])[0]


def test_the_same_through_a_suite(tmp_path):
    text = f'''name = "plans"
version = 1
description = "."
episodes = 2
seed = 3
training_seeds = [0]
[[tasks]]
id = "{CHAT}"
data = {{ name = "chat/candidates-v0", sample = true }}
[[agents]]
name = "q"
train = "planning"
settings = {{ "planning.method" = "q", "planning.steps" = 2, "planning.batch_size" = 4 }}
[[agents]]
name = "any"
train = "planning"
settings = {{ "planning.method" = "bc", "planning.steps" = 1, "planning.batch_size" = 4 }}
agent_kwargs = {{ random = true }}
'''
    (tmp_path / "plans.toml").write_text(text)
    assert run_suite(load_suite(str(tmp_path / "plans.toml")), tmp_path / "out", workers=1) == {}
    assert not [breach for _, found in verify_run(tmp_path / "out") for breach in found]


def test_the_candidates_of_somebody_else(trained):
    agent, env = load_agent(str(trained)), Candidates(gym.make(CHAT))
    _, info = env.reset(seed=3)
    for _ in range(3):
        said = agent.choose(env.unwrapped.transcript, info["candidates"])
        assert said in info["candidates"]
        *_, info = env.step(said)
        assert info["logged"]
    with pytest.raises(AgentError, match="no candidate"):
        agent.choose(env.unwrapped.transcript, ())


def test_a_damaged_model_is_told(trained, tmp_path):
    folder = tmp_path / "final"
    folder.mkdir()
    for file in (trained / "final").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "planning.json").write_text('{"vocabulary": 5, "width": 8, "hidden": 8}')
    with pytest.raises(AgentError, match="damaged or does not fit"):
        load_agent(str(folder))


def test_recipes_with_candidates_log_what_was_said(tmp_path):
    data = load_dataset(str(generate("chat/candidates-v0", tmp_path / "data", episodes=20)))
    for episode in data:
        assert len(episode.info["offered"]) == len(episode.actions)
        assert all(action in own for action, own in zip(episode.actions, episode.info["offered"], strict=True))
