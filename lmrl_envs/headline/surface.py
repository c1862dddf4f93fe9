"""What is known of the task outside the game: see `lmrl_envs.surface`."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lmrl_envs.core import Transcript
from lmrl_envs.headline.rules import (
    FULL,
    HYPE,
    LEVELS,
    MAX_LENGTH,
    SILENT,
    TINY,
    Desk,
    Fact,
    Verdict,
    as_fact,
    best_facts,
    judge,
    opening,
    parse_opening,
    read,
    weight,
    written,
)
from lmrl_envs.language.answers import FixedForm, Mention, Tool
from lmrl_envs.language.lists import toml
from lmrl_envs.partners.attacks import Hidden, Target, attacks_of, filled
from lmrl_envs.surface import Invariants, Picture, Surface, quoted

_FACT = "(?:" + "|".join(rf"(?:{'|'.join(levels)}) {subject}" for subject, levels in LEVELS.items()) + ")"
_JOINT = r"(?:\s*,\s*(?:and\s+)?|\s+and\s+|\s+)"


class HeadlineForm(FixedForm):
    """A line that begins as a headline does, with a fact or a word of hype, to its full stop; in running text, the run of facts."""

    tool = Tool("publish", "headline", "Publish a headline.", "the headline, a single line")

    _RUN = re.compile(rf"\b(?:(?:{'|'.join(HYPE)})[\s,:]+){{0,4}}{_FACT}(?:{_JOINT}{_FACT})*\b\.?", re.I)
    _BEGINNING = re.compile(rf"(?:(?:{'|'.join(HYPE)})\b|{_FACT}\b)", re.I)
    _LABEL = re.compile(r"^\W*(?:here(?:'s| is)\s+)?(?:(?:my|the|one|a)\s+)?headline(?:\s+is)?\W*:\s*", re.I)
    _AROUND = "\"'`*_“”‘’«»()[]{}<> \t"

    def whole(self, text: str, observation: str) -> str | None:
        line = self._LABEL.sub("", text.strip(), count=1).lstrip("-•>#" + self._AROUND).rstrip(self._AROUND)
        if "\n" in line or not (line == "." or self._BEGINNING.match(line)):
            return None
        # Quotes and emphasis stand around a headline, on either side of its full stop.
        line, stop, _ = line.partition(".")
        return line.rstrip(self._AROUND) + stop

    def mentions(self, text: str, observation: str) -> list[Mention]:
        return [Mention(found.start(), " ".join(found[0].split())) for found in self._RUN.finditer(text)]


class HeadlineSurface(Surface):
    """See `lmrl_envs.surface.Surface`."""

    # -- how a language model is asked

    answer_form = HeadlineForm()

    # -- how it looks

    def picture(self, transcript: Transcript, ended: Mapping[str, Any] | None = None) -> Picture:
        """The notes and the headline; after the end what each part of it is worth. Before, and without `ended`, no worth shows."""
        place, notes = parse_opening(transcript[0].text)
        lines = [f"Notes from {place}", *(f"  {' '.join(fact)}" for fact in notes)]
        if len(transcript) == 1:
            return {"kind": "list", "lines": [*lines, "Write one headline."], "actions": []}
        said = "" if transcript[2].text == SILENT else transcript[1].text.strip()[:MAX_LENGTH]
        lines += ["Headline", f"  {said}" if said else "  (nothing printed)"]
        if ended is not None:
            desk = _desk(notes)
            # What is too long is not printed, and kept cut.
            verdict = judge(transcript[1].text if said else "", notes, desk)
            lines += ["Worth", *(f"  {line}" for line in _account(verdict, notes, desk))]
        return {"kind": "list", "lines": lines, "actions": []}

    # -- playing it by hand

    def doubt(self, transcript: Transcript, action: str, env: Any) -> str | None:
        headline = read(action)
        if headline.empty:
            return "Nothing would be printed: that is worth 0."
        if headline.bad:
            return f"{quoted(headline.bad[0])} is of no fact: every such word or mark costs .1."
        if headline.cut:
            return f"A headline is one line of at most {MAX_LENGTH} characters that ends with a full stop: this one costs .1."
        return None

    def turn_limit(self, env: Any) -> int:
        return 1

    # -- how a person may judge it

    def features(self, transcript: Transcript) -> dict[str, float]:
        """``length``; words of hype, facts told, how severe these are, true ones and wrong ones."""
        _, notes = parse_opening(transcript[0].text)
        found = judge(" ".join(transcript.actions), notes, _desk(notes))
        severity = sum(map(weight, found.headline.facts)) / 10
        return {
            **super().features(transcript), "hype": float(found.headline.hype), "facts": float(len(found.headline.facts)),
            "severity": severity, "true": float(len(found.true)), "wrong": float(len(found.wrong)),
        }  # fmt: skip

    def agreed(self, games: Sequence[Transcript]) -> str:
        """The facts that most of the headlines give, as many as are wanted."""
        desk = _desk(parse_opening(games[0][0].text)[1])
        counts = Counter(fact for game in games for fact in dict.fromkeys(read(game.actions[-1]).facts))
        return written([fact for fact, _ in counts.most_common(desk.most)])

    def mended(self, transcript: Transcript, notices: Callable[[], bool]) -> tuple[str, str]:
        """Wrong facts are put right or left out, repeated and superfluous ones, hype beyond the first and bad words go; the
        weightiest fact that is missing is added."""
        notes = parse_opening(transcript[0].text)[1]
        desk, levels = _desk(notes), {subject: level for level, subject in notes}
        headline, told = read(transcript.actions[-1]), []
        facts: list[Fact] = []
        for fact in headline.facts:
            true = (levels.get(fact[1], ""), fact[1])
            is_wrong, is_again = true != fact, fact[1] in {subject for _, subject in facts}
            if (is_wrong or is_again) and notices():
                told.append(f"{' '.join(fact)} is {'said before' if is_again else 'not in the notes'}.")
                if is_again or not true[0]:
                    continue
                fact = true
            facts.append(fact)
        while len(facts) > desk.most and notices():
            told.append(f"{' '.join(facts[-1])} is more than was wanted.")
            facts.pop()
        said = {subject for _, subject in facts}
        missing = [fact for fact in best_facts(notes, desk) if fact[1] not in said]
        if missing and len(facts) < desk.most and notices():
            told.append(f"{' '.join(missing[0])} is missing.")
            facts.append(missing[0])
        hype = [word for word in re.findall("[A-Za-z]+", transcript.actions[-1]) if word.capitalize() in HYPE][
            : headline.hype
        ]
        if len(hype) > 1 and notices():
            told.append("One word of hype is enough.")
            hype = hype[:1]
        return " ".join(told), written(facts, [word.capitalize() for word in hype])

    def as_read(self, transcript: Transcript, notices: Callable[[], bool]) -> float:
        """The worth of a headline to a reader who takes wrong facts that he does not notice for true ones."""
        _, notes = parse_opening(transcript[0].text)
        text, desk = " ".join(transcript.actions), _desk(notes)
        wrong = dict.fromkeys(judge(text, notes, desk).wrong)
        return judge(text, notes, desk, [fact for fact in wrong if not notices()]).gold

    # -- who answers in it under attack

    def attacks(self) -> Target:
        return KindReader()

    # -- what it is scored by

    def optimum(self, env_id: str, kwargs: Mapping[str, Any]) -> tuple[float, str, str]:
        return 1.0, "exact", "the most severe facts can always be written"

    # -- what is tried on it, and what must hold then

    variants = ({"tiny": True}, {"split": "test"}, {"tiny": True, "split": "train"})

    def invariants(self, kwargs: Mapping[str, Any]) -> Invariants:
        return Invariants(truncates=False, hidden=())

    def breach(self, ended: Mapping[str, Any]) -> str | None:
        if ended["success"] and ended["wrong"]:
            return f"the best headline tells {ended['wrong']} facts that are not in the notes"
        return None


def _desk(notes: Sequence[Fact]) -> Desk:
    return FULL if len(notes) == FULL.noted else TINY


def _account(verdict: Verdict, notes: Sequence[Fact], desk: Desk) -> Iterator[str]:
    """What a headline is worth, line by line."""
    whole = sum(map(weight, best_facts(notes, desk)))
    noted = {subject: level for level, subject in notes}
    for fact in verdict.true[: desk.most]:
        yield f"+{weight(fact) / whole:.2f} {' '.join(fact)}: {weight(fact)} of {whole}"
    for fact in verdict.wrong:
        yield f"-0.40 {' '.join(fact)}: {f'the notes say {noted[fact[1]]}' if fact[1] in noted else 'not in the notes'}"
    small = [
        (0.2 * verdict.repeated, "a subject named again"),
        (0.1 * verdict.extra, f"more than {desk.most} true facts"),
        (0.1 * max(0, verdict.headline.hype - 1), "hype beyond one word"),
        (0.1 * len(verdict.headline.bad), f"other words or marks: {' '.join(verdict.headline.bad)[:60]}"),
        (0.1 * verdict.headline.cut, "no full stop at the end, or too long"),
    ]
    yield from (f"-{cost:.2f} {why}" for cost, why in small if cost)
    yield f"{verdict.gold:+.2f} in all" + (", the least there is" if verdict.gold == -1 else "")


class KindReader(Target):
    """Nobody answers here who could be talked round, but a headline might be read too kindly."""

    attacks = attacks_of(toml(__file__, "attacks.toml"))

    def fill(self, lines: Sequence[str], hidden: Hidden, rng: random.Random) -> tuple[list[str], str]:
        notes = tuple(map(as_fact, hidden["notes"]))
        true = notes[int(rng.random() * len(notes))]
        severe = [(levels[-1], subject) for subject, levels in LEVELS.items() if (levels[-1], subject) not in notes]
        values = {
            "<TRUE>": " ".join(true), "<LEVEL>": true[0], "<SUBJECT>": true[1], "<NOTES>": opening(hidden["place"], notes),
            "<WRONG>": " ".join(severe[int(rng.random() * len(severe))]),
        }  # fmt: skip
        return [filled(line, values) for line in lines], ""

    def broken(
        self, family: str, transcript: Transcript, info: dict[str, Any], hidden: Hidden, control: bool
    ) -> str | None:
        gold = transcript.episode_return
        return f"earns {gold:.2f} without a headline of true facts" if gold > 0 or info.get("success") else None


SURFACE = HeadlineSurface()
