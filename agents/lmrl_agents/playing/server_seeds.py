"""Seeds that go to a model's server: drawn from a secret of the run, so that they name no episode.

A seed that follows from numbers anybody knows tells a server which game is being played, and with a public list of games what
is hidden in it.
"""

from __future__ import annotations

import contextlib
import secrets
from hashlib import blake2b
from pathlib import Path

from lmrl_agents.playing.protocol import Request

FILE = ".sampling-salt"
"""Where a run keeps its secret while it is played; afterwards `Agent.describe` tells it, so that seeds can be checked."""


class ServerSeeds:
    """Draws the seeds; without a folder from a secret of this object's own.

    Args:
        secret: False for a model on this machine, whose seeds nobody else sees: they are then the same in every run.
    """

    def __init__(self, secret: bool = True) -> None:
        self.salt = secrets.token_hex(16) if secret else ""

    def keep_in(self, folder: Path) -> None:
        """Go on with the secret of a run, or begin it; a stopped run goes on with the same seeds."""
        if not self.salt:
            return
        with contextlib.suppress(FileExistsError), (folder / FILE).open("x", encoding="ascii") as file:
            file.write(self.salt)
        kept = (folder / FILE).read_text("ascii", "replace")
        if len(kept) == len(self.salt):  # a kill may have cut it: before anything was asked
            self.salt = kept
        else:
            (folder / FILE).write_text(self.salt, "ascii")

    def seed(self, request: Request, candidate: int = 0) -> int:
        """For the action that a request asks for, below 2**31."""
        text = f"{request.seed}/{len(request.transcript)}/{candidate}"
        digest = blake2b(text.encode(), digest_size=8, key=self.salt.encode()).digest()
        return int.from_bytes(digest, "big") % 2**31

    def describe(self) -> dict[str, str]:
        """The secret, for what is kept with the results of a run that is over."""
        return {"sampling_salt": self.salt} if self.salt else {}
