"""How right a partner is, measured on lines that people judged."""

from __future__ import annotations

import collections
import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from faulty_server import FaultyServer

from lmrl_benchmarks.commands.cli import run
from lmrl_envs import task, task_ids
from lmrl_envs.partners.judged import VERDICTS, QuestionJudge, judge_partner, read_rows

JUDGED = [id for id in task_ids() if task(id).surface.judge() is not None]
OBJECTS, CITIES, CARS = "lmrl/TwentyQuestions-v1", "lmrl/GuessMyCity-v1", "lmrl/CarDealer-v1"

PARTNERS = '''
"""Partners of known worth: one that has read the rows, one that has nothing to say of dogs."""
from lmrl_envs import partners
from lmrl_envs.partners.judged import read_rows

class Knowing:
    def __init__(self, argument, partner_prompt):
        self.answers = {(row["secret"], row["question"]): row["expected"] for row in read_rows("lmrl/TwentyQuestions-v1")}
    def reply(self, requests):
        return [partners.PartnerReply(self.say(request)) for request in requests]
    def say(self, request):
        expected = self.answers.get((request.hidden["secret"], request.action), "no")
        return {"depends": "It depends."}.get(expected, expected.capitalize() + ".")
    def close(self):
        pass

class Choosy(Knowing):
    def say(self, request):
        if request.hidden["secret"] == "dog":
            raise partners.SimulatorError("no usable reply")
        return super().say(request)

class Silent(Knowing):
    def say(self, request):
        raise partners.SimulatorError("no server at 127.0.0.1")
'''


@pytest.fixture
def partners(tmp_path: Path) -> str:
    file = tmp_path / "known_partners.py"
    file.write_text(PARTNERS)
    return str(file)


@pytest.mark.parametrize("id", JUDGED)
def test_every_task_with_a_partner_in_words_brings_three_hundred_lines(id: str) -> None:
    # The partner of Negotiation follows rules that no line can bend: its known answers are in test_negotiation.py.
    assert set(JUDGED) == {id for id in task_ids() if "scripted" in task(id).partners} - {
        "lmrl/Negotiation-v0",
        "lmrl/Chat-v0",
    }
    rows = read_rows(id)
    assert len(rows) >= 300
    assert len({json.dumps(row, sort_keys=True) for row in rows}) == len(rows)
    # Nobody is right with one and the same answer.
    assert max(collections.Counter(row["expected"] for row in rows).values()) < 0.6 * len(rows)


@pytest.mark.parametrize("id", JUDGED)
def test_every_line_can_be_said_to_the_scripted_partner(id: str) -> None:
    verdicts = collections.Counter(judged.verdict for judged in judge_partner(id, read_rows(id)))
    assert set(verdicts) <= set(VERDICTS) and verdicts["failed"] == 0
    assert verdicts["skipped"] <= 0.1 * verdicts.total() < verdicts["right"]


def test_a_partner_that_knows_is_right_and_one_that_fails_is_not(partners: str) -> None:
    rows = read_rows(OBJECTS)
    knowing = [judged.verdict for judged in judge_partner(OBJECTS, rows, simulator=f"{partners}:Knowing")]
    assert set(knowing) == {"right"} and len(knowing) == len(rows)
    choosy = list(judge_partner(OBJECTS, rows, simulator=f"{partners}:Choosy"))
    failed = [judged for judged in choosy if judged.verdict == "failed"]
    assert {judged.row["secret"] for judged in failed} == {"dog"} and failed[0].reply == "no usable reply"
    assert {judged.verdict for judged in choosy if judged.row["secret"] != "dog"} == {"right"}


@pytest.mark.parametrize(
    ("expected", "reply", "understood", "verdict"),
    [
        ("yes", "Yes.", True, "right"),
        ("yes", "Yes, it is on the coast.", True, "right"),
        ("yes", "No.", True, "wrong"),
        ("no", "No.", False, "unread"),  # 20 Questions with unread="no": it is told in info only
        ("no", "It depends.", True, "wrong"),
        ("depends", "It depends.", True, "right"),
        ("depends", "Yes.", True, "wrong"),
        ("not_a_question", "I don't understand.", False, "right"),
        ("not_a_question", "No.", True, "wrong"),
        ("win", "No.", True, "wrong"),
    ],
)
def test_verdicts(expected: str, reply: str, understood: bool, verdict: str) -> None:
    assert QuestionJudge().verdict({"expected": expected}, reply, False, {"understood": understood}) == verdict


def test_the_command_prints_shares_and_its_status_tells(partners: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = read_rows(OBJECTS)
    with FaultyServer(answer=lambda messages: "Yes, it is.") as server:
        options = ["--simulator-arg", f"base_url={server.url}", "--env", OBJECTS]
        assert run(["simulator", "check", "openai:toy", *options, "--json", "--least", "0.9"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["tasks"]
    yes = sum(row["expected"] == "yes" for row in rows)
    assert found["right"]["count"] == yes and found["right"]["share"] == pytest.approx(yes / len(rows))
    low, high = found["right"]["interval"]
    assert low < yes / len(rows) < high and len(found["misses"]) == len(rows) - yes
    assert run(["simulator", "check", f"{partners}:Choosy", "--env", OBJECTS, "--least", "0.9", "--misses", "1"]) == 0
    said = capsys.readouterr().out
    assert "no usable reply" in said and "TwentyQuestions" in said


def test_what_cannot_be_measured_is_said(partners: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulator", "check", f"{partners}:Silent", "--env", OBJECTS]) == 1
    assert "no server at 127.0.0.1" in capsys.readouterr().err
    assert run(["simulator", "check", "scripted", "--env", "lmrl/Wordle-v0"]) == 2
    assert "no judged lines" in capsys.readouterr().err
    broken = tmp_path / "rows.jsonl"
    broken.write_text('{"secret": "dog", "context": [], "question": "Is it?", "expected": "no"}\n{"secret": "dog"}\n')
    assert run(["simulator", "check", "scripted", "--env", OBJECTS, "--data", str(broken)]) == 2
    assert "line 2" in capsys.readouterr().err
    assert run(["simulator", "check", "scripted", "--data", str(broken)]) == 2


def test_other_lines_and_a_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"secret": "Lima", "context": ["Is it in Asia?"], "question": "In Peru?", "expected": "yes", "kind": "terse"},
        {"secret": "Lima", "context": [], "question": "Is it Lima?", "expected": "win", "kind": "guess"},
        {"secret": "Lima", "context": ["Is it Lima?"], "question": "Is it in Peru?", "expected": "yes"},
    ]
    file, record = tmp_path / "rows.jsonl", tmp_path / "record.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    common = ["--env", CITIES, "--data", str(file), "--json"]
    with FaultyServer(answer=lambda messages: "Yes, it is.") as server:
        options = ["--simulator-arg", f"base_url={server.url}", f"record={record}"]
        assert run(["simulator", "check", "openai:toy", *common, *options]) == 0
    first = json.loads(capsys.readouterr().out)["tasks"]
    assert run(["simulator", "check", f"replay:{record}", *common]) == 0
    assert json.loads(capsys.readouterr().out)["tasks"] == first
    # The third cannot be said: the game is won before.
    assert (first[0]["right"]["count"], first[0]["skipped"], first[0]["said"]) == (2, 1, 2)
    assert first[0]["kinds"]["terse"]["right"]["share"] == 1.0


def test_a_buyers_offer_is_an_amount_that_the_seller_did_not_ask() -> None:
    judge = task(CARS).surface.judge()
    assert judge is not None
    row = next(row for row in read_rows(CARS) if "{ask}" in " ".join(row["context"]))
    env: Any = gym.make(CARS).unwrapped
    seed, options = judge.game(row)
    env.reset(seed=seed, options=options)
    ask = judge.wording("{ask}", env) or ""
    offer = f"${int(ask[1:].replace(',', '')) * 3 // 4:,}"
    env._rewards = [0.0]
    for reply, counter in ((f"{ask} is too much.", None), (f"{ask}? How about {offer}?", offer), ("Hm.", None)):
        env._texts = [env._texts[0], f"How about {ask}?", reply]
        assert judge.wording("{counter}", env) == counter
        assert judge.wording("Deal!{offered}", env) == ("Deal!" if counter else None)


@pytest.mark.parametrize(
    ("expected", "decision", "verdict"),
    [
        ("sale", "accept", "right"), ("sale", "reject", "wrong"), ("sale", None, "wrong"), ("no_sale", "accept", "wrong"),
        ("no_sale", "reject", "right"), ("no_sale", None, "right"), ("talks", None, "right"), ("talks", "reject", "wrong"),
        ("leaves", "reject", "right"), ("leaves", None, "wrong"),
    ],
)  # fmt: skip
def test_verdicts_of_a_sale(expected: str, decision: str | None, verdict: str) -> None:
    judge: Any = task(CARS).surface.judge()
    info = {"understood": True, "decision": decision}
    assert judge.verdict({"expected": expected}, "Hm.", decision is not None, info) == verdict
