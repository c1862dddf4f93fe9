"""CHAI: each formula by numbers worked out by hand, each difference of the public code, and a small agent from end to end."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch

from lmrl_agents import AgentError, load_agent
from lmrl_agents.algorithms import chai
from lmrl_agents.algorithms.chai import (
    AS_CODED,
    METHODS,
    Config,
    backup,
    conservative,
    drawn_price,
    log_density,
    penalised,
    price_moves,
    rewards_of,
)
from lmrl_agents.learning.run import TrainingError, TrainingRun
from lmrl_agents.learning.session import Session
from lmrl_agents.learning.talks import Talks, cached_talks
from lmrl_agents.learning.train import train
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.utterances import UtteranceConfig, UtteranceValues, facts_of, price_grid
from lmrl_agents.playing import utterance_agent
from lmrl_agents.playing.protocol import Request
from lmrl_agents.playing.utterance_agent import Proposal, Reader
from lmrl_envs import Transcript, make_policy, task
from lmrl_envs.surface import Position

ID = "lmrl/Negotiation-v0"


# -- the formulas


@pytest.mark.parametrize(("draws", "wanted"), [(1, 0.9), (2, 1.47), (5, 2.31339)])
def test_the_backup_over_proposals_is_the_order_statistic(draws: int, wanted: float) -> None:
    """Q = 0, 1, 3 of utterances that are proposed with .5, .3, .2."""
    q, chance = torch.tensor([0.0, 1.0, 3.0]), torch.tensor([0.5, 0.3, 0.2])
    picks = torch.tensor(list(itertools.product(range(3), repeat=draws)))
    expected = (chance[picks].prod(dim=1) * backup(q[picks], drawn=False)).sum()
    assert expected.item() == pytest.approx(wanted, abs=1e-5)


def test_as_coded_the_backup_draws_one_proposal_from_softmax() -> None:
    q = torch.tensor([[0.0, 1.0, 3.0]]).repeat(20_000, 1)
    seen = backup(q, drawn=True, generator=torch.Generator().manual_seed(0))
    assert set(seen.tolist()) == {0.0, 1.0, 3.0}
    assert seen.mean().item() == pytest.approx((torch.softmax(q[0], 0) * q[0]).sum().item(), abs=0.02)  # 2.646, not 3
    assert torch.equal(backup(q[:1], drawn=False), torch.tensor([3.0]))
    prices = drawn_price(torch.tensor([1.0, 1.0]), torch.tensor([0.0, 1.0]))
    assert prices.tolist() == pytest.approx([1.0, 0.7])


def test_the_conservative_term_is_exact_and_as_coded_pushes_everything_down() -> None:
    others, data = torch.tensor([[0.6, 0.7, 0.8, 0.9]]), torch.tensor([0.8])  # Q of four prices of a grid
    exact = np.log(np.exp([0.6, 0.7, 0.8, 0.9]).sum()) - 0.8
    assert conservative(others, data).item() == pytest.approx(exact, abs=1e-6)
    assert conservative(others, data, push_down=True).item() == pytest.approx(exact + 0.8, abs=1e-6)
    taken = data.clone().requires_grad_(True)
    conservative(others, taken).backward()
    assert taken.grad is not None
    assert taken.grad.item() == -1  # the data's is held up; as coded nothing does
    assert not conservative(others, data.clone().requires_grad_(True), push_down=True).requires_grad


def test_a_likelier_price_raises_the_target_and_as_coded_lowers_it() -> None:
    partner = torch.tensor([0.6, 0.6])
    likely = log_density(torch.tensor([0.691 + 0.207 * 0.6, 1.2]), partner)
    assert likely[0].item() == pytest.approx(-0.9189385)
    assert likely[0] > likely[1]
    assert likely[0] - likely[1] < 0.1  # of deviation 1, it is nearly flat
    assert log_density(torch.tensor([9.0]), partner[:1]).item() == -10
    same = torch.zeros(2)
    right, coded = penalised(same, likely, 1.0), penalised(same, likely, 1.0, as_coded=True)
    assert right[0] > right[1]
    assert coded[0] < coded[1]


def test_the_reward_and_the_grid() -> None:
    shares = np.array([0.8, 0.49, 1.51, 1.0, 0.8])
    assert rewards_of(shares, np.array([1, 1, 1, 1, 0], bool), 0.5).tolist() == pytest.approx([-2, -20, -20, 0, -20])
    assert price_grid(0.6, 1.0) == pytest.approx([0.6, 0.7, 0.8, 0.9, 1.0])


def test_the_price_penalty_fires_where_the_price_falls_and_as_coded_where_it_rises() -> None:
    own, said = np.array([0.9, 0.9, 0.9, 0.9]), np.array([0.8, 0.9, 1.0, np.nan])
    assert price_moves(own, said, 2.0, as_coded=False).tolist() == [2, 0, 0, 0]
    assert price_moves(own, said, 0.0, as_coded=True).tolist() == [0, 0, 2, 0]


def position(**changes) -> Position:
    return Position("seller", 450.0, 1, 1.0, None, None, "Hello.", "")._replace(**changes)


def test_a_missing_price_is_marked_and_stands_at_four_fifths() -> None:
    assert facts_of(position(), 0.8)[3:5] == [0.8, 1.0]
    assert facts_of(position(theirs=0.6), 0.8)[3:5] == [0.6, 0.0]
    assert facts_of(position(role="buyer", own=None), 0.8)[1:5] == [0.5, 1.0, 1.0, 1.0]


def test_proposals_stand_at_each_price_of_the_grid_once_as_what_the_game_reads_there() -> None:
    """Saying one's own price again is insisting."""
    bargaining = task(ID).surface.bargaining
    assert bargaining is not None
    drawn = [Proposal("How about {price}?", 4, 0.9), Proposal("How about {price}?", 4, 0.7), Proposal("No.", 7)]
    at = position(theirs=0.6, opening="You are selling: Old bike (bike)\nListed at $450.\nHello.")
    found = Reader(bargaining).choices(drawn, at, 0.8)
    told = [(bargaining.acts[one.act], None if np.isnan(one.price) else round(one.price, 3)) for one in found]
    assert told == [
        ("propose", 0.6),
        ("propose", 0.7),
        ("propose", 0.8),
        ("propose", 0.9),
        ("insist", 1.0),
        ("refuse", None),
    ]
    assert [one.text for one in found] == [*["How about {price}?"] * 5, "No."]


@pytest.mark.parametrize("name", ["casual", "firm", "offer_now"])
@pytest.mark.parametrize("role", ["seller", "buyer"])
def test_a_proposal_is_scored_as_the_act_that_it_is_read_as(name: str, role: str) -> None:
    bargaining = task(ID).surface.bargaining
    assert bargaining is not None
    reader, seen = Reader(bargaining), set()
    for seed in range(6):
        env = gym.make(ID, role=role).unwrapped
        env.reset(seed=seed)
        policy, over = make_policy(ID, name, seed=seed, role=role), False
        while not over:
            at = bargaining.positions(env.transcript)[-1]  # type: ignore[attr-defined]
            line = policy.act(env.transcript)  # type: ignore[attr-defined]
            for one in reader.choices([reader.read(line, at)], at, 0.8):
                said = one.text if np.isnan(one.price) else bargaining.fill(one.text, one.price, at)
                assert reader.read(said, at) == one
                seen.add(bargaining.acts[one.act])
            assert bargaining.open_acts(at) == (("accept", "reject") if at.standing else ())
            *_, over, _, _ = env.step(line)
    assert {"propose", "insist"} <= seen or name == "offer_now"


# -- the switches in the losses


class Words:
    def of(self, text: str) -> torch.Tensor:
        return torch.full((2,), float(len(text)))


def five(table: list[list[int]]) -> np.ndarray:
    return np.repeat(np.array(table)[..., None], 5, axis=2)


def learner(method: str = "cql", as_coded: tuple[str, ...] = (), **changes) -> chai._Learner:
    """Two positions of a talk: a question, then an offer at the listed price that is taken."""
    none = np.nan
    arrays = {
        "facts": np.array([facts_of(position(turn=0, own=None), 0.8), facts_of(position(theirs=0.6), 0.8)]),
        "heard": np.array([0, 1]), "said": np.array([0, 0]), "own": np.array([1.0, 1.0]), "acts": np.array([1, 0]), "prices": np.array([none, 1.0]),
        "word_ids": np.array([0, 1]), "last": np.array([False, True]), "success": np.array([True, True]),
        "returns": np.array([1.0, 1.0]), "offered_acts": five([[0, 1], [0, 1]]), "offered_words": five([[1, 0], [1, 0]]),
        "offered_prices": np.array([[price_grid(0.8, 1.0), [none] * 5], [price_grid(0.6, 1.0), [none] * 5]], np.float32),
        "priced": np.array([[True, False], [True, False]]),
    }  # fmt: skip
    talks = Talks(arrays, ["a", "bc"], Words(), 2, 3)  # type: ignore[arg-type]
    torch.manual_seed(0)
    values = UtteranceValues(UtteranceConfig(2, 2, 3, 8, method == "ilql", method == "brac"))
    for parameter in values.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    run = TrainingRun("chai", ID, "unused", Path("unused"))
    return chai._Learner(run, Config(method=method, as_coded=as_coded, batch_size=64, **changes), talks, values)


def test_targets_are_rewards_at_the_end_and_the_best_proposal_before_it() -> None:
    found = learner("prop")
    batch = found.batch(0)
    assert found.reward.tolist() == [0, 0]  # ends at p / L = 1: 10 (1 - 1)
    loss, facts = found.loss(batch)
    best = found.target.least_q(found.states[1:], found.proposed(torch.tensor([1]), batch.random)).max()
    share = (batch.index == 0).float().mean()
    assert facts["target"] == pytest.approx((0.99 * share * best).item(), abs=1e-5)
    assert found.proposed(torch.tensor([1]), batch.random).shape[1] == 10  # two utterances at five prices
    assert loss.requires_grad


@pytest.mark.parametrize("switch", [name for name in AS_CODED if name not in ("critic_plays", "penalty_sign")])
def test_every_difference_of_the_code_changes_the_loss_of_its_method(switch: str) -> None:
    method = "prop" if switch == "drawn_backup" else "cql"
    losses = []
    for coded in ((), (switch,)):
        made = learner(method, coded)
        losses.append(made.loss(made.batch(3))[0].item())
    if switch == "price_rise":
        # Own price 1.0 and 1.0 said: nothing rises. After .9 it does.
        made = learner(method, (switch,))
        made.talks.own[1] = 0.9
        again = chai._Learner(made.run, made.config, made.talks, made.values)
        assert again.reward.tolist() == pytest.approx([0.0, -2.0])
        return
    assert losses[0] != pytest.approx(losses[1], abs=1e-6)


def test_as_coded_the_missing_price_is_nothing_in_training() -> None:
    assert learner().states[:, 3].tolist() == pytest.approx([0.8, 0.6])
    coded = learner(as_coded=("missing_price",))
    assert coded.states[:, 3].tolist() == pytest.approx([0.0, 0.6])
    assert learner().offered[1][:, :5].tolist() == [pytest.approx(price_grid(low, 1.0)) for low in (0.8, 0.6)]
    assert coded.offered[1][:, :5].tolist() == [pytest.approx(price_grid(low, 1.0)) for low in (0.0, 0.6)]


def test_as_coded_the_conservative_term_is_valued_in_the_next_position() -> None:
    """With Q of the position alone, log sum exp - Q(data) is log 12 in s, and log 12 + Q(s') - Q(s) as coded."""
    for switch in ((), ("next_features",)):
        made = learner(as_coded=switch)
        for net in (made.values.q1, made.values.q2):
            torch.nn.init.zeros_(net.action.weight)  # type: ignore[union-attr]
        batch = made.batch(0)
        heads = [q[:, 0] for q in made.values.q(made.states[batch.index], made.said(batch.index))]
        after = made.values.q(made.states[made.following[batch.index]], made.said(batch.index))
        moved = sum((b[:, 0] - a).mean().item() for a, b in zip(heads, after, strict=True))
        wanted = 2 * np.log(12) + (moved if switch else 0.0)
        assert made._conservatism(batch, heads).item() == pytest.approx(wanted, abs=1e-4)
        assert abs(moved) > 0.01


def test_brac_values_the_actors_price_and_the_sign_of_the_penalty_counts() -> None:
    right, coded = learner("brac"), learner("brac", ("penalty_sign",))
    targets = [made.loss(made.batch(0))[1]["target"] for made in (right, coded)]
    assert targets[0] < targets[1]  # log mu is negative everywhere: added it lowers the target
    regular = learner("brac", regularise=True)
    assert targets[0] <= regular.loss(regular.batch(0))[1]["target"] <= targets[1]
    actors = [made.actor_loss(made.batch(0))[0].item() for made in (right, regular)]
    assert actors[0] < actors[1]  # there the actor pays for unlikely prices


def test_ilql_backs_up_the_value_of_the_next_position() -> None:
    made = learner("ilql")
    batch = made.batch(0)
    value = made.target.v(made.states[1:])[0, 0]  # type: ignore[misc]
    share = (batch.index == 0).float().mean()
    assert made.loss(batch)[1]["target"] == pytest.approx((0.99 * share * value).item(), abs=1e-5)


# -- from data to play

TINY = {
    "model.layers": 1, "model.width": 16, "model.heads": 1, "bc.steps": 3, "bc.batch_size": 8,
    "chai.steps": 6, "chai.episodes": 12, "chai.batch_size": 16, "chai.candidates": 3, "chai.checkpoint_every": 4, "chai.hidden": 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("start") / "bc"
    tiny = {key: value for key, value in TINY.items() if not key.startswith("chai")}
    train(TrainingRun("bc", ID, "negotiation/mixed-v0", out, sample=True, overrides=tiny, show_progress=False))
    return out


def run_of(out: Path, start: Path, **changes) -> TrainingRun:
    settings = {**{key: value for key, value in TINY.items() if key.startswith("chai")}, **changes}
    return TrainingRun(
        "chai", ID, "negotiation/mixed-v0", out, sample=True, start=start, overrides=settings, show_progress=False
    )


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_and_plays(method: str, start: Path, tmp_path: Path) -> None:
    train(run_of(tmp_path / "run", start, **{"chai.method": method}))
    agent = load_agent(str(tmp_path / "run"))
    assert agent.use_actor == (method == "brac")  # type: ignore[attr-defined]
    env = gym.make(ID).unwrapped
    env.reset(seed=3)
    requests = [Request(ID, k, k, env.transcript) for k in range(4)]  # type: ignore[attr-defined]
    said = agent.act(requests)
    assert all("{price}" not in text for text in said)
    assert said == [
        load_agent(str(tmp_path / "run")).act([request])[0] for request in requests
    ]  # the batch does not count


def test_what_is_kept_and_shared_among_many_proposals_changes_no_choice(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(run_of(tmp_path / "run", start))

    def played() -> list[list[str]]:
        agent, games = load_agent(str(tmp_path / "run"), candidates=25), []
        for seed in range(20):
            env = gym.make(ID).unwrapped
            env.reset(seed=seed)
            over = False
            while not over:
                [text] = agent.act([Request(ID, seed, seed, env.transcript)])  # type: ignore[attr-defined]
                *_, over, _, _ = env.step(text)
            games.append(list(env.transcript.actions))  # type: ignore[attr-defined]
        return games

    found = played()
    assert sum(map(len, found)) > 40
    monkeypatch.setattr(utterance_agent, "unsupported", lambda policy: "each utterance by itself")
    monkeypatch.setattr(utterance_agent, "lru_cache", lambda maxsize: lambda read: read)
    assert played() == found


@pytest.mark.parametrize("drawn", [1, 2])
def test_what_answers_a_standing_offer_is_always_proposed(drawn: int, start: Path, tmp_path: Path) -> None:
    """Five proposals of a language model may all be `reject`."""
    run, bargaining = run_of(tmp_path / "run", start), task(ID).surface.bargaining
    assert bargaining is not None
    talks = cached_talks(run, LanguageModel.load(start / "final"), 40, drawn, 0.95)
    standing = talks.states(0.8)[:, 6] > 0
    offered = talks.offered_acts[..., 0]
    assert offered.shape[1] == drawn + 2
    for act in ("accept", "reject"):
        proposed = (offered == list(bargaining.acts).index(act)).any(dim=1)
        assert proposed[standing].all()
        assert not proposed[~standing].all()
    assert standing.any()


def test_as_coded_brac_is_played_by_its_critic(start: Path, tmp_path: Path) -> None:
    train(run_of(tmp_path / "run", start, **{"chai.method": "brac", "chai.as_coded": ["critic_plays"]}))
    assert not load_agent(str(tmp_path / "run")).use_actor  # type: ignore[attr-defined]
    about = json.loads((tmp_path / "run" / "final" / "lmrl.json").read_text())
    assert about["as_coded"] == ["critic_plays"]


def test_a_run_that_was_stopped_goes_on_as_it_was(start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import load_file

    how = {"chai.method": "brac"}
    train(run_of(tmp_path / "whole", start, **how))
    real = Session.update

    def failing(self, *arguments, **named):
        if (tmp_path / "parts" / "checkpoint" / "state.json").exists():
            raise KeyboardInterrupt
        return real(self, *arguments, **named)

    monkeypatch.setattr(Session, "update", failing)
    with pytest.raises(KeyboardInterrupt):
        train(run_of(tmp_path / "parts", start, **how))
    monkeypatch.setattr(Session, "update", real)
    again = run_of(tmp_path / "parts", start, **how)
    again.resume = True
    train(again)
    whole, parts = (load_file(tmp_path / name / "final" / "utterances.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_what_cannot_be_is_told(start: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="choose method of prop, cql, brac, ilql"):
        train(run_of(tmp_path / "a", start, **{"chai.method": "sarsa"}))
    with pytest.raises(ValueError, match="as_coded of drawn_backup"):
        train(run_of(tmp_path / "b", start, **{"chai.as_coded": ["luck"]}))
    maze = "lmrl/MazeFullyObserved-v0"
    with pytest.raises(TrainingError, match="nobody bargains"):
        tiny = {key: value for key, value in TINY.items() if not key.startswith("chai")}
        train(
            TrainingRun("chai", maze, "maze/mixed-v0", tmp_path / "c", sample=True, overrides=tiny, show_progress=False)
        )
    train(run_of(tmp_path / "d", start))
    for wrong in ({"candidates": 0}, {"temperature": -1.0}, {"actor": True}, {"beta": 1.0}):
        with pytest.raises(AgentError):
            load_agent(str(tmp_path / "d"), **wrong)
    (tmp_path / "d" / "final" / "utterances.safetensors").write_bytes(b"no")
    with pytest.raises(AgentError, match=r"utterances\.safetensors is damaged"):
        load_agent(str(tmp_path / "d"))


# -- how the task is read


@pytest.mark.parametrize("name", ["random", "casual", "expert"])
@pytest.mark.parametrize("role", ["seller", "buyer"])
def test_utterances_are_read_and_filled_again(name: str, role: str) -> None:
    bargaining = task(ID).surface.bargaining
    assert bargaining is not None
    for seed in range(8):
        env = gym.make(ID, role=role).unwrapped
        env.reset(seed=seed)
        policy, over = make_policy(ID, name, seed=seed, role=role), False
        while not over:
            *_, over, _, _ = env.step(policy.act(env.transcript))  # type: ignore[attr-defined]
        talk: Transcript = env.transcript  # type: ignore[attr-defined]
        for at, action in zip(bargaining.positions(talk), talk.actions, strict=False):
            act, price, text = bargaining.read(action, at)
            assert act in bargaining.acts
            assert (price is None) == ("$" not in action), action
            if price is not None:
                assert bargaining.fill(text, price, at) == action


def test_what_the_partner_did_is_known_by_its_place() -> None:
    bargaining = task(ID).surface.bargaining
    assert bargaining is not None
    env = gym.make(ID).unwrapped
    env.reset(seed=0, options={"partner": {"kind": "utility", "target": 0.7, "patience": 10}})
    for action in ("Hello!", "I want the full price.", "I want the full price.", "Hello?"):
        env.step(action)
    found = [bargaining.answers[at.heard] for at in bargaining.positions(env.transcript)]  # type: ignore[attr-defined]
    assert found == [
        "talk",
        "talk",
        "propose",
        "offer",
        "wait",
    ]  # asks once, opens, then offers formally from its third turn


def test_the_short_view_says_prices_as_percentages_and_takes_them_back() -> None:
    view = task(ID).surface.views["short"]
    env = gym.make(ID).unwrapped
    env.reset(seed=1)
    listed = env.get_state()["game"]["hidden"]["card"]["listed"]  # type: ignore[attr-defined]
    env.step(f"offer ${listed:,}")
    texts = view.texts(env.transcript)  # type: ignore[attr-defined]
    assert "Listed at $100." in texts[0]
    assert texts[1] == "offer $100"
    assert view.action("offer 75", env.transcript) == f"offer ${int(0.75 * listed + 1e-6):,}"  # type: ignore[attr-defined]
