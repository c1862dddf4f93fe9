"""How a peer's script takes orders: a JSON line in, a JSON line out, whatever the packages print."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any


def serve(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer orders until there are no more; a failure is an answer, ``{"error": ...}``."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what packages print must not stand between the answers
    for line in sys.stdin:
        try:
            found = answer(json.loads(line))
        except Exception as problem:  # whatever a peer raises is a reason not to measure it
            text = " ".join(str(problem).split())
            found = {"error": f"{type(problem).__name__}: {text[-250:]}"}
        out.write(json.dumps(found) + "\n")
        out.flush()
