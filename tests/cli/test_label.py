"""`judge label`: the command itself, over Ray with the embedded model, through a service, interrupted and killed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from judge.assets import sample_media_path
from judge.bulk.parts import Parts
from judge.bulk.row import LabelRow
from tests.bulk.making import pictures
from tests.cli.running import judge
from tests.serve.gateways import context, embedded_service
from tests.serve.test_start import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
on_ray = pytest.mark.xdist_group("ray")

ROOT = Path(__file__).resolve().parents[2]


def rows(folder: Path) -> list[LabelRow]:
    return list(Parts(folder / "rows").all_rows())


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo pictures, one of them twice, and one file that is no picture."""
    folder = tmp_path_factory.mktemp("pictures")
    for picture in sample_media_path("demo").glob("*.png"):
        shutil.copy(picture, folder)
    first = sorted(folder.glob("*.png"))[0]
    shutil.copy(first, folder / "z-again.png")
    (folder / "z-broken.png").write_bytes(first.read_bytes()[:100])
    return folder


@on_ray
def test_labels_a_folder_over_ray_and_says_what_came_of_it(source: Path, tmp_path: Path) -> None:
    n_files = len(list(source.glob("*.png")))
    done = judge("label", str(source), "--out", str(tmp_path), "--json", "--export", "jsonl")
    assert done.returncode == 3, done.stderr
    said = json.loads(done.stdout)
    assert (said["why"], said["rows"], said["duplicates"], said["errors"]) == ("complete", n_files, 1, 1)
    found = {row.id: row for row in rows(tmp_path)}
    assert len(found) == n_files
    assert {name.partition("-")[0] for name, row in found.items() if row.decision == "unsafe"} == {"harmful", "z"}
    assert all(row.decision != "unsafe" for name, row in found.items() if name.startswith("harmless"))
    assert found["z-again.png"].duplicate_of == 0
    assert found["z-broken.png"].error_code == "media"
    assert len((tmp_path / "labels.jsonl").read_text().splitlines()) == n_files
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["status"] == "complete"
    assert record["versions"]["model"]
    assert record["job"]["settings"]["engine"]["name"] == "transformers"
    scored = json.loads(judge("score", str(source / "harmless-1.png"), "--json").stdout)[0]["verdict"]
    verdict = found["harmless-1.png"].read_verdict()
    assert verdict is not None
    assert verdict.versions.model_dump() == scored["versions"]
    assert verdict.score == pytest.approx(scored["score"], abs=1e-4)
    again = judge("label", str(source), "--out", str(tmp_path), "--json")
    assert (json.loads(again.stdout)["rows"], again.returncode) == (0, 3)
    other = judge("label", str(source), "--out", str(tmp_path), "--preset", "clue")
    assert other.returncode == 2
    assert "settings.thresholds.preset was 'log_odds' and is 'clue'" in other.stderr


@on_ray
def test_killed_then_interrupted_nothing_is_lost_doubled_or_judged_again(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", range(60))
    good = next(source.glob("*.png")).read_bytes()
    for name, data in {"a-cut.png": good[:40], "m-empty.png": b"", "n-\nline.png": b"no", "z-twin.png": good}.items():
        (source / name).write_bytes(data)
    out, journal, config = tmp_path / "out", tmp_path / "journal", tmp_path / "config.yaml"
    config.write_text("concurrency: 4\n")  # small bundles, so that there is something to cut off
    arguments = ["label", str(source), "--out", str(out), "--journal", str(journal), "--config", str(config),
                 "--concurrency", "1", "--flush-seconds", "0"]  # fmt: skip
    told = []
    for how in (signal.SIGKILL, signal.SIGINT):
        before, n_lines = [row.index for row in rows(out)], _n_lines(journal)
        process = subprocess.Popen(
            [sys.executable, "-m", "judge.cli", *arguments], stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
        while process.poll() is None and Parts(out / "rows").n_rows <= len(before):
            time.sleep(0.05)
        process.send_signal(how)
        told.append((process.communicate(timeout=120)[1], process.returncode))
        assert not set(before) & set(_judged(journal)[n_lines:])
    assert [code for _, code in told] == [-signal.SIGKILL, 130]
    assert "the same command goes on" in told[1][0]
    written, n_lines = [row.index for row in rows(out)], _n_lines(journal)
    assert 0 < len(before) < len(written) < 64
    assert judge(*arguments).returncode == 3
    found = rows(out)
    assert [row.index for row in found] == list(range(64))
    assert not set(written) & set(_judged(journal)[n_lines:])
    assert sorted(row.id for row in found if row.error_code) == ["a-cut.png", "m-empty.png", "n-\nline.png"]
    assert [row.id for row in found if row.duplicate_of is not None] == ["z-twin.png"]


def _judged(journal: Path) -> list[int]:
    return [json.loads(line)["index"] for line in journal.read_text().splitlines()] if journal.exists() else []


def _n_lines(journal: Path) -> int:
    return len(_judged(journal))


def test_a_dry_run_estimates_and_writes_nothing(source: Path, tmp_path: Path) -> None:
    done = judge("label", str(source), "--out", str(tmp_path / "out"), "--dry-run", "--json", "--price", "2")
    said = json.loads(done.stdout)
    n_files = len(list(source.glob("*.png")))
    assert (said["rows"], said["exact"], said["tried"], said["failed"]) == (n_files, True, n_files, 1)
    assert said["tokens"] > 1000 * (n_files - 1)
    assert said["cost"] == pytest.approx(said["tokens"] * 2 / 1e6)
    assert said["seconds"] > said["start_s"] > 0
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """The real gateway over the embedded model, behind a real socket."""
    import uvicorn  # noqa: PLC0415

    from serve.gateway import create_gateway  # noqa: PLC0415

    port = free_port()
    server = uvicorn.Server(uvicorn.Config(create_gateway(context(embedded_service())), port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def test_a_service_can_judge_instead(source: Path, service: str, tmp_path: Path) -> None:
    done = judge("label", str(source), "--out", str(tmp_path), "--endpoint", service, "--json", "--limit", "3")
    assert done.returncode == 0, done.stderr
    done = judge("label", str(source), "--out", str(tmp_path), "--endpoint", service, "--json")
    assert done.returncode == 3, done.stderr
    found = {row.id: row for row in rows(tmp_path)}
    assert len(found) == len(list(source.glob("*.png")))
    assert {row.decision for name, row in found.items() if name.startswith("harmful")} == {"unsafe"}
    assert found["z-broken.png"].error_code == "media"
    assert found["harmless-1.png"].read_verdict() is not None
    assert found["z-again.png"].duplicate_of == 0


def test_a_service_that_is_not_there_is_told(source: Path, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = judge("label", str(source), "--out", str(tmp_path), "--endpoint", url)
    assert done.returncode == 2
    assert f"the service at {url} does not answer" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "source 'nowhere' does not exist"),
        (["stickers"], "give --root"),
        ([".", "--constitution", "nonsense"], "nonsense"),
        (["constitutions", "--endpoint", "http://127.0.0.1:1", "--model", "x"], "--model cannot be given"),
    ],
)
def test_wrong_usage_is_told_before_anything_starts(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = judge("label", *arguments, "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "out").exists()


def test_help_has_examples() -> None:
    done = judge("label", "--help")
    assert "judge label pictures/ --out labels" in done.stdout
