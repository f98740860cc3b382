"""The command line."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Entry point of `tieline`."""
    from cli.app import run
    from runtime.exit import leave

    leave(run(sys.argv[1:]))
