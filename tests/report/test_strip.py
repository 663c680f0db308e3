"""Which frames of a video a page shows."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from judge.report.strip import MAX_FRAMES, frames_to_show, video_strip
from judge.types import Frame, Verdict
from tests.report.making import evidence, film, rule, segment, timeline, video_row


def verdict(**more: object) -> Verdict:
    found = video_row(**more).verdict
    assert found is not None
    return found


def test_judged_frames_are_found_by_their_times() -> None:
    """Times in a verdict are whole milliseconds; frames of 30 Hz are not."""
    times_s = [number / 30 for number in range(400)]
    judged = [0, 1, 29, 31, 399]
    line = timeline("r", [round(times_s[index] * 1000) for index in judged], [0.1] * 5, ["not_violated"] * 5)
    assert frames_to_show(verdict(timelines=(line,), segments=(), rules=()), range(400), times_s) == tuple(judged)


def test_peaks_and_what_violations_rest_on_come_first() -> None:
    times_s = [float(second) for second in range(1000)]
    line = timeline("r", [second * 1000 for second in range(1000)], [0.1] * 1000, ["not_violated"] * 1000)
    rules = (
        rule("r", evidence(frame_indices=(333,)), frame_index=333),
        rule("s", evidence(frame_indices=(444,)), outcome="not_violated", frame_index=444),
        rule("t", outcome="violated", frame_index=0),
    )
    full = verdict(timelines=(line,), segments=(segment("r", 600_000, 800_000, 777_000),), rules=rules)
    shown = frames_to_show(full, range(1000), times_s)
    assert (len(shown), {333, 777} <= set(shown), list(shown) == sorted(set(shown))) == (MAX_FRAMES, True, True)
    assert frames_to_show(full, range(1000), times_s, limit=2) == (333, 777)
    assert frames_to_show(full, range(1000), times_s, limit=1) == (333,)
    assert frames_to_show(full, range(1000), times_s, limit=3) == (0, 333, 777)


def test_an_animation_names_frames_by_their_place_in_the_file() -> None:
    """Of 24 frames every eighth was decoded."""
    bare = verdict(timelines=(), segments=(), rules=(rule("r", evidence(frame_indices=(8,)), frame_index=8),))
    assert frames_to_show(bare, [0, 8, 16], [0.0, 0.4, 0.8]) == (8,)
    assert frames_to_show(bare, [0, 16], [0.0, 0.8]) == (), "a frame that is not there is not another one"
    assert frames_to_show(bare, [], []) == ()


@pytest.mark.parametrize(("size", "expected"), [((1080, 1920), (160, 90)), ((1920, 1080), (90, 160)), ((8, 6), (6, 8))])
def test_only_small_pictures_are_kept(size: tuple[int, int], expected: tuple[int, int]) -> None:
    image = np.full((*size, 3), (200, 30, 30), dtype=np.uint8)
    (kept,) = video_strip([Frame(7, 1.2344, image)], 2.0).frames
    assert (kept.index, kept.time_ms, kept.width_px, kept.height_px) == (7, 1234, size[1], size[0])
    head, _, body = kept.picture.partition(",")
    with Image.open(io.BytesIO(base64.b64decode(body))) as picture:
        assert (head, picture.format, picture.size) == ("data:image/jpeg;base64", "JPEG", expected)
        colour = np.asarray(picture).mean(axis=(0, 1))
    assert colour == pytest.approx([200, 30, 30], abs=4)


def test_too_many_frames_are_thinned_evenly() -> None:
    kept = [frame.index for frame in video_strip(film(63, 2.0), 2.0).frames]
    assert kept == list(range(0, 63, 2))
