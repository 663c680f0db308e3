"""`/metrics` over the real gateway: what is counted, under which labels, and what is never a label."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from judge.assets import constitution_path, sample_media_path
from judge.config import JudgeConfig, Thresholds
from judge.constitution import Constitution
from judge.engines.base import ModelInfo
from judge.engines.scripted import Answer, Scripted, ScriptedEngine
from judge.errors import JudgeError
from judge.media.reference import InlineMedia
from judge.types import Domain
from serve.backend import Backend, Work
from serve.context import BuiltInPolicies
from serve.measuring import MeasuredBackend
from serve.metrics import Metrics
from serve.problems import DeadlineExceeded, Overloaded
from serve.service import JudgeService
from serve.settings import ServeSettings
from serve.telemetry import with_telemetry
from serve.verdict_cache import VerdictCache
from tests.serve.gateways import (
    KEY,
    RED,
    RaisingBackend,
    WaitingEngine,
    asks,
    bearer,
    client_of,
    context,
    embedded_service,
    picture,
    sample,
    scripted_service,
    settings,
    with_keys,
)

HARMFUL = "harmful-violence-weapon_threat.png"
Labels = frozenset[tuple[str, str]]


class Figures:
    """One reading of `/metrics`."""

    def __init__(self, text: str) -> None:
        self.values: dict[tuple[str, Labels], float] = {}
        for family in text_string_to_metric_families(text):
            for each in family.samples:
                labels = frozenset((name, value) for name, value in each.labels.items() if name != "gateway")
                self.values[each.name, labels] = each.value

    def of(self, name: str, **labels: str) -> float:
        """0 if there is none."""
        return self.values.get((f"visual_judge_{name}", frozenset(labels.items())), 0.0)

    def labelled(self, name: str, label: str) -> dict[str, float]:
        """Sums by the values of one label."""
        found: dict[str, float] = {}
        for (metric, labels), value in self.values.items():
            if metric == f"visual_judge_{name}":
                key = dict(labels)[label]
                found[key] = found.get(key, 0.0) + value
        return found


@asynccontextmanager
async def measured(
    backend: Backend | None = None, asked: ServeSettings | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(with_telemetry(context(backend, asked))) as client:
        yield client


async def figures(client: httpx.AsyncClient) -> Figures:
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return Figures(answer.text)


async def test_verdicts_rules_stages_tokens_and_media_that_cannot_be_read() -> None:
    async with measured(embedded_service()) as client:
        answer = await client.post("/v1/judge", json=asks(sample(HARMFUL), b"no picture", explain=True))
        found = await figures(client)
    verdict = answer.json()["results"][0]["verdict"]
    assert found.labelled("verdicts_total", "decision") == {"unsafe": 1}
    assert found.of("verdicts_total", constitution="stickers", decision="unsafe") == 1
    outcomes = {rule["rule_id"]: rule["outcome"] for rule in verdict["rules"]}
    assert len(outcomes) > 5
    for rule, outcome in outcomes.items():
        assert found.of("rule_outcomes_total", constitution="stickers", rule=rule, outcome=outcome) == 1
    assert sum(found.labelled("rule_outcomes_total", "rule").values()) == len(outcomes)
    assert found.labelled("media_errors_total", "code") == {"media": 1}
    assert found.labelled("tokens_total", "kind") == {
        "prompt": verdict["usage"]["prompt_tokens"], "completion": verdict["usage"]["completion_tokens"],
    }  # fmt: skip
    assert found.labelled("stage_seconds_count", "stage") == dict.fromkeys(verdict["timings_ms"], 1)
    asked = {
        (item["stage"], item["precondition_id"]): item["readings"]["mass"]
        for rule in verdict["rules"]
        for item in rule["evidence"]
    }
    assert found.of("label_mass_count", stage="token_probability") == len(asked) > 5
    assert found.of("label_mass_sum", stage="token_probability") == pytest.approx(sum(asked.values()))
    assert found.of("media_seconds_count") == 2
    assert found.of("escalated_verdicts_total", constitution="stickers") == 0
    assert found.of("video_frames_total") == 0


async def test_requests_by_route_and_status_never_by_path() -> None:
    async with measured() as client:
        await client.post("/v1/judge", json=asks(picture()))
        await client.post("/v1/judge", json={"media": []})
        await client.get("/v1/verdicts/secret-id")
        await client.get("/nowhere/else")
        await client.request("BREW", "/v1/judge")
        found = await figures(client)
    counted = {
        tuple(dict(labels)[name] for name in ("method", "route", "status")): value
        for (metric, labels), value in found.values.items()
        if metric == "visual_judge_http_requests_total"
    }
    assert counted == {
        ("POST", "/v1/judge", "200"): 1,
        ("POST", "/v1/judge", "422"): 1,
        ("GET", "/v1/verdicts/{id}", "404"): 1,
        ("GET", "(none)", "404"): 1,
        ("other", "/v1/judge", "405"): 1,
    }
    assert found.of("http_request_seconds_count", route="/v1/judge") == 3
    assert found.of("http_requests_in_flight") == 1  # the one that asks


async def test_what_is_cached_is_counted_as_a_verdict_and_costs_nothing() -> None:
    service = JudgeService(ScriptedEngine(default=0.01), JudgeConfig(), cache=VerdictCache(8, 10**6))
    async with measured(service) as client:
        await client.post("/v1/judge", json=asks(picture()))
        first = await figures(client)
        await client.post("/v1/judge", json=asks(picture()))
        second = await figures(client)
    assert (first.of("cache_hits_total"), second.of("cache_hits_total")) == (0, 1)
    assert sum(second.labelled("verdicts_total", "decision").values()) == 2
    assert second.labelled("tokens_total", "kind") == first.labelled("tokens_total", "kind")
    assert first.of("tokens_total", kind="prompt") > 0


async def test_a_constitution_of_the_caller_s_is_one_label_even_under_a_known_name() -> None:
    text = constitution_path("stickers").read_text(encoding="utf-8").replace("weapon_threat", "weapon_kiss")
    asked = settings(http={"inline_constitutions": True})
    async with measured(asked=asked) as client:
        answer = await client.post("/v1/judge", json=asks(picture(), constitution_inline=text))
        found = await figures(client)
    assert answer.status_code == 200
    assert set(found.labelled("verdicts_total", "constitution")) == {"(inline)"}
    assert set(found.labelled("rule_outcomes_total", "rule")) == {"(inline)"}


async def test_figures_that_cannot_be_labelled_stop_no_verdict() -> None:
    class Broken(BuiltInPolicies):
        async def get(self, name: str, version: str | None = None) -> Constitution:
            raise JudgeError("the database is gone")

    metrics = Metrics()
    backend = MeasuredBackend(scripted_service(), metrics, Broken())
    policy = await BuiltInPolicies().get("stickers")
    (reply,) = [each async for each in backend.judge(Work(InlineMedia(data=picture()), "p", policy))]
    assert reply.row.verdict is not None
    found = Figures(metrics.render().decode())
    assert set(found.labelled("verdicts_total", "constitution")) == {"(unknown)"}
    assert set(found.labelled("rule_outcomes_total", "rule")) == {"(unknown)"}


@pytest.mark.parametrize(
    ("answer", "info", "reason"),
    [
        (Answer(0.5), None, "undecided"),
        (Answer(0.01, mass=0.001), None, "low_mass"),
        (Answer(0.01), ModelInfo("m", "d", domain=Domain("It is a drawing.", "drawings")), "domain"),
    ],
)
async def test_abstentions_by_kind(answer: Scripted, info: ModelInfo | None, reason: str) -> None:
    engine = ScriptedEngine(default=answer, info=info)
    config = JudgeConfig(thresholds=Thresholds(preset="none"))
    async with measured(JudgeService(engine, config)) as client:
        await client.post("/v1/judge", json=asks(picture()))
        found = await figures(client)
    n_rules = sum(found.labelled("rule_outcomes_total", "outcome").values())
    assert found.labelled("abstentions_total", "reason") == {reason: n_rules}


async def test_escalations_are_verdicts_with_a_slow_stage() -> None:
    config = JudgeConfig(thresholds=Thresholds(preset="none"))
    async with measured(JudgeService(ScriptedEngine(default=0.5), config)) as client:
        await client.post("/v1/judge", json=asks(picture()))
        before = await figures(client)
        await client.post("/v1/judge", json=asks(picture(), stages={"region": "occlusion"}))
        found = await figures(client)
    assert before.of("escalated_verdicts_total", constitution="stickers") == 0
    assert found.of("escalated_verdicts_total", constitution="stickers") == 1
    assert found.of("stage_seconds_count", stage="region_test") == 1


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [(Overloaded("full"), "overloaded", "429"), (DeadlineExceeded("late"), "deadline_exceeded", "504")],
)
async def test_media_that_the_service_owes_a_verdict(error: JudgeError, code: str, status: str) -> None:
    async with measured(RaisingBackend(error)) as client:
        await client.post("/v1/judge", json=asks(picture()))
        found = await figures(client)
    assert found.labelled("failures_total", "code") == {code: 1}
    assert found.labelled("verdicts_total", "decision") == {}
    assert found.of("http_requests_total", method="POST", route="/v1/judge", status=status) == 1


async def test_media_in_flight() -> None:
    engine = WaitingEngine()
    async with measured(scripted_service(engine)) as client:
        asking = asyncio.create_task(client.post("/v1/judge", json=asks(picture(RED))))
        await engine.asked.wait()
        during = await figures(client)
        engine.may_answer.set()
        await asking
        after = await figures(client)
    assert (during.of("media_in_flight"), after.of("media_in_flight")) == (1, 0)
    assert (during.of("http_requests_in_flight"), after.of("http_requests_in_flight")) == (2, 1)


async def test_a_stream_counts_final_verdicts_only() -> None:
    config = JudgeConfig(thresholds=Thresholds(preset="none"))
    async with measured(JudgeService(ScriptedEngine(default=0.5), config)) as client:
        body = asks(picture(), stages={"region": "occlusion"}, stream=True)
        answer = await client.post("/v1/judge", json=body)
        found = await figures(client)
    assert len(answer.text.splitlines()) >= 3
    assert sum(found.labelled("verdicts_total", "decision").values()) == 1


async def test_frames_of_a_video() -> None:
    clip = min(sample_media_path("clips").rglob("*.mp4"))
    async with measured(embedded_service()) as client:
        answer = await client.post("/v1/judge", json=asks(clip.read_bytes(), stages={"frames": 4}))
        found = await figures(client)
    assert found.of("video_frames_total") == answer.json()["results"][0]["verdict"]["n_frames"] > 0
    assert found.of("stage_seconds_count", stage="watch") == 1


async def test_metrics_want_a_key_where_keys_are_wanted() -> None:
    async with measured(asked=settings(auth=with_keys())) as client:
        assert (await client.get("/metrics")).status_code == 401
        allowed = await client.get("/metrics", headers=bearer(KEY))
    assert allowed.status_code == 200


async def test_metrics_can_be_off() -> None:
    async with measured(asked=settings(telemetry={"metrics": False})) as client:
        assert (await client.get("/metrics")).status_code == 404
        assert (await client.post("/v1/judge", json=asks(picture()))).status_code == 200


async def test_gateways_count_apart_and_say_who_they_are() -> None:
    one, other = Metrics("one"), Metrics("other")
    one.observe_job("succeeded")
    one.observe_webhook("failed")
    text, empty = one.render().decode(), other.render().decode()
    assert 'visual_judge_video_jobs_total{gateway="one",status="succeeded"} 1.0' in text
    assert 'visual_judge_webhook_attempts_total{gateway="one",outcome="failed"} 1.0' in text
    assert "_created" not in text
    assert "succeeded" not in empty
    assert Figures(empty).values["process_resident_memory_bytes", frozenset()] > 2**20
