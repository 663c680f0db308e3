"""Spans of the real gateway: in memory, and as a collector receives them over HTTP."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, get_current_span

from judge.config import JudgeConfig, Thresholds
from judge.engines.scripted import ScriptedEngine
from judge.errors import ConfigError, EngineError
from serve.backend import Backend
from serve.gateway import create_gateway
from serve.service import JudgeService
from serve.telemetry import Telemetry, observed, with_telemetry
from serve.tracing import Tracing
from tests.client.servers import Answer, scripted, serving
from tests.serve.gateways import RaisingBackend, asks, client_of, context, embedded_service, picture, sample, settings

ROOT = Path(__file__).resolve().parents[2]
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HARMFUL = "harmful-violence-weapon_threat.png"


class Recorder:
    """Spans that ended, by name."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracing = Tracing(self._exporter)

    def spans(self) -> dict[str, list[ReadableSpan]]:
        self.tracing.flush()
        found: dict[str, list[ReadableSpan]] = {}
        for span in self._exporter.get_finished_spans():
            found.setdefault(span.name, []).append(span)
        return found


@asynccontextmanager
async def traced(backend: Backend | None = None) -> AsyncIterator[tuple[httpx.AsyncClient, Recorder]]:
    recorder = Recorder()
    async with client_of(observed(context(backend), Telemetry(tracing=recorder.tracing))) as client:
        yield client, recorder


def attributes(span: ReadableSpan) -> Mapping[str, object]:
    assert span.attributes is not None
    return dict(span.attributes)


async def test_a_request_its_media_and_their_stages() -> None:
    async with traced(embedded_service()) as (client, recorder):
        answer = await client.post("/v1/judge", json=asks(sample(HARMFUL), b"no picture"))
        spans = recorder.spans()
    (request,) = spans["POST /v1/judge"]
    assert attributes(request) == {
        "http.request.method": "POST", "http.route": "/v1/judge", "http.response.status_code": 200,
        "visual_judge.request_id": answer.headers["x-request-id"],
    }  # fmt: skip
    judged, unread = sorted(spans["backend.judge"], key=lambda span: span.status.status_code.value)
    for span in (judged, unread):
        assert span.parent is not None
        assert span.parent.span_id == request.context.span_id
    verdict = answer.json()["results"][0]["verdict"]
    told = attributes(judged)
    assert told["visual_judge.decision"] == "unsafe"
    assert told["visual_judge.stage.ask_ms"] == pytest.approx(verdict["timings_ms"]["ask"], abs=0.001)
    assert told["visual_judge.prompt_tokens"] == verdict["usage"]["prompt_tokens"] > 0
    assert (unread.status.status_code, attributes(unread)["error.type"]) == (StatusCode.ERROR, "media")
    assert get_current_span().get_span_context().is_valid is False


async def test_a_caller_s_trace_goes_on() -> None:
    async with traced() as (client, recorder):
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        await client.post("/v1/judge", json=asks(picture()), headers=headers)
        await client.post("/v1/judge", json=asks(picture()), headers={"traceparent": "nonsense"})
        spans = recorder.spans()
    continued, begun = spans["POST /v1/judge"]
    assert continued.parent is not None
    assert (f"{continued.parent.trace_id:032x}", f"{continued.parent.span_id:016x}") == (TRACE, PARENT)
    assert f"{spans['backend.judge'][0].context.trace_id:032x}" == TRACE
    assert begun.parent is None


async def test_every_reply_of_a_stream_is_an_event() -> None:
    service = JudgeService(ScriptedEngine(default=0.5), JudgeConfig(thresholds=Thresholds(preset="none")))
    async with traced(service) as (client, recorder):
        body = asks(picture(), stages={"region": "occlusion"}, stream=True)
        answer = await client.post("/v1/judge", json=body)
        spans = recorder.spans()
    (judged,) = spans["backend.judge"]
    finals = [dict(event.attributes or {})["final"] for event in judged.events]
    assert finals == [False] * (len(answer.text.splitlines()) - 2) + [True]
    assert judged.parent is not None
    assert judged.parent.span_id == spans["POST /v1/judge"][0].context.span_id


async def test_failures_say_their_code_and_nothing_of_their_text() -> None:
    async with traced(RaisingBackend(EngineError("the words of a library"))) as (client, recorder):
        await client.post("/v1/judge", json=asks(picture()))
        await client.get("/healthz")
        spans = recorder.spans()
    assert set(spans) == {"POST /v1/judge", "backend.judge"}
    (request,), (judged,) = spans["POST /v1/judge"], spans["backend.judge"]
    assert attributes(judged)["error.type"] == "engine"
    assert (judged.status.status_code, request.status.status_code) == (StatusCode.ERROR, StatusCode.ERROR)
    assert "library" not in f"{judged.to_json()}{request.to_json()}"


async def test_a_path_of_nobody_has_no_name() -> None:
    async with traced() as (client, recorder):
        await client.get("/v1/nothing/of-this-kind")
        (name,) = recorder.spans()
    assert name == "GET"


def test_a_collector_receives_the_spans_when_the_service_ends() -> None:
    with scripted(Answer(200)) as collector:
        asked = settings(telemetry={"traces_endpoint": collector.url})
        with serving(create_gateway(with_telemetry(context(asked=asked)))) as url:
            httpx.post(f"{url}/v1/judge", json=asks(picture()), timeout=60).raise_for_status()
    received = [ExportTraceServiceRequest.FromString(seen.body) for seen in collector.seen]
    assert {seen.path for seen in collector.seen} == {"/v1/traces"}
    resources = [each for request in received for each in request.resource_spans]
    named = {(each.key, each.value.string_value) for resource in resources for each in resource.resource.attributes}
    assert ("service.name", "visual-judge") in named
    spans = {span.name: span for resource in resources for scope in resource.scope_spans for span in scope.spans}
    assert set(spans) == {"POST /v1/judge", "backend.judge"}
    assert spans["backend.judge"].parent_span_id == spans["POST /v1/judge"].span_id


@pytest.mark.parametrize("endpoint", ["127.0.0.1:4318", "grpc://127.0.0.1:4317", "http://"])
def test_addresses_that_are_none(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="traces_endpoint"):
        with_telemetry(context(asked=settings(telemetry={"traces_endpoint": endpoint})))


def test_a_path_of_the_collector_s_is_kept() -> None:
    with scripted(Answer(200)) as collector:
        tracing = Tracing.to_collector(f"{collector.url}/own/path")
        tracing.tracer.start_span("one").end()
        tracing.flush()
    assert [seen.path for seen in collector.seen] == ["/own/path"]


def test_nothing_of_it_is_imported_where_it_is_off() -> None:
    code = (
        "import sys; from tests.serve.gateways import context; from serve.gateway import create_gateway;"
        "from serve.telemetry import with_telemetry; create_gateway(with_telemetry(context()));"
        "print(sorted(name for name in sys.modules if name.startswith('opentelemetry')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
