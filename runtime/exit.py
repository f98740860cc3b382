"""How an entry point ends: everything flushed, then out, without the interpreter's own teardown.

About one process in twelve that closed a Temporal client or worker just before its end crashes in finalisation
(`PyGILState_Release: thread state must be current when releasing`, status 134 or 139) after all its work was done:
https://github.com/temporalio/sdk-python/issues/300. Leaving by `os._exit` keeps the status that the work earned.
"""

import contextlib
import logging
import os
import sys
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """Flush traces, logs and standard streams, then end the process at once with `code`.

    No `finally` block, `atexit` function or context manager runs after this: close everything first. A success whose
    output could not be written becomes a 1.
    """
    with contextlib.suppress(Exception):  # telemetry never decides how a process ends
        _send_held_back_spans()
    logging.shutdown()
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None where the caller has closed it
        try:
            stream.flush()
        except (OSError, ValueError):  # the reader has gone, or the stream was closed
            code = code or 1
    os._exit(code)


def _send_held_back_spans() -> None:
    trace = sys.modules.get("opentelemetry.trace")  # not imported: nothing to send, and no time lost on it
    if trace is not None:
        trace.get_tracer_provider().shutdown()
