"""Conversations in the chat templates of 14 families: what is shown, what is learned from, what stays as it was sampled."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from chat_tokenizers import REFUSED, TEMPLATES, tokenizer_of

from lmrl_agents.models.chat import THINKING, ChatTemplateError, examine, messages_for, render
from lmrl_agents.models.steps import StepStore
from lmrl_agents.models.tokenizer import TaskTokenizer
from lmrl_agents.models.tokens import TextFormat, TokenEpisode
from lmrl_envs import Transcript, Turn

INSTRUCTIONS = "Find the goal. Answer with a move."
SAID = ["You are at 1, 2.", "move up", "There is a wall.", "move left", "You are at 2, 2.", "move down"]


def transcript(said: list[str] = SAID) -> Transcript:
    return Transcript(Turn(text, bool(k % 2)) for k, text in enumerate(said))


def chat(family: str, thinking: str = "forbid", **options: Any) -> tuple[TaskTokenizer, TextFormat]:
    hf = tokenizer_of(family)
    form = TextFormat(
        **{"max_tokens": 400, "max_action_tokens": 20, **options},
        chat=examine(hf, thinking),
        instructions=INSTRUCTIONS,
    )
    return TaskTokenizer(hf, form.chat), form


def episode_of(tokenizer: TaskTokenizer, form: TextFormat, said: list[str] = SAID) -> TokenEpisode:
    return TokenEpisode.from_transcript(transcript(said), True, False, tokenizer, form)


@pytest.mark.parametrize("family", TEMPLATES)
def test_rows_are_what_the_template_renders(family) -> None:
    row, (tokenizer, form) = TEMPLATES[family], chat(family)
    assert form.chat is not None and form.chat.end == row["end"]
    assert form.chat.rewrites is row.get("rewrites", False)
    for turn in (1, 3, 5):
        context = form.context(episode_of(tokenizer, form, SAID[:turn]))
        own = messages_for(INSTRUCTIONS, SAID[:turn], row["system"], family == "parts")
        rendered = render(tokenizer.hf, own, "forbid")
        shown = re.sub(*row.get("changed", ("(?!)", "")), rendered) + row.get("adds", "")
        assert context == tokenizer.hf.encode(shown, add_special_tokens=False)
        if shown == rendered:
            assert context == render(tokenizer.hf, own, "forbid", tokenize=True, return_dict=False)
        assert shown.count(INSTRUCTIONS) == 1
        assert ("2024" in shown) is (family in ("llama3", "gpt_oss"))  # whatever day it is


@pytest.mark.parametrize("thinking", THINKING)
@pytest.mark.parametrize("family", TEMPLATES)
def test_only_the_agents_words_and_their_end_are_learned(family, thinking) -> None:
    tokenizer, form = chat(family, thinking)
    steps = StepStore.of([episode_of(tokenizer, form)], form, tokenizer.pad)
    assert form.chat is not None
    assert steps.rows == (3 if form.chat.rewrites else 1)
    for turn, action in enumerate(SAID[1::2]):
        ids = steps.token[steps.turn == turn]
        written = tokenizer.hf.decode(ids)
        assert ids[-1] == tokenizer.eoa
        assert written == f"{form.chat.lead}{action}{form.chat.end}"
        assert tokenizer.said(ids) == action
    # Each step's state ends right before its token: the row goes on with what is learned.
    for k in range(len(steps)):
        row = steps.row_tokens(steps.row[k])
        if steps.column[k] + 1 < len(row):
            assert row[steps.column[k] + 1] == steps.token[k]
    for first in np.flatnonzero(np.diff(steps.turn, prepend=-1)):
        before = tokenizer.hf.decode(steps.row_tokens(steps.row[first])[: steps.column[first] + 1])
        assert before.endswith(form.chat.asks)
        assert before.count(SAID[2 * steps.turn[first]]) == 1


@pytest.mark.parametrize("thinking", THINKING)
@pytest.mark.parametrize("family", TEMPLATES)
def test_what_was_sampled_stays_and_rows_grow(family, thinking) -> None:
    """An odd spelling of an action (letter by letter, as no tokenizer would write it) is what the next turn is shown."""
    tokenizer, form = chat(family, thinking)
    assert form.chat is not None
    odd = [i for letter in "move up" for i in tokenizer.hf.encode(letter, add_special_tokens=False)]
    episode, shown = form.begin(), []
    for text in SAID[::2]:
        form.observe(episode, text, tokenizer)
        shown.append(form.context(episode))
        episode.actions.append((*odd, tokenizer.eoa))
    if form.grows:
        for before, after in pairwise(shown):
            assert after[: len(before) + len(odd) + 1] == [*before, *odd, tokenizer.eoa]
    episode.rewards, episode.terminated = [0.0] * 3, True
    assert TokenEpisode.from_json(json.loads(json.dumps(asdict(episode)))) == episode  # as checkpoints keep it
    steps = StepStore.of([episode], form, tokenizer.pad)
    for turn, context in enumerate(shown):
        k = int(np.argmax(steps.turn == turn))
        assert steps.row_tokens(steps.row[k])[: steps.column[k] + 1].tolist() == context
        assert steps.token[steps.turn == turn].tolist() == [*odd, tokenizer.eoa]


def test_thoughts_are_dropped_kept_or_forbidden() -> None:
    for thinking, rows, thoughts in (("forbid", 3, 0), ("drop", 3, 0), ("keep", 1, 2)):
        tokenizer, form = chat("qwen3", thinking)
        episode = form.begin()
        for k, text in enumerate(SAID[::2]):
            form.observe(episode, text, tokenizer)
            thought = tokenizer.hf.encode(f"<think>\nhm {k}\n</think>\n\nmove up", add_special_tokens=False)
            if k < 2:
                episode.actions.append((*thought, tokenizer.eoa))
                assert tokenizer.said(episode.actions[-1]) == "move up"
        spoken = tokenizer.hf.decode(form.context(episode))
        assert spoken.count("hm") == thoughts and spoken.count("move up") == 2, thinking
        assert spoken.endswith("<think>\n\n</think>\n\n") is (thinking == "forbid")
        episode.actions.append((tokenizer.eoa,))
        assert StepStore.of([_ended(episode)], form, tokenizer.pad).rows == rows
    tokenizer, form = chat("deepseek_r1", "drop")
    unended = tokenizer.hf.encode("hm, move up", add_special_tokens=False)
    assert tokenizer.said(unended) == ""  # it is still thinking
    assert tokenizer.said(tokenizer.hf.encode("hm</think>\n\nmove up", add_special_tokens=False)) == "move up"
    tokenizer, form = chat("gpt_oss", "keep")
    channels = "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>move up"
    assert tokenizer.said(tokenizer.hf.encode(channels, add_special_tokens=False)) == "move up"
    with pytest.raises(ChatTemplateError, match="thinking='aloud' is not known"):
        chat("chatml", "aloud")


def _ended(episode: TokenEpisode) -> TokenEpisode:
    episode.rewards, episode.terminated = [0.0] * len(episode.actions), True
    return episode


@pytest.mark.parametrize("family", TEMPLATES)
def test_a_text_cannot_forge_a_turn(family) -> None:
    tokenizer, form = chat(family)
    control = {tokenizer.hf.convert_tokens_to_ids(token) for token in TEMPLATES[family]["tokens"]}

    def marks(text: str) -> int:
        context = form.context(episode_of(tokenizer, form, [SAID[0], "move up", text]))
        return sum(i in control for i in context)

    assert marks(f"wall {' '.join(TEMPLATES[family]['tokens'])} move") == marks("wall move")
    ids = form.action(f"up {TEMPLATES[family]['end']} down", tokenizer)
    assert [i for i in ids if i in control] == [tokenizer.eoa]


@pytest.mark.parametrize("options", [{}, {"context_turns": 1}, {"context_turns": 2}], ids=["all", "one", "two"])
@pytest.mark.parametrize("family", ["chatml", "gemma", "qwen3", "mistral"])
def test_long_games_keep_their_instructions(family, options) -> None:
    tokenizer, form = chat(family, max_tokens=220, **options)
    said = [text for k in range(12) for text in (f"You are at {k}, 2. There is a wall to your left.", "move up")]
    episode = episode_of(tokenizer, form, said)
    steps = StepStore.of([episode], form, tokenizer.pad)
    assert steps.rows > 1
    for row in range(steps.rows):
        ids = steps.row_tokens(row)
        assert len(ids) <= 220 and tokenizer.hf.decode(ids).count(INSTRUCTIONS) == 1
    for turn in range(12):
        context = form.context(episode_of(tokenizer, form, said[: 2 * turn + 1]))
        k = int(np.argmax(steps.turn == turn))
        assert steps.row_tokens(steps.row[k])[: steps.column[k] + 1].tolist() == context
        assert len(context) + 20 <= 220
        if "context_turns" in options:
            assert tokenizer.hf.decode(context).count("You are at") == min(turn + 1, options["context_turns"])


def test_long_texts_and_cut_actions() -> None:
    tokenizer, form = chat("chatml", max_tokens=150)
    context = form.context(episode_of(tokenizer, form, ["wall " * 300 + "end"]))
    spoken = tokenizer.hf.decode(context)
    assert len(context) <= 130 and INSTRUCTIONS in spoken and spoken.endswith("end<|im_end|>\n<|im_start|>assistant\n")
    episode = form.begin()
    form.observe(episode, SAID[0], tokenizer)
    episode.actions.append(tuple(tokenizer.hf.encode("move u")))  # cut: without its end
    form.observe(episode, SAID[2], tokenizer)
    assert "move u<|im_end|>\n<|im_start|>user\nThere" in tokenizer.hf.decode(form.context(episode))
    with pytest.raises(ValueError, match="leaves no room: the instructions take"):
        form.observe(form.begin("Do this. " * 90), SAID[0], tokenizer)


@pytest.mark.parametrize("family", REFUSED)
def test_templates_in_which_no_game_can_be_played(family) -> None:
    with pytest.raises(ChatTemplateError, match="no game can be played in the tokenizer's chat template"):
        examine(tokenizer_of(family))
    plain = tokenizer_of(family)
    plain.chat_template = None
    with pytest.raises(ChatTemplateError, match="has no chat template"):
        examine(plain)
