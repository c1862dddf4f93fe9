"""What buyers say; every intent has several wordings. What personalities add of their own is in `manners`.

The words "accept" and "reject" stand in no line: they name the outcome, which shows only at the end.
"""

from __future__ import annotations

from typing import Any

LINES: dict[str, tuple[str, ...]] = {
    "greet": (
        "Hello. I'm thinking of buying a car.",
        "Hi there, I'd like to look at some cars.",
        "Good day. I need a car, let's see what you have.",
        "Hi. I came to see what's on the lot.",
    ),
    "empty": (
        "Hello? Did you say something?",
        "Sorry, I didn't hear anything.",
        "Are you still there?",
        "You've gone quiet on me.",
    ),
    "confused": (
        "I'm not sure what you mean. Can we talk about the cars?",
        "Sorry, that made no sense to me. Which car are we talking about?",
        "I don't follow. I just want to buy a car.",
        "What is that supposed to mean? Talk to me about a car, please.",
        "You lost me there. Could you say that in plain words?",
    ),
    "insulted": (
        "There is no need to be rude. One more word like that and I'm gone.",
        "Excuse me? You don't talk to a customer like that.",
        "I won't be spoken to that way.",
    ),
    "insulted_off": (
        "I won't be spoken to that way. Whatever I said about a price, forget it.",
        "How rude. My offer is off the table.",
    ),
    "no_answer": (
        "I haven't thought about that.",
        "Hm, I couldn't say.",
        "I don't mind either way.",
        "That's not so important to me.",
    ),
    "monthly": (
        "I don't want a monthly rate. What's the full price?",
        "No payments by the month, please. What does it cost altogether?",
        "I'd pay it at once. What is the whole price?",
    ),
    "want": (
        "I'm looking for {want}.",
        "What I want is {want}.",
        "I have {want} in mind.",
        "Ideally {want}.",
        "I'd love {want}.",
    ),
    "want_more": (
        "Preferably {want}.",
        "Well, I'd like {want}.",
        "Best of all {want}, since you ask.",
    ),
    "want_all_told": (
        "I've told you all I care about: {want}.",
        "Nothing more than that: {want}.",
    ),
    "features": (
        "I'd really like {want}.",
        "What matters to me is {want}.",
        "{want}, above all.",
        "It would be great to have {want}.",
    ),
    "budget": (
        "I can spend around {money}.",
        "My limit is about {money}.",
        "Something like {money}, all in.",
        "I've set {money} aside for it.",
    ),
    "budget_again": (
        "I told you, about {money}.",
        "Still around {money}.",
        "It hasn't changed: {money} or so.",
    ),
    "budget_no": (
        "I'd rather not say just yet.",
        "Let's talk about the car first, then about my wallet.",
        "That depends on the car.",
        "Hm, show me a car first. What do you have?",
    ),
    "drive": (
        "I took the {car} round the block. It drives fine.",
        "Sure... That was nice, the {car} runs well.",
        "All right, I've driven the {car} now.",
    ),
    "drink": ("I'm fine without, thank you.", "Thanks, but I just had one.", "Maybe later."),
    "name": ("Does that change the price?", "I'll tell you when we sign something.", "We'll get to names later."),
    "why": ("It's what I need, that's all.", "It just suits my life.", "Long story. It's what I need."),
    "why_price": (
        "Because that's what it's worth to me.",
        "I looked around before I came.",
        "It's what I can justify.",
    ),
    "when": ("As soon as the price is right.", "Soon, if I find the right one.", "When we agree, I'd take it with me."),
    "whom": ("It's for me, mostly.", "For me, though the family will ride along.", "Mainly for myself."),
    "colour": ("The colour doesn't matter much to me.", "Any colour will do.", "I'm not picky about the colour."),
    "trade_in": ("I have nothing to trade in.", "Let's leave my old car out of this.", "I'd sell the old one myself."),
    "yes": ("Yes, that's what I like.", "Yes, very much.", "Yes, that would be nice.", "Oh yes, that's a plus for me."),
    "no": ("No, not really.", "Not especially.", "That's not what I'm after.", "I don't need that."),
    "no_hint": (
        "Not really. I'd rather have {want}.",
        "No, {want} is more my thing.",
        "I was thinking of {want}, to be honest.",
    ),
    "which": (
        "Which {type} do you mean?",
        "You have more than one {type}, which one?",
        "Tell me which {type} exactly.",
    ),
    "none_such": ("I don't see any {type} on your list.", "Do you even have one? I see no {type} on your list."),
    "like_car": (
        "The {car}? That's close to what I want.",
        "Now the {car} I like.",
        "Oh, the {car} looks right for me.",
        "Good, the {car} would suit me.",
    ),
    "ok_car": (
        "The {car} could work.",
        "The {car}, hm, not quite what I pictured, but go on.",
        "The {car} is all right, I suppose.",
        "I could live with the {car}.",
    ),
    "dislike_car": (
        "The {car} isn't really what I'm after.",
        "I had something else in mind than the {car}.",
        "The {car}? I'm not sure that's me.",
    ),
    "hint_type": (" I'd prefer {type}.", " I was hoping for {type}.", " I'd rather have {type}."),
    "hint_brand": (" I like {brand}, you know.", " A {brand} would be my first choice.", " I've always liked {brand}."),
    "hint_feature": (" Does it really have {feature}?", " And it has {feature}, right?"),
    "hint_missing": (" I'd miss {feature}.", " I'd want {feature}, though.", " A pity it doesn't list {feature}."),
    "ask_price": (
        "What would it cost me?",
        "What do you want for it?",
        "How much are you asking?",
        "And the price?",
        "What's your price on it?",
    ),
    "too_rich": (
        "The {car} is out of my league, I think.",
        "The {car} looks far too expensive for me.",
        "I doubt I could ever pay for the {car}.",
    ),
    "feature_good": (
        "It has {feature}? I like that.",
        "{feature}: good, I wanted that.",
        "Nice, I had {feature} on my list.",
        "I'm glad it has {feature}.",
    ),
    "feature_meh": ("That's nice, but not what matters to me.", "Good to know.", "Fine, though I don't need that."),
    "feature_lie": (
        "Your own list doesn't mention {feature} for the {car}.",
        "Hold on, the {car} isn't listed with {feature}.",
        "That's odd: I don't see {feature} on the sheet of the {car}.",
    ),
    "fishy": (
        "{money} for the {car}? What's wrong with it?",
        "Nobody sells the {car} for {money}. I don't trust that.",
        "{money}? That has to be a joke or a stolen car.",
    ),
    "absurd": (
        "That is an absurd amount for the {car}.",
        "You can't be serious. Nobody pays that for the {car}.",
        "That number is ridiculous. Let's be reasonable.",
    ),
    "no_car": (
        "A price for which car?",
        "Which car would that be for?",
        "You'd have to tell me which car you're talking about.",
    ),
    "far": (
        "{money} for the {car} is far more than I can do.",
        "That's way over what I'd pay for the {car}.",
        "No, {money} is much too much for me.",
        "I can't get anywhere near {money}.",
    ),
    "far_again": (
        "It's still far too much. Is there anything cheaper?",
        "We're still miles apart. Do you have something cheaper?",
        "No, that doesn't help. Show me something cheaper.",
    ),
    "counter_first": (
        "{money} is a bit steep. I'd give you {counter} for the {car}.",
        "Hm, {money}. How about {counter}?",
        "I was thinking more of {counter}.",
        "For the {car} I'd pay {counter}.",
        "Too much for me. {counter} sounds fairer.",
    ),
    "counter": (
        "I could go up to {counter}.",
        "All right, {counter}.",
        "Let's say {counter}.",
        "I can stretch to {counter}, not to {money}.",
        "You're getting closer. {counter} from me.",
        "{counter}, and we have something.",
    ),
    "counter_same": (
        "I'm still at {counter}.",
        "My number stays {counter}.",
        "No, {counter} is what I said.",
        "You haven't moved much, so it's {counter}.",
    ),
    "prefer_car": (
        "Let's talk about the {car}.",
        "The {car} interests me more.",
        "If anything, the {car}.",
    ),
    "above_list": (
        "Your list says {money}!",
        "That's more than the list price.",
        "Above the list price? Nobody pays that.",
    ),
    "raised": (
        "A moment ago you said {before}! Now it's {money}?",
        "You're going up? You said {before} before.",
    ),
    "final_no": (
        "If that's final, it's still too much. I'm at {counter}.",
        "Final or not, I can't do {money}. {counter}.",
    ),
    "no_discount_base": ("A discount on what? Name a price first.", "Off what price?"),
    "nothing_to_agree": (
        "Agreed on what? We haven't settled on a price.",
        "Slow down, I haven't named a price yet.",
        "We don't have a deal yet. What are you asking?",
    ),
    "ask_offer": (
        "You're the seller, you name a price first.",
        "Tell me what you're asking and I'll tell you what I think.",
    ),
    "flattered": ("Why, thank you.", "You're too kind.", "Well, I do know my cars.", "That's nice to hear."),
    "unflattered": ("Save the compliments.", "Flattery won't lower the price.", "Let's stick to the car."),
    "pressed": (
        "Oh. I'd hate to miss it.",
        "Really? Then I'd better make up my mind.",
        "I see, I shouldn't wait too long then.",
    ),
    "unpressed": ("Don't rush me.", "I don't like being pushed.", "If it goes, it goes. Don't press me."),
    "repeat": ("You said that already.", "You're repeating yourself.", "I heard you the first time."),
    "chat": (
        "I'm fine, thanks. Long week, so I'm glad to look at cars.",
        "Can't complain, thanks. The old car is falling apart, that's why I'm here.",
        "All good, thank you.",
        "Fine, thank you. It's been a busy day.",
    ),
    "chat_weather": (
        "Yes, a good day to look at cars.",
        "Oh, I hardly noticed. I've been looking at cars all morning.",
        "Let's hope it stays like that.",
    ),
    "chat_family": (
        "The car is mostly for me, but everybody will want a ride.",
        "At home they keep asking when the new car comes.",
        "They told me to choose well.",
    ),
    "chat_car": (
        "My old one is falling apart, that's why I'm here.",
        "I drive to work every day, so I need something reliable.",
        "Something far too old. It's time for a change.",
    ),
    "reassured": ("Good, that matters to me.", "I appreciate that.", "That's reassuring."),
    "nudge": (
        "So what would you show me?",
        "All right. Which car would you suggest?",
        "Fine. Do you have something that fits me?",
        "OK. Let's get to the cars.",
    ),
    "nudge_price": (
        "So, what about the price of the {car}?",
        "What can you do on the price of the {car}?",
        "And what would the {car} cost?",
    ),
    "nudge_counter": (
        "So, do we have a deal at {counter}?",
        "My offer for the {car} is {counter}.",
        "What do you say to {counter}?",
        "I'm waiting for your answer on {counter}.",
    ),
    "soon": (" I don't have much time left.", " I can't stay much longer.", " Let's wrap this up soon."),
    "last": (" I'm about to leave.", " This is your last chance.", " One more minute, then I'm off."),
    "leave": (
        "No, this isn't going anywhere. Goodbye.",
        "I'll look elsewhere. Goodbye.",
        "Sorry, I'm leaving. No deal.",
        "I've had enough for today. Goodbye.",
        "We won't get together on this. I'm off.",
    ),
    "dismissed": ("If you don't want to sell, I'll be going. Goodbye.", "Fine, then I'm leaving. Goodbye."),
    "buy": (
        "Deal. I'll take the {car} for {money}.",
        "All right, I'm buying the {car} for {money}.",
        "Good, {money} for the {car}. Where do I sign?",
        "You've sold me: the {car} for {money}.",
    ),
}

THE = {
    "leather seats": "leather seats",
    "sunroof": "a sunroof",
    "heated seats": "heated seats",
    "backup camera": "a backup camera",
    "third row": "a third row",
    "all-wheel drive": "all-wheel drive",
    "hybrid engine": "a hybrid engine",
    "premium sound": "a premium sound system",
}
"""Features as they stand in a sentence."""


def say(intent: str, seed: int, **values: Any) -> str:
    """A wording of an intent, chosen by the seed."""
    lines = LINES[intent]
    return lines[seed % len(lines)].format(**values)


def listed(items: list[str]) -> str:
    """``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
