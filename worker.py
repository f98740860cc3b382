"""Entry point of a worker in production: `python -m worker`, the same as `tieline worker`."""

import sys
from typing import NoReturn

from cli.app import run
from runtime.exit import leave


def main() -> NoReturn:
    leave(run(["worker", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
