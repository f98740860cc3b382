"""Entry point of a worker in production: `python -m worker`, the same as `tieline worker`."""

import sys
from typing import NoReturn

import cli


def main() -> NoReturn:
    sys.argv.insert(1, "worker")
    cli.main()


if __name__ == "__main__":
    main()
