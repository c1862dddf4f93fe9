"""Nothing that an agent can reach before the end tells what is hidden: not in words, not encoded, not by its bearing.

Two ways of looking. The search: every form of the hidden names in everything that varies from game to game. The comparison:
games that hide different things but have answered alike so far must be alike in everything else that can be reached, whatever
the form. (HTTP answers of `lmrl serve`: test_serve.py, test_nothing_hidden_is_answered_before_the_end.)
"""

from __future__ import annotations

import base64
import codecs
import itertools
import json
import logging
import random
import re
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from fuzz.language import say

from lmrl_agents.playing.rollout import Rollout
from lmrl_envs import SimulatorError, make_policy, task, task_ids
from lmrl_envs.car_dealer.rules import BUDGETS, PERSONALITIES
from lmrl_envs.contract import HOSTILE_ACTIONS
from lmrl_envs.guess_my_city.table import cities
from lmrl_envs.negotiation.rules import KINDS, PATIENCES, TARGETS
from lmrl_envs.partners.attacks import shown_forms
from lmrl_envs.twenty_questions.rules import load_knowledge
from lmrl_envs.wordle.env import WordleEnv
from lmrl_envs.wrappers import ChatObservation, RecordTrajectories, TranscriptObservation

IDS = task_ids()
PARTNERS = ("lmrl/TwentyQuestions-v1", "lmrl/GuessMyCity-v1", "lmrl/CarDealer-v1")


# -- the search itself


@pytest.mark.parametrize("hidden", ["Tokyo", "crane", "tennis racket", "São Paulo"])
def test_every_form_of_a_hidden_name_is_found(hidden: str) -> None:
    forms = {
        "plain": [f"It is {hidden}.", hidden.upper(), hidden.lower(), f"({hidden.title()})", hidden.swapcase()],
        "spelled": [" ".join(hidden), "-".join(hidden.upper()), ", ".join(c for c in hidden if c != " ")],
        "reversed": [hidden[::-1], hidden[::-1].upper()],
        "rot13": [codecs.encode(hidden, "rot13")],
        "hex": [hidden.encode().hex(), hidden.lower().encode().hex().upper(), " ".join(f"{b:02x}" for b in hidden.encode())],
        "base64": [base64.b64encode(f"{before}{hidden} and more".encode()).decode() for before in ("", "x", "yy", "zzz", "The city: ")],
    }  # fmt: skip
    for form, texts in forms.items():
        for text in texts:
            assert form in shown_forms(hidden, text), (form, text)
    assert shown_forms(hidden, f"Nothing of the sort. x{hidden}y {hidden[:-1]} {hidden[1:]}") == []


# -- everything that can be reached


def stack(id: str, **kwargs: Any) -> list[Any]:
    """A task's environment in all its wrappings; they share the game."""
    env = gym.make(id, **kwargs)
    return [env, env.unwrapped, ChatObservation(env), TranscriptObservation(env), RecordTrajectories(env)]


def reachable(envs: list[Any], infos: list[dict[str, Any]]) -> dict[str, str]:
    """What an agent's code may look at without calling `get_state`, by name, but for the conversation."""
    env, base = envs[0], envs[1]
    found = {f"info {i}": repr(sorted(info.items())) for i, info in enumerate(infos)}
    for i, wrapped in enumerate(envs):
        found |= {f"repr {i}": repr(wrapped), f"str {i}": str(wrapped), f"metadata {i}": repr(wrapped.metadata)}
        found |= {f"spaces {i}": f"{wrapped.observation_space!r} {wrapped.action_space!r}"}
    found |= {"spec": f"{env.spec!r} {env.spec.to_json()}", "instructions": base.instructions}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        wrong = {
            "no text": lambda: base.step(None),
            "a number": lambda: env.step(5),
            "unknown option": lambda: base.reset(options={"no such option": 1}),
            "another state": lambda: base.set_state({"task": "x", "version": 0}),
            "no state": lambda: base.set_state({}),
            "render mode": lambda: type(base)(render_mode="human"),
        }
        for name, act in wrong.items():
            try:
                act()
            except Exception as problem:
                found[f"exception: {name}"] = f"{type(problem).__name__}: {problem}"
            else:
                raise AssertionError(f"{name} was not refused")
    found["warnings"] = repr([str(warning.message) for warning in told])
    return {name: re.sub(r" at 0x[0-9a-f]+", "", text) for name, text in found.items()}


def hidden_names(id: str, base: Any) -> list[str]:
    """What must not show, as texts."""
    game = base.get_state()["game"]
    family = task(id).family
    if family in ("wordle", "wordle_full"):
        return [game["secret"]]
    if family == "twenty_questions":
        return list(load_knowledge().aliases[load_knowledge().names.index(game["secret"])])
    if family == "guess_my_city":
        city = cities()[game["secret"]]
        return [*city.names, city.country.name]
    if family == "car_dealer":
        buyer = game["hidden"]["buyer"]
        return [buyer["personality"], "concession", "patience", str(buyer["concession"])]
    if id == "lmrl/TextNavPartiallyObserved-v0":
        return [base._scene.room]
    return []


def seeds_of(state: Mapping[str, Any]) -> Iterator[str]:
    """Numbers that would let an agent draw what was drawn."""
    streams = state["random"]["state"]
    for value in (*streams.values(), state["random_seed"], state["game"].get("seed"), state["game"].get("house_seed")):
        if isinstance(value, int) and value > 999_999:
            yield from (str(value), f"{value:x}")


def play(id: str, seed: int, said: list[str], envs: list[Any]) -> Iterator[tuple[list[str], list[dict[str, Any]]]]:
    """Games of the task's policies with all sorts of other talk; yields texts and infos while the game is on."""
    rng = random.Random(seed)
    policy = make_policy(id, "random" if "Chess" in id else "suboptimal", seed=seed)
    text, info = envs[0].reset(seed=seed * 7919 + 12_345_678)
    texts, infos = [text], [info]
    yield texts, infos
    for _ in range(12):
        action = (policy.act(envs[1].transcript) or "") if rng.random() < 0.4 else say(id, rng)
        said.append(action)
        text, _, terminated, truncated, info = envs[0].step(action)
        if terminated or truncated:
            return
        texts.append(text)
        infos.append(info)
        yield texts, infos


@pytest.mark.parametrize("id", IDS)
def test_no_form_of_what_is_hidden_shows_before_the_end(
    id: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)  # more than the default level
    slow = "Chess" in id
    kwargs = {"render_mode": "ansi"} | ({"simulator": "random"} if slow else {})
    envs = stack(id, **kwargs)
    base = envs[1]
    same = reachable(stack(id, **kwargs), [])  # what every game shows: words of it may be secrets by chance
    looked = 0
    for seed in range(6 if slow else 25):
        said: list[str] = []
        for texts, infos in play(id, seed, said, envs):
            spoken = " ".join(said).lower()
            shown = {name: text for name, text in reachable(envs, infos).items() if same.get(name) != text}
            shown |= {"render": str(base.render()), "log": caplog.text, "output": "".join(capfd.readouterr())}
            shown |= {"texts": "\n".join(texts), "transcript": "\n".join(base.transcript.observations)}
            values = [v for info in infos for v in info.values() if isinstance(v, str)]
            shown = {k: v for k, v in shown.items() if not k.startswith("info ")} | {"info": "\n".join(values)}
            for hidden in hidden_names(id, base):
                if hidden.lower() in spoken:
                    continue  # the agent's own word for it may come back
                looked += 1
                for name, text in shown.items():
                    assert not shown_forms(hidden, text), f"{name} shows {hidden!r}: {shown_forms(hidden, text)}"
            everything = json.dumps([shown, [repr(info) for info in infos]])
            for number in seeds_of(base.get_state()):
                assert number not in everything, f"{number}, a seed or a state of the random stream, shows"
    assert looked > 50 or not hidden_names(id, base)
    assert not any(char.isdigit() for char in base.transcript[0].text) or id != "lmrl/MazePartiallyObserved-v0"
    envs[0].close()


# -- games that look alike


def alike(id: str) -> list[tuple[int, dict[str, Any] | None]]:
    """Seeds and options of games that begin alike and hide different things."""
    if id == "lmrl/CarDealer-v1":
        people = [{"personality": name} for name in PERSONALITIES] + [{"budget": amount} for amount in BUDGETS]
        return [(5, {"buyer": person}) for person in people]
    if id == "lmrl/GuessMyCity-v1":  # how an answer is worded follows from the seed
        return [(5, {"secret": name}) for name in cities()]
    if id == "lmrl/Negotiation-v0":
        hidden = itertools.product(KINDS, TARGETS["buyer"], PATIENCES)
        return [
            (5, {"partner": {"kind": kind, "target": target, "patience": patience}})
            for kind, target, patience in hidden
        ]
    return [(seed, None) for seed in range(60)]


@pytest.mark.parametrize("id", IDS)
def test_games_that_answer_alike_are_alike_in_everything_an_agent_can_reach(id: str) -> None:
    """By whatever code: a number of a name, a length, an order, the presence of a key would set them apart."""
    script = [
        *HOSTILE_ACTIONS[:4],
        "move up",
        "crane",
        "Is it bigger than a bread box?",
        "Hello, what do you want?",
        "Deal!",
        "yes",
    ]
    groups: dict[tuple[str, ...], list[tuple[Any, dict[str, str]]]] = defaultdict(list)
    for seed, options in alike(id):
        envs = stack(id)
        text, info = envs[0].reset(seed=seed, options=options)
        texts, infos = [text], [info]
        for action in ["", *script]:
            game = json.dumps(envs[1].get_state()["game"], sort_keys=True)
            groups[tuple(texts)].append((game, reachable(envs, infos)))
            text, _, terminated, truncated, info = envs[0].step(action)
            if terminated or truncated:
                break
            texts.append(text)
            infos.append(info)
    compared = 0
    for texts, games in groups.items():
        for (one, seen), (other, also) in itertools.pairwise(games):
            compared += one != other
            assert seen == also, (
                f"after {texts[-1]!r:.80} games differ in {[k for k in seen if seen[k] != also.get(k)]}"
            )
    # Fully observed there is nothing to hide, and the exits and things of every room of the house are told.
    shown = ("lmrl/MazeFully", "lmrl/TextNav", "lmrl/ChessEndgames", "lmrl/Headline")
    assert id.startswith(shown) or compared > 20, f"only {compared} pairs of games hid different things"


@pytest.mark.parametrize("id", IDS)
def test_the_end_of_one_game_of_a_batch_tells_nothing_of_the_others(id: str) -> None:
    """Infos of a batch hold what was hidden in games that are over, and nothing in the places of those that go on."""
    row = task(id)
    kwargs = {"max_moves": 4} if any(name in id for name in ("Maze", "TextNav", "Chess")) else {}
    vector: Any = gym.make_vec(id, num_envs=3, vectorization_mode="vector_entry_point", **kwargs)
    vector.reset(seed=0)
    quiet = "Goodbye." if row.family == "car_dealer" else "x"
    over, told = np.zeros(3, bool), 0
    for turn in range(30):
        actions = [quiet, quiet if turn % 2 else None, None]
        _, _, terminated, truncated, infos = vector.step([None if over[i] else a for i, a in enumerate(actions)])
        over = terminated | truncated
        for name, values in infos.items():
            if name.startswith("_") or name in ("turn", "valid", "understood"):
                continue
            told += 1
            assert not infos[f"_{name}"][~over].any(), f"info[{name!r}] is shown for a game that goes on"
            assert _empty(values, ~over), f"info[{name!r}] holds {values!r} for games that go on"
        if over[0]:
            break
    assert over[0] and not over[2] and told
    assert "secret" not in repr(vector)
    vector.close()


def _empty(values: Any, where: np.ndarray) -> bool:
    if isinstance(values, dict):
        return all(_empty(value, where) for name, value in values.items() if not name.startswith("_"))
    return all(not value for value in np.asarray(values)[where].tolist())


# -- partners that fail, agents that look around


@pytest.mark.parametrize("id", PARTNERS)
def test_a_failing_partners_error_and_log_tell_nothing(
    id: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """A recording that lacks the reply: the error names the request, and not what the partner knows."""
    caplog.set_level(logging.INFO)
    partner_prompt = gym.make(id).unwrapped.partner_prompt.name  # type: ignore[attr-defined]
    reply = {"text": "No.", "understood": True, "outcome": {}, "state": {}}
    file = tmp_path / "replies.jsonl"
    file.write_text(
        json.dumps({"key": "0", "role": partner_prompt, "model": "m", "text": "No.", "reply": reply, "attempts": 1})
        + "\n"
    )
    env: Any = gym.make(id, simulator=f"replay:{file}")
    failed = 0
    for seed in range(30):
        env.reset(seed=seed)
        question = "What is the thing that I should like to know about?"
        with pytest.raises(SimulatorError) as problem:
            env.step(question)
        failed += 1
        told = f"{problem.value} {problem.value!r} {env!r} {caplog.text} {''.join(capfd.readouterr())}"
        for hidden in hidden_names(id, env.unwrapped):
            assert not shown_forms(hidden, told), f"{hidden!r} shows in {told!r}"
    assert failed == 30


class Curious:
    """An agent that keeps everything it is handed."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.said: list[str] = []

    def act(self, requests: Any) -> list[str]:
        self.seen += [repr(request) for request in requests]
        said = [f"Is it {k}?" for k, _ in enumerate(requests)]
        self.said += said
        return said


@pytest.mark.parametrize("id", [id for id in IDS if "Chess" not in id])
def test_what_a_rollout_hands_to_an_agent_tells_nothing(id: str) -> None:
    """Requests hold the conversation, the task's words and the agent's own seed: no hidden name, and no seed of the game."""
    agent, env = Curious(), gym.make(id).unwrapped
    games = 13 if task(id).surface.turn_limit(env) == 1 else 6
    played = list(Rollout(agent, id, slots=3).play(range(games), 77))
    everything, instructions = " ".join(agent.seen), repr(env.instructions)  # type: ignore[attr-defined]
    assert len(agent.seen) > 12
    for game in played:
        assert str(game.seed) not in everything
        own = " ".join(seen for seen in agent.seen if f"episode={game.episode}," in seen).replace(instructions, "")
        for key in ("secret", "country", "room"):
            if key in game.info:
                assert not shown_forms(game.info[key], own), f"the {key} {game.info[key]!r} shows"


def test_a_planted_leak_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the search when it is coded, by the comparison when it is a number."""
    play_one = WordleEnv._play
    for form in (
        str.upper,
        lambda text: text[::-1],
        lambda text: base64.b64encode(b"<" + text.encode() + b">").decode(),
    ):

        def leaking(self: Any, action: str, form: Any = form) -> Any:
            text, reward, terminated, truncated, info = play_one(self, action)
            return text, reward, terminated, truncated, info | {"debug": form(self._answers[self._secret])}

        with monkeypatch.context() as patch:
            patch.setattr(WordleEnv, "_play", leaking)
            env: Any = gym.make("lmrl/Wordle-v0")
            env.reset(seed=1)
            info = env.step("zzzzz")[-1]
            assert shown_forms(env.unwrapped.get_state()["game"]["secret"], info["debug"])
    with monkeypatch.context() as patch:
        patch.setattr(WordleEnv, "__repr__", lambda self: f"<WordleEnv {self._secret % 7}>")
        with pytest.raises(AssertionError, match="games differ in"):
            test_games_that_answer_alike_are_alike_in_everything_an_agent_can_reach("lmrl/Wordle-v0")
