"""Text-Nav: the house against TextWorld's own environment, optimal play, random houses, refusals, a missing engine."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest

import lmrl_envs
from lmrl_envs import Transcript, make_policy, task
from lmrl_envs.text_nav.house import DEFAULT, GOAL_FOOD, LOST, MAX_ROOMS, MIN_ROOMS, ROOMS, WON, House, random_house
from lmrl_envs.text_nav.policies import available

pytest.importorskip("textworld")

FULL, PARTIAL = "lmrl/TextNavFullyObserved-v0", "lmrl/TextNavPartiallyObserved-v0"
OPTIMUM = {
    "living room": 6,
    "bedroom": 7,
    "office": 7,
    "dining room": 7,
    "bathroom": 8,
    "kitchen": 8,
    "garden": 9,
    "backyard": 9,
}
PLAN = [
    "take stale food from table",
    "go west",
    "go west",
    "open fridge",
    "insert stale food into fridge",
    "close fridge",
]


def make(id: str = FULL, **kwargs):
    return gym.make(id, **kwargs).unwrapped


def play(env, policy, seed: int | None = None, **options) -> int:
    """Play a whole game; returns its number of actions."""
    env.reset(seed=seed, options=options)
    over = False
    while not over:
        _, _, terminated, truncated, _ = env.step(policy.act(env.transcript))
        over = terminated or truncated
    return env.turn


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(p for p in sys.path if p)
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


# -- the default house


def test_layout() -> None:
    assert DEFAULT.exits == {
        "bedroom": {"south": "bathroom", "west": "living room"},
        "living room": {"east": "bedroom", "south": "office", "west": "dining room"},
        "dining room": {"east": "living room", "west": "kitchen"},
        "kitchen": {"east": "dining room", "north": "garden", "west": "backyard"},
        "garden": {"south": "kitchen"},
        "backyard": {"east": "kitchen"},
        "office": {"east": "bathroom", "north": "living room"},
        "bathroom": {"north": "bedroom", "west": "office"},
    }
    opening = DEFAULT.opening("garden")
    assert {("at", "P", "garden"), ("closed", "fridge"), ("closed", "chest"), ("in", "fruit", "fridge")} <= opening
    assert {("on", "stale food", "living room table"), ("on", "fresh food", "living room table")} <= opening


def test_observations_word_for_word() -> None:
    env = make()
    opening, _ = env.reset(options={"start": "living room"})
    assert opening == (
        "You are in the living room. A sofa faces the tall window.\n"
        "You carry nothing.\n"
        "You see: table (on it: fresh food, stale food).\n"
        "Exits: east, south, west.\n"
        "Available actions: [go east, go south, go west, take fresh food from table, take stale food from table]"
    )
    for action in PLAN[:4]:
        text, reward, terminated, truncated, info = env.step(action)
        assert (reward, terminated, truncated, info["valid"]) == (0.0, False, False, True)
    assert text == (
        "You are in the kitchen. Tiles shine around a spotless stove.\n"
        "You carry: stale food.\n"
        "You see: fridge (open, in it: fruit).\n"
        "Exits: east, north, west.\n"
        "You open the fridge.\n"
        "Available actions: [close fridge, drop stale food, eat stale food, go east, go north, go west, "
        "insert stale food into fridge, take fruit from fridge]"
    )


def test_partial_observation_leaves_out_room_and_hands() -> None:
    env = make(PARTIAL)
    opening, _ = env.reset(options={"start": "kitchen"})
    assert opening == (
        "You see: fridge (closed).\nExits: east, north, west.\n"
        "Available actions: [go east, go north, go west, open fridge]"
    )
    play(env, make_policy(PARTIAL, "suboptimal", seed=1), seed=5)
    for text in env.transcript.observations:
        assert not any(room in text for room in ROOMS) and "carry" not in text
        assert not any(description in text for description in ROOMS.values())


def test_win_pays_once() -> None:
    env = make()
    env.reset(options={"start": "living room"})
    steps = [env.step(action) for action in PLAN]
    assert [step[1] for step in steps] == [0, 0, 0, 0, 0, 1]
    text, _, terminated, truncated, info = steps[-1]
    assert terminated and not truncated and info["success"]
    assert text.endswith("You win.\nAvailable actions: []")


def test_goal_needs_the_closed_fridge_and_the_stale_food() -> None:
    env = make()
    env.reset(options={"start": "kitchen"})
    for action in ("open fridge", "close fridge", "open fridge", "take fruit from fridge", "insert fruit into fridge"):
        _, reward, terminated, _, _ = env.step(action)
        assert reward == 0 and not terminated


def test_eating_the_stale_food_loses_and_other_food_does_not() -> None:
    env = make()
    env.reset(options={"start": "living room"})
    env.step("take fresh food from table")
    _, _, terminated, _, info = env.step("eat fresh food")
    assert not terminated and info["valid"]
    env.step("take stale food from table")
    text, reward, terminated, truncated, info = env.step("eat stale food")
    assert (reward, terminated, truncated, info["success"]) == (0.0, True, False, False)
    assert "You lose." in text


def test_inadmissible_commands_are_refused_and_cost_a_turn() -> None:
    env = make(max_moves=6)
    env.reset(options={"start": "kitchen"})
    before = env.get_state()["game"]
    for turn, action in enumerate(["go south", "open chest", "look", "inventory", ""], start=1):
        text, reward, terminated, truncated, info = env.step(action)
        refusal = "That cannot be done here and now." if turn <= 2 else "That is not a command."
        assert refusal in text and "You are in the kitchen." in text
        assert (reward, terminated, truncated, info) == (0.0, False, False, {"valid": False, "turn": turn})
        assert env.get_state()["game"] == before
    _, _, terminated, truncated, info = env.step("open chest")
    assert truncated and not terminated and info["success"] is False


def test_actions_are_read_without_case_and_extra_space() -> None:
    env = make()
    env.reset(options={"start": "living room"})
    assert env.step("  Take   STALE food\tfrom table\n")[4]["valid"]
    assert not env.step("take stale food from table, go west")[4]["valid"]


def test_truncated_after_fifty() -> None:
    env = make()
    env.reset(options={"start": "office"})
    ends = [env.step("wait")[2:4] for _ in range(50)]
    assert ends == [(False, False)] * 49 + [(False, True)]


def test_starts_are_uniform_and_can_be_pinned() -> None:
    env = make()
    env.reset(seed=0)
    seen = []
    for _ in range(800):
        env.reset()
        seen.append(env._scene.room)
    counts = [seen.count(room) for room in OPTIMUM]
    assert sum(counts) == 800 and min(counts) > 60 and max(counts) < 145
    for room in OPTIMUM:
        assert f"You are in the {room}." in env.reset(options={"start": room})[0]


@pytest.mark.parametrize("start", ["Kitchen", "living_room", "attic", "", None, 3, ["kitchen"]])
def test_unknown_starts_are_refused(start) -> None:
    with pytest.raises(ValueError, match="'dining room'"):
        make().reset(seed=0, options={"start": start})


def test_wrong_arguments_say_what_is_allowed() -> None:
    for layout in ("palace", "random:3", "random:13", "random:", "random:5x5", "random:٦", None, 6):
        with pytest.raises(ValueError, match="random:<rooms>"):
            make(layout=layout)
        with pytest.raises(ValueError, match="random:<rooms>"):
            make_policy(FULL, "expert", layout=layout)
    with pytest.raises(ValueError, match="partial"):
        make(observability="none")
    with pytest.raises(ValueError, match="max_moves"):
        make(max_moves=0)


def test_render_draws_the_map() -> None:
    env = make(render_mode="ansi")
    assert "no game" in env.render()
    text, _ = env.reset(options={"start": "office"})
    assert [f"- {action}" for action in available(text)] == env.render().split("\n")[-len(available(text)) :]
    assert "[*" not in env.render()  # the map is shown when the game is over
    env = make(render_mode="ansi", max_moves=1)
    env.reset(options={"start": "office"})
    env.step("look")
    drawing = env.render()[env.render().index("  ") :]
    assert "[*office*]" in drawing and all(f"[{room}]" in drawing for room in OPTIMUM if room != "office")
    top, *rest = drawing.split("\n")
    assert "[garden]" in top and rest[1].index("[kitchen]") < rest[1].index("[living room]")


# -- the rules are TextWorld's


def saved_game(house: House, start: str, path: str) -> str:
    """The house as a TextWorld game, built with its own maker, with the goal as a quest."""
    from textworld import GameMaker
    from textworld.generator.game import Event, Quest

    maker = GameMaker()
    rooms = {name: maker.new_room(name) for name in house.rooms}
    maker.set_player(rooms[start])
    for here, ways in house.exits.items():
        for way, there in ways.items():
            if way in ("east", "south"):
                opposite = {"east": "west", "south": "north"}[way]
                maker.connect(getattr(rooms[here], way), getattr(rooms[there], opposite))
    made = {}
    for piece in house.furniture:
        made[piece.name] = maker.new(piece.kind, name=piece.shown)
        if piece.kind == "c":
            made[piece.name].add_property("closed")
        rooms[piece.room].add(made[piece.name])
    for thing, where in house.things.items():
        made[thing] = maker.new(house.kinds[thing], name=thing)
        made[where].add(made[thing])
    food, fridge = made[GOAL_FOOD], made["fridge"]
    won = Event(conditions={maker.new_fact("in", food, fridge), maker.new_fact("closed", fridge)})
    lost = Event(conditions={maker.new_fact("eaten", food)})
    maker.quests = [Quest(win_events=[won], fail_events=[lost])]
    maker.build(validate=False).save(path)
    return path


@pytest.mark.parametrize("layout", ["default", "random:7"])
def test_same_commands_and_ends_as_textworlds_own_environment(layout, tmp_path) -> None:
    import textworld

    ends = set()
    env = make(layout=layout)
    for episode in range(12 if layout == "default" else 6):
        env.reset(seed=episode)
        rng, policy = random.Random(episode), make_policy(FULL, "suboptimal", seed=episode, layout=layout)
        house, start = env._engine.house, env._scene.room
        path = saved_game(house, start, str(tmp_path / f"{episode}.json"))
        original = textworld.start(path, textworld.EnvInfos(admissible_commands=True, won=True, lost=True))
        state, over = original.reset(), False
        while not over:
            theirs = [x for x in state.admissible_commands if not x.startswith(("examine", "look", "inventory"))]
            assert theirs == available(env.transcript[-1].text)
            action = rng.choice(theirs) if rng.random() < 0.5 else policy.act(env.transcript)
            _, reward, terminated, truncated, info = env.step(action)
            state, _, _ = original.step(action)
            assert (state.won, state.lost) == (terminated and info["success"], terminated and not info["success"])
            assert reward == float(state.won)
            over = terminated or truncated
        ends.add((state.won, state.lost))
        original.close()
    assert len(ends) >= 2


def test_scene_of_a_room_is_all_that_the_rules_look_at() -> None:
    """The engine is given the player's surroundings only; with all facts of the house it finds the same commands."""
    from lmrl_envs.text_nav.engine import Engine, _textworld

    logic, knowledge = _textworld()
    engine, rng = Engine(DEFAULT), random.Random(3)
    facts = DEFAULT.opening("bedroom")
    everywhere = [engine._proposition(fact) for fixed in DEFAULT.fixed.values() for fact in fixed]
    for _ in range(150):
        state = logic.State(knowledge.logic, [*everywhere, *map(engine._proposition, facts)])
        found = state.all_applicable_actions(knowledge.rules.values(), knowledge.types.constants_mapping)
        commands = engine.scene(facts).commands
        assert sorted(dict(engine._command(a) for a in found if a.name.split("/")[0] not in IDLE)) == list(commands)
        facts = rng.choice(list(commands.values())).apply(facts)


IDLE = {"look", "inventory", "examine"}


def test_rules_in_the_working_directory_are_not_read(tmp_path) -> None:
    (tmp_path / "textworld_data" / "logic").mkdir(parents=True)
    (tmp_path / "textworld_data" / "text_grammars").mkdir()
    code = (
        f"import os; os.chdir({str(tmp_path)!r})\n"
        f"import gymnasium as gym, lmrl_envs; print(gym.make({FULL!r}).reset(options={{'start': 'office'}})[0])"
    )
    assert "open chest" in run(code).stdout


# -- optimal play


@pytest.mark.parametrize("id", [FULL, PARTIAL])
@pytest.mark.parametrize("start", OPTIMUM)
def test_expert_is_optimal_from_every_start(id, start) -> None:
    env = make(id)
    assert play(env, make_policy(id, "expert"), start=start) == OPTIMUM[start]
    assert env.transcript.episode_return == 1.0 == task(id).reference.optimum


@pytest.mark.parametrize("start", OPTIMUM)
def test_no_shorter_play_exists(start) -> None:
    """All states of the whole house within the optimal number of commands."""
    from lmrl_envs.text_nav.engine import default_engine

    engine = default_engine()
    layer = seen = {DEFAULT.opening(start)}
    commands = 0
    while not any(facts >= WON for facts in layer):
        commands += 1
        layer = {effect.apply(facts) for facts in layer for effect in engine.scene(facts).commands.values()} - seen
        layer = {facts for facts in layer if LOST not in facts}
        assert layer
        seen = seen | layer
    assert commands == OPTIMUM[start]


def test_last_full_observation_is_enough_for_optimal_play() -> None:
    class Forgetful:
        def act(self, transcript):
            text = transcript[-1].text
            actions, room = available(text), next(r for r in OPTIMUM if text.startswith(f"You are in the {r}."))
            if "take stale food from fridge" in actions:
                return "close fridge"
            for wanted in ("insert stale food into fridge", "take stale food from table"):
                if wanted in actions:
                    return wanted
            if "drop stale food" in actions and "open fridge" in actions:
                return "open fridge"
            east = ("garden", "backyard", "kitchen", "dining room")
            if "drop stale food" in actions:
                return "go west"
            return {"garden": "go south", "office": "go north", "bathroom": "go west"}.get(
                room, "go east" if room in east else "go west"
            )

    env = make(FULL)
    assert {start: play(env, Forgetful(), start=start) for start in OPTIMUM} == OPTIMUM
    assert task(FULL).context == "last" and task(PARTIAL).context == "all"


def test_expert_recovers_from_what_others_did() -> None:
    env, expert = make(PARTIAL), make_policy(PARTIAL, "expert")
    env.reset(options={"start": "living room"})
    mess = ["take stale food from table", "go south", "open chest", "insert stale food into chest", "close chest"]
    for action in [*mess, "go east", "go north"]:
        assert env.step(action)[4]["valid"]
    while env._live:
        env.step(expert.act(env.transcript))
    assert env.transcript.rewards[-1] == 1.0 and env.turn < 22


def test_policies_are_ordered_and_survive_odd_transcripts() -> None:
    means = {}
    for name in ("random", "suboptimal", "expert"):
        env = make(PARTIAL)
        returns = []
        for seed in range(60):
            play(env, make_policy(PARTIAL, name, seed=seed), seed=seed)
            returns.append(env.transcript.episode_return)
        means[name] = np.mean(returns)
        for text in ("", "hello", "Available actions: []", "Available actions: [go up, fly]"):
            assert isinstance(make_policy(PARTIAL, name).act(Transcript.from_texts([text], [])), str)
    assert means["random"] < 0.1 < means["suboptimal"] < 0.9 < means["expert"] == 1.0


def test_mixed_recipe_has_the_published_statistics() -> None:
    """LMRL-Gym's Table 1: length 12.2 +- 8.77, success .26, return .258 +- .424."""
    env, lengths, returns, halves = make(), [], [], {True: [], False: []}
    for seed in range(1500):
        env.reset(seed=seed)
        policy = make_policy(FULL, "mixed", seed=seed)
        while env._live:
            action = policy.act(env.transcript)
            if action is None:
                break
            env.step(action)
        lengths.append(env.turn)
        returns.append(env.transcript.episode_return)
        halves[policy.first].append(returns[-1])
    assert np.mean(lengths) == pytest.approx(12.2, rel=0.06)
    assert np.std(lengths) == pytest.approx(8.77, rel=0.06)
    assert np.mean(returns) == pytest.approx(0.26, abs=0.035)
    assert np.mean(halves[True]) < 0.05 < 0.9 < np.mean(halves[False])  # what is to be stitched
    with pytest.raises(ValueError, match="default"):
        make_policy(FULL, "mixed", layout="random:5")


# -- random houses


@pytest.mark.parametrize("rooms", [MIN_ROOMS, 8, MAX_ROOMS])
@pytest.mark.parametrize("id", [FULL, PARTIAL])
def test_random_houses_are_solved_by_the_expert(id, rooms) -> None:
    env = make(id, layout=f"random:{rooms}")
    layouts = set()
    for seed in range(30):
        play(env, make_policy(id, "expert", seed=seed, layout=f"random:{rooms}"), seed=seed)
        assert env.transcript.episode_return == 1.0, f"seed {seed}"
        house = env._engine.house
        assert len(house.rooms) == rooms
        layouts.add(json.dumps([house.exits, house.things]))
    assert len(layouts) == 30


def test_random_houses_are_sound() -> None:
    chests = 0
    for seed in range(300):
        house = random_house(4 + seed % 9, seed)
        reached, frontier = {house.rooms[0]}, [house.rooms[0]]
        while frontier:
            for there in house.exits[frontier.pop()].values():
                if there not in reached:
                    reached.add(there)
                    frontier.append(there)
        assert reached == set(house.rooms)
        assert len(set(house.places.values())) == len(house.rooms)
        where = {piece.name: piece.room for piece in house.furniture}
        assert len(where) == len(house.furniture)
        assert where[house.things[GOAL_FOOD]] != where["fridge"]
        chests += house.things[GOAL_FOOD] == "chest"
    assert 10 < chests < 150


def test_random_house_survives_save_and_restore() -> None:
    env = make(layout="random:9")
    env.reset(seed=4)
    expert = make_policy(FULL, "expert", layout="random:9")
    for _ in range(3):
        env.step(expert.act(env.transcript))
    saved = json.loads(json.dumps(env.get_state()))
    twin, other = env.clone(), make(layout="random:9")
    other.set_state(saved)
    drawing = env._draw()
    ends = []
    for game in (env, twin, other):
        assert game._draw() == drawing
        ends.append([])
        while game._live:
            ends[-1].append(game.step(expert.act(game.transcript)))
        ends[-1].append(game.reset())
    assert ends[0] == ends[1] == ends[2] and len(ends[0]) > 2


def test_start_of_a_random_house_is_one_of_its_rooms() -> None:
    env = make(layout="random:5")
    with pytest.raises(ValueError, match="start='no room'"):
        env.reset(seed=1, options={"start": "no room"})
    env.reset(seed=1)
    room = env._engine.house.rooms[3]
    assert f"You are in the {room}." in env.reset(seed=1, options={"start": room})[0]


_TRANSCRIPTS = """
import json, sys
import gymnasium as gym, lmrl_envs
def games():
    for layout in ("default", "random:4", "random:12"):
        for policy in ("suboptimal", "expert", "random"):
            env = gym.make({id!r}, layout=layout, render_mode="ansi").unwrapped
            for seed in range(4):
                env.reset(seed=seed)
                player = lmrl_envs.make_policy({id!r}, policy, seed=seed, layout=layout)
                while env._live:
                    env.step(player.act(env.transcript))
                yield [env.transcript, env.render(), env.get_state()["game"]]
print(json.dumps(list(games())))
"""


def test_games_do_not_depend_on_the_hash_seed() -> None:
    code = _TRANSCRIPTS.format(id=FULL)
    first, second = (run(code, PYTHONHASHSEED=seed).stdout for seed in ("1", "4242"))
    assert first and first == second


# -- the engine as an optional extra

_BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "textworld":
            raise ModuleNotFoundError("No module named 'textworld'", name="textworld")
{block}
import gymnasium as gym, lmrl_envs
for id in ("lmrl/TextNavFullyObserved-v0", "lmrl/TextNavPartiallyObserved-v0"):
    assert id in lmrl_envs.task_ids() and lmrl_envs.task(id).extra == "textworld"
    lmrl_envs.make_policy(id, "expert")
    for make in (gym.make, lambda id: gym.make_vec(id, num_envs=2, vectorization_mode="vector_entry_point")):
        try:
            make(id)
        except gym.error.DependencyNotInstalled as error:
            print(error)
gym.make("lmrl/Wordle-v0").reset()
"""


@pytest.mark.parametrize("block", ["sys.meta_path.insert(0, Block())", "sys.modules['textworld'] = None"])
def test_without_textworld(block) -> None:
    result = run(_BLOCKED.format(block=block))
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == 4
    assert all('pip install "lmrl[textworld]"' in line and "GPL" in line for line in lines)


def test_broken_textworld_is_told_at_the_first_game(tmp_path) -> None:
    (tmp_path / "textworld.py").write_text("raise ImportError('libjericho.so: cannot open')")
    code = f"""
import sys; sys.path.insert(0, {str(tmp_path)!r})
import gymnasium as gym, lmrl_envs
env = gym.make({FULL!r})
try:
    env.reset(seed=0)
except gym.error.DependencyNotInstalled as error:
    print(error)
"""
    assert "libjericho.so" in run(code).stdout


def test_textworld_is_imported_with_the_first_game_and_leaves_global_random_states_alone() -> None:
    code = f"""
import random, sys, warnings
warnings.simplefilter("error")
import numpy as np, gymnasium as gym, lmrl_envs
env = gym.make({FULL!r}, disable_env_checker=True)
assert "textworld" not in sys.modules
before = random.getstate(), np.random.get_state()[1].tobytes()
env.reset(seed=0)
assert "textworld" in sys.modules
assert before == (random.getstate(), np.random.get_state()[1].tobytes())
print("fine")
"""
    result = run(code)
    assert (result.stdout, result.stderr) == ("fine\n", "")


def test_rows() -> None:
    for id in (FULL, PARTIAL):
        row = task(id)
        assert row.family == "text_nav" and row.return_range == (0.0, 1.0)
        assert lmrl_envs.normalized_score(id, 0.26, "lmrl") == pytest.approx(50)
        for name in ("random", "suboptimal", "expert", "mixed"):
            assert name in row.policy_names
