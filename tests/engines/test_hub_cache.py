"""Is a model here already? Folders laid out as huggingface_hub lays them out, and read as it reads them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import try_to_load_from_cache

from judge.engines.hub_cache import default_hub_cache, hub_presence

COMMIT, OTHER = "a" * 40, "b" * 40


def download(cache: Path, files: dict[str, bytes], *, commit: str = COMMIT, main: str | None = COMMIT) -> Path:
    """Blobs by their digest, links to them in a snapshot, the default branch's commit in refs."""
    folder = cache / "models--owner--name"
    snapshot = folder / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (folder / "blobs").mkdir(exist_ok=True)
    for number, (name, content) in enumerate(files.items()):
        (folder / "blobs" / f"{number:064x}").write_bytes(content)
        (snapshot / name).symlink_to(Path("..") / ".." / "blobs" / f"{number:064x}")
    if main:
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / "main").write_text(main)
    return folder


def presence(cache: Path, revision: str | None = None) -> str:
    return hub_presence("owner/name", revision, cache)


WHOLE = {"config.json": b"{}", "model.safetensors": b"x"}
INDEX = json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}).encode()


def test_the_layout_is_the_one_that_the_hub_reads(tmp_path: Path) -> None:
    download(tmp_path, WHOLE)
    assert try_to_load_from_cache("owner/name", "config.json", cache_dir=tmp_path) is not None
    assert presence(tmp_path) == "yes"


def test_nothing_there(tmp_path: Path) -> None:
    assert presence(tmp_path) == "no"
    assert presence(tmp_path, COMMIT) == "no"


def test_a_commit_is_looked_for_by_name(tmp_path: Path) -> None:
    download(tmp_path, WHOLE, main=None)
    assert presence(tmp_path) == "no"
    assert presence(tmp_path, COMMIT) == "yes"
    assert presence(tmp_path, OTHER) == "no"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"config.json": b"{}"}, "incomplete"),
        ({"model.safetensors": b"x"}, "incomplete"),
        ({"config.json": b"{}", "pytorch_model.bin": b"x"}, "yes"),
        ({"config.json": b"{}", "model.safetensors.index.json": INDEX, "model-1.safetensors": b"x"}, "incomplete"),
        (
            {
                "config.json": b"{}",
                "model.safetensors.index.json": INDEX,
                "model-1.safetensors": b"x",
                "model-2.safetensors": b"y",
            },
            "yes",
        ),
        ({"config.json": b"{}", "model.safetensors.index.json": b"{", "model-1.safetensors": b"x"}, "incomplete"),
    ],
)
def test_weights_must_be_whole(tmp_path: Path, files: dict[str, bytes], expected: str) -> None:
    download(tmp_path, files)
    assert presence(tmp_path) == expected


def test_a_link_without_its_file_does_not_count(tmp_path: Path) -> None:
    folder = download(tmp_path, WHOLE)
    (folder / "blobs" / f"{1:064x}").unlink()
    assert presence(tmp_path) == "incomplete"


@pytest.mark.parametrize("variable", ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", ""])
def test_the_folder_is_found_as_the_hub_finds_it(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "there"))
    code = "from huggingface_hub.constants import HF_HUB_CACHE; print(HF_HUB_CACHE)"
    theirs = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert str(default_hub_cache()) == theirs
