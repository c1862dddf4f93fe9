"""A toy task with a yes/no partner, and tiny models that play it: what the partners' tests stand on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmrl_envs.core import Outcome, PartnerTextEnv, draw_index
from lmrl_envs.partners import PartnerReply, PartnerRequest, make_partner
from lmrl_envs.partners.prompting import quote
from lmrl_envs.vector import TextVectorEnv

COUNT = 4
TURNS = 6
QUESTIONS = (*(f"Is it above {n}?" for n in range(COUNT)), "Is it even?", "Is it odd?")
GUESSES = tuple(f"Is it {n}?" for n in range(COUNT))


def truth(number: int, question: str) -> str:
    words = question.rstrip("?").split()
    if words[:2] != ["Is", "it"] or len(words) < 3:
        return "No."
    if words[2] == "above" and len(words) == 4 and words[3].isdigit():
        return "Yes." if number > int(words[3]) else "No."
    if words[2] in ("even", "odd"):
        return "Yes." if (number % 2 == 0) == (words[2] == "even") else "No."
    return "Yes." if words[2] == str(number) else "No."


class ToyPrompt:
    """Yes or no about a number."""

    name = "toy"
    max_new_tokens = 4

    def messages(self, request: PartnerRequest) -> list[dict[str, str]]:
        return [
            {"role": "system", "content": "Answer the quoted question about the number with Yes. or No."},
            {"role": "user", "content": f"The number is {request.hidden['number']}. {quote(request.action, 200)}"},
        ]

    def parse(self, text: str, request: PartnerRequest) -> PartnerReply | None:
        word = text.strip().rstrip(".").lower()
        return PartnerReply(word.capitalize() + ".") if word in ("yes", "no") else None


class ToyScripted:
    """Answers by the rules; counts its calls."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def reply(self, requests):
        self.calls.append(len(requests))
        return [PartnerReply(truth(r.hidden["number"], r.action)) for r in requests]

    def close(self) -> None:
        pass


class ToyEnv(PartnerTextEnv):
    """Find a number by yes/no questions."""

    instructions = "Find the number below 4. Ask yes/no questions; guess with 'Is it 3?'."
    option_keys = frozenset({"number"})

    def __init__(self, simulator: str = "scripted", render_mode: str | None = None, **options: Any) -> None:
        super().__init__(render_mode=render_mode)
        self.partner = make_partner(simulator, ToyScripted, ToyPrompt(), **options)
        self._number = 0
        self._seed = 0

    def _begin(self, options: Mapping[str, Any]) -> str:
        self._number = options.get("number", draw_index(self.np_random, COUNT))
        if self._number not in range(COUNT):
            raise ValueError(f"number={self._number!r} must be from 0 to {COUNT - 1}")
        self._seed = draw_index(self.np_random, 2**31)
        return "Ask."

    def _ask(self, action: str) -> PartnerRequest | None:
        if not action.startswith("Is it "):
            return None  # no model needs to be asked
        return PartnerRequest({"number": self._number}, tuple(self._texts), action, self._seed + self.turn)

    def _answer(self, action: str, reply: PartnerReply | None) -> Outcome:
        reply = reply or PartnerReply("No.", understood=False)
        won = action == f"Is it {self._number}?" and reply.text == "Yes."
        over = won or self.turn + 1 >= TURNS
        return reply.text, 0.0 if won else -1.0, over, False, {"valid": action in QUESTIONS + GUESSES}

    def _reveal(self) -> dict[str, Any]:
        return {"success": bool(self._rewards and self._rewards[-1] == 0.0), "number": self._number}

    def _get_game(self) -> dict[str, Any]:
        return {"number": self._number, "seed": self._seed}

    def _set_game(self, state: Mapping[str, Any]) -> None:
        self._number, self._seed = state["number"], state["seed"]


class ToyVectorEnv(TextVectorEnv):
    env_class = ToyEnv


def ask(number: int, question: str, seed: int = 0, texts: tuple[str, ...] = ("Ask.",)) -> PartnerRequest:
    return PartnerRequest({"number": number}, texts, question, seed)


def toy_episodes(copies: int = 2):
    """Conversations with the scripted partner in which every question is asked about every number."""
    from lmrl_agents.partners.pairs import PartnerEpisode

    episodes = []
    for _ in range(copies):
        for number in range(COUNT):
            texts = ["Ask."]
            for question in QUESTIONS + GUESSES:
                texts += [question, truth(number, question)]
            episodes.append(PartnerEpisode({"number": number}, texts))
    return episodes


def save_seq2seq(folder: Path) -> None:
    """A tiny T5 that answers "Yes." or "No." by whether the question has the word "odd", trained on the spot."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    from lmrl_agents.partners.pairs import make_pairs
    from lmrl_agents.partners.tokens import train_chat_tokenizer
    from lmrl_envs.partners.prompting import render_plain

    pairs, _ = make_pairs(toy_episodes(1), ToyPrompt())
    tokenizer = train_chat_tokenizer([p.prompt for p in pairs], [p.target for p in pairs], vocab_size=400, context=8192)
    tokenizer.chat_template = None
    size = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2}
    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = T5ForConditionalGeneration(
            T5Config(
                vocab_size=len(tokenizer), decoder_start_token_id=ids["pad_token_id"], dropout_rate=0.0, **size, **ids
            )
        )
        prompts = [render_plain(pair.prompt) for pair in pairs]
        replies = ["Yes.<eos>" if "odd" in prompt else "No.<eos>" for prompt in prompts]
        inputs = tokenizer(prompts, return_tensors="pt", padding=True)
        labels = tokenizer(replies, return_tensors="pt", padding=True)["input_ids"]
        labels[labels == tokenizer.pad_token_id] = -100
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        for _ in range(200):
            loss = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], labels=labels).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
