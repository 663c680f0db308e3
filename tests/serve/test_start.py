"""`judge serve` as a process of its own, with the settings for a laptop: it starts, judges, and ends as it is told."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from judge.assets import sample_media_path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PICTURE = sample_media_path("demo/harmful-violence-weapon_threat.png")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_until_ready(service: subprocess.Popen[str], url: str) -> None:
    for _ in range(240):
        assert service.poll() is None, service.communicate()[1]
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    pytest.fail("it did not become ready")


@contextmanager
def started() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The service on a free port, ready, and its address; killed if it still runs at the end."""
    port = free_port()
    service = subprocess.Popen(
        [sys.executable, "-m", "judge.cli", "serve", "--port", str(port)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_until_ready(service, f"http://127.0.0.1:{port}")
        yield service, f"http://127.0.0.1:{port}"
    finally:
        service.kill()


def test_it_starts_judges_and_ends_with_a_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with started() as (service, url):
        others = [each for each in processes_below(service.pid) if "ProxyActor" in each]
        answer = httpx.post(f"{url}/v1/judge", files={"media": ("x.png", PICTURE.read_bytes())}, timeout=60)
        service.send_signal(signal.SIGTERM)
        _, messages = service.communicate(timeout=60)
    assert others == []  # a proxy of Ray would take port 8000 beside ours
    assert answer.status_code == 200
    assert answer.json()["results"][0]["decision"] == "unsafe"
    assert service.returncode == 0
    assert f"serving at {url}" in messages
    assert "Controller failed to shut down" not in messages  # Serve would wait for half a minute, and kill


def test_what_is_under_way_is_answered_when_it_ends_and_a_killed_judge_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with started() as (service, url):
        os.kill(judge_below(service.pid), signal.SIGKILL)
        statuses = [ask_once(url, b"killed")]
        while statuses[-1] != 200 and len(statuses) < 120:
            time.sleep(0.5)
            statuses.append(ask_once(url, b"killed"))
        with ThreadPoolExecutor(8) as callers:
            under_way = [callers.submit(ask_once, url, b"%d" % n) for n in range(8)]
            while sum(each.done() for each in under_way) + media_in_flight(url) < 8:
                time.sleep(0.01)
            service.send_signal(signal.SIGTERM)
            ended = [each.result() for each in under_way]
        _, messages = service.communicate(timeout=90)
    assert set(statuses) <= {200, 503}  # an error is told as one, and never a verdict
    assert statuses[-1] == 200
    assert ended == [200] * 8
    assert service.returncode == 0
    assert "ending: what is under way is finished first" in messages
    assert "Traceback" not in messages


def ask_once(url: str, mark: bytes) -> int:
    """The status; the mark, behind the end of the picture's data, makes it one that no cache knows."""
    return httpx.post(
        f"{url}/v1/judge", files={"media": ("x.png", PICTURE.read_bytes() + mark)}, timeout=90
    ).status_code


def judge_below(pid: int) -> int:
    """The process of the judge replica that this service started."""
    (found,) = [number for words, number in processes_below(pid).items() if "ServeReplica:visual-judge:judge" in words]
    return found


def processes_below(pid: int) -> dict[str, int]:
    """Their numbers, by command line."""
    below: dict[str, int] = {}
    for each in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            below[" ".join(each.cmdline())] = each.pid
    return below


def media_in_flight(url: str) -> int:
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    (value,) = [
        line.split()[-1]
        for line in lines
        if "_media_in_flight{" in line or "_media_in_flight " in line
        if line[0] != "#"
    ]
    return int(float(value))
