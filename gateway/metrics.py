"""What Prometheus may know about the front door: how much, how long, how it ended. Routes as patterns, no values."""

from prometheus_client import CollectorRegistry, Counter, GCCollector, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Seconds; the long ones are waits for a run's result."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """Of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        labels = ("method", "route")
        self._requests = Counter(
            "tieline_http_requests", "Requests that were answered", (*labels, "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "tieline_http_request_seconds", "Time to answer", labels, buckets=BUCKETS, registry=self._registry
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; methods that nobody knows count as one, or strangers could make series without end."""
        method = method if method in METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def exposition(self) -> tuple[bytes, str]:
        """The text that is scraped, and its media type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST
