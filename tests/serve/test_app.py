"""The whole application on a real Ray: HTTP, two replicas of the embedded model, and what happens when parts die."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from judge.assets import constitution_path, sample_media_path
from judge.config import JudgeConfig
from judge.constitution import load_constitution
from judge.engines.build import build_engine
from judge.media import FileMedia, Permissions, load_media
from judge.pipeline import Judge
from judge.stages.prior_store import PriorStore
from judge.types import Verdict
from serve.launch import tune_serve
from serve.settings import AuthSettings, HttpSettings, QueueSettings, ReplicaSettings, ServeSettings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PICTURES = sorted(sample_media_path("demo").glob("*.png"))
UNDECIDED = sample_media_path("demo/harmless-4.png")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    os.environ["RAY_AUTH_MODE"] = "disabled"  # the cluster is this test's own, on the loopback address
    tune_serve(proxy=True)
    os.environ["RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP"] = "1"  # in this process alone: a test's loop ends before Serve
    import ray  # noqa: PLC0415
    from ray import serve  # noqa: PLC0415

    from serve.app import APP_NAME, build_app  # noqa: PLC0415

    del os.environ["RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = ServeSettings(
        http=HttpSettings(port=port),
        auth=AuthSettings(mode="open"),
        queue=QueueSettings(max_ongoing=8, max_queued=8),
        engine=ReplicaSettings(min_replicas=2, max_replicas=2),
    )
    ray.init(
        address="local", num_cpus=4, include_dashboard=False, object_store_memory=200 * 2**20, log_to_driver=False,
        namespace=APP_NAME,
    )  # fmt: skip
    try:
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        serve.run(build_app(settings), name=APP_NAME, route_prefix="/")
        yield f"http://127.0.0.1:{port}"
    finally:
        serve.shutdown()
        ray.shutdown()


def noise(seed: int) -> bytes:
    """A picture that no cache knows."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def copies(first_seed: int, count: int) -> list[tuple[Path, bytes]]:
    """Sample pictures with a mark of their own behind the file's end, which decoders do not read."""
    return [(path, path.read_bytes() + f"{first_seed + n}".encode())
            for n in range(count) for path in [PICTURES[n % len(PICTURES)]]]  # fmt: skip


def process_of(role: str) -> int:
    """A process that holds a replica, as Ray titles it."""
    found = subprocess.run(
        ["pgrep", "-f", f"ray::ServeReplica:visual-judge:{role}"], capture_output=True, text=True, check=True
    )
    return int(found.stdout.split()[0])


async def post(client: httpx.AsyncClient, data: bytes) -> httpx.Response:
    return await client.post("/v1/judge", files={"media": ("x.png", data)})


@pytest.fixture(scope="module")
def expected() -> dict[Path, Verdict]:
    """What the same pipeline says when it is called directly."""
    engine = build_engine(JudgeConfig().engine)
    judge = Judge(engine, load_constitution(constitution_path("stickers")), priors=PriorStore(None))
    media = [load_media(FileMedia(path=path), Permissions(files=True)) for path in PICTURES]
    return dict(zip(PICTURES, asyncio.run(judge.judge(media)), strict=True))


async def under_load(url: str, first_seed: int, role: str) -> list[tuple[Path, httpx.Response]]:
    """Sends pictures four at a time, and kills a process that holds a `role` after the first answer."""
    room, killed = asyncio.Semaphore(4), False
    answers: list[tuple[Path, httpx.Response]] = []

    async def send(path: Path, data: bytes) -> None:
        nonlocal killed
        async with room:
            answers.append((path, await post(client, data)))
        if not killed:
            killed = True
            os.kill(process_of(role), signal.SIGKILL)

    async with httpx.AsyncClient(base_url=url, timeout=180) as client, asyncio.TaskGroup() as group:
        for path, data in copies(first_seed, 24):
            group.create_task(send(path, data))
    return answers


def check_each(answers: list[tuple[Path, httpx.Response]], expected: dict[Path, Verdict]) -> int:
    """Right, or a clear refusal; returns how many are right."""
    right = 0
    for path, response in answers:
        if response.status_code in (503, 504):
            code = {503: "engine_unavailable", 504: "deadline_exceeded"}[response.status_code]
            assert response.json()["error"]["code"] == code
            continue
        assert response.status_code == 200, response.text
        verdict = Verdict.model_validate(response.json()["results"][0]["verdict"])
        direct = expected[path]
        assert [rule.outcome for rule in verdict.rules] == [rule.outcome for rule in direct.rules]
        assert verdict.score == pytest.approx(direct.score, abs=1e-4)
        right += 1
    return right


async def test_a_verdict_over_http_is_the_pipelines_own(url: str, expected: dict[Path, Verdict]) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        answers = [(path, await post(client, path.read_bytes())) for path in PICTURES[:6]]
        again = await post(client, PICTURES[0].read_bytes())
    assert check_each(answers, expected) == 6
    first, cached = answers[0][1].json()["results"][0], again.json()["results"][0]
    assert (first["cached"], cached["cached"]) == (False, True)
    assert first["verdict"] == cached["verdict"]


async def test_it_says_that_it_is_ready_and_which_model_answers(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        assert (await client.get("/readyz")).status_code == 200
        models = (await client.get("/v1/models")).json()
    assert "stickers-vlm" in str(models)


async def test_bad_media_is_refused_and_nothing_else(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        bad = {"b.png": b"\x89PNG\r\n\x1a\nrubbish", "c.txt": b"words"}
        files = [("media", item) for item in [("a.png", PICTURES[0].read_bytes()), *bad.items()]]
        many = await client.post("/v1/judge", files=files)
        one = await post(client, b"\x89PNG\r\n\x1a\nrubbish")
    rows = many.json()["results"]
    assert [row["decision"] for row in rows] == ["unsafe", "uncertain", "uncertain"]
    assert [row["error"] and row["error"]["code"] for row in rows] == [None, "media", "media"]
    assert one.status_code == 422


async def test_the_first_verdict_comes_before_the_slow_stages_end(url: str) -> None:
    options = json.dumps({"stream": True, "stages": {"vote": True}})
    async with httpx.AsyncClient(base_url=url, timeout=120) as client:
        files = {"media": ("x.png", UNDECIDED.read_bytes()), "options": (None, options.encode())}
        response = await client.post("/v1/judge", files=files)
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert [(line["type"], line["final"]) for line in lines[:1]] == [("verdict", False)]
    assert [line["type"] for line in lines[-2:]] == ["verdict", "done"]
    assert [line["final"] for line in lines].count(True) == 1


async def test_when_the_queue_is_full_the_rest_is_refused_and_nothing_is_lost(
    url: str, expected: dict[Path, Verdict]
) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=180, limits=httpx.Limits(max_connections=100)) as client:
        sent = copies(1000, 60)
        responses = await asyncio.gather(*(post(client, data) for _, data in sent))
        refused = [response for response in responses if response.status_code == 429]
        taken = [
            (path, response) for (path, _), response in zip(sent, responses, strict=True) if response not in refused
        ]
        assert len(refused) > 0
        assert check_each(taken, expected) == len(taken) > 0
        assert all(int(response.headers["Retry-After"]) >= 1 for response in refused)
        assert (await post(client, noise(1))).status_code == 200


async def test_a_caller_who_hangs_up_ends_the_work(url: str) -> None:
    from ray import serve  # noqa: PLC0415

    engine = serve.get_deployment_handle("engine", "visual-judge")

    async def ended() -> int:
        """Over both replicas, each asked until both have answered."""
        return sum([(await engine.options(session_id=f"{n}").load.remote()).ended for n in range(24)])

    async def idle() -> None:
        while any([(await engine.options(session_id=f"{n}").load.remote()).under_way for n in range(24)]):
            await asyncio.sleep(0.2)

    def form(text: str) -> dict[str, tuple[str | None, bytes]]:
        options = b'{"stream": true, "stages": {"vote": true, "debate": "both"}}'
        return {"media": ("x.png", UNDECIDED.read_bytes()), "options": (None, options), "text": (None, text.encode())}

    async with httpx.AsyncClient(base_url=url, timeout=180) as client:
        begun = await ended()
        whole = await client.post("/v1/judge", files=form("one"))
        assert '"type":"done"' in whole.text
        after_whole = await ended()
        async with client.stream("POST", "/v1/judge", files=form("two")) as response:
            await anext(response.aiter_lines())
        await asyncio.sleep(1.0)
        await asyncio.wait_for(idle(), 60)
        after_cut = await ended()
    assert after_cut - after_whole < after_whole - begun


async def test_a_dying_engine_costs_no_wrong_verdict(url: str, expected: dict[Path, Verdict]) -> None:
    answers = await under_load(url, 2000, "engine")
    assert len(answers) == 24
    assert check_each(answers, expected) >= 20  # another replica answers


async def test_a_dying_judge_costs_no_wrong_verdict(url: str, expected: dict[Path, Verdict]) -> None:
    """The only one: callers wait for the next, or are told that their time is over."""
    answers = await under_load(url, 3000, "judge")
    assert len(answers) == 24
    assert check_each(answers, expected) > 0
    async with httpx.AsyncClient(base_url=url, timeout=180) as client:
        while (await post(client, noise(int(time.monotonic() * 1000)))).status_code != 200:
            await asyncio.sleep(1.0)
        again = [(path, await post(client, data)) for path, data in copies(4000, 2)]
    assert check_each(again, expected) == 2
