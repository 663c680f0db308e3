"""Traces by OpenTelemetry: a span for each request, and in it one for each piece of media with its stages.

Imported only where an endpoint is set. A caller's `traceparent` (W3C) is continued. No media, names of files, keys,
or texts of errors go into a span.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from opentelemetry import context as otel_context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from judge import __version__
from judge.errors import ConfigError, JudgeError
from judge.types import Verdict
from serve.backend import Backend, ModelCard, Reply, Work
from serve.measuring import route_of
from serve.metrics import stage_label

_UNTRACED = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines."""
_PROPAGATOR = TraceContextTextMapPropagator()


class Tracing:
    """Spans of one gateway, sent in batches by a thread of the exporter's."""

    def __init__(self, exporter: SpanExporter) -> None:
        named = {"service.name": "visual-judge", "service.version": __version__}
        self._provider = TracerProvider(resource=Resource.create(named))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self.tracer: Tracer = self._provider.get_tracer("visual-judge", __version__)

    @classmethod
    def to_collector(cls, endpoint: str) -> Tracing:
        """By OTLP over HTTP. Raises `ConfigError` if the address is none."""
        scheme, _, rest = endpoint.partition("://")
        if scheme not in ("http", "https") or not rest:
            raise ConfigError(
                f"telemetry.traces_endpoint '{endpoint}' is not an http or https URL", hint="e.g. http://127.0.0.1:4318"
            )
        whole = endpoint if rest.rstrip("/").partition("/")[2] else f"{endpoint.rstrip('/')}/v1/traces"
        return cls(OTLPSpanExporter(endpoint=whole))

    def flush(self) -> None:
        """Send what is left; waits for it."""
        self._provider.force_flush()


class TracingRequests:
    """ASGI middleware: a span for each request."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._flushing(send))
        elif scope["type"] != "http" or scope["path"] in _UNTRACED:
            await self._app(scope, receive, send)
        else:
            await self._trace(scope, receive, send)

    async def _trace(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = Headers(scope=scope)
        carrier = {name: given[name] for name in ("traceparent", "tracestate") if name in given}
        parent = _PROPAGATOR.extract(carrier, otel_context.Context())
        span = self._tracing.tracer.start_span(scope["method"], parent, SpanKind.SERVER)

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                _note_answer(span, message)
            await send(message)

        with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                await self._app(scope, receive, noting)
            finally:
                span.update_name(f"{scope['method']} {route_of(scope)}".strip())
                span.set_attribute("http.request.method", scope["method"])
                span.set_attribute("http.route", route_of(scope))

    def _flushing(self, send: Send) -> Send:
        """Before the server hears that everything has ended."""

        async def flush_first(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown."):
                await asyncio.to_thread(self._tracing.flush)
            await send(message)

        return flush_first


class TracedBackend:
    """A backend with a span for each piece of media."""

    def __init__(self, backend: Backend, tracing: Tracing) -> None:
        self._backend = backend
        self._tracer = tracing.tracer

    async def judge(self, work: Work) -> AsyncGenerator[Reply, None]:
        """As `Backend.judge`."""
        # Not the current span while this generator waits: its caller runs then.
        span = self._tracer.start_span("backend.judge")
        span.set_attribute("visual_judge.constitution", f"{work.constitution.name}@{work.constitution.version}")
        try:
            async with aclosing(self._backend.judge(work)) as replies:
                async for reply in replies:
                    _note_reply(span, reply)
                    yield reply
        except JudgeError as error:
            _note_error(span, error.code)
            raise
        finally:
            span.end()

    async def models(self) -> tuple[ModelCard, ...]:
        return await self._backend.models()

    async def check(self) -> None:
        await self._backend.check()

    async def close(self) -> None:
        await self._backend.close()


def _note_answer(span: Span, message: Message) -> None:
    span.set_attribute("http.response.status_code", message["status"])
    request_id = dict(message.get("headers", ())).get(b"x-request-id")
    if request_id is not None:
        span.set_attribute("visual_judge.request_id", request_id.decode("latin-1"))
    if message["status"] >= 500:
        span.set_status(StatusCode.ERROR)


def _note_reply(span: Span, reply: Reply) -> None:
    span.add_event("verdict", {"decision": reply.row.decision, "final": reply.final})
    if not reply.final:
        return
    span.set_attribute("visual_judge.decision", reply.row.decision)
    span.set_attribute("visual_judge.cached", reply.cached)
    if reply.row.error is not None:
        _note_error(span, reply.row.error.code)
    if reply.row.verdict is not None and not reply.cached:
        _note_stages(span, reply.row.verdict)


def _note_stages(span: Span, verdict: Verdict) -> None:
    """How long each took; when each began is not known here."""
    for step, spent_ms in verdict.timings_ms.items():
        span.set_attribute(f"visual_judge.stage.{stage_label(step)}_ms", round(spent_ms, 3))
    span.set_attribute("visual_judge.media_kind", verdict.media_kind or "")
    span.set_attribute("visual_judge.frames", verdict.n_frames or 0)
    span.set_attribute("visual_judge.prompt_tokens", verdict.usage.prompt_tokens)
    span.set_attribute("visual_judge.completion_tokens", verdict.usage.completion_tokens)


def _note_error(span: Span, code: str) -> None:
    span.set_attribute("error.type", code)
    span.set_status(StatusCode.ERROR, code)
