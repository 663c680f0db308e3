"""Video jobs over the wire: what is sent, and how pages, waiting and failures are read."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from judge.client import JobFailed, NotFound, OutOfTime, UnreadableAnswer
from tests.client.clients import KINDS, open_client
from tests.client.servers import Answer, as_json, error, scripted

STARTED = as_json({"JobId": "job-1"}, status=202)


def job(status: str, *labels: int, **more: Any) -> Answer:
    found = [
        {"Timestamp": at, "ModerationLabel": {"Name": "violence.weapon", "ParentName": "violence", "TaxonomyLevel": 2,
                                              "Confidence": 91.5}}
        for at in labels
    ]  # fmt: skip
    return as_json({"JobId": "job-1", "JobStatus": status, "ModerationLabels": found, "NewerField": 1, **more})


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_start_that_is_tried_again_is_the_same_job(kind: str) -> None:
    with scripted(error(503, "engine_unavailable"), STARTED) as server, open_client(kind, server.url) as client:
        assert client.start_video_job(b"a clip", min_confidence=50, constitution="stickers") == "job-1"
    tokens = []
    for seen in server.seen:
        assert (seen.method, seen.path) == ("POST", "/v1/video/jobs")
        assert b"a clip" in seen.body
        options = json.loads(seen.body[seen.body.index(b"{") : seen.body.rindex(b"}") + 1])
        tokens.append(options.pop("ClientRequestToken"))
        assert options == {"Constitution": "stickers", "MinConfidence": 50}
    assert len(tokens) == 2
    assert len(tokens[0]) == 32
    assert tokens[0] == tokens[1]


def test_a_url_goes_as_json(kind: str) -> None:
    with scripted(STARTED) as server, open_client(kind, server.url) as client:
        client.start_video_job("https://example.org/a.mp4", client_request_token="t", stages={"frames": 3})
    assert json.loads(server.seen[0].body) == {
        "Video": {"url": "https://example.org/a.mp4", "name": "0"},
        "ClientRequestToken": "t",
        "Stages": {"frames": 3},
    }


def test_waiting_ends_with_all_pages(kind: str) -> None:
    pages = (job("SUCCEEDED", 0, 500, NextToken="two", Decision="unsafe", Flagged=True), job("SUCCEEDED", 900))
    with (
        scripted(job("IN_PROGRESS"), job("IN_PROGRESS"), *pages) as server,
        open_client(kind, server.url) as client,
    ):
        found = client.wait_for_video_job("job-1", poll_s=0.01, aggregate_by="SEGMENTS")
    assert [label.timestamp for label in found.moderation_labels] == [0, 500, 900]
    assert (found.decision, found.flagged, found.next_token) == ("unsafe", True, None)
    assert found.moderation_labels[0].moderation_label.name == "violence.weapon"
    asked = [parse_qs(urlsplit(seen.path).query) for seen in server.seen]
    assert [each.get("NextToken") for each in asked] == [None, None, None, ["two"]]
    assert all(each["AggregateBy"] == ["SEGMENTS"] for each in asked)


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED"])
def test_a_job_without_a_verdict_is_an_error_not_a_job_without_labels(kind: str, status: str) -> None:
    failed = job(status, Error={"code": "media", "message": "no frame can be read", "hint": "send another file"})
    with scripted(failed) as server, open_client(kind, server.url) as client:
        with pytest.raises(JobFailed, match="no frame can be read") as caught:
            client.wait_for_video_job("job-1")
        assert client.video_job("job-1").job_status == status
    assert caught.value.hint == "send another file"


def test_a_job_that_takes_too_long(kind: str) -> None:
    with scripted(job("IN_PROGRESS")) as server, open_client(kind, server.url) as client, pytest.raises(OutOfTime):
        client.wait_for_video_job("job-1", timeout_s=0.05, poll_s=0.02)


def test_a_status_that_is_not_known_is_no_success(kind: str) -> None:
    with scripted(job("EXPIRED")) as server, open_client(kind, server.url) as client, pytest.raises(UnreadableAnswer):
        client.wait_for_video_job("job-1")


def test_deleting(kind: str) -> None:
    with scripted(Answer(204), error(404, "not_found")) as server, open_client(kind, server.url) as client:
        assert client.delete_video_job("job/1") is None
        with pytest.raises(NotFound):
            client.delete_video_job("job-1")
    assert [(seen.method, seen.path) for seen in server.seen] == [
        ("DELETE", "/v1/video/jobs/job%2F1"), ("DELETE", "/v1/video/jobs/job-1"),
    ]  # fmt: skip
