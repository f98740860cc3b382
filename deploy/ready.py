#!/usr/bin/env python3
"""Exit status 0 when this container's worker or gateway says that it is ready; else it tells what is not."""

import os
import sys
import urllib.error
import urllib.request

ADDRESS = os.environ.get("TIELINE_HEALTH_ADDRESS", "127.0.0.1:8710")


def main() -> str | None:
    """What is wrong."""
    try:
        with urllib.request.urlopen(f"http://{ADDRESS}/readyz", timeout=9):
            return None
    except urllib.error.HTTPError as error:
        return error.read().decode(errors="replace")
    except OSError as error:
        return str(error)


if __name__ == "__main__":
    sys.exit(main())
