"""The server of the Space: every task of lmrl, one of them by default."""

import os

from lmrl_bridges.openenv import create, serve

ENV = os.environ.get("LMRL_ENV", "lmrl/Wordle-v0")

app = create(ENV)


def main() -> None:
    """Serve on the port that a Space listens at."""
    serve(ENV, host="0.0.0.0", port=8000)  # noqa: S104


if __name__ == "__main__":
    main()
