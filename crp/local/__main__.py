"""The supervisor as a process of its own: `python -m crp.local`, started by `ensure`.

It takes its settings from the environment, where the client put them, and ends with the exit code
of the error that stopped it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence

from crp.config import load_settings
from crp.errors import CRPError
from crp.local.children import Child
from crp.local.state import EngineState
from crp.local.supervisor import HELD, AlreadyRunning, serve


def main(
    argv: Sequence[str] = (), workers: Callable[[EngineState], list[Child]] | None = None
) -> int:
    """Run an engine that ends by itself when it is idle (unless `--foreground`)."""
    try:
        settings = load_settings()
        asyncio.run(serve(settings, foreground="--foreground" in argv, workers=workers))
    except AlreadyRunning as error:
        print(error, file=sys.stderr)
        return HELD
    except CRPError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
