"""Metrics in the text format of Prometheus. Labels are enumerations of this service, never an id."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class HookEvent(StrEnum):
    """What a notification turned out to be."""

    CHANGED = "changed"
    DELETED = "deleted"
    SWEEP = "sweep"
    NAMED = "named"
    GAP = "gap"
    HANDSHAKE = "handshake"
    HEARTBEAT = "heartbeat"
    SUBSCRIPTION_FAILED = "subscription-failed"
    OWN_WRITE = "own-write"
    NO_PATIENT = "no-patient"
    NOT_USED = "type-not-used"
    UNREADABLE = "unreadable"
    NOT_STORED = "not-stored"


class Metrics:
    """The counts of one process. Each instance has a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "trd_requests", "Requests answered.", ("door", "status"), registry=self.registry
        )
        self._decisions = Counter(
            "trd_decisions", "Decisions reached.", ("decision", "reason"), registry=self.registry
        )
        self._reviews = Histogram(
            "trd_review_seconds",
            "Time from the start of a review to its decision.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._hook_events = Counter(
            "trd_hook_events", "Notifications received, entry by entry.", ("kind",), registry=self.registry
        )
        self._held = Counter(
            "trd_reviews_held", "Reviews of which nothing could be written.", ("why",), registry=self.registry
        )
        self._written = Counter(
            "trd_reviews_written",
            "Reviews whose outcome was written back, or stood there already, by the way it is written.",
            ("tier",),
            registry=self.registry,
        )
        self._cards = Counter(
            "trd_cds_cards",
            "Answers to CDS Hooks, by the card given; none where there was nothing to say.",
            ("hook", "indicator"),
            registry=self.registry,
        )
        self._feedback = Counter(
            "trd_cds_feedback", "Cards accepted and overridden.", ("outcome",), registry=self.registry
        )
        self._queue = Gauge("trd_queue_jobs", "Jobs in the queue.", ("state",), registry=self.registry)
        self._paused = Gauge(
            "trd_queue_paused",
            "Whether the queue waits for the FHIR server, which is away or overloaded.",
            registry=self.registry,
        )
        self._lag = Histogram(
            "trd_event_loop_lag_seconds",
            "How late the event loop is, looked at twice a second.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._swept = Gauge(
            "trd_sweep_watermark_seconds",
            "Up to when the changes of a kind of resource were searched for, in seconds since 1970.",
            ("kind",),
            registry=self.registry,
        )
        self._roster = Gauge(
            "trd_roster_members",
            "Members of the roster at its last review.",
            ("state",),
            registry=self.registry,
        )
        for kind in HookEvent:
            self._hook_events.labels(kind.value)

    def count_request(self, door: str, status: int) -> None:
        """Count a request; `door` is one of the doors of this service."""
        self._requests.labels(door, str(status)).inc()

    def count_decision(self, decision: str, reason: str, seconds: float) -> None:
        """Count a review that reached a decision, and how long it took."""
        self._decisions.labels(decision, reason).inc()
        self._reviews.observe(seconds)

    def count_outcome(self, held: StrEnum | None, tier: StrEnum | None) -> None:
        """Count a review whose outcome stands on the server, by how it is written there; or why not."""
        if held is not None:
            self._held.labels(held.value).inc()
        elif tier is not None:
            self._written.labels(tier.value).inc()

    def count_hook_event(self, kind: HookEvent, times: int = 1) -> None:
        """Count one thing that a notification told."""
        self._hook_events.labels(kind.value).inc(times)

    def count_cards(self, hook: str, indicators: Sequence[str]) -> None:
        """Count an answer to a hook by its cards."""
        for indicator in indicators or ("none",):
            self._cards.labels(hook, indicator).inc()

    def count_feedback(self, outcome: str) -> None:
        """Count what became of a card."""
        self._feedback.labels(outcome).inc()

    def set_swept(self, kind: str, reached: float) -> None:
        """Set up to when the changes of a kind of resource were searched for, in seconds since 1970."""
        self._swept.labels(kind).set(reached)

    def set_roster(self, *, looked_up: int, waiting: int, faulty: int) -> None:
        """Set how many members of the roster are looked up, are yet to be, and cannot be used."""
        for state, number in {"looked-up": looked_up, "waiting": waiting, "faulty": faulty}.items():
            self._roster.labels(state).set(number)

    def observe_lag(self, seconds: float) -> None:
        """Note how late the event loop is."""
        self._lag.observe(seconds)

    def set_queue(self, counts: Mapping[str, int] | None) -> None:
        """Set the number of jobs in each state; `None` where it is not known, so that no old one stays."""
        self._queue.clear()
        for state, count in (counts or {}).items():
            self._queue.labels(state).set(count)

    def set_paused(self, *, paused: bool) -> None:
        """Set whether the queue waits for the FHIR server."""
        self._paused.set(paused)

    def exposition(self) -> bytes:
        """Everything counted, in the text format."""
        return generate_latest(self.registry)
