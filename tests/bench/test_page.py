"""The benchmark's page: whole, escaped, blurred, in a real browser where there is one; and the tables of a terminal."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from judge.assets import sample_media_path
from judge.bench.bench_report import mistake_thumbnails, tables
from judge.bench.detectors.base import Prediction
from judge.bench.evaluate import Options, evaluate
from judge.bench.page import render_bench
from judge.bench.records import DetectorRecord, Predicted, RunRecord, to_row
from judge.bench.results import BenchResult
from judge.media import FileMedia, Permissions
from judge.sources.sample import NoMedia, Sample
from tests.bench.detecting import put_picture
from tests.serve.chromium import BINARY, Tab, chromium

HOSTILE = '<script>alert(1)</script>"\u202e\udcff$x$'


def record(name: str) -> DetectorRecord:
    return DetectorRecord(
        name=name, digest="d" * 64, modalities=("image",), categories=None, threshold=0.5, source=name
    )


def rows(label: str, samples: list[Sample], shift: int) -> list[Predicted]:
    found = []
    for place, each in enumerate(samples):
        score = (place * 7 + shift) % 10 / 10
        said = Prediction(score, score >= 0.5, model_s=0.01 * (1 + shift))
        if place == 5:
            said = Prediction(None, None, reason=HOSTILE)
        found.append(to_row(each.id, label, "", "", said))
        found.append(to_row(each.id, label, "overlay-safe", "", Prediction(0.1, False)))
    return found


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    path = put_picture(tmp_path / "red.png", 250)
    return [
        Sample(
            id=f"{place} {HOSTILE}", locator=FileMedia(path=path), modality="image", harmful=place % 2 == 0,
            labels=(HOSTILE,), categories=("hate",) if place % 4 else ("weapons",), group=f"g{place // 3}",
            origin="real" if place % 3 else "synthetic", attributes={HOSTILE: HOSTILE if place % 5 else "other"},
        )
        for place in range(24)
    ]  # fmt: skip


def result(samples: list[Sample], labels: tuple[str, ...] = (HOSTILE, "two")) -> BenchResult:
    run = RunRecord(
        source=HOSTILE, card="vhd11k-images", card_digest="c" * 64, detectors={each: record(each) for each in labels}
    )
    said = [row for place, label in enumerate(labels) for row in rows(label, samples, place)]
    return evaluate(run, samples, said, labels, Options(rounds=20))


class Outline(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "input", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_everything_is_there_and_escaped(samples: list[Sample]) -> None:
    found = result(samples)
    pictures = mistake_thumbnails(found, samples, Permissions(files=True))
    assert set(pictures) == {each.sample for one in found.detectors for each in one.mistakes}
    page = Outline(render_bench(found, pictures))
    assert page.open == []
    assert [tag for tag, _ in page.tags if tag in ("script", "link", "iframe", "object")] == []
    assert all(
        (fields.get("src") or "data:").startswith("data:image/jpeg") for tag, fields in page.tags if tag == "img"
    )
    text = "".join(page.words)
    for heading in ("Measures", "Curves", "Kinds of harm", "Real and synthetic", "Robustness", "Groups", "Cost",
                    "Detectors as judges", "Worst mistakes", "GPT-4V, long prompt", "Why A"):  # fmt: skip
        assert heading in text, heading
    assert not {"\u202e", "\udcff"} & set(text)
    assert "<script>alert(1)</script>" in text  # as words
    ids = [fields["id"] for _, fields in page.tags if "id" in fields]
    assert len(ids) == len(set(ids))


def test_every_drawing_has_words_and_every_table_a_caption(samples: list[Sample]) -> None:
    page = Outline(render_bench(result(samples), {}))
    drawings = [fields for tag, fields in page.tags if fields.get("role") == "img"]
    assert len(drawings) == 7
    assert all(fields["aria-label"] for fields in drawings)
    assert "AUROC" not in str(drawings[0]["aria-label"])
    assert re.search(r"ROC curves: A area \d\.\d{3}, B area \d\.\d{3}", str(drawings[0]["aria-label"]))
    tables_, captions = (sum(tag == name for tag, _ in page.tags) for name in ("table", "caption"))
    assert tables_ == captions > 8


def test_pictures_are_blurred_until_they_are_asked_for(samples: list[Sample]) -> None:
    found = result(samples)
    text = render_bench(found, mistake_thumbnails(found, samples, Permissions(files=True)))
    assert ".veil img { display: block; width: 100%; height: 9rem; object-fit: contain; filter: blur" in text
    shown = [fields for tag, fields in Outline(text).tags if tag == "input"]
    assert len(shown) == sum(len(each.mistakes) for each in found.detectors)
    assert all(str(fields["aria-label"]).startswith("show the picture of ") for fields in shown)


def test_one_detector_that_never_answers_makes_a_page_as_well() -> None:
    samples = [Sample(id="a", locator=NoMedia(), modality="image", harmful=True, problem="no such file")]
    run = RunRecord(source="s", detectors={"one": record("one")})
    broken = [to_row("a", "one", "", "", Prediction(None, None, failed=True, reason="no such file"))]
    found = evaluate(run, samples, broken, ["one"], Options(rounds=20))
    page = Outline(render_bench(found, mistake_thumbnails(found, samples, Permissions(files=True))))
    text = "".join(page.words)
    assert "No detector gave scores." in text
    assert "1: no such file" in text
    assert "NaN" not in text
    assert "nan" not in text.replace("NudeNet", "")


def test_many_detectors(samples: list[Sample]) -> None:
    labels = tuple(f"detector number {place}" for place in range(9))
    text = "".join(Outline(render_bench(result(samples, labels), {})).words)
    assert all(label in text for label in labels)


def test_thumbnails_of_videos_and_of_what_is_gone(tmp_path: Path) -> None:
    clip = next(sample_media_path("clips").rglob("*.mp4"))
    samples = [
        Sample(id="clip", locator=FileMedia(path=clip), modality="video", harmful=True),
        Sample(id="gone", locator=FileMedia(path=tmp_path / "gone.png"), modality="image", harmful=True),
    ]
    run = RunRecord(source="s", detectors={"one": record("one")})
    said = [to_row(each.id, "one", "", "", Prediction(0.1, False)) for each in samples]
    found = evaluate(run, samples, said, ["one"], Options(rounds=20))
    pictures = mistake_thumbnails(found, samples, Permissions(files=True))
    assert [*pictures] == ["clip"]
    assert pictures["clip"].startswith("data:image/jpeg;base64,")


def test_the_tables_of_a_terminal(samples: list[Sample]) -> None:
    console = Console(width=200, record=True, file=Path("/dev/null").open("w"))  # noqa: SIM115
    for table in tables(result(samples)):
        console.print(table)
    text = console.export_text()
    for words in ("errors and abstentions left out", "as wrong answers", "TPR at 1 % FPR", "McNemar p", "overlay-safe",
                  "GPT-4V, long prompt", "kinds of harm", "groups of samples", "<script>"):  # fmt: skip
        assert words in text, words
    assert "\u202e" not in text


@pytest.mark.skipif(BINARY is None, reason="there is no Chromium")
def test_in_a_browser(samples: list[Sample], tmp_path: Path) -> None:
    found = result(samples)
    path = tmp_path / "report.html"
    path.write_text(render_bench(found, mistake_thumbnails(found, samples, Permissions(files=True))))
    with chromium(tmp_path / "profile") as browser, Tab(browser) as tab:
        for dark, width_px in ((False, 1280), (True, 400)):
            tab.look(dark=dark, width_px=width_px)
            tab.call("Page.navigate", url=path.as_uri())
            tab.wait("document.querySelectorAll('.veil').length > 0 && document.readyState === 'complete'")
            time.sleep(0.2)
            assert tab.run("document.documentElement.scrollWidth <= window.innerWidth")
            ink = tab.run("getComputedStyle(document.querySelector('figure svg text')).fill")
            assert ink == ("rgb(236, 236, 230)" if dark else "rgb(28, 28, 26)")
        blur = "getComputedStyle(document.querySelector('.veil img')).filter"
        assert tab.run(blur).startswith("blur(")
        tab.run("document.querySelector('.veil input').click()")
        assert tab.run(blur) == "none"
        tab.run("document.querySelector('.veil input').click(); document.querySelectorAll('.veil input')[1].focus()")
        tab.press("Tab")
        third = "getComputedStyle(document.querySelectorAll('.veil img')[2]).filter"
        assert tab.run(third) == "none"
        assert tab.run(blur).startswith("blur(")
        assert tab.console == []
        assert {each["url"].split(":")[0] for each in tab.requests} <= {"file", "data"}
        assert sum(each["url"].startswith("file:") for each in tab.requests) == 2
