from __future__ import annotations

import json
import logging
import multiprocessing
from pathlib import Path

import pytest

from judge.stages.prior_store import PriorKey, PriorStore, default_cache_dir

KEY = PriorKey("model", "cpu", "template", "A knife is visible.")


def test_a_new_store_finds_what_another_wrote(tmp_path: Path) -> None:
    PriorStore(tmp_path / "new" / "folder").put(KEY, 0.1 + 0.2)
    assert PriorStore(tmp_path / "new" / "folder").get(KEY) == 0.1 + 0.2


@pytest.mark.parametrize("prior", [0.0, 1.0, 1e-300])
def test_edge_values_survive_the_disk(tmp_path: Path, prior: float) -> None:
    PriorStore(tmp_path).put(KEY, prior)
    assert PriorStore(tmp_path).get(KEY) == prior


@pytest.mark.parametrize(
    "other",
    [
        PriorKey("other", "cpu", "template", KEY.statement),
        PriorKey("model", "cuda", "template", KEY.statement),
        PriorKey("model", "cpu", "other", KEY.statement),
        PriorKey("model", "cpu", "template", "A knife is visible"),
        PriorKey("modelcputemplate", "", "", KEY.statement),
    ],
)
def test_every_part_of_the_key_counts(tmp_path: Path, other: PriorKey) -> None:
    store = PriorStore(tmp_path)
    store.put(KEY, 0.3)
    assert store.get(other) is None


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = PriorStore(None)
    store.put(KEY, 0.3)
    assert store.get(KEY) == 0.3
    assert PriorStore(None).get(KEY) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[0.3]",
        b"null",
        b'{"prior": 0.3}',
        b'{"prior": 7.0}',
        b'{"prior": NaN}',
        b'{"prior": true}',
        b"[" * 100_000,
        json.dumps(
            {"model_digest": "model", "template_digest": "template", "statement": "Another.", "prior": 0.3}
        ).encode(),
    ],
)
def test_a_damaged_file_is_logged_asked_again_and_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    PriorStore(tmp_path).put(KEY, 0.3)
    (path,) = tmp_path.iterdir()
    path.write_bytes(content)
    store = PriorStore(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert store.get(KEY) is None
    assert "asked again" in caplog.text
    store.put(KEY, 0.4)
    assert PriorStore(tmp_path).get(KEY) == 0.4


def test_a_folder_that_cannot_be_written_falls_back_to_memory_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    store = PriorStore(tmp_path / "file" / "priors")
    with caplog.at_level(logging.WARNING):
        store.put(KEY, 0.3)
        store.put(PriorKey("model", "cpu", "template", "Another."), 0.4)
    assert store.get(KEY) == 0.3
    assert [record.message.split(":")[0] for record in caplog.records] == ["priors are kept in memory only"]


def _write_and_read(folder: Path, prior: float, failures: multiprocessing.Queue[float | None]) -> None:
    for _ in range(200):
        PriorStore(folder).put(KEY, prior)
        seen = PriorStore(folder).get(KEY)
        if seen not in (0.25, 0.75):
            failures.put(seen)


def test_concurrent_processes_never_see_half_a_file(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    failures: multiprocessing.Queue[float | None] = context.Queue()
    processes = [
        context.Process(target=_write_and_read, args=(tmp_path, prior, failures)) for prior in (0.25, 0.75, 0.25)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert failures.empty()
    assert [path.suffix for path in tmp_path.iterdir()] == [".json"]


@pytest.mark.parametrize(
    ("setting", "expected"), [("/var/cache/x", "/var/cache/x/visual-judge"), ("", None), ("relative", None)]
)
def test_the_default_folder_follows_xdg(monkeypatch: pytest.MonkeyPatch, setting: str, expected: str | None) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", setting)
    assert default_cache_dir() == (Path(expected) if expected else Path.home() / ".cache" / "visual-judge")
