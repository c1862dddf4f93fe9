"""Games with a partner that answers otherwise when asked again: its answers are kept with the records, packed and replayed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmrl_benchmarks.commands.cli import run as lmrl
from lmrl_benchmarks.running.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.running.manifest import write_manifest
from lmrl_benchmarks.running.records import EPISODES, PARTNER, SUMMARY
from lmrl_benchmarks.running.verify import verify_records
from lmrl_envs.car_dealer.prompt import CarBuyerPrompt
from lmrl_envs.negotiation.prompt import NegotiationPrompt
from lmrl_envs.partners.base import PartnerReply
from lmrl_envs.twenty_questions.prompt import OraclePrompt
from tests.attacks.raw_server import RawServer, completion

PARTNER_CODE = """
import random

class Coin:
    def __init__(self, prompt):
        self.prompt = prompt

    def reply(self, requests):
        return [self.prompt.parse(random.choice(["Yes.", "No."]), request) for request in requests]

    def close(self):
        pass

def make(argument, partner_prompt):
    return Coin(partner_prompt)
"""
SUITE = """
name = "coin"
version = 1
episodes = 12
seed = 3
training_seeds = [0]
agents = [{ name = "suboptimal" }]
[[tasks]]
id = "lmrl/TwentyQuestions-v1"
kwargs = { simulator = "coin.py:make" }
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "coin.py").write_text(PARTNER_CODE)
    (tmp_path / "coin.toml").write_text(SUITE)
    assert lmrl(["leaderboard", "run", "coin.toml", "--out", "run", "--workers", "1"]) == 0
    (tmp_path / "coin.py").unlink()  # nobody needs the partner again
    return tmp_path / "run"


def test_answers_are_packed_and_replayed_without_the_partner(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder,) = run.glob("cells/*/suboptimal/seed-0")
    assert (folder / PARTNER).is_file()
    assert lmrl(["leaderboard", "submit", "run", "--to", "results"]) == 0
    shutil.rmtree(run)
    (archive,) = Path("results").iterdir()
    assert lmrl(["leaderboard", "verify", str(archive)]) == 0
    assert lmrl(["leaderboard", "publish", "results", "--out", "pages"]) == 0


def test_a_recording_that_is_changed_or_gone_is_found(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder,) = run.glob("cells/*/suboptimal/seed-0")
    lines = (folder / PARTNER).read_text().splitlines()
    flipped = [line.replace("Yes.", "#").replace("No.", "Yes.").replace("#", "No.") for line in lines]
    (folder / PARTNER).write_text("\n".join(flipped) + "\n")
    write_manifest(run)
    capsys.readouterr()
    assert lmrl(["leaderboard", "verify", "run"]) == 1
    told = capsys.readouterr().err
    assert "episode 0 (seed " in told and "episode 11 (seed " in told
    (folder / PARTNER).unlink()
    write_manifest(run)
    assert lmrl(["leaderboard", "verify", "run"]) == 1
    assert "cannot be asked again" in capsys.readouterr().err


def test_a_stopped_run_keeps_the_answers_of_its_games(run: Path, tmp_path: Path) -> None:
    """Games that a kill cut off are played again, and what was answered in them counts no more."""
    (tmp_path / "coin.py").write_text(PARTNER_CODE)
    (folder,) = run.glob("cells/*/suboptimal/seed-0")
    records = (folder / EPISODES).read_text().splitlines()
    (folder / EPISODES).write_text("".join(line + "\n" for line in records[::2]))
    (folder / SUMMARY).unlink()
    with (folder / PARTNER).open("a") as file:
        file.write('{"key": "cut')
    spec = json.loads((folder / "run.json").read_text())["spec"]
    spec.pop("agent_fingerprint")
    evaluate(EvaluationSpec(**spec), folder)
    assert list(verify_records(folder)) == []


# -- replies that a language model never gave


class Says:
    """Says the same in every game."""

    slots = 1

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def act(self, requests: Any) -> list[str]:
        return [self.lines[min(len(request.transcript) // 2, len(self.lines) - 1)] for request in requests]


def tells(request: Any) -> PartnerReply:
    return PartnerReply(f"Yes. It is a {request.hidden['secret']}.")


def buys(request: Any) -> PartnerReply:
    car, most = request.hidden["stock"][0], request.hidden["buyer"]["budget"]
    return PartnerReply("Sold.", True, {"decision": "accept", "car": car["name"], "price": min(most, car["msrp"])}, {})


def offers(shares: float) -> Callable[[Any], PartnerReply]:
    return lambda request: PartnerReply("Hm.", True, {}, {"offer": shares * request.hidden["card"]["listed"]})


@pytest.mark.parametrize(
    ("task", "prompt", "forged", "said"),
    [
        ("TwentyQuestions-v1", OraclePrompt, tells, "Yes."),
        ("CarDealer-v1", CarBuyerPrompt, buys, "How much is it?"),
        ("Negotiation-v0", NegotiationPrompt, offers(1.0), '{"message": "Hm.", "act": "message"}'),
    ],
)
def test_a_reply_stands_in_the_models_words(
    task: str,
    prompt: Any,
    forged: Callable[[Any], PartnerReply],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who writes into a recording what no reading of the model's words gives is found, though records and sums fit."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-Dummy0123456789")
    kwargs = {"simulator": "openai:m"}
    spec = EvaluationSpec(env_id=f"lmrl/{task}", agent="accepts", episodes=2, env_kwargs=kwargs)
    with RawServer(lambda talk: talk.say(200, completion(said))) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        evaluate(spec, tmp_path / "honest", agent=Says(["Hello.", "accept"]))
        assert list(verify_records(tmp_path / "honest")) == []
        monkeypatch.setattr(prompt, "parse", lambda self, text, request: forged(request))
        evaluate(spec, tmp_path / "forged", agent=Says(["Hello.", "accept"]))
    monkeypatch.undo()
    found = list(verify_records(tmp_path / "forged"))
    assert len(found) == 2 and all("is not what the model's words amount to" in breach for breach in found)


@pytest.mark.parametrize(
    "reply", ["{'offer': 50.0 * listed}", "{'offer': True}", "{'offer': -1.0}", "{'offer': 'much'}"]
)
def test_no_partner_offers_what_is_no_price(reply: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever the partner is: what stands is what an agent may take."""
    monkeypatch.chdir(tmp_path)
    code = PARTNER_CODE.replace(
        'self.prompt.parse(random.choice(["Yes.", "No."]), request)',
        "PartnerReply('Hm.', True, {}, OFFER)".replace(
            "OFFER", reply.replace("listed", "request.hidden['card']['listed']")
        ),
    )
    (tmp_path / "coin.py").write_text("from lmrl_envs.partners import PartnerReply\n" + code)
    kwargs = {"simulator": "coin.py:make"}
    spec = EvaluationSpec(env_id="lmrl/Negotiation-v0", agent="accepts", episodes=1, env_kwargs=kwargs)
    evaluate(spec, tmp_path / "out", agent=Says(["Hello.", "accept"]))
    (record,) = [json.loads(line) for line in (tmp_path / "out" / EPISODES).read_text().splitlines()]
    assert "the price must be above 0" in record["error"] and not record["success"]
