"""The client against the real gateway with a store: constitutions, kept verdicts, video jobs."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from judge.assets import constitution_path
from judge.client import JudgeClient, NotAllowed, NotFound, Refused
from serve.assembly import build_context
from serve.gateway import create_gateway
from tests.client.clients import KINDS, open_client
from tests.client.servers import serving
from tests.serve.gateways import ADMIN_KEY, KEY, OTHER_KEY, picture, scripted_service, settings, with_keys
from tests.serve.remembering import video

OWN = constitution_path("stickers").read_text(encoding="utf-8").replace("name: stickers", "name: house", 1)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    asked = settings(
        auth=with_keys(), store={"folder": tmp_path_factory.mktemp("store")}, jobs={"workers": 1},
    )  # fmt: skip
    context = build_context(asked, scripted_service(asked=asked))
    with serving(create_gateway(context)) as url:
        yield url
    assert context.store is not None
    context.store.close()


@pytest.fixture(params=KINDS)
def client(request: pytest.FixtureRequest, address: str) -> Iterator[JudgeClient]:
    with open_client(request.param, address, api_key=KEY) as found:
        yield found


def test_constitutions_are_listed_put_and_applied(client: JudgeClient, address: str) -> None:
    assert ("stickers", True) in {(each.name, each.active) for each in client.constitutions()}
    with pytest.raises(NotAllowed):
        client.put_constitution("house", OWN)
    with JudgeClient(address, api_key=ADMIN_KEY) as admin:
        entry = admin.put_constitution("house", OWN)
        assert admin.put_constitution("house", OWN) == entry
        with pytest.raises(Refused):
            admin.put_constitution("house", "name: house")
    assert entry in client.constitutions()
    (result,) = client.judge(picture(), constitution="house")
    assert result.verdict is not None
    assert result.verdict.constitution == f"house@{entry.version}"


def test_a_kept_verdict_is_found_again_by_its_owner(client: JudgeClient, address: str) -> None:
    (kept,) = client.judge(picture(), store=True)
    assert client.verdict(kept.id) == kept
    (forgotten,) = client.judge(picture())
    with pytest.raises(NotFound):
        client.verdict(forgotten.id)
    with JudgeClient(address, api_key=OTHER_KEY) as other, pytest.raises(NotFound):
        other.verdict(kept.id)


def test_a_video_is_judged_in_the_background(client: JudgeClient, address: str) -> None:
    token = type(client).__name__
    id = client.start_video_job(video(), constitution="stickers", client_request_token=token, job_tag="mine")
    assert client.start_video_job(video(), constitution="stickers", client_request_token=token, job_tag="mine") == id
    job = client.wait_for_video_job(id, timeout_s=60, poll_s=0.05)
    assert (job.job_id, job.job_status, job.job_tag) == (id, "SUCCEEDED", "mine")
    assert (job.decision, job.flagged, job.moderation_labels) == ("safe", False, ())
    assert job.video_metadata is not None
    assert job.video_metadata.frames_judged
    client.delete_video_job(id)
    with pytest.raises(NotFound):
        client.video_job(id)
    figures = httpx.get(f"{address}/metrics", headers={"X-API-Key": KEY}).text
    assert 'status="succeeded"' in next(line for line in figures.splitlines() if "video_jobs_total{" in line)


def test_a_job_that_cannot_be(client: JudgeClient) -> None:
    with pytest.raises(Refused, match="a picture, not a video"):
        client.start_video_job(picture())
    with pytest.raises(NotFound):
        client.wait_for_video_job("nobody-s")
