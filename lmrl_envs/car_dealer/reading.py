"""Understanding a seller's line: which cars, features and prices it names, and what it does (asks, presses, praises)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from lmrl_envs.car_dealer.prices import Price, normalise, read_prices
from lmrl_envs.car_dealer.rules import BRANDS, TYPES, Car

READ_LENGTH = 2000
"""Characters of a line that a buyer takes in."""
REMEMBERED_LENGTH = 300
"""A reading of a longer line is not kept: few are said twice, and memory is bounded by it."""

_WORD = re.compile(r"[a-z0-9']+")
_BRAND_WORDS = {brand.lower(): brand for brand in BRANDS} | {
    "chevy": "Chevrolet", "vw": "Volkswagen", "merc": "Mercedes", "benz": "Mercedes", "beemer": "BMW", "bimmer": "BMW",
    "beamer": "BMW",
}  # fmt: skip
_TYPE_WORDS = {kind.lower(): kind for kind in TYPES} | {
    "suvs": "SUV", "crossover": "SUV", "sedans": "sedan", "saloon": "sedan", "trucks": "truck", "pickup": "truck", "van": "minivan", "minivans": "minivan", "vans": "minivan", "convertibles": "convertible",
    "cabrio": "convertible", "cabriolet": "convertible", "roadster": "convertible", "hatchbacks": "hatchback",
    "hatch": "hatchback",
}  # fmt: skip
_FEATURE_WORDS: dict[str, tuple[tuple[str, ...], str]] = {
    # a word of the line -> the phrases that must be there (any), the feature
    "leather": (("leather",), "leather seats"),
    "sunroof": (("sunroof",), "sunroof"),
    "sun": (("sun roof", "sun-roof"), "sunroof"),
    "moonroof": (("moonroof",), "sunroof"),
    "panoramic": (("panoramic",), "sunroof"),
    "heated": (("heated",), "heated seats"),
    "camera": (("camera",), "backup camera"),
    "row": (("third row", "3rd row", "third-row"), "third row"),
    "seven": (("seven seat", "seven-seat"), "third row"),
    "wheel": (("all-wheel", "all wheel", "four-wheel", "four wheel"), "all-wheel drive"),
    "awd": (("awd",), "all-wheel drive"),
    "4wd": (("4wd",), "all-wheel drive"),
    "hybrid": (("hybrid",), "hybrid engine"),
    "sound": (("sound system", "premium sound", "great sound"), "premium sound"),
    "stereo": (("stereo",), "premium sound"),
    "audio": (("audio",), "premium sound"),
    "speakers": (("speakers",), "premium sound"),
}

_CHAT = {
    "u": "you", "ur": "your", "ya": "you", "whats": "what's", "whatcha": "what are you", "wanna": "want to", "gonna": "going to",
    "gotta": "have to", "lemme": "let me", "gimme": "give me", "kinda": "kind of", "pls": "please", "plz": "please", "thx": "thanks",
}  # fmt: skip
"""How people type, and what it is short for."""
_CHAT_WORD = re.compile(rf"(?<![\w'])(?:{'|'.join(_CHAT)})(?![\w'])")
_NAMES = frozenset([*_BRAND_WORDS, *_TYPE_WORDS, *_FEATURE_WORDS])

_PHRASES: dict[str, tuple[str, ...]] = {
    "ask_budget": ("budget", "price range", "of spending", "to be spending", "looking to spend", "afford to spend", "planning to spend", "in your pocket", "can you afford", "to spend", "can you spend", "can you pay", "able to pay", "your limit",
                   "much money", "how much can you", "how much do you have"),
    "ask_needs": ("what u want", "anything you like", "something you like", "catch your eye", "caught your eye", "something specific", "anything specific", "see yourself in", "what you want", "can i get you", "can i do for you", "which car", "you'd like", "the brand", "the type", "what do you want", "looking for", "brings you", "what kind", "which kind", "what type", "which type", "which brand",
                  "what brand", "do you need", "are you after", "would you like", "help you", "can i help", "may i help", "what sort", "your needs",
                  "do you prefer", "preference", "favorite", "favourite", "what matters", "in mind", "do you want",
                  "you interested in", "dream car", "what else", "could i show you", "can i show you", "car here you like", "anything here"),
    "ask_features": ("which features", "what features", "features matter", "features do", "any features", "must-have",
                     "must have", "what matters", "important to you", "important for you", "most important", "what's important", "do you value", "features are", "what extras", "which extras"),
    "ask_offer": ("name a number", "what u pay", "would u pay", "make you say yes", "make you buy", "get you to buy", "comfortable paying", "happy to pay", "what you would pay", "what would you be paying", "feel comfortable with", "would you pay", "your best price", "your top price", "the most you", "willing to pay", "make me an offer", "what's your offer", "your best offer", "would you offer",
                  "what price", "name your price", "name a price", "would you give", "what number", "how much would you",
                  "what would it take", "your counter", "can you offer", "are you willing to pay"),
    "agree": ("yourself a deal", "meet you there", "the paperwork", "draw up the contract", "write it up", "i can accept", "at your price", "accept that", "i'll take that", "i will take that", "take your offer", "agreed", "i agree", "got a deal", "have a deal", "it's a deal", "it is a deal", "sold", "i can do that",
              "works for me", "that works", "i accept", "fine by me", "shake on", "shake hands", "let's do it", "your price it is",
              "accept your", "i'll take your", "i will take your", "i take your", "you can have it", "it's yours",
              "it is yours", "we can do that", "i'll do it", "that's fine", "you win"),
    "refuse": ("can't", "cannot", "too low", "no deal", "not possible", "no way", "unfortunately", "impossible"),
    "final": ("final offer", "last offer", "best i can", "lowest i can", "take it or leave", "final price",
              "my best price", "rock bottom", "can't go lower", "cannot go lower", "can't go below", "final:", "last price"),
    "flattery": ("taste", "great choice", "good choice", "excellent choice", "smart", "you look", "handsome", "good eye",
                 "sharp eye", "discerning", "someone like you", "suits you", "you deserve", "admire", "your style",
                 "stylish", "distinguished", "you know your", "impressive", "charming"),
    "pressure": ("last chance", "today only", "only today", "last one", "won't last", "someone else", "another customer", "another buyer",
                 "other buyers", "other customers", "hurry", "limited time", "expires", "before it's gone", "now or never",
                 "decide now", "sign today", "sign now", "going fast", "act now", "act fast",  "buy it now",
                 "have to decide", "must decide", "take it or leave"),
    "ask_opinion": ("is that too", "is it too", "too much for you", "think of", "do you say", "your opinion", "like it", "does that sound", "does it sound", "are you interested", "think about it", "your thoughts"),
    "insult": ("idiot", "idiots", "stupid", "moron", "dumb", "loser", "cheapskate", "shut up", "jerk", "ugly", "hate you", "fuck", "fucking",
               "asshole", "waste my time", "wasting my time", "pathetic", "you're broke", "you are broke", "bastard"),
    "polite": ("please", "thank", "thanks", "welcome", "appreciate", "pleasure", "sorry", "happy to", "glad", "of course",
               "understand", "no pressure", "take your time", "my apologies"),
    "ask_name": ("your name",),
    "ask_drink": ("coffee", "tea", "something to drink", "glass of water"),
    "ask_why": ("why", "holding you back", "stopping you", "your concern", "what's the problem", "what is the problem"),
    "ask_when": ("how soon", "when do you need", "when would you", "when are you", "how quickly"),
    "ask_whom": ("who's the car for", "who is the car for", "who will drive", "for you or", "for yourself", "who is it for", "who's it for", "who are you shopping", "who are you buying"),
    "ask_colour": ("colour", "color"),
    "trade_in": ("trade in", "trade-in", "trade your", "part exchange", "part-exchange", "old car off", "take your old", "for your old", "take your current"),
    "small_talk": ("how are you", "have kids", "any kids", "children", "are you driving", "do you drive", "drive at the moment", "your current car", "your old car", "your name", "are you married", "nice day", "far from here", "weather", "weekend", "family", "your day", "coffee", "hobby", "commute", "first car",
                   "about yourself", "drive now", "vacation", "holiday", "how is it going", "how's it going"),
    "honest": ("honest", "transparent", "fair price", "no hidden", "warranty", "guarantee", "inspection", "inspected",
               "service record", "service history", "accident-free", "one owner", "return it", "test drive", "no pressure",
               "take your time"),
    "test_drive": ("test drive", "test-drive", "for a spin", "for a drive", "sit in it", "behind the wheel"),
    "farewell": ("goodbye", "good bye", "bye bye", "get out", "not selling", "we're done", "we are done", "no longer for sale",
                 "leave now", "leave my", "come back another", "end this conversation", "good luck elsewhere"),
    "greeting": ("hello", "howdy", "hi", "hiya", "heya", "yo", "greetings", "welcome", "good morning", "good afternoon", "good evening", "hey"),
    "split": ("split the difference", "meet in the middle", "meet halfway", "meet me halfway", "meet you halfway",
              "halfway between", "meet me in the middle", "meet you in the middle", "in the middle"),
    "marker": ("[inst", "system:", "assistant:", "decision:", "ignore all", "ignore previous", "ignore your",
               "you are now", "buyer:", "customer:", "as the buyer", "user:", "you agreed", "you already agreed",
               "you said yes", "already sold", "you have accepted", "you accepted"),
}  # fmt: skip


def _triggers() -> dict[str, list[tuple[str, str]]]:
    """The longest word of each phrase -> (phrase, act): only phrases whose word is there are looked for."""
    triggers: dict[str, list[tuple[str, str]]] = {}
    for act, phrases in _PHRASES.items():
        for phrase in phrases:
            triggers.setdefault(max(_WORD.findall(phrase), key=len), []).append((phrase, act))
    return triggers


_QUESTION_WORDS = frozenset({"what", "which", "how", "who", "whom", "what's", "whats", "how's", "who's"})
_QUESTION_PHRASES = ("tell me", "may i ask", "could you", "can you", "do you", "are you", "would you")
_ABOUT_YOU = ("you want", "you need", "you looking", "you like", "you prefer", "you interested", "you after", "you care",
              "you into", "important to you", "matter to you", "you love", "for you", "you be happy", "you fancy")  # fmt: skip
_TRIGGERS = _triggers()
_A_TYPE = re.compile(rf"\b(?:an?|any|some)\s+(?:{'|'.join(_TYPE_WORDS)})\b[^.!?]{{0,20}}\?")
_NO_DEAL = re.compile(r"\b(?:no|not a|isn't a|great|good|best|better|big|real|what a|amazing|fair) deal\b")
_DEAL = re.compile(r"^\W*(?:ok\w*\W+|alright\W+|fine\W+|great\W+|perfect\W+|yes\W+)*(?:deal|done)\b")


_DEAL_LAST = re.compile(r"(?<=[.!;,])\s*(?:(?:ok\w*|then|so|it's a|it is a)\s+)?deal\s*[.!]*$")
_ASSENT = re.compile(
    r"\W*(?:(?:oh|well|hm+|all right|alright|ok|okay|fine|great)\W+)*(?:yes|yeah|yep|yup|sure|ok|okay|all right|alright|fine|absolutely|certainly|of course"
    r"|gladly|with pleasure|you bet|you got it)(?:\W+(?:sir|madam|ma'am|then|we do|we have(?: a deal)?|please|sure|thank you|thanks))*\W*"
)
_DEAL_ASKED = re.compile(
    r"\W*(?:ok\w*|so|then|well)?\W*(?:is it |it's |do we have |have we got |we have |got )?(?:a )?deal\W*\?\W*"
)


def is_assent(text: str) -> bool:
    """Whether a normalised line does nothing but say yes ("Yes.", "Sure, sir")."""
    return len(text) < 60 and "?" not in text and _ASSENT.fullmatch(text) is not None


def asks_for_deal(text: str) -> bool:
    """Whether a normalised line does nothing but ask for a deal ("Deal?")."""
    return len(text) < 60 and _DEAL_ASKED.fullmatch(text) is not None


class Reading(NamedTuple):
    """What a buyer takes in of a line."""

    text: str
    """Normalised and cut."""
    words: frozenset[str]
    prices: tuple[Price, ...]
    brands: tuple[tuple[int, str], ...]
    """Where each brand is named."""
    types: tuple[tuple[int, str], ...]
    features: tuple[str, ...]
    acts: frozenset[str]

    @property
    def empty(self) -> bool:
        """Nothing in it that could be a word."""
        return not self.words


def read(line: str) -> Reading:
    """Read any string; never raises."""
    return _read(line) if len(line) <= REMEMBERED_LENGTH else _read.__wrapped__(line[:READ_LENGTH])


@lru_cache(maxsize=4096)
def _read(line: str) -> Reading:
    text = normalise(line)
    words = frozenset(_WORD.findall(text))
    if not _CHAT.keys().isdisjoint(words):
        text = _CHAT_WORD.sub(lambda found: _CHAT[found[0]], text)
        words = frozenset(_WORD.findall(text))
    brands: list[tuple[int, str]] = []
    types: list[tuple[int, str]] = []
    features: list[str] = []
    named_words = words & _NAMES
    if "'s" in text:
        named_words |= {word for word in words if word.endswith("'s") and word[:-2] in _NAMES}
    for word in sorted(named_words):
        base = word.removesuffix("'s")
        if base in _BRAND_WORDS:
            brands.append((text.find(word), _BRAND_WORDS[base]))
        elif base in _TYPE_WORDS:
            types.append((text.find(word), _TYPE_WORDS[base]))
        else:
            phrases, feature = _FEATURE_WORDS[base]
            if feature not in features and any(phrase in text for phrase in phrases):
                features.append(feature)
    brands.sort()
    types.sort()
    prices = tuple(read_prices(text, words))
    return Reading(text, words, prices, tuple(brands), tuple(types), tuple(features), _acts(text, words))


def _acts(text: str, words: frozenset[str]) -> frozenset[str]:
    acts = {act for word in words & _TRIGGERS.keys() for phrase, act in _TRIGGERS[word] if phrase in text}
    if "<|" in text or "###" in text or "</" in text:
        acts.add("marker")
    asks = "?" in text or not words.isdisjoint(_QUESTION_WORDS) or any(phrase in text for phrase in _QUESTION_PHRASES)
    if not asks:
        acts -= {"ask_budget", "ask_needs", "ask_features", "ask_opinion"}
        if "ask_offer" in acts and not words & {"name", "make"}:
            acts.discard("ask_offer")
    elif (
        ("or" in words and words & _NAMES and len(words) < 8)
        or (words & _TYPE_WORDS.keys() and _A_TYPE.search(text))
        or any(phrase in text for phrase in _ABOUT_YOU)
    ):
        acts.add("about_you")
    if asks and not words.isdisjoint(("features", "feature")) and not words.isdisjoint(("any", "what", "which")):
        acts.add("ask_features")
    if "ask_features" in acts:
        acts.discard("ask_needs")
    if asks:
        acts.add("question")
    if ("deal" in words or "done" in words) and _DEAL.match(text):
        acts.add("agree")
    if "deal" in words and _DEAL_LAST.search(text):
        acts.add("agree")
    if "agree" in acts and (
        _NO_DEAL.search(text) or "marker" in acts or "if you" in text or ("?" in text and "shake" not in words)
    ):
        acts.discard("agree")
    if "no pressure" in text:
        acts.discard("pressure")
    if "bye" in words:
        acts.add("farewell")
    return frozenset(acts)


def named(reading: Reading, stock: Sequence[Car], focus: int, talked: Sequence[int]) -> list[tuple[int, int]]:
    """(position, index in stock) of the cars a line names, in order; "it" and "this one" are left to the focus.

    A type alone ("the SUV") means the car under discussion if it is one, else one already talked about, else the only
    one in stock; otherwise it names none.
    """
    found: list[tuple[int, int]] = []
    for at, brand in reading.brands:
        found += [(at, i) for i, car in enumerate(stock) if car["brand"] == brand]
    for at, kind in reading.types:
        if any(abs(at - other) < 30 for other, _ in reading.brands):
            continue
        of_type = [i for i, car in enumerate(stock) if car["type"] == kind]
        known = [i for i in reversed(talked) if i in of_type]
        if focus in of_type:
            found.append((at, focus))
        elif known:
            found.append((at, known[0]))
        elif len(of_type) == 1:
            found.append((at, of_type[0]))
    if (
        not found
        and ("list" in reading.words or "number" in reading.words)
        and (place := _ON_LIST.search(reading.text))
    ):
        spot = next(value for value in place.groups() if value)
        index = _ORDINALS[spot] if spot in _ORDINALS else int(spot) - 1
        if index < len(stock):
            found.append((place.start(), index % len(stock)))
    if not found and not _SUPERLATIVES.keys().isdisjoint(reading.words):
        word = next(word for word in sorted(_SUPERLATIVES) if word in reading.words)
        if "expensive" not in _SUPERLATIVES[word] or "most expensive" in reading.text:
            last = _SUPERLATIVES[word] != "cheap"
            ranked = sorted(range(len(stock)), key=lambda i: stock[i]["msrp"])
            found.append((reading.text.find(word), ranked[-1 if last else 0]))
    found.sort()
    return found


_ORDINALS = {
    **{word: i for i, word in enumerate(("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"))},
    **{word: i for i, word in enumerate(("1st", "2nd", "3rd", "4th", "5th", "6th", "7th", "8th", "9th", "10th", "11th", "12th", "13th"))},
    "last": -1,
}  # fmt: skip
_ON_LIST = re.compile(
    rf"\b({'|'.join(_ORDINALS)}) (?:one|car|vehicle|item|entry)?\s?(?:on|of|in|from) (?:the|my|our|this|your) list\b"
    r"|\b(?:car|vehicle|number|no\.?|item) (?:number |no\.? )?([1-9]|1[0-3])\b(?: (?:on|of|in|from) (?:the|my|our|this|your) list\b)"
)
"""The place of a car in the stock list: "the second one on the list", "number 3 on the list"."""

_SUPERLATIVES = {"cheapest": "cheap", "expensive": "expensive", "priciest": "dear", "dearest": "dear"}


def ambiguous_type(reading: Reading) -> str | None:
    """A type named without a brand ("the SUV")."""
    return reading.types[0][1] if reading.types and not reading.brands else None
