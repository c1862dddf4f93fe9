"""Numbers in words and digits: ``twenty-seven thousand five hundred``, ``5,000``, and prices as they are spoken."""

from __future__ import annotations

SMALL = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve "  # noqa: SIM905 - a list reads better as text
        "thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
    )
}
TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
SCALES = {"hundred": 100, "thousand": 1000, "grand": 1000, "k": 1000, "thou": 1000, "million": 1_000_000}
NUMBERS: dict[str, float] = {**SMALL, **TENS, **SCALES, "billion": 1e9, "half": 0.5}
"""Every word that is a number by itself."""


def digits(text: str) -> float:
    """A number in digits, commas between thousands or not; what stands around it is left out. 0 for one with two points."""
    kept = "".join(sign for sign in text if sign.isdecimal() or sign == ".").rstrip(".")
    return float(kept or 0) if kept.count(".") < 2 else 0.0


def spoken_number(words: str) -> tuple[float, bool] | None:
    """The value of numbers in words, and whether a scale (hundred, thousand) was said; None for what is unclear.

    Prices as they are spoken count ("twenty-seven five": 27,500). Words: those of `SMALL`, `TENS` and `SCALES`, "and", "a",
    "an", "half", joined by spaces, commas or dashes.
    """
    groups: list[float] = []  # numbers below 100, in the order said
    total, scaled, fresh = 0.0, False, True
    tokens = words.replace("-", " ").replace(",", " ").split()
    half = tokens[:1] == ["half"]
    for word in tokens:
        if word in ("and", "a", "an"):
            continue
        if word == "half":
            if groups and not fresh:
                groups[-1] += 0.5
            continue
        if word in SCALES:
            scale = SCALES[word]
            value = _spoken(groups) if groups else 1.0
            if value is None:
                return None
            if scale == 100:
                if len(groups) == 2 and not scaled and groups[0] >= 10:  # twenty-seven five hundred
                    total, groups, scaled = groups[0] * 1000, [groups[1] * 100], True
                else:
                    groups = [value * 100]
            else:
                total, groups = total + value * scale, []
            scaled, fresh = True, True
        elif word in TENS:
            groups.append(TENS[word])
            fresh = False
        else:
            value = SMALL[word]
            if (groups and not fresh and groups[-1] >= 20 and groups[-1] % 10 == 0 and 0 < value < 10) or (
                groups and groups[-1] >= 100 and groups[-1] % 100 == 0
            ):
                groups[-1] += value
            else:
                groups.append(value)
            fresh = False
    if groups and groups[0] >= 100:  # hundreds and what follows
        total += sum(groups)
    elif groups:
        rest = _spoken(groups)
        if rest is None:
            return None
        if total >= 10_000 and len(groups) == 1 and 0 < rest < 10 and tokens[-1] not in SCALES:  # thirty thousand five
            rest *= 100
        total += rest
        scaled = scaled or len(groups) > 1
    return (total / 2 if half else total), scaled


def _spoken(groups: list[float]) -> float | None:
    """ "twenty-seven", "five" -> 27,500; "twenty-nine", "nine", "fifty" -> 29,950; None for what is unclear."""
    if len(groups) == 1:
        return groups[0]
    if len(groups) == 2 and 10 <= groups[0] < 100 and 1 <= groups[1] < 10:
        return groups[0] * 1000 + groups[1] * 100
    if len(groups) == 3 and 10 <= groups[0] < 100 and 1 <= groups[1] < 10 <= groups[2] < 100:
        return groups[0] * 1000 + groups[1] * 100 + groups[2]
    return None
