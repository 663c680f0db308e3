"""What the service counts, for Prometheus. Every gateway has a registry of its own; nothing is global.

A label takes values of a closed set only: routes are templates, rules those of the service's own constitutions.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from judge.types import Verdict
from serve.abstentions import why_abstained
from serve.backend import Reply

INLINE = "(inline)"
"""The label of constitutions that came with a request, and of their rules: callers choose those names."""
UNKNOWN = "(unknown)"
"""The same where it could not be found out whether the service has it."""
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_MASSES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
_FAST = frozenset({"none", "relevance", "token_probability", "clip", "rule_whole"})
"""Stages that ask for one token; the others are escalations."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The figures of one gateway.

    Args:
        gateway: A label of every figure, so that several gateways behind one address stay apart; None = the host's
            name and the process.
    """

    def __init__(self, gateway: str | None = None) -> None:
        self._gateway = gateway or f"{platform.node()}-{os.getpid()}"
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = self._counter("http_requests", "Requests answered.", "method", "route", "status")
        self._request_s = self._histogram("http_request_seconds", "Whole requests.", "route")
        self._open_requests = self._gauge("http_requests_in_flight", "Requests that are not answered yet.")
        self._open_media = self._gauge("media_in_flight", "Media that wait or are judged.")
        self._media_s = self._histogram("media_seconds", "One piece of media: waiting, decoding, all stages.")
        self._stage_s = self._histogram("stage_seconds", "One stage of a verdict that was not cached.", "stage")
        self._verdicts = self._counter("verdicts", "Media with a verdict.", "constitution", "decision")
        self._rules = self._counter("rule_outcomes", "Rules of verdicts.", "constitution", "rule", "outcome")
        self._escalated = self._counter("escalated_verdicts", "Verdicts for which a slow stage ran.", "constitution")
        self._abstained = self._counter("abstentions", "Rules that were left open.", "constitution", "reason")
        self._mass = self._histogram("label_mass", "P(Yes) + P(No) in the vocabulary.", "stage", buckets=_MASSES)
        self._cache_hits = self._counter("cache_hits", "Verdicts that were there already.")
        self._tokens = self._counter("tokens", "Tokens of verdicts that were not cached.", "kind")
        self._video_frames = self._counter("video_frames", "Frames of videos that were judged.")
        self._media_errors = self._counter("media_errors", "Media that could not be read.", "code")
        self._failures = self._counter("failures", "Media without a verdict for reasons of the service.", "code")
        self._jobs = self._counter("video_jobs", "Video jobs that ended here.", "status")
        self._webhooks = self._counter("webhook_attempts", "Attempts to tell a webhook.", "outcome")

    def render(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(_Labelled(self._registry, self._gateway))

    @contextmanager
    def request_under_way(self) -> Iterator[None]:
        with self._open_requests.track_inprogress():
            yield

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """`route` is the template of the path; empty if there is none."""
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route or "(none)", str(status)).inc()
        self._request_s.labels(route or "(none)").observe(seconds)

    @contextmanager
    def media_under_way(self) -> Iterator[None]:
        began_s = perf_counter()
        with self._open_media.track_inprogress():
            try:
                yield
            finally:
                self._media_s.observe(perf_counter() - began_s)

    def observe_reply(self, reply: Reply, constitution: str) -> None:
        """A final reply; `constitution` is a name the service knows, `INLINE` or `UNKNOWN`."""
        if reply.row.error is not None:
            self._media_errors.labels(reply.row.error.code).inc()
        if (verdict := reply.row.verdict) is not None:
            self._observe_verdict(verdict, constitution)
            if reply.cached:
                self._cache_hits.inc()
            else:
                self._observe_work(verdict)

    def observe_failure(self, code: str) -> None:
        """Media that have neither a verdict nor a fault of their own."""
        self._failures.labels(code).inc()

    def observe_job(self, status: str) -> None:
        """A video job that has ended."""
        self._jobs.labels(status).inc()

    def observe_webhook(self, outcome: str) -> None:
        """One attempt."""
        self._webhooks.labels(outcome).inc()

    def _observe_verdict(self, verdict: Verdict, constitution: str) -> None:
        self._verdicts.labels(constitution, verdict.decision).inc()
        for rule in verdict.rules:
            name = constitution if constitution in (INLINE, UNKNOWN) else rule.rule_id
            self._rules.labels(constitution, name, rule.outcome).inc()
            if rule.outcome == "abstained":
                self._abstained.labels(constitution, why_abstained(rule.reason)).inc()
        if any(item.stage not in _FAST for rule in verdict.rules for item in rule.evidence):
            self._escalated.labels(constitution).inc()

    def _observe_work(self, verdict: Verdict) -> None:
        """What was spent."""
        for step, spent_ms in verdict.timings_ms.items():
            self._stage_s.labels(stage_label(step)).observe(spent_ms / 1000.0)
        for (stage, *_), mass in _masses(verdict).items():
            self._mass.labels(stage).observe(mass)
        self._tokens.labels("prompt").inc(verdict.usage.prompt_tokens)
        self._tokens.labels("completion").inc(verdict.usage.completion_tokens)
        if verdict.media_kind == "video":
            self._video_frames.inc(verdict.n_frames or 0)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"visual_judge_{name}", text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"visual_judge_{name}", text, registry=self._registry)

    def _histogram(self, name: str, text: str, *labels: str, buckets: tuple[float, ...] = _SECONDS) -> Histogram:
        return Histogram(f"visual_judge_{name}", text, labels, registry=self._registry, buckets=buckets)


class _Labelled(Collector):
    """A registry with one label more on everything, and without the times of creation."""

    def __init__(self, registry: CollectorRegistry, gateway: str) -> None:
        self._registry = registry
        self._gateway = gateway

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [
                sample._replace(labels={**sample.labels, "gateway": self._gateway})
                for sample in metric.samples
                if not sample.name.endswith("_created")
            ]
            yield metric


def stage_label(step: str) -> str:
    """A key of `Verdict.timings_ms` as one word."""
    return step.removeprefix("the ").replace(" ", "_")


def _masses(verdict: Verdict) -> dict[tuple[str, str, tuple[int, ...]], float]:
    """The label mass of every reading, once, though several rules may rest on it."""
    return {
        (item.stage, item.precondition_id, item.frame_indices): item.readings.mass
        for rule in verdict.rules
        for item in rule.evidence
        if item.readings is not None
    }
