"""Optional packages, and the extra of this distribution that brings each."""

from __future__ import annotations

EXTRA_OF = {
    "torch": "train",
    "transformers": "train",
    "tokenizers": "train",
    "safetensors": "train",
    "pyarrow": "data",
    "jinja2": "report",
    "matplotlib": "report",
    "openai": "llm",
    "textworld": "textworld",
    "starlette": "web",
    "uvicorn": "web",
    "ray": "ray",
}
"""Optional packages and the extra that brings them."""
