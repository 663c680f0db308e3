"""`judge score` as a person runs it: the real embedded model, real files."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from PIL import Image

from judge.assets import sample_media_path
from judge.types import ScoreRow
from tests.cli.running import judge
from tests.engines.openai_server import one_token, serve_chat

DEMO = sample_media_path("demo")
HARMLESS, PHOTO = str(DEMO / "harmless-1.png"), str(DEMO / "photo-coffee.jpg")


def _rows(result: CompletedProcess[str]) -> list[ScoreRow]:
    return [ScoreRow.model_validate_json(line) for line in result.stdout.splitlines()]


def _huge_png() -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    )


@pytest.fixture(scope="module")
def bad_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("hello")
    (folder / "truncated.jpg").write_bytes(Path(PHOTO).read_bytes()[:700])
    (folder / "huge.png").write_bytes(_huge_png())
    (folder / "nothing").mkdir()
    return folder


@pytest.mark.slow
def test_bad_inputs_fail_one_by_one_and_the_rest_is_judged(bad_files: Path) -> None:
    names = [str(bad_files / n) for n in ("empty.png", "text.jpg", "truncated.jpg", "huge.png", "nothing", "gone.png")]
    result = judge("score", *names, "http://127.0.0.1/x.png", HARMLESS, PHOTO, "--jsonl", "--allow-urls")
    rows = _rows(result)
    assert result.returncode == 3, result.stderr
    assert [row.input for row in rows] == [*names, "http://127.0.0.1/x.png", HARMLESS, PHOTO]
    assert [row.error.code if row.error else "" for row in rows] == ["media"] * 7 + ["", ""]
    assert all((row.flagged, row.decision) == (None, "uncertain") for row in rows if row.error)
    reasons = [row.error.message for row in rows if row.error]
    for reason, words in zip(
        reasons,
        ("is empty", "text file", "damaged", "refused before decoding", "no pictures", "does not exist", "127.0.0.1"),
        strict=True,
    ):
        assert words in reason
    assert rows[-1].verdict is not None
    assert "outside the model's domain" in rows[-1].verdict.reason


@pytest.mark.slow
def test_table_explanation_and_report(tmp_path: Path) -> None:
    hostile = tmp_path / "<img src=x onerror=alert(1)>.png"
    Image.open(HARMLESS).save(hostile)
    page = tmp_path / "out" / "page.html"
    result = judge("score", "-", "--explain", "--report", str(page), stdin=f"{HARMLESS}\n{hostile}\n{PHOTO}\n")
    html = page.read_text()
    assert result.returncode == 0, result.stderr
    assert "note: no --model given" in result.stderr
    assert "violated when hateful_sign_visible" in result.stdout
    assert "with image" in result.stdout
    assert html.count("<article") == 3
    assert html.count("data:image/png;base64,") == 3
    assert "<img src=x" not in html
    assert "http://" not in html
    assert "https://" not in html


def test_another_engine_is_chosen_over_the_configured_one(tmp_path: Path) -> None:
    """A server that answers No to everything; the option wins over the file."""
    config = tmp_path / "judge.yaml"
    with serve_chat(lambda request: one_token([("No", 0.99), ("Yes", 0.005)])) as server:
        config.write_text(
            f"engine: {{name: scripted, model: m, openai: {{base_url: '{server.base_url}'}}}}\ncache: false\n"
        )
        result = judge("score", HARMLESS, "--engine", "openai", "--config", str(config), "--preset", "none", "--jsonl")
        assert result.returncode == 0, result.stderr
        assert len(server.requests) > 1
    (row,) = _rows(result)
    assert row.verdict is not None
    assert (row.decision, row.verdict.model, row.verdict.versions.runtime) == ("safe", "m", "openai/logprobs-20")
    assert "note: no --model given" not in result.stderr


@pytest.mark.slow
def test_fail_on_uncertain_exits_with_10_and_json_is_one_array() -> None:
    result = judge("score", PHOTO, "--json", "--fail-on", "uncertain")
    assert result.returncode == 10, result.stderr
    assert [row["decision"] for row in json.loads(result.stdout)] == ["uncertain"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["score", HARMLESS, "--constitution", "stikers"], "did you mean 'stickers'"),
        (["score", HARMLESS, "--preset", "wild"], "unknown preset 'wild'"),
        (["score", HARMLESS, "--engine", "opena"], "unknown engine 'opena' (did you mean 'openai'?)"),
        (["score", HARMLESS, "--engine", "openai", "--model", "m"], "set engine.openai.base_url"),
        (["score", HARMLESS, "--model", "no/such-folder/here"], "no/such-folder/here"),
        (["score"], "Missing argument"),
    ],
)
def test_wrong_usage_exits_with_2_and_names_the_way_out(arguments: list[str], words: str) -> None:
    result = judge(*arguments)
    assert result.returncode == 2
    assert words in result.stderr


def test_only_bad_inputs_need_no_model(tmp_path: Path) -> None:
    result = judge("score", str(tmp_path), "--jsonl")
    assert result.returncode == 3
    assert [row.error.code for row in _rows(result) if row.error] == ["media"]


def test_lists_version_and_help() -> None:
    assert "stickers-vlm" in judge("models").stdout
    assert {c["name"] for c in json.loads(judge("constitutions", "--json").stdout)} >= {"general", "stickers"}
    assert judge("--version").stdout == "visual-judge 0.1.0\n"
    assert "Exit codes" in judge("score", "--help").stdout
    assert "evaluate" in judge("stickers", "--help").stdout


def test_constitution_check_names_line_rule_and_fix(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    from judge.assets import constitution_path  # noqa: PLC0415

    text = (
        constitution_path("stickers")
        .read_text()
        .replace("violated_when: hateful_sign_visible", "violated_when: hatful")
    )
    broken.write_text(text)
    result = judge("constitution", "check", str(broken))
    assert result.returncode == 2
    assert f"{broken}:" in result.stdout
    assert "rule 'hate.words'" in result.stdout
    good = judge("constitution", "check", str(constitution_path("general")))
    assert (good.returncode, good.stdout.endswith("no problems\n")) == (0, True)


def test_an_unreadable_constitution_is_one_clear_line(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(bytes(range(256)))
    result = judge("score", HARMLESS, "--constitution", str(binary))
    assert result.returncode == 2
    assert "binary.yaml" in result.stderr
    assert "Traceback" not in result.stderr
