"""How long the campaigns are: short in `make test`, long in `make attacks`."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mutations", type=int, help="changes to archives and datasets that are tried")
    parser.addoption("--every-game", action="store_true", help="replay all games of the committed archives")
