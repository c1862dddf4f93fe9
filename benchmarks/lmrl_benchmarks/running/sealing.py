"""Sealed suites: games that nobody can know before they are played, and that anybody can check afterwards.

The seeds of a public suite's games follow from the suite, so what is hidden in them can be computed. Those of a sealed suite
follow from a secret salt, too (`lmrl_envs.seeding.episode_seed`). The suite holds the salt's SHA-256, its commitment: whoever
publishes the suite cannot choose other games later, and when the salt is revealed, the seeds of all records can be checked.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import tomllib
from pathlib import Path

from lmrl_benchmarks.running.suite import Suite, SuiteError, suite_from
from lmrl_envs import load_task

SALT = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"""^name\s*=\s*["'][^"'\n]*["'](?=\s*(#.*)?$)""", re.MULTILINE)


def new_salt() -> str:
    """A secret of 256 bits, as hex digits."""
    return secrets.token_hex(32)


def commitment_of(salt: str) -> str:
    """What a sealed suite holds of its salt: ``printf %s SALT | sha256sum``."""
    return hashlib.sha256(salt.encode()).hexdigest()


def read_salt(path: Path) -> str:
    """The salt in a file.

    Raises:
        SuiteError: there is no such file, or it holds none.
    """
    text = ""
    if path.is_file():  # no pipe, no device
        with path.open("r", encoding="ascii", errors="replace") as file:
            text = file.read(100).strip()
    if not SALT.fullmatch(text):
        raise SuiteError(f"{path} holds no salt: a file with 64 hex digits, as lmrl leaderboard seal writes it")
    return text


def why_not_playable(suite: Suite, salt: str) -> str | None:
    """Why the games of a suite cannot be told with a salt ("" for none); None if they can."""
    if suite.commitment and not salt:
        return f"suite {suite.name!r} is sealed: its games are known to who holds the salt (--salt-file)"
    if not suite.commitment and salt:
        return f"suite {suite.name!r} is not sealed: it takes no salt"
    if salt and commitment_of(salt) != suite.commitment:
        return f"the salt is not that of suite {suite.name!r}: its SHA-256 is not the suite's commitment"
    return None


def check_salt(suite: Suite, salt: str) -> None:
    """See `why_not_playable`.

    Raises:
        SuiteError: the games cannot be told.
    """
    if why := why_not_playable(suite, salt):
        raise SuiteError(why)


def sealed(text: str, name: str, salt: str) -> str:
    """The TOML text of a suite with another name and a salt's commitment; comments stay.

    Raises:
        SuiteError: the text is no suite, is sealed already, or its name is not on a line of its own.
    """
    values = tomllib.loads(text)
    if values.get("commitment"):
        raise SuiteError("is sealed already")
    head, mark, tables = text.partition("\n[")
    head = _NAME.sub(f'name = "{name}"\ncommitment = "{commitment_of(salt)}"', head, count=1)
    written = head + mark + tables
    wanted = {**values, "name": name, "commitment": commitment_of(salt)}
    try:
        if tomllib.loads(written) != wanted:
            raise SuiteError('needs its name on a line of its own, as in: name = "mine"')
    except tomllib.TOMLDecodeError as problem:
        raise SuiteError(f"cannot be written anew: {problem}") from None
    suite_from(wanted, load_task)
    return written


def salt_file(suite: Suite) -> str:
    """Name of the file in which a suite's salt is published, beside the archives of its runs."""
    return f"{suite.name}-v{suite.version}-{suite.digest}.salt"
