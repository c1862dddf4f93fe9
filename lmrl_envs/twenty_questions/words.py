"""From a text to words: what counts as the same word when a question is read."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

STOP = frozenset(
    """a an the is are be was were am been being it its they them their theirs he she him his her this that these those
    there do does did can could would will shall should may might must you your yours i me my mine we us our ours people
    someone somebody anyone anybody everyone everybody nobody ones thing things object objects item items something
    anything any some kind kinds type types sort sorts form example of to who which whom what when if so then just
    also too very really quite usual usually typical typically common commonly general generally often normally mostly
    mainly primarily frequently sometimes ever always probably possibly likely considered consider classified categorized
    thought regarded as get gets got ok okay well hmm um uh oh ah hey hi hello please tell say said guess think thinking
    wonder wondering ask asking question questions answer answers next final maybe perhaps let lets lemme now right
    correct true yes yeah sure certain certainly definitely actually basically simply exactly particular specific
    specifically chance secret mystery mind about average normal ordinary human humans person persons category belong
    able possible find found see seen locate located spot encounter come across expect purpose purposes way ways
    involve involves involved involving associate associated association relate related relating connect connected
    concerned describe described primary main major both each every all whole other others else even still itself
    actual fact broad broadly kinda sorta himself currently nowadays today etc btw lol pls plz thx thanks thank
    sir madam buddy dude im ive id theyre potentially theoretically fairly relatively somewhat largely entirely
    completely totally purely strictly intended designed meant supposed specially especially particularly traditionally
    serve serves served goes going using been had such another oneself themselves yourself myself noun everywhere
    somewhere anywhere place s re m ve ll d t""".split()
) - {"common", "place"}
SOFT = frozenset(
    """stuff need require many lot more own go group like time times call know capable regularly last name much use have with in on at
    for by from one two place than part look keep put part make around only out up down off into inside while most
    piece hand around without during per set bit degree area environment setting surface feature features element act
    different home large-scale ordinarily fall try happen start contain single daily basis size shape color material
    state mean world item's naturally word common good kind-of after before else's take both well-known bring give""".split()
)
"""Words that say little alone: left over, they do not make a question unread."""
IRREGULAR = {
    "worn": "wear", "wore": "wear", "made": "make", "eaten": "eat", "ate": "eat", "used": "use", "driven": "drive",
    "ridden": "ride", "rode": "ride", "written": "write", "wrote": "write", "drawn": "draw", "drew": "draw",
    "drunk": "drink", "drank": "drink", "thrown": "throw", "threw": "throw", "grown": "grow", "grew": "grow",
    "flown": "fly", "flew": "fly", "flies": "fly", "swum": "swim", "swam": "swim", "hung": "hang", "held": "hold",
    "kept": "keep", "found": "find", "bought": "buy", "sold": "sell", "built": "build", "blown": "blow", "sung": "sing",
    "slept": "sleep", "sat": "sit", "stood": "stand", "given": "give", "gave": "give", "taken": "take", "took": "take",
    "sent": "send", "broken": "break", "broke": "break", "froze": "freeze", "frozen": "freeze", "struck": "strike",
    "has": "have", "had": "have", "having": "have", "contains": "contain", "leaves": "leaf", "knives": "knife",
    "shelves": "shelf", "wolves": "wolf", "lives": "live", "feet": "foot", "teeth": "tooth", "men": "man",
    "women": "woman", "children": "child", "kids": "kid", "mice": "mouse", "geese": "goose", "oxen": "ox",
    "berries": "berry", "batteries": "battery", "cities": "city", "wove": "weave", "woven": "weave", "shot": "shoot",
    "caught": "catch", "taught": "teach", "read": "read", "ran": "run", "lit": "light", "lain": "lie", "lying": "lie",
    "laid": "lay", "dying": "die", "ties": "tie", "shone": "shine", "hooves": "hoof", "loaves": "loaf", "scarves": "scarf",
    "halves": "half", "hit": "hit", "fries": "fry", "dishes": "dish", "dug": "dig", "spun": "spin", "left": "left",
    "ladies": "lady", "babies": "baby", "bodies": "body", "puppies": "puppy", "ponies": "pony", "colour": "color",
    "colours": "color", "coloured": "color", "colored": "color", "grey": "gray", "jewellery": "jewelry", "metre": "meter",
    "metres": "meter", "fibre": "fiber", "theatre": "theater", "tyres": "tire", "tyre": "tire", "gasoline": "gasoline",
    "cannot": "not", "nope": "not", "2": "two", "3": "three", "4": "four", "1": "one", "6": "six", "8": "eight",
    "longer": "longer", "spoken": "speak", "worked": "work", "men's": "man", "women's": "woman", "lain": "lie",
    "stuck": "stick", "hidden": "hide", "veggies": "veggie", "tines": "tine", "movies": "movie", "cookies": "cookie",
    "smoothies": "smoothie", "calories": "calorie", "ties": "tie", "pies": "pie", "burnt": "burn", "woods": "wood",
}  # fmt: skip
"""Forms that no rule finds."""

KEEP = frozenset(
    """boxing cooking cooked eating fishing running clothing building wedding earring string ring king spring thing ceiling morning evening during bus gas
    glass grass dress brass glasses bed red seed feed need speed breed hundred used news always tennis jeans
    scissors pliers class pass press across mass moss boss kiss cross less wireless is this us plus lens species
    building something living swimming plumbing lightning outing anything nothing wing sing bring swing sling
    nursing engineering feather leather weather father mother other either whether rather together over under paper
    water number letter better butter summer winter super upper rubber silver copper tiger computer printer
    united hatred sacred shed sled fed led bled wed ted physics mathematics athletics gymnastics politics""".split()
)

_APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "`": "'", "´": "'", "“": '"', "”": '"', "–": "-", "—": ","})
_WORD = re.compile(r"\$?\d+(?:[.,]\d+)*|[a-z]+(?:'[a-z]+)?|[,%$]")
_BARE_NEGATIONS = {
    word.replace("'", ""): "n't"
    for word in "isn't aren't doesn't don't can't won't wouldn't couldn't wasn't didn't hasn't haven't shouldn't".split()
}


def clean(text: str) -> str:
    """Lower case, one form of each character, no invisible ones."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
        text = "".join(" " if unicodedata.category(c) in ("Cc", "Zs", "Zl", "Zp") else c for c in text if unicodedata.category(c) not in ("Cf", "Mn"))
        text = text.translate(_APOSTROPHES)
    return text.lower()


def words(text: str) -> list[str]:
    """Words of a cleaned text; ``n't`` is a word of its own, other endings after an apostrophe are dropped."""
    found = []
    for word in _WORD.findall(text):
        if word in _BARE_NEGATIONS:
            found.append("n't")
            continue
        if "'" in word:
            if word.endswith("n't"):
                found.append("n't")
                continue
            word = word.partition("'")[0]
        found.append(word)
    return found


class Lemmas:
    """Maps a word to the form the lexicon uses, mending a light slip of the pen."""

    def __init__(self, vocabulary: Iterable[str]) -> None:
        self.vocabulary = frozenset(vocabulary)
        self._cache: dict[str, str] = {}
        self._slips: dict[str, str] = {}
        for word in sorted(self.vocabulary):
            if len(word) >= 5:
                for cut in _cuts(word):
                    self._slips.setdefault(cut, word)

    def __call__(self, word: str) -> str:
        lemma = self._cache.get(word)
        if lemma is None:
            lemma = self._find(word)
            if len(self._cache) < 50_000:
                self._cache[word] = lemma
        return lemma

    def _find(self, word: str) -> str:
        known = simple_lemma(word, self.vocabulary)
        if known in self.vocabulary or known in STOP or len(word) < 5 or not word.isalpha():
            return known
        for cut in (word, *_cuts(word)):
            if cut in self._slips:
                return self._slips[cut]
            if cut in self.vocabulary and len(cut) >= 5:
                return cut
        return known


def _cuts(word: str) -> list[str]:
    """The word with one letter left out, its first letter kept."""
    return [word[:i] + word[i + 1 :] for i in range(1, len(word))]


def simple_lemma(word: str, vocabulary: Iterable[str] = ()) -> str:
    """The base form of a word: irregular forms by table, regular ones by ending, if that gives a word of the vocabulary."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if word in KEEP or word in STOP:
        return word
    for candidate in _stems(word):
        if candidate in vocabulary:
            return candidate
    return word


def _stems(word: str) -> list[str]:
    stems = []
    if word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        if word.endswith("ies"):
            stems.append(word[:-3] + "y")
        stems.append(word[:-1])
        if word.endswith("es"):
            stems.append(word[:-2])
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            stem = word[: -len(ending)]
            stems += [stem, stem + "e"]
            if len(stem) > 2 and stem[-1] == stem[-2]:
                stems.append(stem[:-1])
            if ending == "ed" and stem.endswith("i"):
                stems.append(stem[:-1] + "y")
    return stems
