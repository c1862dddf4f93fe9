"""Agents: tokens, loss, model, sampling, training, rollouts, and the protocol."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import inspect
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import chess
import gymnasium as gym
import numpy as np
import pytest
import torch

from lmrl_agents import AgentError, Request, agent_names, load_agent
from lmrl_agents.learning.checkpoints import load_checkpoint
from lmrl_agents.learning.losses import mean, surprise
from lmrl_agents.learning.optimisation import adamw
from lmrl_agents.learning.run import CHECKPOINT, TrainingError, TrainingRun
from lmrl_agents.learning.start import fresh_model
from lmrl_agents.learning.train import algorithms, train
from lmrl_agents.models.model import LanguageModel, ModelConfig
from lmrl_agents.models.sampling import Sampling, generate, probabilities
from lmrl_agents.models.steps import NONE, StepStore
from lmrl_agents.models.tokenizer import UNITS, TaskTokenizer, train_tokenizer
from lmrl_agents.models.tokens import TextFormat, TokenEpisode
from lmrl_agents.playing.loading import OF_FILE
from lmrl_agents.playing.policy_agent import LanguageModelAgent
from lmrl_agents.playing.protocol import AgentStopped
from lmrl_agents.playing.rollout import Rollout
from lmrl_agents.presets import NAMES, load_preset
from lmrl_datasets import DatasetError, load_dataset
from lmrl_envs import Transcript, make_policy, task, task_ids
from lmrl_envs.files import FolderError

MAZE, WORDLE = "lmrl/MazeFullyObserved-v0", "lmrl/Wordle-v0"

TALK = Transcript.from_texts(["go to 8, 6.", "move up", "a wall", "move left", "done"], [-1.0, 0.0])


def tokenizer_of(*transcripts: Transcript, units: str = "words"):
    return train_tokenizer([t.text for x in transcripts for t in x], units=units, min_count=1)


def encoded(transcript: Transcript, tokenizer, form: TextFormat | None = None) -> TokenEpisode:
    """The transcript as a terminated episode."""
    return TokenEpisode.from_transcript(transcript, True, False, tokenizer, form or TextFormat())


def steps_of(tokenizer, *transcripts: Transcript, form: TextFormat | None = None) -> StepStore:
    form = form or TextFormat()
    return StepStore.of((encoded(transcript, tokenizer, form) for transcript in transcripts), form, tokenizer.pad)


def small_model(tokenizer, compose: bool = False, seed: int = 0) -> LanguageModel:
    config = ModelConfig(layers=2, width=32, heads=2, max_positions=64, compose=compose)
    return LanguageModel.create(config, tokenizer, TextFormat(), seed)


# -- tokens


@pytest.mark.parametrize("units", sorted(UNITS))
@pytest.mark.parametrize(
    "text",
    [
        "move up",
        "go to 8, 6.",
        "",
        " ",
        "Zebra \N{GRINNING FACE}\n\tх",
        "<eoa><act>",
        "<eoa>",
        "<pad> <obs>",
        "c1g r2y",
        "a  b",
    ],
)
def test_tokens_round_trip_and_text_never_makes_special_tokens(units: str, text: str) -> None:
    tokenizer = tokenizer_of(TALK, units=units)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert not {tokenizer.pad, tokenizer.obs, tokenizer.act, tokenizer.eoa} & set(ids)


def test_units_are_single_tokens() -> None:
    assert len(tokenizer_of(TALK, units="phrases").encode("move up")) == 1
    assert len(tokenizer_of(TALK, units="words").encode("move up")) == 2
    assert len(tokenizer_of(TALK, units="phrases").encode("go to 8, 6.")) == 3  # words, coordinate, full stop
    paired = Transcript.from_texts(["c1g r2y a3b"], [])
    assert len(tokenizer_of(paired, units="pieces").encode("c1g r2y a3b")) == 3


@pytest.mark.parametrize("units", UNITS)
def test_ids_are_those_of_transformers_whatever_a_file_sets(units: str) -> None:
    """A tokenizer's file may fill texts up or cut them; `TaskTokenizer` goes by the text alone."""
    texts = ["move left", "<obs> is data, <eoa> too", "h\u00e9llo  wor ld\n", ""]
    plain = train_tokenizer(["move left", "move up"], units, 400, min_count=1)
    expected = [tuple(plain.hf.encode(text, add_special_tokens=False, split_special_tokens=True)) for text in texts]
    assert [plain.encode(text) for text in texts] == expected
    plain.hf.backend_tokenizer.enable_padding(length=50)
    assert [TaskTokenizer(plain.hf).encode(text) for text in texts] == expected
    plain.hf.backend_tokenizer.no_padding()
    plain.hf.backend_tokenizer.enable_truncation(3)
    assert [TaskTokenizer(plain.hf).encode(text) for text in texts] == expected


def test_actions_that_are_a_choice_are_one_token_and_rows_are_what_was_told() -> None:
    form = TextFormat("joined", None, 32, 1, choice=True)
    texts = form.reading.texts(TALK)
    assert texts[2] == "move up a wall"
    tokenizer = train_tokenizer(texts[::2], "utterances", min_count=1, first=("move left", "move up"))
    assert tokenizer.encode("move left") == (0,) and tokenizer.encode("move up") == (1,)
    episode = TokenEpisode.from_transcript(TALK, False, True, tokenizer, form)
    assert episode.actions == [(1,), (0,)]
    opening, wall, done = (tokenizer.encode(text)[0] for text in texts[::2])
    assert form.context(episode) == [opening, wall, done], "one token a turn, and no action"
    steps = StepStore.of([episode], form, tokenizer.pad)
    assert steps.row_tokens(0).tolist() == [opening, wall, done]
    assert steps.column.tolist() == [0, 1] and steps.token.tolist() == [1, 0]
    assert steps.successors(np.array([1]))[1].tolist() == [2], "a game that was cut off goes on"
    assert form.observation("", tokenizer) == (tokenizer.obs,), "an action is predicted from something"
    with pytest.raises(ValueError, match="none of the utterances"):
        form.action("move down", tokenizer)
    with pytest.raises(ValueError, match="too many to be tokens"):
        train_tokenizer([], "utterances", 300, first=[str(i) for i in range(100)])


def test_saved_tokenizer_is_the_same(tmp_path: Path) -> None:
    tokenizer = tokenizer_of(TALK)
    tokenizer.save(tmp_path)
    again = type(tokenizer).load(tmp_path)
    assert again.fingerprint() == tokenizer.fingerprint()
    assert again.encode("move up <eoa> \N{GRINNING FACE}") == tokenizer.encode("move up <eoa> \N{GRINNING FACE}")


def test_row_of_a_whole_conversation() -> None:
    tokenizer = tokenizer_of(TALK)
    steps = steps_of(tokenizer, TALK)
    e = tokenizer.encode
    expected = (
        [tokenizer.obs, *e("go to 8, 6."), tokenizer.act, *e("move up"), tokenizer.eoa]
        + [tokenizer.obs, *e("a wall"), tokenizer.act, *e("move left"), tokenizer.eoa]
    )  # fmt: skip
    assert steps.rows == 1 and steps.row_tokens(0).tolist() == expected[:-1]  # the last token is predicted alone
    assert steps.token.tolist() == [*e("move up"), tokenizer.eoa, *e("move left"), tokenizer.eoa]
    assert [expected[column + 1] for column in steps.column] == steps.token.tolist()
    assert steps.reward.tolist() == [0.0, 0.0, -1.0, 0.0, 0.0, 0.0]  # on the last token of the action
    assert steps.turn.tolist() == [0, 0, 0, 1, 1, 1]
    assert steps.successors(np.array([5]))[0].tolist() == [NONE]


def test_rows_of_the_last_observation_only() -> None:
    tokenizer = tokenizer_of(TALK)
    steps = steps_of(tokenizer, TALK, form=TextFormat(context_turns=1))
    assert steps.row.tolist() == [0, 0, 0, 1, 1, 1]
    assert steps.row_tokens(1).tolist() == [
        tokenizer.obs,
        *tokenizer.encode("a wall"),
        tokenizer.act,
        *tokenizer.encode("move left"),
    ]
    assert steps.successors(np.array([2, 5]))[0].tolist() == [1, NONE]


@pytest.mark.parametrize("turns", [None, 1, 2])
def test_what_a_model_is_given_is_what_it_was_trained_on(turns: int | None) -> None:
    """The context of an action, then the action, is the beginning of a training row."""
    tokenizer = tokenizer_of(TALK)
    form = TextFormat(context_turns=turns)
    steps = steps_of(tokenizer, TALK, form=form)
    for k in range(2):
        context = form.context(encoded(Transcript(TALK[: 2 * k + 1]), tokenizer, form))
        whole = steps.row_tokens(k if turns is not None else 0).tolist()
        assert whole[: len(context)] == context


@pytest.mark.parametrize("turns", [None, 3])
def test_long_conversations_are_read_in_rows_that_play_sees_too(turns: int | None) -> None:
    texts = [f"x {'y ' * (k % 4)}" for k in range(31)]
    long = Transcript.from_texts([t for k in range(30) for t in (texts[k], "move up")] + [texts[30]], [-1.0] * 30)
    tokenizer = tokenizer_of(long)
    form = TextFormat(context_turns=turns, max_tokens=25, max_action_tokens=4)
    steps = steps_of(tokenizer, long, form=form)
    assert max(len(steps.row_tokens(row)) for row in range(steps.rows)) < 25
    assert len(steps) == 30 * 3 and steps.groups > 3
    assert (steps.successors(np.arange(90))[0] == NONE).tolist() == [False] * 89 + [True]
    # Every action is learned after just those tokens that a model in play is given.
    seen = {}
    for turn, start in zip(*np.unique(steps.turn, return_index=True), strict=True):
        seen[int(turn)] = steps.row_tokens(steps.row[start])[: steps.column[start] + 1].tolist()
    for k in range(30):
        context = form.context(encoded(Transcript(long[: 2 * k + 1]), tokenizer, form))
        assert context == seen[k]
        assert len(context) + 4 <= 25


def test_chosen_turns_alone_are_learned() -> None:
    tokenizer = tokenizer_of(TALK)
    for form, groups in ((TextFormat(), 1), (TextFormat(context_turns=1), 1)):
        steps = steps_of(tokenizer, TALK, form=form)
        chosen = steps.select(steps.turn == 1)
        assert chosen.token.tolist() == [*tokenizer.encode("move left"), tokenizer.eoa]
        assert chosen.groups == groups and chosen.steps_of(np.arange(groups)).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="no actions"):
        steps.select(steps.turn == 2)


def test_texts_longer_than_a_row_are_cut() -> None:
    tokenizer = tokenizer_of(TALK)
    form = TextFormat(max_tokens=20, max_action_tokens=8)
    huge = Transcript.from_texts(["a wall " * 50, "move " * 50, "a wall " * 50], [-1.0])
    episode = encoded(huge, tokenizer, form)
    assert [len(ids) for ids in (*episode.observations, *episode.actions)] == [12, 12, 8]
    steps = StepStore.of([episode], form, tokenizer.pad)
    assert all(len(steps.row_tokens(row)) <= 20 for row in range(steps.rows))
    with pytest.raises(ValueError, match="max_action_tokens"):
        TextFormat(max_tokens=20, max_action_tokens=11)


def view_texts(view: str, transcript: Transcript) -> list[str]:
    """As an agent reads them whose format has this view."""
    env_id = WORDLE if view == "paired" else "lmrl/ChessEndgames-v0"
    return TextFormat(view=view, env_id=env_id).reading.texts(transcript)


def test_a_view_is_of_a_task() -> None:
    assert TextFormat().reading is TextFormat(env_id="of/a-plug-in-that-is-not-here").reading
    for form in (
        TextFormat(view="paired"),
        TextFormat(view="paired", env_id="lmrl/Chess-v0"),
        TextFormat(view="odd", env_id=WORDLE),
    ):
        with pytest.raises(ValueError, match=f"has no view {form.view!r}; there are plain"):
            _ = form.reading
    form = TextFormat(view="turned", env_id="lmrl/Chess-v0")
    assert copy.deepcopy(form) == form == TextFormat(**dataclasses.asdict(form))


def test_paired_view() -> None:
    env = gym.make(WORDLE)
    env.reset(options={"secret": "crash"})
    for guess in ("c l e a r", "zzz", "CRASH"):
        env.step(guess)
    texts = view_texts("paired", env.unwrapped.transcript)
    assert texts == ["Wordle:", "clear", "c1g l2b e3b a4y r5y", "zzz", "invalid", "crash", "c1g r2g a3g s4g h5g"]
    twin = gym.make(WORDLE, feedback="paired")
    twin.reset(options={"secret": "crash"})
    for guess in ("clear", "zzz", "crash"):
        twin.step(guess)
    assert view_texts("paired", twin.unwrapped.transcript) == texts


@pytest.mark.parametrize("spaced", [True, False])
def test_men_view(spaced: bool) -> None:
    env = gym.make("lmrl/ChessEndgames-v0", spaced=spaced)
    env.reset(options={"fen": "7k/8/8/8/8/2R5/8/1K6 w - - 3 40", "replies": ["h8g7"]})
    env.step("R c 8 +")
    env.step("Zz9")
    env.step("Rc7" * 2000)
    texts = view_texts("men", env.unwrapped.transcript)
    assert texts[:5] == [" Kb1 Rc3 kh8", " Rc3 c8", " Kb1 Rc8 kg7", "Zz9", " Kb1 Rc8 kg7"]
    assert texts[5:] == ["Rc7" * 2000, " Kb1 Rc8 kg7"]
    game = gym.make("lmrl/Chess-v0", spaced=spaced)
    fen = "r3k3/6P1/8/3pP3/8/8/8/4K2R w Kq d6 0 1"
    men = " Ke1 Rh1 Pe5 Pg7 ke8 ra8 pd5 O=Kq x=d6"
    for move, seen in (
        ("exd6", " e5 d6"),
        ("O-O", " O-O"),
        ("g8=Q+", " g7 g8q"),
        ("Rg1", " Rh1 g1"),
        ("Kf2", " Ke1 f2"),
    ):
        game.reset(options={"fen": fen, "replies": ["a8a7" if move != "g8=Q+" else "e8d7"]})
        game.step(move)
        played = game.unwrapped.transcript
        assert view_texts("men", played)[:2] == [men, seen]
        game.reset(options={"fen": fen, "replies": ["a8a7" if move != "g8=Q+" else "e8d7"]})
        assert game.step(seen)[4]["valid"] and game.unwrapped.transcript[2] == played[2]  # means the same to the task


def test_turned_view_is_one_text_for_all_mirror_images_and_moves_come_back() -> None:
    from lmrl_envs.chess.endgames import SYMMETRIES

    names, view = chess.SQUARE_NAMES, task("lmrl/Chess-v0").surface.views["turned"]
    seen = set()
    for mirror in SYMMETRIES:
        to = {names[a]: names[b] for a, b in enumerate(mirror)}
        board = chess.Board(None)
        for square, symbol in (("b1", "K"), ("c3", "R"), ("g6", "R"), ("h8", "k")):
            board.set_piece_at(chess.parse_square(to[square]), chess.Piece.from_symbol(symbol))
        env = gym.make("lmrl/ChessEndgames-v0", spaced=False)
        env.reset(options={"fen": board.fen(), "replies": [to["h8"] + to["h7"]]})
        before = env.unwrapped.transcript
        env.step(f"R{to['c3']}{to['c8']}")
        texts = view_texts("turned", env.unwrapped.transcript)
        seen.add(tuple(texts[:2]))
        assert view.action(texts[1], before).replace(" ", "") == f"R{to['c3']}{to['c8']}"
        env.reset(options={"fen": board.fen(), "replies": [to["h8"] + to["h7"]]})
        env.step(view.action(" Rg9 a1 nonsense", before))  # not a move: read again as it was said
        assert view_texts("turned", env.unwrapped.transcript)[1] == " Rg9 a1 nonsense"
    assert len(seen) == 1
    env = gym.make("lmrl/Chess-v0")
    env.reset()
    start = env.unwrapped.transcript
    assert view_texts("turned", start) == view_texts("men", start) and view.action(" e2 e4", start) == " e2 e4"
    assert view.action("move a1", Transcript.from_texts(["no board"], [])) == "move a1"


# -- loss and model


def _loss(model: LanguageModel, *transcripts: Transcript) -> torch.Tensor:
    """The loss of cloning."""
    steps = steps_of(model.tokenizer, *transcripts)
    batch = steps.clone_batch(np.arange(steps.groups))
    return mean(surprise(model.logits([model.action_states(batch)]), batch.token), batch.weight)


def test_environment_tokens_are_not_predicted_and_padding_changes_nothing() -> None:
    other = Transcript.from_texts(["a wall", "move up", "a wall"], [-1.0])
    tokenizer = tokenizer_of(TALK, other)
    model = small_model(tokenizer)
    together = _loss(model, TALK, other)
    apart = (_loss(model, TALK) * 6 + _loss(model, other) * 3) / 9
    assert together.item() == pytest.approx(apart.item(), rel=1e-5)
    assert _loss(model, other, TALK).item() == pytest.approx(together.item(), rel=1e-5)
    # A changed last observation changes no prediction of an action.
    changed = Transcript((*TALK[:-1], TALK[0]))
    assert _loss(model, changed).item() == pytest.approx(_loss(model, TALK).item(), rel=1e-6)


@pytest.mark.parametrize("turns", [None, 1])
def test_cloning_is_the_mean_over_all_action_tokens_however_many_rows_are_equal(turns: int | None) -> None:
    """Against the definition, computed by hand: every row on its own, a token the agent produced or not by its place."""
    other = Transcript.from_texts(["a wall", "move up", "a wall"], [-1.0])
    tokenizer, form = tokenizer_of(TALK, other), TextFormat(context_turns=turns)
    transcripts = (TALK, other, TALK, TALK)
    store = steps_of(tokenizer, *transcripts, form=form)
    assert (store.groups, store.rows) == ((4, 2) if turns is None else (7, 3))
    batch = store.clone_batch(np.arange(store.groups))
    assert len(batch.tokens) == store.rows and batch.weight.sum() == 3 * 6 + 3
    model = small_model(tokenizer)
    loss = mean(surprise(model.logits([model.action_states(batch)]), batch.token), batch.weight)
    loss.backward()
    found = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    model.zero_grad()
    terms = []
    for episode in (encoded(transcript, tokenizer, form) for transcript in transcripts):
        pieces = list(zip(episode.observations, episode.actions, strict=False))
        for own in [pieces] if turns is None else [[piece] for piece in pieces]:
            ids = torch.tensor([token for observation, action in own for token in (*observation, *action)])
            is_action = [acts for o, a in own for acts in [False] * len(o) + [True] * len(a)]
            logs = torch.log_softmax(model.lm(ids[None]).logits[0], dim=1)
            terms += [-logs[t - 1, ids[t]] for t in range(len(ids)) if is_action[t]]
    by_hand = torch.stack(terms).mean()
    by_hand.backward()
    assert loss.item() == pytest.approx(by_hand.item(), abs=1e-6)
    expected = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("compose", [False, True])
def test_saved_model_is_the_same(tmp_path: Path, compose: bool) -> None:
    tokenizer = tokenizer_of(TALK)
    model = small_model(tokenizer, compose)
    model.save(tmp_path)
    again = LanguageModel.load(tmp_path)
    assert _loss(again, TALK).item() == _loss(model, TALK).item()
    assert not list(tmp_path.glob("*.bin")) and not list(tmp_path.glob("*.pt"))


@pytest.mark.parametrize("compose", [False, True])
def test_an_export_changes_neither_the_model_nor_what_it_is_a_copy_of(tmp_path: Path, compose: bool) -> None:
    from transformers import AutoModelForCausalLM

    model = small_model(tokenizer_of(TALK), compose)
    before, names = _loss(model, TALK).item(), list(model.state_dict())
    twin = copy.deepcopy(model)
    for k, one in enumerate((twin, model)):
        one.export(tmp_path / str(k))
        assert [_loss(m, TALK).item() for m in (model, twin)] == [before, before] and list(one.state_dict()) == names
    ids = torch.tensor([[1, 2, 3, 4]])
    own = model.logits([model.lm.base_model(input_ids=ids).last_hidden_state[0]])
    assert torch.allclose(AutoModelForCausalLM.from_pretrained(tmp_path / "0")(input_ids=ids).logits[0], own, atol=1e-6)


def test_a_model_with_another_tokenizer_is_refused(tmp_path: Path) -> None:
    small_model(tokenizer_of(TALK)).save(tmp_path)
    tokenizer_of(Transcript.from_texts(["other words here"], [])).save(tmp_path)
    with pytest.raises(ValueError, match="tokenizer"):
        LanguageModel.load(tmp_path)
    with pytest.raises(ValueError, match="no trained model"):
        LanguageModel.load(tmp_path / "nowhere")


# -- sampling


def test_probabilities_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]]))
    assert probabilities(logits, Sampling(temperature=0)).tolist() == [[1, 0, 0, 0]]
    assert probabilities(logits, Sampling(top_k=2))[0].tolist() == pytest.approx([0.625, 0.375, 0, 0])
    assert probabilities(logits, Sampling(top_p=0.6))[0].tolist() == pytest.approx([0.625, 0.375, 0, 0])
    squared = torch.tensor([0.25, 0.09, 0.0225, 0.0025])
    assert probabilities(logits, Sampling(temperature=0.5))[0].tolist() == pytest.approx(
        (squared / squared.sum()).tolist()
    )


def test_sampled_logprobs_equal_teacher_forced_ones_and_batch_equals_single() -> None:
    tokenizer = tokenizer_of(TALK)
    model = small_model(tokenizer).eval()
    contexts = [
        [tokenizer.obs, *tokenizer.encode("a wall"), tokenizer.act],
        [tokenizer.obs, *tokenizer.encode("go to 8, 6. a wall"), tokenizer.act],
        [tokenizer.obs, *tokenizer.encode("a wall"), tokenizer.act],
        [tokenizer.obs, tokenizer.act],
    ]
    sampling = Sampling(max_tokens=6)

    def sources(which):
        return [np.random.default_rng(seed).random for seed in which]

    together = generate(model, contexts, sources(range(4)), sampling)
    alone = [generate(model, [c], sources([i]), sampling)[0] for i, c in enumerate(contexts)]
    for a, b, context in zip(together, alone, contexts, strict=True):
        assert a.ids == b.ids
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-5)
        tokens = torch.tensor([[*context, *a.ids]])
        with torch.no_grad():
            logits = model.lm(tokens).logits
        forced = torch.log_softmax(logits[0, len(context) - 1 : -1], dim=1)
        assert a.logprobs == pytest.approx([forced[i, t].item() for i, t in enumerate(a.ids)], abs=1e-5)
        assert len(a.ids) <= 6 and tokenizer.eoa not in a.ids[:-1]


# -- training


def settings(out: Path, data: Path, **changes) -> TrainingRun:
    return TrainingRun("bc", MAZE, str(data), out, show_progress=False, **changes)


@pytest.fixture
def short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    import lmrl_agents.learning.run as training

    original = load_preset

    def shorter(name: str, env_id: str):
        tables = original(name, env_id)
        tables["bc"] = {**tables["bc"], "steps": 12, "batch_size": 32, "checkpoint_every": 4, "log_every": 2}
        tables["model"] = {"layers": 1, "width": 16, "heads": 1, "max_positions": 512}
        return tables

    monkeypatch.setattr(training, "load_preset", shorter)


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "final" / "weights.safetensors")


def test_seeds_give_different_models(maze_data: Path, tmp_path: Path, short_training: None) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(settings(tmp_path / name, maze_data, seed=seed))
    a, b, c = (_weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(a[k], b[k]) for k in a) and not all(torch.equal(a[k], c[k]) for k in a)


def test_refusals_of_training(maze_data: Path, wordle_data: Path, tmp_path: Path, short_training: None) -> None:
    train(settings(tmp_path / "run", maze_data))
    with pytest.raises(TrainingError, match="--resume"):
        train(settings(tmp_path / "run", maze_data))
    with pytest.raises(FolderError, match="seed"):
        train(settings(tmp_path / "run", maze_data, seed=5, resume=True))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(FolderError, match="not empty"):
        train(settings(tmp_path / "full", maze_data))
    with pytest.raises(DatasetError, match="another family"):
        train(settings(tmp_path / "wrong", wordle_data))
    with pytest.raises(ValueError, match="bc"):
        train(dataclasses.replace(settings(tmp_path / "x", maze_data), algorithm="dqn"))


_TRAIN = """
import sys
from pathlib import Path
from lmrl_agents.learning.train import train
from lmrl_agents.learning.run import TrainingRun
train(TrainingRun("bc", "lmrl/MazeFullyObserved-v0", sys.argv[1], Path(sys.argv[2]), show_progress=False))
"""


def test_a_killed_trainer_leaves_a_whole_checkpoint(maze_data: Path, tmp_path: Path) -> None:
    """Killed at any moment around the writing of checkpoints, what is there loads."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    out = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-c", _TRAIN, str(maze_data), str(out)], env=environment)
    deadline = time.monotonic() + 300
    while not (out / CHECKPOINT / "state.json").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.poll() is None, "training ended before its first checkpoint"
    process.send_signal(signal.SIGKILL)
    process.wait()
    run = settings(out, maze_data, resume=True)
    model = fresh_model(run, run.load_data())
    optimizer = adamw(1e-3, 0.0, model)
    assert load_checkpoint(run, model, {"policy": model}, {"policy": optimizer}, {}) == 200


def test_overfits_one_episode(tmp_path: Path) -> None:
    tokenizer = tokenizer_of(TALK)
    model = small_model(tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(120):
        loss = _loss(model, TALK)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02
    action = generate(
        model, [TextFormat().context(encoded(Transcript(TALK[:3]), tokenizer))], [lambda: 0.5], Sampling(0.0)
    )[0]
    assert tokenizer.decode(action.ids) == "move left"


@pytest.mark.parametrize("preset", NAMES)
@pytest.mark.parametrize("id", task_ids())
def test_presets_are_whole(preset: str, id: str) -> None:
    tables = load_preset(preset, id)
    text = dict(tables["text"])
    for key in ("units", "vocabulary"):
        text.pop(key, None)
    assert TextFormat(**text, env_id=id).reading
    ModelConfig(**tables["model"])
    for algorithm in algorithms():
        run = TrainingRun(algorithm, id, "unused", Path("unused"), preset)
        run.config(importlib.import_module(f"lmrl_agents.algorithms.{algorithm}").Config)


# -- agents and rollouts


@pytest.fixture(scope="module")
def trained(maze_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer_data = load_dataset(maze_data)
    texts = [t.text for e in tokenizer_data for t in e.transcript]
    tokenizer = train_tokenizer(texts, units="phrases")
    model = LanguageModel.create(ModelConfig(layers=1, width=16, heads=1), tokenizer, TextFormat(context_turns=1), 0)
    folder = tmp_path_factory.mktemp("model")
    model.save(folder, {"max_action_tokens": 3, "env_id": MAZE})
    return folder


def requests_of(id: str, n: int, turns: int = 2) -> list[Request]:
    requests = []
    for k in range(n):
        env = gym.make(id)
        env.reset(seed=k)
        player = make_policy(id, "suboptimal", seed=k)
        for _ in range(min(turns, k)):
            env.step(player.act(env.unwrapped.transcript))
        requests.append(Request(id, k, 1000 + k, env.unwrapped.transcript))
    return requests


def test_a_trained_agent_obeys_seeds_and_its_batch_equals_single_requests(trained: Path) -> None:
    requests = requests_of(MAZE, 6)
    agent = LanguageModelAgent(trained)
    actions = agent.act(requests)
    assert actions == [LanguageModelAgent(trained).act([request])[0] for request in requests]
    assert actions == agent.act(list(reversed(requests)))[::-1]
    others = agent.act([dataclasses.replace(r, seed=r.seed + 1) for r in requests])
    assert actions != others
    greedy = LanguageModelAgent(trained, temperature=0)
    assert greedy.act(requests) == greedy.act([dataclasses.replace(r, seed=7) for r in requests])


def test_registered_agents_load(trained: Path) -> None:
    assert {"random", "suboptimal", "expert"} <= set(agent_names())
    requests = requests_of(MAZE, 3)
    assert all(isinstance(action, str) for action in load_agent("expert").act(requests))
    assert isinstance(load_agent(str(trained)), LanguageModelAgent)


@pytest.mark.parametrize("id", [MAZE, "lmrl/Negotiation-v0"])
def test_every_policy_of_a_task_plays_as_an_agent_by_its_name(id: str) -> None:
    (request,) = requests_of(id, 1)
    for name in task(id).policy_names:
        wanted = make_policy(id, name, seed=request.seed).act(Transcript(request.transcript))
        assert load_agent(f"policy:{name}").act([request]) == [wanted or ""], name
    with pytest.raises(AgentStopped, match="it has random, suboptimal, expert"):
        load_agent("policy:hodl").act([request])
    with pytest.raises(AgentError, match="policy:expert"):
        load_agent("policy")


def test_agents_that_cannot_be_had(tmp_path: Path) -> None:
    (tmp_path / "plug.py").write_text(
        "class A:\n    def act(self, requests): return ['x' for _ in requests]\ndef no(): return 3\ndef bad(): 1/0\n"
    )
    assert load_agent(f"{tmp_path}/plug.py:A").act(requests_of(MAZE, 2)) == ["x", "x"]
    for spec, message in (
        ("exprt", "expert"),
        (f"{tmp_path}/plug.py:no", "no method act"),
        (f"{tmp_path}/plug.py:bad", "ZeroDivisionError"),
        (f"{tmp_path}/plug.py:missing", "missing"),
        (f"{tmp_path}/plug.py", "say what in it is meant"),
        (f"{tmp_path}/none.py:A", "no file"),
        (str(tmp_path), "no trained model"),
    ):
        with pytest.raises(AgentError, match=message):
            load_agent(spec)


def test_rollouts_play_every_episode_once_whatever_the_slots() -> None:
    agent = load_agent("suboptimal")
    played = [
        sorted(Rollout(load_agent("suboptimal"), WORDLE, slots=slots).play(range(30), 5), key=lambda p: p.episode)
        for slots in (1, 7, 64)
    ]
    assert [p.episode for p in played[0]] == list(range(30))
    for other in played[1:]:
        assert [(p.episode, p.seed, p.transcript) for p in other] == [
            (p.episode, p.seed, p.transcript) for p in played[0]
        ]
    assert [p.seed for p in Rollout(agent, WORDLE).play([3], 6)] != [played[0][3].seed]


class Moody:
    """Fails in four ways, by episode."""

    def act(self, requests):
        answers = []
        for request in requests:
            if request.episode % 5 == 1:
                raise RuntimeError("a bad day")
            answers.append({2: None, 3: "x" * 2_000_000}.get(request.episode % 5, "crane"))
        return answers


def test_an_agent_that_fails_spoils_only_its_own_episodes() -> None:
    played = {p.episode: p for p in Rollout(Moody(), WORDLE, slots=8).play(range(20), 0)}
    assert sorted(played) == list(range(20))
    for episode, p in played.items():
        assert (p.error is not None) == (episode % 5 in (1, 2, 3))
        if p.error:
            assert p.score(-6.0) == -6.0
    assert "a bad day" in played[1].error and "NoneType" in played[2].error and "2,000,000" in played[3].error


class TooFew:
    def act(self, requests):
        return ["crane"] * (len(requests) - 1)


def test_an_agent_that_returns_too_few_actions() -> None:
    assert all("returned 0 actions" in p.error for p in Rollout(TooFew(), WORDLE).play(range(3), 0))


# -- agents of one's own


class Shuffled:
    def __init__(self):
        self.calls = 0

    def act(self, requests):
        self.calls += 1
        return [str(self.calls)] * len(requests)


class Greedy:
    def act(self, requests):
        return [max((r.transcript[-1].text for r in requests), key=len)] * len(requests)


class Numbers:
    def act(self, requests):
        return [3] * len(requests)


class Generator:
    def act(self, requests):
        return ("x" for _ in requests)


@pytest.mark.parametrize(
    ("agent", "message"),
    [(Shuffled(), "order"), (Greedy(), "alone"), (Numbers(), "int"), (Generator(), "list"), (Moody(), "bad day")],
)
def test_the_conformance_check_finds_breaches(agent, message: str) -> None:
    from lmrl_agents.playing.conformance import assert_conforms, check_agent

    assert message in " ".join(check_agent(agent).breaches)
    with pytest.raises(AgentError):
        assert_conforms(agent)


@pytest.mark.parametrize("name", ["random", "suboptimal", "expert"])
def test_built_in_agents_conform(name: str) -> None:
    from lmrl_agents.playing.conformance import assert_conforms

    assert_conforms(load_agent(name), list(task_ids()))


def test_a_trained_agent_conforms(trained: Path) -> None:
    from lmrl_agents.playing.conformance import assert_conforms

    assert_conforms(LanguageModelAgent(trained), [MAZE])


def test_the_template_writes_an_agent_that_conforms(tmp_path: Path) -> None:
    from lmrl_agents.playing.conformance import assert_conforms
    from lmrl_agents.playing.template import write_template

    write_template("my-agent", tmp_path / "pkg")
    assert_conforms(load_agent(f"{tmp_path}/pkg/my_agent/agent.py:make_agent"))
    assert 'my-agent = "my_agent.agent:make_agent"' in (tmp_path / "pkg" / "pyproject.toml").read_text()
    for wrong in ("My Agent", "1st", "a--b", "../evil"):
        with pytest.raises(ValueError, match="name"):
            write_template(wrong, tmp_path / "other")
    with pytest.raises(ValueError, match="not empty"):
        write_template("my-agent", tmp_path / "pkg")


@pytest.mark.parametrize("kind", ["lmrl_agents.playing.policy_agent:LanguageModelAgent", *OF_FILE.values()])
def test_whatever_plays_a_trained_model_does_it_where_it_is_told(kind: str) -> None:
    """A leaderboard gives the agents of all its trained models a device."""
    place, _, name = kind.partition(":")
    given = inspect.signature(getattr(importlib.import_module(place), name)).parameters
    assert given["device"].default == "cpu"
