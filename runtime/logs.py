"""The process's log lines: for people, or one JSON object each; scrubbed of every live secret."""

import json
import logging
import sys
from datetime import UTC, datetime
from types import TracebackType

from net.redaction import LIVE_SECRETS, RedactingFilter, quiet_transports
from runtime.settings import Settings

FIELDS = ("run_id", "adapter", "profile", "account", "category", "kind", "cause", "status", "attempt")

_TALKATIVE = ("aiosqlite", "alembic")
"""Below WARNING aiosqlite prints values of SQL parameters, and alembic a line for each time it is asked."""

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time` (RFC 3339, UTC), `level`, `logger`, `message`, and the fields of the record."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields_of(record),
        }
        if record.exc_info:
            entry["exception"] = LIVE_SECRETS.scrub(self.formatException(record.exc_info))
        return json.dumps(entry, default=str)


class TextFormatter(logging.Formatter):
    """For people: time, level, logger, message and fields; tracebacks are scrubbed like everything else."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s  %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the name is logging's)
        fields = "".join(f"  {name}={value}" for name, value in fields_of(record).items())
        return super().formatMessage(record) + fields

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802
        return LIVE_SECRETS.scrub(super().formatException(ei))


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """What the record tells about a run; the id and the attempt come from Temporal's own context."""
    values = dict(record.__dict__)
    context = values.get("temporal_activity") or values.get("temporal_workflow") or {}
    values.setdefault("run_id", context.get("workflow_id"))
    values.setdefault("attempt", context.get("attempt"))
    return {name: values[name] for name in FIELDS if values.get(name) is not None}


class _ToldAlready(logging.Filter):
    """The SDK logs each failed attempt with its traceback; the activity told of its own failures in one line."""

    def filter(self, record: logging.LogRecord) -> bool:
        ended = getattr(record, "__temporal_error_identifier", None) == "ActivityFailure"
        if not ended or not record.exc_info:
            return True
        from temporalio.exceptions import ApplicationError  # loaded by whoever has written such a record

        return not isinstance(record.exc_info[1], ApplicationError)


def configure_logging(settings: Settings) -> None:
    """Send the process's logs to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else TextFormatter())
    handler.addFilter(_ToldAlready())
    handler.addFilter(RedactingFilter())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    quiet_transports()
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def tell_runs_in_fields() -> None:
    """Have the SDK leave a run's context out of its messages, where it would stand a second time.

    For processes that work on runs: commands that only look do not wait for the SDK to load.
    """
    from temporalio import activity, workflow

    activity.logger.activity_info_on_message = workflow.logger.workflow_info_on_message = False
