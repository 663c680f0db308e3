"""The pipeline as bulk labelling holds it: pictures, videos, and what must be decoded where it is judged."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image

from judge.assets import constitution_path, sample_media_path
from judge.bulk.control import LocalControl
from judge.bulk.item import Bundle
from judge.bulk.judging import Judging, Labeller, PipelineSpec
from judge.config import JudgeConfig
from judge.constitution import load_constitution
from judge.errors import MediaError
from judge.media import decode_image
from judge.types import Verdict
from tests.bulk.making import item

pytestmark = pytest.mark.slow

DEMO = sample_media_path("demo")
HARMFUL = DEMO / "harmful-violence-weapon_threat.png"


@pytest.fixture(scope="module")
def judging() -> Iterator[Judging]:
    spec = PipelineSpec(load_constitution(constitution_path("stickers")), JudgeConfig(cache=False))
    made = pickle.loads(pickle.dumps(spec)).start()
    yield made
    made.close()


def test_decoded_and_encoded_media_are_judged_in_order(judging: Judging) -> None:
    data = HARMFUL.read_bytes()
    clip = next(sample_media_path("clips").rglob("*.mp4"))
    decoded = replace(item(0), media=decode_image(data, source="x"))
    answers = judging.judge(
        [
            replace(item(1), data=b"no media"),
            decoded,
            replace(item(2), data=clip.read_bytes()),
            replace(item(3), data=data),
        ]
    )
    broken, first, video, again = answers
    assert isinstance(broken, MediaError)
    assert isinstance(first, Verdict)
    assert isinstance(again, Verdict)
    assert isinstance(video, Verdict)
    assert first.decision == "unsafe"
    assert again.model_copy(update={"timings_ms": {}, "usage": first.usage}) == first.model_copy(
        update={"timings_ms": {}}
    )
    assert video.duration_ms is not None


def test_posted_words_reach_the_verdict(judging: Judging) -> None:
    given = replace(item(0), data=HARMFUL.read_bytes())
    worded = replace(given, sample=given.sample.model_copy(update={"text": "look at this"}))
    (verdict,) = judging.judge([worded])
    assert isinstance(verdict, Verdict)
    assert any("the words posted with it" in notice for notice in verdict.notices)


def test_a_bundle_becomes_rows_in_order(judging: Judging) -> None:
    file = BytesIO()
    Image.new("RGB", (64, 64), (240, 240, 240)).save(file, "PNG")
    items = (
        replace(item(4), data=file.getvalue()), item(5, duplicate_of=4), item(6).failed(MediaError("empty")),
        replace(item(7), data=b"x"),
    )  # fmt: skip
    judged = Labeller(judging, LocalControl(1))(Bundle(0, items))
    assert [row.index for row in judged.rows] == [4, 5, 6, 7]
    assert [row.error_code for row in judged.rows] == ["", "duplicate", "media", "media"]
    assert len(judged.versions) == 1


def test_nothing_is_judged_once_the_end_is_asked_for(judging: Judging) -> None:
    control = LocalControl(1)
    control.stop()
    judged = Labeller(judging, control)(Bundle(0, (replace(item(0), data=b"x"), item(1).failed(MediaError("empty")))))
    assert ([row.index for row in judged.rows], judged.skipped) == ([1], 1)
