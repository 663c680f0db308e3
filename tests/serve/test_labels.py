"""A verdict about a video as labels: by frame and by stretch, sorted, filtered, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from judge.types import Segment, Timeline, Verdict
from serve.context import Context
from serve.jobs.runner import died_too_often
from serve.store.jobs import End

from .gateways import client_of
from .remembering import remembering, result_in, started, store_of, video

GUN, BOMB, FIRE = "violence.weapon_threat", "violence.explosives", "violence.person_on_fire"
SEGMENTS = [
    (0, BOMB, 90.0, 50), (0, FIRE, 75.0, 400), (100, GUN, 60.0, 50), (200, BOMB, 80.0, 50), (300, GUN, 50.0, 50),
]  # fmt: skip
"""(start, rule, percent, length), by start and name."""


def segment(rule_id: str, start_ms: int, probability: float, source: str = "frames") -> Segment:
    return Segment(
        rule_id=rule_id, category="violence", start_ms=start_ms, end_ms=start_ms + 50, peak_ms=start_ms + 20,
        peak_probability=probability, evidence_ms=(start_ms + 10,), source=source,
    )  # fmt: skip


def with_harm(verdict: Verdict) -> Verdict:
    """Two stretches each of two rules, and one rule that is violated without a when."""
    timeline = Timeline(
        rule_id=BOMB, timestamps_ms=(10, 20, 210, 220), scores=(0.7, 0.9, 0.75, 0.8), smoothed=(0.8,) * 4,
        outcomes=("violated",) * 4,
    )  # fmt: skip
    rules = [
        rule.model_copy(update={"outcome": "violated", "score": 0.75}) if rule.rule_id == FIRE else rule
        for rule in verdict.rules
    ]
    segments = (
        segment(BOMB, 0, 0.9), segment(GUN, 100, 0.6), segment(BOMB, 200, 0.8), segment(GUN, 300, 0.5, "clip"),
    )  # fmt: skip
    return verdict.model_copy(
        update={"rules": tuple(rules), "segments": segments, "timelines": (timeline,), "duration_ms": 400}
    )


@asynccontextmanager
async def judged(folder: Path, **options: Any) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    """A client, and the path of a job that has ended so."""
    async with remembering(folder) as context, client_of(context) as http:
        id = await started(http, video(), **options)
        await _end(context)
        yield http, f"/v1/video/jobs/{id}"


async def _end(context: Context) -> None:
    claimed = await store_of(context).jobs.claim(60.0, 3, died_too_often)
    made = await result_in(context)
    assert claimed is not None
    assert made.verdict is not None
    result = made.model_copy(update={"verdict": with_harm(made.verdict)})
    assert await store_of(context).jobs.end(claimed, End(result, None, None))


def shown(job: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (each["Timestamp"], each["ModerationLabel"]["Name"], round(each["ModerationLabel"]["Confidence"], 6),
         each["DurationMillis"])
        for each in job["ModerationLabels"]
    ]  # fmt: skip


async def test_by_stretch_in_both_orders(tmp_path: Path) -> None:
    async with judged(tmp_path) as (http, path):
        by_time = (await http.get(path, params={"aggregate_by": "SEGMENTS"})).json()
        by_name = (await http.get(path, params={"aggregate_by": "SEGMENTS", "sort_by": "NAME"})).json()
    assert shown(by_time) == SEGMENTS
    assert shown(by_name) == sorted(SEGMENTS, key=lambda each: (each[1], each[0]))
    for each in by_time["ModerationLabels"]:
        assert each["StartTimestampMillis"] == each["Timestamp"]
        assert each["EndTimestampMillis"] - each["StartTimestampMillis"] == each["DurationMillis"]
        assert each["ModerationLabel"]["ParentName"] == "violence"


async def test_by_frame_with_the_score_of_each(tmp_path: Path) -> None:
    async with judged(tmp_path) as (http, path):
        found = shown((await http.get(path)).json())
    assert found == [
        (0, FIRE, 75.0, None), (10, BOMB, 70.0, None), (20, BOMB, 90.0, None), (110, GUN, 60.0, None),
        (120, GUN, 60.0, None), (210, BOMB, 75.0, None), (220, BOMB, 80.0, None), (310, GUN, 50.0, None),
        (320, GUN, 50.0, None),
    ]  # fmt: skip


async def test_labels_below_the_minimum_are_left_out_and_the_decision_stays(tmp_path: Path) -> None:
    async with judged(tmp_path, MinConfidence=80) as (http, path):
        job = (await http.get(path, params={"aggregate_by": "SEGMENTS"})).json()
    assert shown(job) == [each for each in SEGMENTS if each[2] >= 80]
    assert job["Decision"] == "safe"  # as the kept verdict says, whatever was put into it here


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
async def test_pages_hold_every_label_once(size: int, tmp_path: Path) -> None:
    async with judged(tmp_path) as (http, path):
        params: dict[str, Any] = {"aggregate_by": "SEGMENTS", "max_results": size}
        pages = []
        while True:
            job = (await http.get(path, params=params)).json()
            pages.append(shown(job))
            if job["NextToken"] is None:
                break
            params["next_token"] = job["NextToken"]
    assert [label for page in pages for label in page] == SEGMENTS
    assert [len(page) for page in pages[:-1]] == [size] * (len(pages) - 1)
    assert 0 < len(pages[-1]) <= size


async def test_tokens_and_parameters_that_are_wrong(tmp_path: Path) -> None:
    async with judged(tmp_path) as (http, path):
        token = (await http.get(path, params={"aggregate_by": "SEGMENTS", "max_results": 1})).json()["NextToken"]
        wrong: list[dict[str, Any]] = [
            {"next_token": token},  # of the other aggregation
            {"next_token": token, "aggregate_by": "SEGMENTS", "sort_by": "NAME"},
            {"next_token": "ä"}, {"next_token": ""}, {"next_token": "AAAA"}, {"next_token": token + "A"},
            {"next_token": "VElNRVNUQU1QIFNFR01FTlRTIC0x", "aggregate_by": "SEGMENTS"},  # -1
            {"next_token": "VElNRVNUQU1QIFNFR01FTlRTIDk5OTk", "aggregate_by": "SEGMENTS"},  # 9999
            {"next_token": "x" * 201}, {"max_results": 0}, {"max_results": 1001}, {"sort_by": "timestamp"},
            {"aggregate_by": "FRAMES"},
        ]  # fmt: skip
        for params in wrong:
            answer = await http.get(path, params=params)
            assert answer.status_code == 422, (params, answer.text)
