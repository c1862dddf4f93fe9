"""Transcript, wrappers, and the public checker: it must find every kind of breach."""

from __future__ import annotations

import copy
import random
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from lmrl_envs import PartnerTextEnv, SimulatorError, TextEnv, TextVectorEnv, Transcript, Turn, check_text_env
from lmrl_envs.core import MAX_ACTION_LENGTH, FreeText, Outcome, draw_index
from lmrl_envs.seeding import episode_seed
from lmrl_envs.wrappers import Candidates, ChatObservation, RecordTrajectories, TranscriptObservation


class Guess(TextEnv):
    """Guess a digit in three tries: small, and right."""

    instructions = "Guess a digit."
    option_keys = frozenset({"digit"})

    def _begin(self, options):
        self._digit = options.get("digit", draw_index(self.np_random, 10))
        if self._digit not in range(10):
            raise ValueError(f"digit={self._digit!r} must be 0 to 9")
        return "Which digit?"

    def _play(self, action: str) -> Outcome:
        last = len(self._rewards) + 1 >= 3
        if action == str(self._digit):
            return "right", 0.0, True, False, {"valid": True}
        return "wrong", -1.0, last, False, {"valid": action.isdigit() and len(action) == 1}

    def _reveal(self):
        return {"success": self._rewards[-1] == 0.0, "digit": self._digit}

    def _get_game(self):
        return {"digit": self._digit}

    def _set_game(self, state):
        self._digit = state["digit"]


def test_the_checker_passes_a_right_environment() -> None:
    check_text_env(Guess(), actions=[str(i) for i in range(10)])


class GlobalRandom(Guess):
    def _begin(self, options):
        self._digit = random.randrange(10)
        return "Which digit?"


class GlobalNumpy(Guess):
    def _play(self, action):
        np.random.random()  # noqa: NPY002
        return super()._play(action)


class OwnClock(Guess):
    counter = 0

    def _begin(self, options):
        type(self).counter += 1
        super()._begin(options)
        return f"Game {self.counter}"


class Leaky(Guess):
    def _play(self, action):
        outcome = super()._play(action)
        outcome[4]["digit"] = self._digit
        return outcome


class Telling(Guess):
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

    def _begin(self, options):
        super()._begin(options)
        return f"Not {self.words[self._digit]}-teen?"

    def _reveal(self):
        return {**super()._reveal(), "word": self.words[self._digit] + "-teen"}


class BothEnds(Guess):
    def _play(self, action):
        text, reward, terminated, _, info = super()._play(action)
        return text, reward, terminated, terminated, info


class Forgetful(Guess):
    def _get_game(self):
        return {"digit": 0}


class SharedState(Guess):
    def _begin(self, options):
        text = super()._begin(options)
        if not hasattr(self, "_said"):
            self._said = []
        self._said.clear()
        return text

    def _play(self, action):
        self._said.append(action)
        outcome = super()._play(action)
        return (f"{outcome[0]} {len(self._said)}", *outcome[1:])


class Raising(Guess):
    def _play(self, action):
        action.encode("ascii")
        return super()._play(action)


class Easy(Guess):
    def _play(self, action):
        if "won" in action or len(action) == 0:
            return "right", 0.0, True, False, {"valid": True}
        return super()._play(action)


class Endless(Guess):
    def _play(self, action):
        return "wrong", -1.0, False, False, {"valid": False}


class Silent(Guess):
    instructions = ""


class IntegerReward(Guess):
    def _play(self, action):
        text, reward, *rest = super()._play(action)
        return (text, int(reward), *rest)


@pytest.mark.parametrize(
    "broken",
    [
        GlobalRandom,
        GlobalNumpy,
        OwnClock,
        Leaky,
        Telling,
        BothEnds,
        Forgetful,
        SharedState,
        Raising,
        Easy,
        Endless,
        Silent,
        IntegerReward,
    ],
)
def test_the_checker_finds_a_breach(broken: type[Guess]) -> None:
    with pytest.raises((AssertionError, UnicodeEncodeError)):
        check_text_env(broken(), actions=[str(i) for i in range(10)], episodes=8)


def test_the_checker_refuses_other_environments() -> None:
    with pytest.raises(AssertionError, match="TextEnv"):
        check_text_env(gym.make("FrozenLake-v1"))


def test_long_actions_are_kept_cut_and_invalid() -> None:
    env = Guess()
    env.reset(seed=0)
    info = env.step("7" * (MAX_ACTION_LENGTH + 1))[4]
    assert info["valid"] is False and len(env.transcript.actions[0]) == MAX_ACTION_LENGTH


def test_states_of_other_tasks_and_versions_are_refused() -> None:
    env = Guess()
    env.reset(seed=0)
    state = env.get_state()
    for wrong in ({**state, "task": "Chess"}, {**state, "version": 99}, {}):
        with pytest.raises(ValueError, match="state"):
            env.set_state(wrong)


def test_a_failed_reset_does_not_leave_a_game_open() -> None:
    env = Guess()
    env.reset(seed=0)
    with pytest.raises(ValueError):
        env.reset(options={"digit": 12})
    with pytest.raises(gym.error.ResetNeeded):
        env.step("1")


def test_transcript_views() -> None:
    transcript = Transcript.from_texts(["hello", "one", "no", "two", "yes"], [-1.0, 0.0])
    assert transcript == (
        Turn("hello", False),
        Turn("one", True, -1.0),
        Turn("no", False),
        Turn("two", True, 0.0),
        Turn("yes", False),
    )
    assert transcript.observations == ("hello", "no", "yes") and transcript.actions == ("one", "two")
    assert transcript.rewards == (-1.0, 0.0) and transcript.episode_return == -1.0
    assert transcript.as_text() == "hello\none\nno\ntwo\nyes"
    assert [m["role"] for m in transcript.as_messages("rules")] == [
        "system",
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
    ]
    with pytest.raises(AttributeError):
        transcript[0].text = "changed"  # type: ignore[misc]


def test_free_text_space() -> None:
    space = FreeText(10, seed=1)
    assert space.contains("") and space.contains("\N{GRINNING FACE}" * 10) and not space.contains("x" * 11)
    assert not space.contains(3) and not space.contains(b"x")
    assert all(space.contains(space.sample()) for _ in range(50))
    assert isinstance(space, gym.spaces.Text) and FreeText(10) == space and FreeText(11) != space


def test_copies_of_a_space_share_its_characters_and_not_its_random_numbers() -> None:
    space = FreeText(10, seed=1)
    twin = copy.deepcopy(space)
    assert twin == space and twin._char_index is space._char_index
    samples = [twin.sample() for _ in range(5)]
    assert [space.sample() for _ in range(5)] == samples  # the copy's draws were none of the original's
    batch = gym.vector.utils.batch_space(FreeText(10, seed=1), 3)
    assert len(set(batch.sample())) == 3


def test_chat_observation() -> None:
    env = ChatObservation(gym.make("lmrl/Wordle-v0"))
    first, _ = env.reset(seed=1)
    assert [m["role"] for m in first] == ["system", "user"] and "five letters" in first[0]["content"]
    second, *_ = env.step("crane")
    assert first == second[:2] and len(first) == 2  # what was handed out does not change
    assert second[2] == {"role": "assistant", "content": "crane"} and second[3]["role"] == "user"
    assert list(second) == env.unwrapped.transcript.as_messages(env.unwrapped.instructions)
    assert env.observation_space.contains(second)
    env.step("x" * 9000)
    again, _ = env.reset(seed=1)
    assert again == first


def test_transcript_observation() -> None:
    env = TranscriptObservation(gym.make("lmrl/MazePartiallyObserved-v0"))
    env.reset(seed=1)
    for action in ("move up", "move left", "y" * 9000):
        text, *_ = env.step(action)
        assert text == env.unwrapped.transcript.as_text()


def test_wrappers_need_a_text_environment() -> None:
    for wrapper in (ChatObservation, TranscriptObservation, RecordTrajectories):
        with pytest.raises(TypeError):
            wrapper(gym.make("CartPole-v1"))


def test_recorded_trajectories() -> None:
    env = RecordTrajectories(gym.make("lmrl/Wordle-v0"))
    env.reset(seed=3, options={"secret": "crash"})
    env.step("clear")
    env.reset(seed=4)  # the game before was cut short
    for _ in range(6):
        env.step("zzzzz")
    env.reset()
    env.close()
    cut, whole = env.trajectories
    assert (cut.terminated, cut.truncated, cut.seed, cut.options) == (False, False, 3, {"secret": "crash"})
    assert whole.terminated and whole.seed == 4 and whole.episode_return == -6 and whole.info["secret"]


def test_streams_of_seeds_are_apart() -> None:
    seeds = {
        episode_seed(s, b, i)
        for s in ("data", "train", "evaluation", "validation")
        for b in range(5)
        for i in range(50)
    }
    assert len(seeds) == 4 * 5 * 50 and all(0 <= seed < 2**62 for seed in seeds)
    assert episode_seed("data", 0, 0) == episode_seed("data", 0, 0)


def test_vector_observations_are_kept_apart_from_later_steps() -> None:
    vector: Any = gym.make_vec("lmrl/Wordle-v0", num_envs=3, vectorization_mode="vector_entry_point")
    vector.reset(seed=0)
    texts, rewards, terminated, *_ = vector.step(["crane"] * 3)
    kept = (texts, rewards.copy(), terminated.copy())
    rewards[:] = 99
    vector.step(["about"] * 3)
    assert texts == kept[0] and np.array_equal(terminated, kept[2])
    assert vector.transcript(0).rewards[0] != 99


class Moody:
    """A partner whose reply to "bad" is unusable."""

    def reply(self, requests):
        return list(requests)

    def close(self):
        pass


class Echo(PartnerTextEnv):
    instructions = "Say something."

    def __init__(self, render_mode=None):
        super().__init__(render_mode=render_mode)
        self.partner = Moody()

    def _begin(self, options):
        self._said = 0
        return "hello"

    def _ask(self, action):
        return action

    def _answer(self, action, reply):
        if reply == "bad":
            raise SimulatorError("no usable reply to 'bad'")
        self._said = self._said + 1
        return f"{self._said}", -1.0, False, self._said >= 3, {"valid": True}

    def _reveal(self):
        return {"success": False}

    def _get_game(self):
        return {"said": self._said}

    def _set_game(self, state):
        self._said = state["said"]


class EchoVector(TextVectorEnv):
    env_class = Echo


def test_a_failing_simulator_leaves_every_game_of_a_batch_as_it_was() -> None:
    vector = EchoVector(3)
    vector.reset(seed=0)
    vector.step(["a", "b", "c"])
    with pytest.raises(SimulatorError):
        vector.step(["d", "bad", "e"])
    assert [len(t.actions) for t in vector.transcripts] == [1, 1, 1]
    assert vector.step(["d", "f", "e"])[0] == ("2", "2", "2")


def test_a_step_that_skips_every_slot() -> None:
    for id in ("lmrl/Wordle-v0", "lmrl/MazeFullyObserved-v0", "lmrl/CarDealer-v1"):
        vector: Any = gym.make_vec(id, num_envs=2, vectorization_mode="vector_entry_point")
        vector.reset(seed=np.array([1, 2]))
        texts, rewards, *_ = vector.step([None, None])
        assert texts == ("", "") and rewards.tolist() == [0, 0]


@pytest.mark.parametrize("id", ["lmrl/Wordle-v0", "lmrl/MazeFullyObserved-v0"])
def test_a_slot_that_waits_does_not_keep_the_log_of_all_others(id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmrl_envs.vector.LONGEST_LOG", 40)
    vector = gym.make_vec(id, num_envs=3, vectorization_mode="vector_entry_point").unwrapped
    singles = [gym.make(id) for _ in range(3)]
    vector.reset(seed=5)
    for k, env in enumerate(singles):
        env.reset(seed=5 + k)
    over = np.zeros(3, bool)
    for turn in range(150):
        # The first slot plays one action and then waits; the second plays on; the third seldom acts.
        acting = [turn == 0, not over[1], turn % 7 == 0 and not over[2]]
        actions = ["crane" if act else None for act in acting]
        vector.step(actions)
        for k, action in enumerate(actions):
            if action is not None:
                over[k] = any(singles[k].step(action)[2:4])
        assert vector.transcripts == tuple(env.unwrapped.transcript for env in singles)
        assert len(vector._log) < 40
        if over[1]:
            vector.reset(options={"reset_mask": np.array([False, True, False])})
            singles[1].reset()
            over[1] = False
    assert len(vector.transcript(0)) == 3


def test_an_environment_is_shown_by_class_and_id() -> None:
    assert repr(gym.make("lmrl/Wordle-v0").unwrapped) == "WordleEnv(lmrl/Wordle-v0)"
    assert repr(Guess()) == "Guess()"


# -- candidates


def offered(id: str, seed: int, **kwargs):
    env = Candidates(gym.make(id), **kwargs)
    text, info = env.reset(seed=seed)
    texts, sets, logged, over = [text], [info["candidates"]], [], False
    while not over and len(texts) < 12:
        action = sets[-1][0] if len(sets) % 2 else "something else"
        text, _, terminated, truncated, info = env.step(action)
        over = terminated or truncated
        texts.append(text)
        logged.append(info["logged"])
        if not over:
            sets.append(info["candidates"])
    return texts, sets, logged


@pytest.mark.parametrize("id", ["lmrl/Chat-v0", "lmrl/TwentyQuestions-v1", "lmrl/Negotiation-v0"])
def test_candidates_change_and_change_nothing_about_the_game(id):
    texts, sets, logged = offered(id, 4)
    assert (texts, sets, logged) == offered(id, 4)
    assert all(len(own) == len(set(own)) >= 2 for own in sets) and len(set(sets)) > 1
    assert logged == [i % 2 == 0 for i in range(len(logged))]
    plain = gym.make(id)
    again = [plain.reset(seed=4)[0]]
    for i, own in zip(range(len(texts) - 1), sets, strict=False):
        again.append(plain.step(own[0] if i % 2 == 0 else "something else")[0])
    assert again == texts


def test_candidates_that_cannot_be_made():
    with pytest.raises(ValueError, match="no policy 'nobody'"):
        Candidates(gym.make("lmrl/Chat-v0"), providers=("nobody",))
    with pytest.raises(ValueError, match="chance"):
        Candidates(gym.make("lmrl/Chat-v0"), chance=0)
    assert len(offered("lmrl/Chat-v0", 0, providers=("expert",))[1][0]) == 1
