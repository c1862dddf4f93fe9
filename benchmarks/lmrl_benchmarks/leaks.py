"""Whether a text gives something hidden away, in plain words or encoded."""

from __future__ import annotations

import base64
import codecs
import re
from collections.abc import Iterator

SHORTEST = 4
"""Letters; shorter names turn up by chance when their letters may stand apart or be turned round."""


def shown_forms(hidden: str, text: str) -> list[str]:
    """The forms in which ``text`` shows ``hidden``: as whole words in any case, spelled, reversed, rot13, hex, base64."""
    plain, own = text.lower(), hidden.lower()
    found = [name for name, pattern in _patterns(own) if re.search(pattern, plain)]
    if len(re.sub(r"\W", "", own)) < SHORTEST:
        return found
    joined = re.sub(r"\s", "", text)
    lower = joined.lower()
    for form in dict.fromkeys((hidden, own, hidden.upper(), hidden.title())):
        code = form.encode("utf-8", "surrogatepass")
        if code.hex() in lower:
            found.append("hex")
        if any(part in joined for part in _base64(code)):
            found.append("base64")
    return list(dict.fromkeys(found))


def _patterns(own: str) -> Iterator[tuple[str, str]]:
    yield "plain", rf"(?<!\w){re.escape(own)}(?!\w)"
    letters = re.sub(r"[\W_]", "", own)
    if len(letters) < SHORTEST:
        return
    yield "spelled", r"(?<![^\W_])" + r"[\W_]+".join(letters) + r"(?![^\W_])"
    if own[::-1] != own:
        yield "reversed", rf"(?<!\w){re.escape(own[::-1])}(?!\w)"
    yield "rot13", rf"(?<!\w){re.escape(codecs.encode(own, 'rot13'))}(?!\w)"


def _base64(code: bytes) -> Iterator[str]:
    """What all base64 texts have in common that hold ``code`` somewhere, one for each of the three alignments."""
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + code).decode().rstrip("=")
        # Characters that the bytes before and behind have a part in are left out.
        first = (0, 2, 3)[shift]
        last = len(text) - (1 if (shift + len(code)) % 3 else 0)
        if last - first >= 5:
            yield text[first:last]
