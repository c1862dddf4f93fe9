"""JSON answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response


def answer(status: int, values: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer in ASCII: texts may hold what UTF-8 cannot, such as half of a surrogate pair."""
    body = json.dumps(values, allow_nan=False, separators=(",", ":")).encode("ascii")
    return Response(body, status, dict(headers or {}), media_type="application/json")
