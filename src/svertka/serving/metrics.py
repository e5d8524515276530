"""What is measured while serving, as Prometheus reads it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_IMAGES = (1, 2, 4, 8, 16)


class Metrics:
    """Counters of one server; several threads may count at once."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "svertka_requests", "Requests that were answered or refused.", ["route", "status"], registry=self.registry
        )
        self.request_seconds = Histogram(
            "svertka_request_seconds", "From headers to answer.", ["route"], buckets=_SECONDS, registry=self.registry
        )
        self.inside = Gauge("svertka_images_inside", "Images that are decoded, waiting or run.", registry=self.registry)
        self.most_inside = Gauge("svertka_images_inside_limit", "How many there may be.", registry=self.registry)
        self.batch_images = Histogram(
            "svertka_batch_images",
            "Images that were run at a time.",
            ["model", "work"],
            buckets=_IMAGES,
            registry=self.registry,
        )
        self.batch_seconds = Histogram(
            "svertka_batch_seconds", "Time of a batch.", ["model", "work"], buckets=_SECONDS, registry=self.registry
        )
        self.batch_limit = Gauge(
            "svertka_batch_limit", "Images run at a time at most, as timed.", ["model"], registry=self.registry
        )
        self.rate = Gauge(
            "svertka_images_per_second", "As timed when the model was opened.", ["model"], registry=self.registry
        )
        self.reloads = Counter("svertka_reloads", "Models opened again.", ["model", "outcome"], registry=self.registry)
        ProcessCollector(registry=self.registry)

    def text(self) -> bytes:
        """All of it, in Prometheus's text format."""
        return generate_latest(self.registry)
