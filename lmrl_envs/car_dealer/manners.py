"""What the personalities of buyers say in ways of their own."""

from __future__ import annotations

from typing import Any

from lmrl_envs.car_dealer.wording import LINES

MANNER: dict[str, dict[str, tuple[str, ...]]] = {
    # warm: in a good mood; cold: in a bad one; leave / buy: last words that replace the general ones
    "friendly": {
        "warm": ("You're very kind.", "Lovely.", "This is nice.", "I appreciate your help."),
        "cold": ("Oh dear.", "That's a pity.", "I don't like to argue."),
        "leave": ("I'm sorry, it just won't work. Thanks for your time, goodbye.",),
        "buy": ("Wonderful, {money} for the {car} it is. A pleasure doing business with you!",),
    },
    "impatient": {
        "warm": ("Quick now.", "Good, go on.", "Right."),
        "cold": ("Come on.", "Get to the point.", "I'm in a hurry."),
        "leave": ("I don't have time for this. Bye.", "Too slow. I'm gone."),
        "buy": ("Fine, {money} for the {car}. Papers, quickly.",),
    },
    "frugal": {
        "warm": ("Every dollar counts.", "I watch my money.", "Hm, let me count."),
        "cold": ("That's daylight robbery.", "I'm not made of money.", "Too rich for my blood."),
        "leave": ("I'd rather keep my money. Goodbye.",),
        "buy": ("{money} for the {car}... all right, but not a cent more.",),
    },
    "suspicious": {
        "warm": ("Hm, so far so good.", "I'll believe it when I see it.", "Maybe."),
        "cold": ("What are you hiding?", "I've been cheated before.", "I don't quite trust this."),
        "leave": ("Something's off here. Goodbye.",),
        "buy": ("All right: {money} for the {car}. But I read every line of the contract.",),
    },
    "vain": {
        "warm": ("You know who you're dealing with.", "Naturally.", "I do turn heads."),
        "cold": ("Please, I have standards.", "Do I look like just anyone?", "I expected better treatment."),
        "leave": ("This place isn't worthy of me. Goodbye.",),
        "buy": ("{money} for the {car}. My neighbours will turn green.",),
    },
    "cautious": {
        "warm": ("That helps.", "I like to be sure.", "Step by step."),
        "cold": ("I'm not sure about this.", "I'd have to think about it.", "That worries me."),
        "leave": ("I need to sleep on it. Goodbye.",),
        "buy": ("I've thought about it: yes, the {car} for {money}.",),
    },
    "enthusiastic": {
        "warm": ("Great!", "Oh, fantastic!", "I can see myself in it already!", "Exciting!"),
        "cold": ("Aw.", "Oh no.", "What a shame!"),
        "leave": ("What a pity, I was so looking forward to it. Bye!",),
        "buy": ("Yes! The {car} for {money}! I can't wait to drive it home!",),
    },
    "analytical": {
        "warm": ("I compared prices online.", "That fits my figures.", "Let me note that."),
        "cold": ("The figures don't support that.", "My spreadsheet says otherwise.", "On what basis?"),
        "leave": ("The numbers don't add up. Goodbye.",),
        "buy": ("The numbers add up: the {car} for {money}.",),
    },
    "stubborn": {
        "warm": ("I know what I want.", "I'm not easily moved.", "Fair enough."),
        "cold": ("I said what I said.", "No.", "I don't budge that easily."),
        "leave": ("I've said my price. If you won't listen, goodbye.",),
        "buy": ("Fine. {money} for the {car}. That's it.",),
    },
    "shy": {
        "warm": ("Um, thank you.", "Oh, okay.", "That's, um, nice."),
        "cold": ("Sorry.", "Um, I don't know.", "I'm a bit uneasy."),
        "leave": ("I, um, think I'd better go. Sorry.",),
        "buy": ("Okay. Um, the {car} for {money}, then.",),
    },
}


def last_words(intent: str, personality: str, seed: int, **values: Any) -> str:
    """Leaving or buying, in a general or in the personality's own words."""
    lines = LINES[intent] + MANNER[personality][intent] * 3
    return lines[seed % len(lines)].format(**values)


def manner(personality: str, mood: float, seed: int, last: int) -> tuple[int, str]:
    """A turn of phrase to begin with, most often none, never the ``last`` one again; (which, phrase)."""
    if seed % 10 >= 3:
        return last, ""
    lines = MANNER[personality]["warm" if mood >= 0 else "cold"]
    chosen = seed // 10 % len(lines)
    if chosen == last:
        chosen = (chosen + 1) % len(lines)
    return chosen, lines[chosen] + " "
