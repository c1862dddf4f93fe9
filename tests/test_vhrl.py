"""VHRL: the two parts of its loss, who learns, what plays."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lmrl_agents.algorithms.vhrl import MODES, losses, shares, utterance_returns
from lmrl_agents.learning.online import predict_logprobs
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.learning.train import train
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.sampling import Sampling
from lmrl_agents.models.steps import StepStore
from lmrl_agents.playing.loading import load_agent
from lmrl_agents.playing.managed import MANAGER, Hierarchy, ManagedRecorder
from lmrl_agents.playing.protocol import AgentError
from lmrl_agents.playing.rollout import Rollout
from lmrl_datasets import load_dataset
from lmrl_envs import task

CHAT = "lmrl/Chat-v0"
TINY = {
    "model.layers": 1,
    "model.width": 16,
    "model.heads": 1,
    "text.view": "acts",
    "bc.steps": 30,
    "bc.batch_size": 16,
}


def test_returns_of_utterances_by_hand():
    """gamma = .5: (1 + .5 * 2, 2) and (0,), of mean 4/3 and deviation sqrt(8/9)."""
    found = utterance_returns([[1.0, 2.0], [0.0]], 0.5)
    expected = (np.array([2.0, 2.0, 0.0]) - 4 / 3) / np.sqrt(8 / 9)
    assert np.concatenate(found) == pytest.approx(expected)


def test_which_tokens_are_the_managers():
    """Two talks; the second's first utterance is one token, which nobody words."""
    first, share = shares(np.array([0, 0, 0, 0, 0, 1, 1, 1]), np.array([0, 0, 0, 1, 1, 0, 1, 1]))
    assert first.tolist() == [True, False, False, True, False, True, True, False]
    assert share.tolist() == [0, 0.5, 0.5, 0, 1.0, 0, 0, 1.0]


def test_the_loss_by_hand_and_whose_gradient_it_is():
    manager, worker = (torch.log(torch.tensor(p)).requires_grad_() for p in ([0.5, 0.9, 0.9], [0.3, 0.25, 0.5]))
    first, share = (torch.from_numpy(part) for part in shares(np.zeros(3, int), np.zeros(3, int)))
    own, words = losses(manager, worker, first, share.float(), torch.tensor([2.0, 2.0, 2.0]))
    assert own.item() == pytest.approx(-2 * np.log(0.5)) and words.item() == pytest.approx(-np.log(0.25) - np.log(0.5))
    only_manager, only_worker = torch.autograd.grad(own, manager, retain_graph=True), torch.autograd.grad(words, worker)
    assert only_manager[0].tolist() == pytest.approx([-2, 0, 0]) and only_worker[0].tolist() == pytest.approx(
        [0, -1, -1]
    )
    assert torch.autograd.grad(own, worker, allow_unused=True)[0] is None  # beta = 0: nothing reaches the words


def test_the_expected_gradient_is_that_of_the_value():
    """Two codes of one word each, enumerated: grad E R by the logits of the manager."""
    logits, value = torch.tensor([0.3, -0.2], requires_grad=True), torch.tensor([1.0, -2.0])
    truth = torch.autograd.grad((torch.softmax(logits, 0) * value).sum(), logits)[0]
    found = torch.zeros(2)
    for code in range(2):
        log = torch.log_softmax(logits, 0)
        told = torch.stack([log[code], torch.zeros(())])
        own, _ = losses(
            told, torch.zeros(2), torch.tensor([True, False]), torch.tensor([0.0, 1.0]), value[code].expand(2)
        )
        found -= log[code].exp().detach() * torch.autograd.grad(own, logits)[0]
    assert found.tolist() == pytest.approx(truth.tolist(), abs=1e-6)


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("vhrl") / "bc"
    train(TrainingRun("bc", CHAT, "chat/casual-v0", out, sample=True, overrides=TINY, show_progress=False))
    return out


def run_of(out: Path, start: Path, mode: str, **settings) -> TrainingRun:
    how = {**TINY, "vhrl.mode": mode, "vhrl.iterations": 2, "vhrl.episodes": 6, "vhrl.checkpoint_every": 1, **settings}
    return TrainingRun("vhrl", CHAT, "chat/casual-v0", out, sample=True, start=start, overrides=how, show_progress=False)  # fmt: skip


def changed(folder: Path, start: Path) -> dict[str, bool]:
    first = load_file(start / "final" / "weights.safetensors")
    pairs = {"worker": "weights.safetensors", "manager": MANAGER}
    return {
        name: any(not torch.equal(tensor, first[key]) for key, tensor in load_file(folder / "final" / file).items())
        for name, file in pairs.items()
    }


@pytest.mark.parametrize("mode", MODES)
def test_who_learns(mode, start, tmp_path):
    train(run_of(tmp_path / "run", start, mode))
    both = mode in ("joint", "decoupled")
    assert changed(tmp_path / "run", start) == {
        "worker": both or mode == "worker",
        "manager": both or mode == "manager",
    }
    agent = load_agent(str(tmp_path / "run"))
    played = next(iter(Rollout(agent, CHAT).play([0], 0)))
    assert played.error is None and played.actions and agent.describe()["kind"] == "manager and worker"


def test_what_was_sampled_is_of_both(start):
    """Log-probabilities of play are those of reading: the first token's under the manager, the others' under the worker."""
    worker, manager = (LanguageModel.load(start / "final") for _ in range(2))
    with torch.no_grad():
        manager.lm.get_output_embeddings().weight.add_(
            0.3 * torch.randn(manager.lm.get_output_embeddings().weight.shape)
        )
    recorder = ManagedRecorder(
        Hierarchy(worker, manager), worker.form, Sampling(1.0, max_tokens=worker.form.max_action_tokens)
    )
    games = list(Rollout(recorder, CHAT, slots=4).play(range(4), 0, "train"))
    episodes = [recorder.episodes[game.episode] for game in games]
    for game, episode in zip(games, episodes, strict=True):
        episode.rewards, episode.terminated = list(game.transcript.rewards), True
        assert max(map(len, episode.actions)) <= worker.form.max_action_tokens
    steps = StepStore.of(episodes, worker.form, worker.tokenizer.pad)
    first, _ = shares(steps.episode, steps.turn)
    told = np.where(first, predict_logprobs(manager, steps, 1.0), predict_logprobs(worker, steps, 1.0))
    assert told == pytest.approx(steps.logprob, abs=1e-4)
    assert abs(predict_logprobs(worker, steps, 1.0)[first] - steps.logprob[first]).max() > 0.01


def test_bad_input(start, tmp_path):
    with pytest.raises(ValueError, match="choose of joint, worker"):
        train(run_of(tmp_path / "run", start, "both"))
    train(run_of(tmp_path / "whole", start, "worker", **{"vhrl.iterations": 1}))
    (tmp_path / "whole" / "final" / MANAGER).write_bytes(b"nothing")
    with pytest.raises(AgentError, match="final"):
        load_agent(str(tmp_path / "whole"))


def test_the_view_of_acts_says_what_was_said():
    view = task(CHAT).surface.views["acts"]
    for episode in load_dataset("chat/mixed-v0", sample=True)[:60]:
        texts = view.texts(episode.transcript)
        assert [view.action(text, episode.transcript) for text in texts[1::2]] == [a.strip() for a in episode.actions]
        assert texts[::2] == list(episode.observations)
    assert view.action("Listen: jazz is best.", episode.transcript) == "Listen: jazz is best."
