"""Video data sets: deterministic, half harmful, and true frame by frame; files show what was drawn."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from judge.assets import constitution_path, sample_media_path
from judge.constitution import parse_constitution
from judge.errors import ConfigError
from judge.media.video import open_video
from judge.stickers.command import main
from judge.stickers.render import render
from judge.stickers.scene import Scene, relations
from judge.stickers.splits import PolicyTruth
from judge.stickers.statements import Atom, Truth
from judge.stickers.video_files import encode, write_video_split
from judge.stickers.video_splits import Interval, Plan, VideoItem, clip_label, draw_video_split
from judge.stickers.vocabulary import HELD_OUT_STYLE
from judge.types import Frame
from tests.stickers.test_clips import AWAY
from tests.stickers.test_reasoning import KNIFE_AT_DOG, _scene
from tests.stickers.video_world import TRUTH

SAMPLES = sample_media_path("clips")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def items() -> list[VideoItem]:
    return list(draw_video_split("test-video", 14, TRUTH))


def plan(calm: Scene, event: Scene, *, frames: int = 40, start: int = 10, end: int = 25) -> Plan:
    return Plan(calm=calm, event=event, frames=frames, start=start, end=end, seed=1)


def inside(intervals: tuple[Interval, ...], frame: int) -> bool:
    return any(start <= frame * 100 < end for start, end in intervals)


def decoded(path: Path) -> list[Frame]:
    media = open_video(path.read_bytes(), source=path.name)
    assert media.video is not None
    with closing(media.video) as video:
        assert np.allclose(video.info.timestamps_s, np.arange(len(video.info.timestamps_s)) / 10)
        assert video.info.keyframes == tuple(range(0, len(video.info.timestamps_s), 10))
        return video.read(range(len(video.info.timestamps_s)))


def psnr_db(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float:
    error = float(np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2))
    return 10 * np.log10(255**2 / error)


def test_a_split_is_the_same_every_time_and_half_harmful(items: list[VideoItem]) -> None:
    assert list(draw_video_split("test-video", 14, TRUTH)) == items
    assert [item.harmful for item in items] == [True, False] * 7
    others = [next(draw_video_split("test-video", 1, TRUTH, seed=1)), *draw_video_split("demo-video", 1, TRUTH),
              *draw_video_split("calibration-video", 1, TRUTH)]  # fmt: skip
    assert len({other.plan.model_dump_json() for other in (items[0], *others)}) == 4
    assert all(item.plan.calm.style != HELD_OUT_STYLE for item in items)
    assert all(2000 <= item.duration_ms <= 8000 for item in items)


def test_harm_lasts_four_tenths_of_a_second_to_half_of_the_clip_between_calm(items: list[VideoItem]) -> None:
    for item in items[::2]:
        intervals = item.truth.intervals.values()
        harmful = [n for n in range(item.plan.frames) if any(inside(each, n) for each in intervals)]
        assert 4 <= len(harmful) <= item.plan.frames // 2
        assert min(harmful) >= 4
        assert max(harmful) < item.plan.frames - 4
        assert not any(inside(each, 0) for each in intervals)


def test_every_third_harmful_clip_breaks_a_rule_about_clips(items: list[VideoItem]) -> None:
    assert all(set(item.truth.intervals) & TRUTH.clip_rules for item in items[::6])


def test_truth_is_that_of_every_frame_by_itself(items: list[VideoItem]) -> None:
    for item in items:
        for number, scene in enumerate(item.plan.clip().frames):
            for rule, outcome in TRUTH.rules(scene).items():
                assert inside(item.truth.intervals.get(rule, ()), number) == (outcome == "satisfied"), (item.id, rule)
                assert inside(item.truth.unclear.get(rule, ()), number) == (outcome == "undecided"), (item.id, rule)


def test_an_attack_is_what_touches_later_and_not_at_first(items: list[VideoItem]) -> None:
    for item in items:
        touches = [Truth(s).of(Atom("touching", "weapon", "person")) == "satisfied" for s in item.plan.clip().frames]
        intervals = item.truth.intervals.get("violence.attack_begins", ())
        begins = not touches[0] and any(touches[1:])
        assert [inside(intervals, number) for number in range(len(touches))] == [t and begins for t in touches]


def test_calm_clips_change_too_and_no_rule_is_open_in_them(items: list[VideoItem]) -> None:
    for item in items[1::2]:
        assert (item.truth.intervals, item.truth.unclear) == ({}, {})
        scenes = item.plan.clip().frames
        assert item.plan.calm.stickers != item.plan.event.stickers
        assert any(len(s.stickers) != len(scenes[0].stickers) or relations(s) != relations(scenes[0]) or
                   {x.variant for x in s.stickers} != {x.variant for x in scenes[0].stickers} or
                   _moved(s, scenes[0]) for s in scenes)  # fmt: skip


def _moved(scene: Scene, first: Scene) -> bool:
    """A sticker moved against the others: more than the whole picture sways."""
    pairs = zip(scene.stickers, first.stickers, strict=True)
    return max(max(abs(a.x - b.x), abs(a.y - b.y)) for a, b in pairs) > 5


def test_intervals_by_hand() -> None:
    gone = AWAY.model_copy(update={"stickers": AWAY.stickers[1:]})
    label = clip_label(plan(gone, KNIFE_AT_DOG), TRUTH)
    # Frames 10 to 24 of 40; each stands for the 100 ms around it.
    assert label.intervals == {"animals.cruelty": ((950, 2450),), "hate.words": ((0, 4000),)}
    assert label.harmful is True


@pytest.mark.parametrize(("start", "broken"), [(10, True), (0, False)])
def test_a_house_that_burns_from_the_start_was_not_set_on_fire(start: int, broken: bool) -> None:
    calm, event = _scene(("house", 60, 60)), _scene(("house", 60, 60), ("fire", 70, 60))
    label = clip_label(plan(calm, event, start=start), TRUTH)
    assert label.harmful is broken
    assert label.intervals == ({"violence.arson": ((950, 2450),)} if broken else {})


def test_what_geometry_leaves_open_is_neither_violated_nor_calm() -> None:
    calm = _scene(("dog", 30, 40))
    places = (_scene(("dog", 30, 40), ("kitchen_knife", x, 40)) for x in range(40, 100))
    event = next(scene for scene in places if set(relations(scene).values()) == {"unclear_touch"})
    label = clip_label(plan(calm, event), TRUTH)
    assert label.intervals == {}
    assert label.unclear == {"animals.cruelty": ((950, 2450),)}
    assert label.harmful is None


def test_an_attack_that_geometry_leaves_open_is_open_as_well() -> None:
    calm = _scene(("man", 30, 40))
    places = (_scene(("man", 30, 40), ("kitchen_knife", x, 40)) for x in range(40, 100))
    event = next(scene for scene in places if set(relations(scene).values()) == {"unclear_touch"})
    label = clip_label(plan(calm, event), TRUTH)
    assert label.intervals == {"violence.weapon_threat": ((950, 2450),)}
    assert label.unclear == {"violence.attack_begins": ((950, 2450),)}
    assert label.harmful is True


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Later, but not in the first frame, there is fire.", "There is fire.", "'fire_breaks_out' is not in the"),
        ("violated_when: attack_begins\n", "violated_when: attack_begins or person_on_fire\n", "both of pictures and"),
    ],
)  # fmt: skip
def test_rules_about_clips_need_statements_about_clips(old: str, new: str, message: str) -> None:
    text = constitution_path("stickers-video").read_text()
    assert old in text
    with pytest.raises(ConfigError, match=message):
        PolicyTruth(parse_constitution(text.replace(old, new), source="changed.yaml"))


def test_written_files_show_the_scenes_and_have_the_columns_of_vhd11k(items: list[VideoItem], tmp_path: Path) -> None:
    assert write_video_split(tmp_path, "test-video", iter(items[:4])) == 4
    with (tmp_path / "harmful_video_test-video_ann.csv").open(newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    assert [row["decision"] for row in rows] == ["yes", "no", "yes", "no"]
    assert list(rows[0])[:3] == ["videoPath", "decision", "harmfulType"]
    for item, row in zip(items[:4], rows, strict=True):
        frames = decoded(tmp_path / row["videoPath"])
        scenes = item.plan.clip().frames
        assert len(frames) == len(scenes)
        assert min(psnr_db(f.image, render(s)) for f, s in zip(frames, scenes, strict=True)) > 26


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    pictures = [render(scene) for scene in plan(AWAY, KNIFE_AT_DOG).clip().frames]
    for name in ("a.mp4", "b.mp4"):
        encode(tmp_path / name, pictures)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_what_memory_held_before_does_not_show_in_the_bytes(tmp_path: Path) -> None:
    """glibc fills new memory as MALLOC_PERTURB_ says, if it comes from the heap; other libraries ignore it."""
    np.save(tmp_path / "pictures.npy", [render(scene) for scene in plan(AWAY, KNIFE_AT_DOG).clip().frames])
    code = (
        "import sys, numpy as np; from pathlib import Path; from judge.stickers.video_files import encode;"
        "encode(Path(sys.argv[1]), np.load('pictures.npy'))"
    )
    for fill in ("0", "1"):
        own = {"MALLOC_PERTURB_": fill, "MALLOC_MMAP_THRESHOLD_": "2000000000", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", code, f"{fill}.mp4"]
        subprocess.run(command, cwd=tmp_path, env={**os.environ, **own}, check=True)
    assert (tmp_path / "0.mp4").read_bytes() == (tmp_path / "1.mp4").read_bytes()


def test_without_pyav_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ConfigError, match=r"visual-judge\[video\]"):
        encode(tmp_path / "a.mp4", [])


def test_a_clip_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.mp4' cannot be written"):
        encode(tmp_path / "missing" / "a.mp4", [np.zeros((144, 144, 3), np.uint8)])


def test_the_command_writes_clips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", str(tmp_path), "--split", "calibration-video", "--count", "2"]) == 0
    assert "2 clips" in capsys.readouterr().out
    assert len(list((tmp_path / "calibration-video").glob("*.mp4"))) == 2


def test_the_samples_are_the_first_twenty_clips_of_their_split() -> None:
    rows = [json.loads(line) for line in (SAMPLES / "clips_demo-video.jsonl").read_text().splitlines()]
    drawn = list(draw_video_split("demo-video", 20, TRUTH))
    assert [row["id"] for row in rows] == [item.id for item in drawn]
    for row, item in zip(rows, drawn, strict=True):
        assert Plan.model_validate(row["plan"]) == item.plan
        assert row["intervals"] == {
            rule: [list(each) for each in found] for rule, found in item.truth.intervals.items()
        }
        assert (row["harmful"], row["duration_ms"]) == (item.harmful, item.duration_ms)
    for item in drawn[:3]:
        frames = decoded(SAMPLES / "demo-video" / f"{item.id}.mp4")
        assert min(psnr_db(f.image, render(s)) for f, s in zip(frames, item.plan.clip().frames, strict=True)) > 26
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file()) < 1_500_000
