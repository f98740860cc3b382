"""Metrics and traces of one process: set up once, at its start. They are sent on the way out by `runtime.exit`."""

import functools
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

from runtime.settings import Settings

if TYPE_CHECKING:
    from temporalio.contrib.opentelemetry import OpenTelemetryInterceptor


class MetricsAddressUnusable(Exception):
    """Metrics cannot be served at the configured address."""


def temporal_runtime(settings: Settings, *, serving: bool) -> Runtime:
    """The process's own runtime; of one that is `serving` it serves Prometheus metrics where an address is configured.

    What it has to say goes to the log of such a process, and nowhere otherwise. Left to itself it writes to standard
    output, into files and documents that a command prints.

    Raises:
        MetricsAddressUnusable: the address is taken, or is no IP address.
    """
    try:
        return _runtime(settings.metrics_address if serving else None, serving=serving)
    except ValueError as error:
        reason = str(error).rpartition(": ")[2]
        raise MetricsAddressUnusable(
            f"metrics cannot be served at {settings.metrics_address} ({reason}): set TIELINE_METRICS_ADDRESS to "
            "another IP:PORT, as in 127.0.0.1:9464"
        ) from None


def quiet_runtime() -> Runtime:
    """For whoever only looks whether a server answers."""
    return _runtime(None, serving=False)


@functools.cache
def _runtime(metrics_address: str | None, *, serving: bool) -> Runtime:
    """One that ends while its process goes on can crash it in one of its threads: so none is made for each client."""
    metrics = PrometheusConfig(bind_address=metrics_address, durations_as_seconds=True) if metrics_address else None
    log = LogForwardingConfig(logging.getLogger("temporalio.core"), append_target_to_name=False)
    told = LoggingConfig(TelemetryFilter(core_level="WARN", other_level="ERROR"), forwarding=log)
    return Runtime(telemetry=TelemetryConfig(logging=told if serving else None, metrics=metrics))


def tracing_interceptors(settings: Settings) -> "Sequence[OpenTelemetryInterceptor]":
    """Spans of runs and activities, sent by OTLP over HTTP; none without an endpoint.

    Span names and attributes are Temporal's own: types and ids, no request data.
    """
    if not settings.otlp_endpoint:
        return ()
    # Loaded where spans are wanted: it takes a fifth of a second.
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from temporalio.contrib.opentelemetry import OpenTelemetryInterceptor, create_tracer_provider

    from runtime.spans import TextlessExporter

    exporter = OTLPSpanExporter(endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces")
    provider = create_tracer_provider(resource=Resource.create({"service.name": "tieline"}))
    provider.add_span_processor(BatchSpanProcessor(TextlessExporter(exporter)))
    trace.set_tracer_provider(provider)
    return (OpenTelemetryInterceptor(add_temporal_spans=True),)
