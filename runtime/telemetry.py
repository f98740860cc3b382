"""Logs, metrics and traces of one process: set up once, at its start."""

import json
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from temporalio.contrib.opentelemetry import OpenTelemetryInterceptor, create_tracer_provider
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from net.redaction import LIVE_SECRETS, RedactingFilter, quiet_transports
from runtime.settings import Settings

_CONTEXT_FIELDS = ("run_id", "adapter", "profile", "account", "category", "status", "attempt")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time` (RFC 3339, UTC), `level`, `logger`, `message`, and the fields of the record."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry.update({name: record.__dict__[name] for name in _CONTEXT_FIELDS if name in record.__dict__})
        if record.exc_info:
            entry["exception"] = LIVE_SECRETS.scrub(self.formatException(record.exc_info))
        return json.dumps(entry, default=str)


class TextFormatter(logging.Formatter):
    """For people: time, level, logger, message; tracebacks are scrubbed like everything else."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s  %(message)s", "%H:%M:%S")

    def formatException(self, ei: object) -> str:  # noqa: N802 (the name is logging's)
        return LIVE_SECRETS.scrub(super().formatException(ei))  # type: ignore[arg-type]


def configure_logging(settings: Settings) -> None:
    """Send the process's logs to standard error, scrubbed of every live secret."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else TextFormatter())
    handler.addFilter(RedactingFilter())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    quiet_transports()


def temporal_runtime(settings: Settings) -> Runtime:
    """The SDK's runtime; serves Prometheus metrics when an address is configured."""
    metrics = (
        PrometheusConfig(bind_address=settings.metrics_address, durations_as_seconds=True)
        if settings.metrics_address
        else None
    )
    return Runtime(telemetry=TelemetryConfig(metrics=metrics))


def tracing_interceptors(
    settings: Settings, exporter: SpanExporter | None = None
) -> Sequence[OpenTelemetryInterceptor]:
    """Spans of runs and activities, sent by OTLP over HTTP; none without an endpoint.

    Span names and attributes are Temporal's own: types and ids, no request data.
    """
    if exporter is None:
        if not settings.otlp_endpoint:
            return ()
        exporter = OTLPSpanExporter(endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces")
    provider = create_tracer_provider(resource=Resource.create({"service.name": "tieline"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return (OpenTelemetryInterceptor(add_temporal_spans=True),)
