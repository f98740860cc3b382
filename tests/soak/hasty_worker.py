"""A worker as any other, but for its patience: leases and heartbeats end within seconds, for a soak that ends soon."""

import functools
from datetime import timedelta
from unittest.mock import patch

from activities.heartbeat import heartbeats
from auth.refresh_plan import Timing
from worker import main

TIMING = Timing(deadline=1.5, persist=1.0)

if __name__ == "__main__":
    with (
        patch("auth.refresh.Timing", lambda: TIMING),
        patch("workflows.options.HEARTBEAT_TIMEOUT", timedelta(seconds=2)),
        patch("activities.http.heartbeats", functools.partial(heartbeats, 0.5)),
    ):
        main()
