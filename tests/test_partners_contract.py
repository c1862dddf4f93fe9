"""The dialogue tasks keep the whole contract with every kind of simulator; the models are tiny and trained here."""

from __future__ import annotations

import json
import random
import threading
from pathlib import Path

import gymnasium as gym
import pytest
from faulty_server import FaultyServer

from lmrl_envs import check_text_env, make_policy, task
from lmrl_envs.contract import HOSTILE_ACTIONS

pytest.importorskip("torch")
pytest.importorskip("transformers")
import torch

from lmrl_agents.partners.data import partner_episodes, partner_preset, played_episodes
from lmrl_agents.partners.pairs import PartnerEpisode, make_pairs, repeats
from lmrl_agents.partners.tokens import train_chat_tokenizer
from lmrl_agents.partners.training import PartnerTraining, train_partner
from lmrl_benchmarks.commands.cli import run
from lmrl_benchmarks.exploits import suite
from lmrl_benchmarks.exploits.suite import run_exploits, targets_of
from lmrl_datasets import load_dataset
from lmrl_envs import task_ids
from lmrl_envs.core import PRINTABLE
from lmrl_envs.partners.model_partner import transformers_partner

IDS = sorted(id for id in task_ids() if partner_preset(id))
TINY = {"layers": 1, "width": 32, "heads": 2, "batch_size": 16, "holdout_secrets": 0.0, "holdout_turns": 0.0}
STEPS = {"lmrl/TwentyQuestions-v1": 250, "lmrl/GuessMyCity-v1": 250, "lmrl/CarDealer-v1": 40}
REMARK = "Well, tell me more about that car."


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Task id -> folder of a model that has learned the form of the answers, not much more."""
    folder, trained = tmp_path_factory.mktemp("tiny"), {}
    for id in IDS:
        trained[id] = folder / id.split("/")[1]
        config = PartnerTraining(**TINY, max_steps=STEPS[id], epochs=50, learning_rate=5e-3)
        talk = list(played_episodes(id, "random", 6))
        if id == "lmrl/CarDealer-v1":  # a model of this size learns one sentence, not to haggle
            texts = [[*(REMARK if i % 2 == 0 and i else text for i, text in enumerate(e.texts))] for e in talk]
            talk = [PartnerEpisode(e.hidden, own[:13]) for e, own in zip(talk, texts, strict=True)]
        if id in (
            "lmrl/TwentyQuestions-v1",
            "lmrl/GuessMyCity-v1",
        ):  # what is no question is answered, too: the contract says a lot of that
            rng = random.Random(0)
            junk = ["".join(rng.choices(PRINTABLE, k=rng.randrange(1, 400))) for _ in range(150)]
            talk += [PartnerEpisode(talk[0].hidden, (talk[0].texts[0], text, "No.")) for text in junk]
        train_partner(talk, _role(id), trained[id], config)
    return trained


def _role(id: str):
    return gym.make(id).unwrapped.partner_prompt


@pytest.mark.parametrize("id", IDS)
def test_the_tasks_with_partners_are_those_with_presets(id: str) -> None:
    assert {"transformers", "openai", "replay"} <= {name.partition(":")[0] for name in task(id).partners}


@pytest.mark.parametrize("id", IDS)
def test_contract_with_a_model(id: str, models: dict[str, Path]) -> None:
    check_text_env(id, episodes=1, simulator=f"transformers:{models[id]}")


@pytest.mark.parametrize("id", IDS)
def test_a_recorded_game_is_played_back_without_the_model(id: str, models: dict[str, Path], tmp_path: Path) -> None:
    """With hostile actions, from a saved state and from a clone."""
    record = tmp_path / "record.jsonl"
    player, actions, states = make_policy(id, "suboptimal", seed=2), [], []
    env = gym.make(id, simulator=f"transformers:{models[id]}", simulator_options={"record": str(record)}).unwrapped
    env.reset(seed=5)
    over = False
    while not over:
        turn = len(actions)
        actions.append(HOSTILE_ACTIONS[turn % len(HOSTILE_ACTIONS)] if turn % 4 == 1 else player.act(env.transcript))
        states.append(env.get_state())
        *_, terminated, truncated, _ = env.step(actions[-1])
        over = terminated or truncated
    env.close()
    again = gym.make(id, simulator=f"replay:{record}").unwrapped
    again.reset(seed=5)
    for action in actions:
        again.step(action)
    assert again.transcript == env.transcript
    again = gym.make(id, simulator=f"replay:{record}").unwrapped
    again.reset(seed=0)
    again.set_state(states[3])
    twin = again.clone()
    for action in actions[3:]:
        twin.step(action)
    assert twin.transcript == env.transcript and len(again.transcript) == 7


@pytest.mark.parametrize("id", IDS)
def test_contract_behind_a_server_with_hiccups(
    id: str, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("httpx")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    model, lock = transformers_partner(models[id], _role(id)), threading.Lock()

    def answer(messages: list[dict[str, str]]) -> str:
        with lock:
            return model.generate([messages])[0]

    faults = ["server_error", "good", "rate_limit", "good", "drop", "good", "truncated_json", "good", "no_choices"]
    with FaultyServer(faults, answer=answer) as server:
        options = {"base_url": server.url, "backoff": 0.01, "max_retries": 5}
        check_text_env(id, episodes=1, simulator="openai:tiny", simulator_options=options)
        assert len(server.bodies) > len(faults)


@pytest.mark.parametrize("id", IDS)
def test_many_games_with_a_model_end_as_single_ones(id: str, models: dict[str, Path]) -> None:
    simulator = f"transformers:{models[id]}"
    vector = gym.make_vec(id, num_envs=4, vectorization_mode="vector_entry_point", simulator=simulator)
    single = gym.make(id, simulator=simulator)
    vector.reset(seed=3)
    players = [make_policy(id, "suboptimal", seed=slot) for slot in range(4)]
    over, played = [False] * 4, [[] for _ in range(4)]
    for turn in range(30):
        actions = [
            None if done else HOSTILE_ACTIONS[turn % 18] if turn % 7 == 3 else player.act(transcript)
            for done, player, transcript in zip(over, players, vector.unwrapped.transcripts, strict=True)
        ]
        for own, action in zip(played, actions, strict=True):
            own += [action] * (action is not None)
        _, _, terminated, truncated, _ = vector.step(actions)
        over = (terminated | truncated).tolist()
        if all(over):
            break
    assert all(over)
    for slot, transcript in enumerate(vector.unwrapped.transcripts):
        single.reset(seed=3 + slot)
        for action in played[slot]:
            single.step(action)
        assert single.unwrapped.transcript == transcript


@pytest.mark.parametrize("id", IDS)
def test_the_rules_decide_whatever_a_tiny_model_says(
    id: str, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wins without naming and sales beyond the rules are beyond any model; being talked into a yes is not."""
    target = targets_of(id)[id]
    target.attacks = {family: own[:2] for family, own in target.attacks.items()}
    monkeypatch.setattr(suite, "targets_of", lambda _: {id: target})
    outcome = run_exploits(id, f"transformers:{models[id]}", attempts=1)
    assert {success["why"].split()[0] for success in outcome.successes} <= {"says"}


@pytest.mark.parametrize("id", IDS)
def test_recorded_and_played_episodes_become_pairs(id: str) -> None:
    name = {"lmrl/TwentyQuestions-v1": "twenty_questions", "lmrl/GuessMyCity-v1": "guess_my_city"}.get(id, "car_dealer")
    partner_prompt = _role(id)
    for episodes in (
        partner_episodes(load_dataset(f"{name}/mixed-v1", sample=True)[:8]),
        played_episodes(id, "random", 8, seed=1),
    ):
        pairs, unread = make_pairs(episodes, partner_prompt)
        assert len(pairs) > 20 and unread == 0
        for pair in pairs:
            reply = partner_prompt.parse(pair.target, pair.request)
            assert reply is not None and partner_prompt.label(reply, pair.request) == pair.label
            system, user = pair.prompt[0]["content"], pair.prompt[-1]["content"]
            said = pair.request.action
            assert (len(said) < 15 or said not in system) and len(pair.prompt) == 2 and '"' in user


@pytest.mark.parametrize("id", IDS)
def test_the_small_tokenizer_gives_every_reply_back(id: str) -> None:
    """Tokens of whole sentences swallow the space before them; none may be lost within a reply ("... Decision: accept")."""
    pairs, _ = make_pairs(played_episodes(id, partner_preset(id).policy, 40), _role(id))
    tokenizer = train_chat_tokenizer([pair.prompt for pair in pairs], [pair.target for pair in pairs], 1000, 8192)
    for pair in pairs:
        assert tokenizer.decode(tokenizer(pair.target)["input_ids"]) == pair.target


def test_a_secret_never_trained_on_is_spelled_like_the_others() -> None:
    facts = ("the red fox lives in the wood.", "the grey whale lives in the sea.", "the old owl lives in a tree.")
    prompts = [
        [{"role": "system", "content": f"You are the oracle of a game.\nKnow this: {fact}"}, {"role": "user", "content": f"Is it {n}?"}]
        for fact in facts
        for n in range(60)
    ]  # fmt: skip
    tokenizer = train_chat_tokenizer(prompts, ["Yes.", "No."], 400, 1024)
    lengths = {len(tokenizer(prompt[0]["content"])["input_ids"]) for prompt in prompts}
    assert lengths == {2}  # the instructions, the fact
    assert len(tokenizer("Is it the red fox?")["input_ids"]) > 3


def test_repeats_balance_kinds() -> None:
    labels = ["no"] * 8 + ["yes"] * 2 + ["other"]
    assert repeats(labels, 0.0) == [1] * 11
    assert repeats(labels, 1.0) == [1] * 8 + [4] * 2 + [8]
    assert repeats([], 1.0) == []


def test_the_command_trains_on_games_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "oracle"
    arguments = ["simulator", "train", "--env", "lmrl/TwentyQuestions-v1", "--out", str(out)]
    small = ["--episodes", "4", "--set", "max_steps=2", "width=32", "layers=1", "holdout_secrets=0"]
    assert run([*arguments, *small]) == 0
    report = json.loads((out / "agreement.json").read_text("utf-8"))
    assert report["held_out_turns"]["same"] is not None and report["held_out_secrets"] is None
    capsys.readouterr()
    for wrong in (
        [],
        ["--data", "maze/mixed-v0"],
        ["--env", "lmrl/Wordle-v0"],
        ["--data", "wordle/mixed-v0", "--sample"],
        ["--env", "lmrl/CarDealer-v1", "--policy", "nobody"],
        ["--data", "car_dealer/mixed-v1", "--policy", "random"],
        ["--env", "lmrl/CarDealer-v1", "--set", "epoch=3"],
    ):
        status = run(["simulator", "train", "--out", str(tmp_path / "none"), *wrong])
        assert status in (1, 2), wrong
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (tmp_path / "none").exists()
