"""Spans without what may stand in them: an error's text and traceback hold a call's path, and so customer data."""

from collections.abc import Sequence

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Status
from opentelemetry.util.types import AttributeValue

from activities.failures import FAILURE_TYPES

_OUR_TYPES = frozenset(FAILURE_TYPES.values())
EXCEPTION_TYPE, EXCEPTION_MESSAGE = "exception.type", "exception.message"
"""OpenTelemetry's semantic conventions for exceptions."""


class TextlessExporter(SpanExporter):
    """Hands spans on with the types of their errors only. Who may see more finds it in the run's history."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([_textless(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _textless(span: ReadableSpan) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=span.attributes,
        events=[Event(event.name, {EXCEPTION_TYPE: _type_of(event)}, event.timestamp) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _type_of(event: Event) -> AttributeValue:
    """`CallFailed` and the like where the error is one of ours, else the name of its class."""
    attributes = event.attributes or {}
    first_word = str(attributes.get(EXCEPTION_MESSAGE, "")).partition(":")[0]
    return first_word if first_word in _OUR_TYPES else attributes.get(EXCEPTION_TYPE, "unknown")
