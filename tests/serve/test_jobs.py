"""Video jobs: taken once, begun at least once, ended once; in this process, and in one that is killed."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from judge.assets import sample_media_path
from judge.engines.scripted import ScriptedEngine
from judge.errors import EngineError
from serve.jobs.runner import died_too_often
from serve.problems import DeadlineExceeded, Overloaded
from serve.store.jobs import End, NewJob
from serve.store.models import JobRow, VerdictRow
from serve.store.opening import Store

from .gateways import (
    KEY,
    OTHER_KEY,
    HangingBackend,
    RaisingBackend,
    bearer,
    client,
    client_of,
    embedded_service,
    picture,
    scripted_service,
    with_keys,
)
from .remembering import (
    PATIENCE_S,
    FailingBackend,
    count,
    ended,
    remembering,
    result_in,
    started,
    store_of,
    submit,
    until,
    video,
    waiting_files,
    working,
)

ONE_WORKER = {"workers": 1}
UNSAFE_CLIP = "demo-video-00000.mp4"


def sample_clip(name: str) -> bytes:
    return (sample_media_path("clips") / "demo-video" / name).read_bytes()


# --- the answer ---------------------------------------------------------------------------------------------


async def test_a_clip_judged_by_the_embedded_model(tmp_path: Path) -> None:
    async with remembering(tmp_path, embedded_service(), jobs=ONE_WORKER) as context, working(context) as http:
        asked = {"Constitution": "stickers-video", "JobTag": "mine"}
        unsafe = await started(http, sample_clip(UNSAFE_CLIP), **asked)
        found = await ended(http, unsafe, aggregate_by="SEGMENTS")
        verdict = (await http.get(f"/v1/verdicts/{found['VerdictId']}")).json()["verdict"]
        (segment,) = verdict["segments"]
        (label,) = found["ModerationLabels"]
        assert label == {
            "Timestamp": segment["start_ms"],
            "ModerationLabel": {
                "Name": "violence.weapon_threat", "ParentName": "violence", "TaxonomyLevel": 2,
                "Confidence": pytest.approx(100 * segment["peak_probability"]),
            },
            "StartTimestampMillis": segment["start_ms"],
            "EndTimestampMillis": segment["end_ms"],
            "DurationMillis": segment["end_ms"] - segment["start_ms"],
        }  # fmt: skip
        assert (found["JobStatus"], found["Decision"], found["Flagged"]) == ("SUCCEEDED", "unsafe", True)
        assert (found["Constitution"], found["JobTag"], found["Attempts"]) == ("stickers-video@1.0.1", "mine", 1)
        assert found["VideoMetadata"] == {"DurationMillis": verdict["duration_ms"], "FramesJudged": verdict["n_frames"]}
        frames = (await ended(http, unsafe))["ModerationLabels"]
        assert [each["Timestamp"] for each in frames] == sorted({*segment["evidence_ms"], segment["peak_ms"]})
        assert {each["StartTimestampMillis"] for each in frames} == {None}
    assert waiting_files(tmp_path) == []


async def test_what_is_uncertain_has_succeeded_and_is_not_safe(tmp_path: Path) -> None:
    service = scripted_service(ScriptedEngine(default=0.5))
    async with remembering(tmp_path, service, jobs=ONE_WORKER) as context, working(context) as http:
        found = await ended(http, await started(http, video()))
    assert (found["JobStatus"], found["Decision"], found["Flagged"]) == ("SUCCEEDED", "uncertain", None)


async def test_as_json_with_a_caption_and_stages(tmp_path: Path) -> None:
    async with remembering(tmp_path, jobs=ONE_WORKER) as context, working(context) as http:
        body = {
            "Video": {"data": base64.b64encode(video()).decode(), "name": "a.mp4", "text": "Look at this."},
            "MinConfidence": 50,
            "Stages": {"vote": False},
        }
        answer = await http.post("/v1/video/jobs", json=body)
        assert answer.status_code == 202, answer.text
        found = await ended(http, answer.json()["JobId"])
        kept = (await http.get(f"/v1/verdicts/{found['VerdictId']}")).json()
    assert (found["JobStatus"], found["Decision"], found["Flagged"]) == ("SUCCEEDED", "safe", False)
    assert (found["ModerationLabels"], kept["input"]) == ([], "a.mp4")


async def test_the_policy_is_the_one_of_when_the_job_was_taken(tmp_path: Path) -> None:
    text = (
        'name: house\nversion: "{}"\ncategories: {{arms: {{title: Arms}}}}\n'
        "preconditions: {{knife: {{statement: A knife is visible.}}}}\n"
        "rules: {{arms.knife: {{category: arms, severity: high, text: t, statement: s, violated_when: knife}}}}\n"
    )
    async with remembering(tmp_path, jobs=ONE_WORKER) as context:
        async with client_of(context) as http:
            for version in "12":
                yaml = {"Content-Type": "application/yaml"}
                await http.put("/v1/constitutions/house", content=text.format(version), headers=yaml)
                if version == "1":
                    id = await started(http, video(), Constitution="house")
        digest = (await context.policies.get("house", "1")).digest
        async with working(context) as http:
            found = await ended(http, id)
            verdict = (await http.get(f"/v1/verdicts/{found['VerdictId']}")).json()["verdict"]
    assert (found["Constitution"], verdict["constitution"]) == ("house@1", "house@1")
    assert verdict["versions"]["constitution"] == digest


# --- taken once ---------------------------------------------------------------------------------------------


async def test_the_same_request_with_the_same_token_is_the_same_job(tmp_path: Path) -> None:
    async with remembering(tmp_path, auth=with_keys(media_per_day=3)) as context, client_of(context) as http:
        mine, others = bearer(KEY), bearer(OTHER_KEY)

        async def ask(headers: dict[str, str], number: int = 0, **options: Any) -> tuple[int, str]:
            answer = await submit(http, video(number), headers, ClientRequestToken="token-1", **options)
            return answer.status_code, answer.json().get("JobId") or answer.json()["error"]["code"]

        status, first = await ask(mine)
        assert status == 202
        # Repeating it takes nothing from the quota.
        assert [await ask(mine) for _ in range(4)] == [(202, first)] * 4
        assert await ask(mine, 1) == (409, "conflict")
        assert await ask(mine, MinConfidence=60) == (409, "conflict")
        status, another = await ask(others)
        assert (status, another != first) == (202, True)
        together = await asyncio.gather(*(submit(http, video(), mine, ClientRequestToken="token-2") for _ in range(2)))
        assert len({answer.json()["JobId"] for answer in together}) == 1
        assert count(store_of(context), JobRow) == 3
    assert len(waiting_files(tmp_path)) == 3


async def test_too_many_that_wait_are_429_and_leave_nothing(tmp_path: Path) -> None:
    async with remembering(tmp_path, jobs={"max_waiting": 2}) as context, client_of(context) as http:
        await asyncio.gather(*(started(http, video(number)) for number in range(2)))
        answer = await submit(http, video(2))
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "overloaded")
        assert int(answer.headers["Retry-After"]) > 0
        assert count(store_of(context), JobRow) == 2
    assert len(waiting_files(tmp_path)) == 2


async def test_jobs_are_their_keys_alone(tmp_path: Path) -> None:
    async with remembering(tmp_path, auth=with_keys()) as context, client_of(context) as http:
        id = (await submit(http, video(), bearer(KEY))).json()["JobId"]
        path = f"/v1/video/jobs/{id}"
        assert (await http.get(path, headers=bearer(OTHER_KEY))).status_code == 404
        assert (await http.delete(path, headers=bearer(OTHER_KEY))).status_code == 404
        assert (await http.get(path)).status_code == 401
        assert (await http.get(path, headers=bearer(KEY))).json()["StatusMessage"] == "waits for a worker"
        assert (await http.get("/v1/video/jobs/%00", headers=bearer(KEY))).status_code == 404
        assert (await http.delete("/v1/video/jobs/%00", headers=bearer(KEY))).status_code == 404


async def test_without_a_store_there_are_no_jobs() -> None:
    async with client() as http:
        assert (await submit(http, video())).json()["error"]["code"] == "no_jobs"
        assert (await http.get("/v1/video/jobs/1")).status_code == 404


# --- cancelled ----------------------------------------------------------------------------------------------


async def test_a_job_that_is_judged_is_cancelled_and_then_deleted(tmp_path: Path) -> None:
    backend = HangingBackend()
    async with remembering(tmp_path, backend, jobs={"workers": 1, "lease_s": 0.3}) as context:
        async with working(context) as http:
            path = f"/v1/video/jobs/{await started(http, video())}"
            async with asyncio.timeout(PATIENCE_S):
                while (await http.get(path)).json()["StatusMessage"] != "is being judged":
                    await asyncio.sleep(0.02)
            assert (await http.delete(path)).status_code == 204
            cancelled = (await http.get(path)).json()
            assert (cancelled["JobStatus"], cancelled["Decision"]) == ("CANCELLED", None)
            assert waiting_files(tmp_path) == []
            async with asyncio.timeout(PATIENCE_S):
                await backend.stopped.wait()
            assert (await http.delete(path)).status_code == 204
            assert (await http.get(path)).status_code == 404
            assert (await http.delete(path)).status_code == 404
        assert count(store_of(context), VerdictRow) == 0


async def test_deleting_a_job_that_has_ended_deletes_its_verdict(tmp_path: Path) -> None:
    async with remembering(tmp_path, jobs=ONE_WORKER) as context, working(context) as http:
        found = await ended(http, await started(http, video()))
        await http.delete(f"/v1/video/jobs/{found['JobId']}")
        assert (await http.get(f"/v1/verdicts/{found['VerdictId']}")).status_code == 404
        assert count(store_of(context), JobRow) == 0


# --- begun again, or not ------------------------------------------------------------------------------------


async def test_what_is_not_the_videos_fault_is_tried_again(tmp_path: Path) -> None:
    errors = (Overloaded("full", retry_after_s=0.01), EngineError("CUDA: secret"), DeadlineExceeded("slow"))
    backend = FailingBackend(*errors)
    async with remembering(tmp_path, backend, jobs=ONE_WORKER) as context, working(context) as http:
        found = await ended(http, await started(http, video()))
    # No room is no attempt.
    assert (found["JobStatus"], found["Attempts"], len(backend.asked)) == ("SUCCEEDED", 3, 4)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (EngineError("CUDA: secret"), "engine_unavailable", "the model cannot answer now (the last of 2 attempts)"),
        (KeyError("secret"), "internal", "something went wrong here (the last of 2 attempts)"),
        (asyncio.CancelledError(), "engine_unavailable", "the model cannot answer now (the last of 2 attempts)"),
    ],
)
async def test_a_job_that_never_works_has_failed(error: Exception, code: str, message: str, tmp_path: Path) -> None:
    settings = {"workers": 1, "max_attempts": 2}
    async with remembering(tmp_path, RaisingBackend(error), jobs=settings) as context, working(context) as http:
        found = await ended(http, await started(http, video()))
        assert (found["JobStatus"], found["Decision"], found["Flagged"]) == ("FAILED", None, None)
        assert (found["Error"]["code"], found["Error"]["message"]) == (code, message)
        assert (found["StatusMessage"], found["Attempts"]) == (message, 2)
        assert count(store_of(context), VerdictRow) == 0
    assert waiting_files(tmp_path) == []


async def test_a_video_that_cannot_be_read_has_failed_at_once(tmp_path: Path) -> None:
    half = video()[: len(video()) // 2]
    async with remembering(tmp_path, jobs=ONE_WORKER) as context, working(context) as http:
        found = await ended(http, await started(http, half))
        assert (found["JobStatus"], found["Error"]["code"], found["Attempts"]) == ("FAILED", "media", 1)
        kept = await started(http, video())
        good = await ended(http, kept)
    assert good["JobStatus"] == "SUCCEEDED"


async def test_a_private_url_has_failed_and_nobody_was_asked(tmp_path: Path) -> None:
    urls = {"urls": {"enabled": True, "hosts": ["*"]}}
    async with remembering(tmp_path, jobs=ONE_WORKER, http=urls) as context, working(context) as http:
        answer = await http.post("/v1/video/jobs", json={"Video": {"url": "http://127.0.0.1:1/clip.mp4"}})
        found = await ended(http, answer.json()["JobId"])
    assert (found["JobStatus"], found["Error"]["code"]) == ("FAILED", "media")
    assert "a loopback address" in found["Error"]["message"]


async def test_a_row_in_another_form_does_not_stop_the_others(tmp_path: Path) -> None:
    async with remembering(tmp_path, jobs=ONE_WORKER) as context:
        store = store_of(context)
        async with client_of(context) as http:
            broken, good = await started(http, video()), await started(http, video(), JobTag="later")
            store.database.write_now(
                lambda session: session.execute(update(JobRow).where(JobRow.id == broken).values(request="{}"))
            )
        async with working(context) as http:
            assert (await ended(http, good))["JobStatus"] == "SUCCEEDED"
            answer = await http.get(f"/v1/video/jobs/{broken}")
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")
        assert state(store, broken)[0] == "failed"


async def test_a_caller_that_hangs_up_while_the_job_is_written_loses_no_video(tmp_path: Path) -> None:
    async with remembering(tmp_path, jobs=ONE_WORKER) as context:
        store, written = store_of(context), asyncio.Event()
        add = store.jobs.add

        async def add_and_linger(new: NewJob, *, max_waiting: int) -> str:
            await add(new, max_waiting=max_waiting)
            written.set()
            await asyncio.Event().wait()
            return ""

        store.jobs.add = add_and_linger  # type: ignore[method-assign]
        async with client_of(context) as http:
            asking = asyncio.create_task(submit(http, video()))
            await written.wait()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        async with working(context) as http:
            id = store.database.read_now(lambda session: session.scalars(select(JobRow.id)).one())
            assert (await ended(http, id))["JobStatus"] == "SUCCEEDED"


async def test_media_that_were_lost_are_told(tmp_path: Path) -> None:
    async with remembering(tmp_path, jobs=ONE_WORKER) as context:
        async with client_of(context) as http:
            id = await started(http, video())
        for path in (tmp_path / "waiting").iterdir():
            path.unlink()
        async with working(context) as http:
            found = await ended(http, id)
    assert found["Error"]["message"] == "the waiting video cannot be read"


# --- leases -------------------------------------------------------------------------------------------------


async def test_a_worker_that_ends_gives_its_job_back(tmp_path: Path) -> None:
    async with remembering(tmp_path, HangingBackend(), jobs=ONE_WORKER) as context:
        store = store_of(context)
        async with working(context) as http:
            id = await started(http, video())
            await until(lambda: state(store, id) == ("running", 1))
        assert state(store, id) == ("queued", 0)


async def test_a_job_that_was_claimed_while_the_worker_ended_goes_back(tmp_path: Path) -> None:
    async with remembering(tmp_path, HangingBackend(), jobs=ONE_WORKER) as context:
        store = store_of(context)
        claim, claimed = store.jobs.claim, asyncio.Event()

        async def slowly(*arguments: object) -> object:
            job = await claim(*arguments)  # type: ignore[arg-type]
            if job is not None:
                claimed.set()
                await asyncio.sleep(0.2)
            return job

        store.jobs.claim = slowly  # type: ignore[method-assign,assignment]
        async with working(context) as http:
            id = await started(http, video())
            await asyncio.wait_for(claimed.wait(), 10)
        assert state(store, id) == ("queued", 0)


async def test_who_lost_the_lease_writes_nothing(tmp_path: Path) -> None:
    async with remembering(tmp_path) as context, remembering(tmp_path) as other, client_of(context) as http:
        id = await started(http, video())
        one, two = store_of(context).jobs, store_of(other).jobs
        first = await one.claim(-1.0, 3, died_too_often)
        second = await two.claim(60.0, 3, died_too_often)
        assert first is not None
        assert second is not None
        assert (first.id, second.id, second.attempt, await two.claim(60.0, 3, died_too_often)) == (id, id, 2, None)
        result = await result_in(context)
        assert await one.end(first, End(result, None, None)) is False
        assert await one.renew(first, 60.0) is False
        assert await one.put_back(first, 0.0, counts=True) is False
        assert count(store_of(context), VerdictRow) == 0
        assert await two.end(second, End(result, None, None)) is True
        assert await two.end(second, End(result, None, None)) is False
        assert count(store_of(context), VerdictRow) == 1
        assert (await ended(http, id))["VerdictId"] == result.id


async def test_a_job_under_which_workers_die_has_failed(tmp_path: Path) -> None:
    async with remembering(tmp_path) as context, client_of(context) as http:
        id, jobs = await started(http, video()), store_of(context).jobs
        claims = [await jobs.claim(-1.0, 2, died_too_often) for _ in range(3)]
        assert [job.attempt if job else None for job in claims] == [1, 2, None]
        found = await ended(http, id)
    assert (found["JobStatus"], found["Error"]["code"], found["Attempts"]) == ("FAILED", "worker_died", 2)


async def test_runners_on_one_database_never_judge_a_job_twice(tmp_path: Path) -> None:
    backends = [FailingBackend(), FailingBackend()]
    settings = {"workers": 2}
    async with (
        remembering(tmp_path, backends[0], jobs=settings) as one,
        remembering(tmp_path, backends[1], jobs=settings) as other,
    ):
        async with client_of(one) as http:
            ids = [await started(http, video(), name=f"{number}.mp4") for number in range(8)]
        async with working(one) as http, working(other):
            found = [await ended(http, id) for id in ids]
        assert count(store_of(one), VerdictRow) == 8
    assert Counter(job["JobStatus"] for job in found) == {"SUCCEEDED": 8}
    assert Counter(backends[0].asked + backends[1].asked) == {f"{number}.mp4": 1 for number in range(8)}


PROCESS = """
import asyncio, pathlib, sys
from serve.jobs.running import start_jobs
from tests.serve.gateways import HangingBackend
from tests.serve.remembering import remembering
async def main():
    async with remembering(pathlib.Path(sys.argv[1]), HangingBackend(), jobs={"workers": 2, "lease_s": 0.5}) as context:
        start_jobs(context)
        await asyncio.sleep(600)
asyncio.run(main())
"""


async def test_jobs_survive_a_kill_in_the_middle(tmp_path: Path) -> None:
    async with remembering(tmp_path, jobs=ONE_WORKER) as context:
        store = store_of(context)
        async with client_of(context) as http:
            ids = [await started(http, video(number)) for number in range(3)]
        root = str(Path(__file__).parents[2])
        process = subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(tmp_path)], env={**os.environ, "PYTHONPATH": root}, cwd=root
        )
        try:
            await until(lambda: Counter(state(store, id)[0] for id in ids) == {"running": 2, "queued": 1})
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert len(waiting_files(tmp_path)) == 3
        async with working(context) as http:
            found = [await ended(http, id) for id in ids]
        assert sorted((job["JobStatus"], job["Attempts"]) for job in found) == [
            ("SUCCEEDED", 1), ("SUCCEEDED", 2), ("SUCCEEDED", 2),
        ]  # fmt: skip
        assert count(store, VerdictRow) == 3
    assert waiting_files(tmp_path) == []


# --- what is refused ----------------------------------------------------------------------------------------

CLIP = base64.b64encode(b"\x00\x00\x00\x18ftypmp42").decode()
WRONG: list[tuple[str, int, str]] = [
    ("{", 400, "invalid_body"),
    ("[" * 100_000, 400, "invalid_body"),
    ("{}", 422, "invalid_request"),
    (json.dumps({"Video": {}}), 422, "invalid_request"),
    (json.dumps({"Video": {"data": CLIP, "url": "https://example.org/"}}), 422, "invalid_request"),
    (json.dumps({"Video": {"data": "@@"}}), 422, "invalid_base64"),
    (json.dumps({"Video": {"data": ""}}), 422, "not_a_video"),
    (json.dumps({"Video": {"data": base64.b64encode(b"this is no video").decode()}}), 422, "not_a_video"),
    (json.dumps({"Video": {"data": base64.b64encode(picture()).decode()}}), 422, "not_a_video"),
    (json.dumps({"Video": {"data": CLIP}, "Colour": "red"}), 422, "invalid_request"),
    (json.dumps({"Video": {"data": CLIP}, "MinConfidence": 101}), 422, "invalid_request"),
    (json.dumps({"Video": {"data": CLIP}, "ClientRequestToken": "a b"}), 422, "invalid_request"),
    (json.dumps({"Video": {"data": CLIP}, "JobTag": "\u0000"}), 422, "invalid_request"),
    (json.dumps({"Video": {"data": CLIP, "name": "\ud800"}}), 400, "invalid_body"),
    (json.dumps({"Video": {"data": CLIP}, "Constitution": "nobody"}), 400, "config"),
    (json.dumps({"Video": {"data": CLIP}, "Stages": {"region": "owlv2"}}), 422, "stage_not_available"),
    (json.dumps({"Video": {"url": "https://example.org/clip.mp4"}}), 422, "url_not_allowed"),
    (json.dumps({"Video": {"data": CLIP}, "WebhookUrl": "https://example.org/"}), 422, "webhook_not_allowed"),
    (json.dumps({"Video": {"data": base64.b64encode(bytes(3000)).decode()}}), 413, "media_too_large"),
]


async def test_bodies_that_are_wrong(tmp_path: Path) -> None:
    async with remembering(tmp_path, http={"max_media_bytes": 2000}) as context, client_of(context) as http:
        for body, status, code in WRONG:
            answer = await http.post("/v1/video/jobs", content=body, headers={"Content-Type": "application/json"})
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), (body[:100], answer.text)
        assert count(store_of(context), JobRow) == 0
    assert waiting_files(tmp_path) == []


async def test_forms_that_are_wrong(tmp_path: Path) -> None:
    one = ("video", ("a.mp4", video()))
    wrong: list[tuple[list[Any], dict[str, str], str]] = [
        ([("other", ("a.mp4", b"x"))], {}, "unknown part 'other'"),
        ([one, one], {}, "one part 'video'"),
        ([("video", (None, "text"))], {}, "one part 'video'"),
        ([one], {"options": "{"}, "part 'options' is not JSON"),
        ([one], {"options": '{"Video": {}}'}, "'options.Video' is not a known field"),
    ]
    async with remembering(tmp_path) as context, client_of(context) as http:
        for files, data, words in wrong:
            answer = await http.post("/v1/video/jobs", files=files, data=data)
            assert answer.status_code in (400, 422), answer.text
            assert words in answer.json()["error"]["message"]
        other = await http.post("/v1/video/jobs", content=b"x", headers={"Content-Type": "video/mp4"})
        assert other.status_code == 415


# --- helpers ------------------------------------------------------------------------------------------------


def state(store: Store, id: str) -> tuple[str, int]:
    query = select(JobRow.state, JobRow.attempts).where(JobRow.id == id)
    found, attempts = store.database.read_now(lambda session: session.execute(query).one())
    return found, attempts
