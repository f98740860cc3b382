"""Metrics and traces of one process: set up once, at its start. They are sent on the way out by `runtime.exit`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from runtime.settings import Settings

if TYPE_CHECKING:
    from temporalio.contrib.opentelemetry import OpenTelemetryInterceptor


class MetricsAddressUnusable(Exception):
    """Metrics cannot be served at the configured address."""


def temporal_runtime(settings: Settings) -> Runtime:
    """The process's own runtime, or one that serves Prometheus metrics when an address is configured.

    A runtime that ends while its process goes on can crash it in one of its threads: so none is made for each client.

    Raises:
        MetricsAddressUnusable: the address is taken, or is no IP address.
    """
    if not settings.metrics_address:
        return Runtime.default()
    metrics = PrometheusConfig(bind_address=settings.metrics_address, durations_as_seconds=True)
    try:
        return Runtime(telemetry=TelemetryConfig(metrics=metrics))
    except ValueError as error:
        reason = str(error).rpartition(": ")[2]
        raise MetricsAddressUnusable(
            f"metrics cannot be served at {settings.metrics_address} ({reason}): set TIELINE_METRICS_ADDRESS to "
            "another IP:PORT, as in 127.0.0.1:9464"
        ) from None


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
