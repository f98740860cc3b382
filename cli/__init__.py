"""The command line."""

import gc
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Entry point of `tieline`."""
    # What is imported stays: looking through it again and again is a tenth of the start.
    gc.set_threshold(20_000, 20, 20)
    from cli.app import run
    from runtime.exit import leave

    leave(run(sys.argv[1:]))
