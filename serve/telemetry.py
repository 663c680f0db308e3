"""Metrics and traces as the settings ask for them, laid around a context's backend and around the application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import FastAPI

from serve.context import Context
from serve.measuring import MeasuredBackend, Measuring
from serve.metrics import Metrics

if TYPE_CHECKING:
    from serve.tracing import Tracing


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What one gateway reports; None = it does not."""

    metrics: Metrics | None = None
    tracing: Tracing | None = None

    def observe(self, app: FastAPI) -> None:
        """Add the layers; they must be outermost, so that refusals are seen too."""
        if self.tracing is not None:
            from serve.tracing import TracingRequests  # noqa: PLC0415  (OpenTelemetry only where it is used)

            app.add_middleware(TracingRequests, tracing=self.tracing)
        if self.metrics is not None:
            app.add_middleware(Measuring, metrics=self.metrics)

    def count_job(self, succeeded: bool) -> None:
        """A video job has ended here."""
        if self.metrics is not None:
            self.metrics.observe_job("succeeded" if succeeded else "failed")

    def count_webhook(self, delivered: bool) -> None:
        """One attempt to tell a webhook has ended."""
        if self.metrics is not None:
            self.metrics.observe_webhook("delivered" if delivered else "failed")


def with_telemetry(context: Context) -> Context:
    """The same context, observed as its settings say. Raises `ConfigError` if there is no such collector."""
    asked = context.settings.telemetry
    metrics = Metrics() if asked.metrics else None
    tracing = _tracing(asked.traces_endpoint) if asked.traces_endpoint else None
    return observed(context, Telemetry(metrics, tracing))


def observed(context: Context, telemetry: Telemetry) -> Context:
    """The same context with its backend observed."""
    if telemetry.tracing is not None:
        from serve.tracing import TracedBackend  # noqa: PLC0415

        context.backend = TracedBackend(context.backend, telemetry.tracing)
    if telemetry.metrics is not None:
        context.backend = MeasuredBackend(context.backend, telemetry.metrics, context.policies)
    context.telemetry = telemetry
    return context


def _tracing(endpoint: str) -> Tracing:
    from serve.tracing import Tracing  # noqa: PLC0415

    return Tracing.to_collector(endpoint)
