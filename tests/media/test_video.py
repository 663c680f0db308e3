"""Videos that are whole: every container, both decoders, and what the contract of `FrameSource` promises."""

from __future__ import annotations

import gc
import os
import signal
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from judge.config import DecodingSettings
from judge.errors import MediaError
from judge.media.video import VideoFile, open_video
from judge.types import Frame

from .clips import CONTAINERS, clip, number_in, picture


@contextmanager
def opened(data: bytes, **limits: object) -> Iterator[VideoFile]:
    video = open_video(data, source="clip", limits=DecodingSettings.model_validate(limits)).video
    assert isinstance(video, VideoFile)
    with video:
        yield video


def numbers(frames: list[Frame]) -> list[int]:
    return [number_in(frame.image) for frame in frames]


@pytest.mark.parametrize("decoder", ["pyav", "decord"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container(container: str, decoder: str) -> None:
    data = clip(container)
    media = open_video(data, source="clip", limits=DecodingSettings.model_validate({"decoder": decoder}))
    assert (media.id, media.kind, media.frames, media.source) == (sha256(data).hexdigest(), "video", (), "clip")
    assert media.duration_s == pytest.approx(1.6, abs=0.01)
    assert isinstance(media.video, VideoFile)
    with media.video as video:
        info = video.info
        assert (info.width_px, info.height_px, info.rotation_deg, info.container) == (160, 96, 0, container)
        assert info.codec == {"webm": "vp9", "mov": "mpeg4", "avi": "mpeg4"}.get(container, "h264")
        assert info.timestamps_s == pytest.approx([n / 25 for n in range(40)], abs=0.001)
        assert {0, 12, 24, 36} <= set(info.keyframes)
        frames = video.read(range(40))
        assert numbers(frames) == list(range(40))
        assert [(frame.index, frame.timestamp_s) for frame in frames] == list(enumerate(info.timestamps_s))
        assert numbers(video.read([39, 13, 12, 13, 30, 0])) == [0, 12, 13, 30, 39]
        assert numbers(video.read(info.keyframes)) == list(info.keyframes)
        assert np.abs(frames[7].image.astype(int) - picture(7, 160, 96)).mean() < 8
        small = video.thumbnails([5, 12])
        assert (small.indices, small.images.shape) == ((5, 12), (2, 19, 32, 3))
        assert [number_in(image) for image in small.images] == [5, 12]


@pytest.mark.parametrize("container", CONTAINERS)
def test_both_decoders_give_the_same_pictures(container: str) -> None:
    wanted = [0, 5, 12, 23, 39]
    with opened(clip(container), decoder="pyav") as one, opened(clip(container), decoder="decord") as other:
        assert one.info == other.info
        for left, right in zip(one.read(wanted), other.read(wanted), strict=True):
            assert np.abs(left.image.astype(int) - right.image).mean() < 1.5
            assert left.index == right.index
        difference = one.thumbnails(wanted).images.astype(int) - other.thumbnails(wanted).images
        assert np.abs(difference).mean() < 2.5


@pytest.mark.parametrize("decoder", ["pyav", "decord"])
@pytest.mark.parametrize(("container", "turned_deg"), [("mp4", 90), ("mov", 180), ("mp4", 270), ("mkv", 90)])
def test_rotation(container: str, turned_deg: int, decoder: str) -> None:
    with opened(clip(container, n_frames=14, turned_deg=turned_deg), decoder=decoder) as video:
        info = video.info
        assert (info.width_px, info.height_px, info.rotation_deg) == (160, 96, turned_deg)
        frames = video.read([3, 13])
        assert numbers(frames) == [3, 13]
        assert np.abs(frames[0].image.astype(int) - picture(3, 160, 96)).mean() < 8
        assert [number_in(image) for image in video.thumbnails([13]).images] == [13]


@pytest.mark.parametrize("decoder", ["pyav", "decord"])
@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_a_variable_frame_rate(container: str, decoder: str) -> None:
    times = (0, 40, 50, 200, 233, 1000, 1010, 2500, 2533, 2600, 2700, 2740)
    with opened(clip(container, n_frames=12, gop=5, times_ms=times), decoder=decoder) as video:
        assert video.info.timestamps_s == pytest.approx([time / 1000 for time in times], abs=0.0011)
        assert numbers(video.read(range(12))) == list(range(12))
        assert numbers(video.read([6, 11])) == [6, 11]
        assert video.read([7])[0].timestamp_s == pytest.approx(2.5, abs=0.0011)


def test_times_begin_at_zero() -> None:
    with opened(clip("mkv", n_frames=4, times_ms=(5000, 5040, 5080, 5120))) as video:
        assert video.info.timestamps_s == pytest.approx((0.0, 0.04, 0.08, 0.12))
        assert numbers(video.read(range(4))) == [0, 1, 2, 3]


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_a_sound_that_lasts_longer(container: str) -> None:
    with opened(clip(container, n_frames=25, sound_s=4.0)) as video:
        assert len(video.info.timestamps_s) == 25
        assert video.info.duration_s == pytest.approx(1.0, abs=0.01)
        assert numbers(video.read([24])) == [24]


def test_one_frame() -> None:
    with opened(clip(n_frames=1)) as video:
        assert (video.info.timestamps_s, video.info.keyframes) == ((0.0,), (0,))
        assert numbers(video.read([0])) == [0]


@pytest.mark.parametrize(
    ("container", "codec", "options"),
    [
        ("avi", "libx264", ()),
        ("avi", "mpeg4", (("bf", "2"),)),
        ("mp4", "libx264", (("movflags", "frag_keyframe+empty_moov"),)),
        ("mkv", "libx264", (("live", "1"),)),
        ("mp4", "libvpx-vp9", ()),
    ],
)
def test_odd_but_sound(container: str, codec: str, options: tuple[tuple[str, str], ...]) -> None:
    """Reordered frames in AVI have no times of their own; fragments and live streams state no number of frames."""
    with opened(clip(container, codec=codec, mux=options, coding=options)) as video:
        assert numbers(video.read(range(40))) == list(range(40))
        assert numbers(video.read([38, 25])) == [25, 38]


def test_open_groups_of_pictures() -> None:
    """Frames before a keyframe in time but behind it in the file need the keyframe before."""
    coding = (("x264-params", "open-gop=1:bframes=3:b-adapt=0:scenecut=0"),)
    with opened(clip("mp4", coding=coding)) as video:
        for index in range(40):
            assert numbers(video.read([index])) == [index]


def test_an_edit_list_that_cuts_off_the_only_keyframe() -> None:
    data = clip("mp4", gop=250)
    at = data.index(b"elst") + 16  # behind the version, the number of entries and the first one's duration
    frame = 12_800 // 25
    (begins,) = struct.unpack_from(">i", data, at)
    cut = data[:at] + struct.pack(">i", begins + 10 * frame) + data[at + 4 :]
    with opened(cut) as video:
        assert (video.info.keyframes, video.info.timestamps_s[:2]) == ((), (0.0, 0.04))
        assert numbers(video.read(range(30))) == list(range(10, 40))
        assert numbers(video.read([20])) == [30]


def test_large_frames_are_scaled_down_in_the_decoder() -> None:
    with opened(clip(n_frames=2, size=(640, 360)), max_side_px=100) as video:
        assert (video.info.width_px, video.info.height_px) == (640, 360)
        assert [frame.image.shape for frame in video.read([0, 1])] == [(56, 100, 3)] * 2
        assert video.thumbnails([1]).images.shape == (1, 18, 32, 3)


def test_indices_that_are_not_there() -> None:
    with opened(clip(n_frames=3)) as video:
        assert video.read([]) == []
        assert video.thumbnails([]).images.shape == (0, 19, 32, 3)
        for wrong in ([3], [-1, 0]):
            with pytest.raises(MediaError, match=r"^'clip': it has 3 frames, numbered from 0; asked for"):
                video.read(wrong)


def test_more_frames_than_memory_should_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("judge.media.video._MAX_READ_BYTES", 100_000)
    with opened(clip(n_frames=3)) as video:
        assert len(video.read([0, 1])) == 2
        with pytest.raises(MediaError, match=r"^'clip': 3 pictures take 138,240 bytes \(read fewer at once\)"):
            video.read([0, 1, 2])


# --- processes ------------------------------------------------------------------------------------------------


def children() -> set[int]:
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(after_name[1]) == os.getpid():
            found.add(int(status.parent.name))
    return found


def test_nothing_is_left_behind() -> None:
    data = clip(n_frames=2)
    gc.collect()  # what other tests dropped must not be closed while this one counts
    before = children(), len(os.listdir("/proc/self/fd"))
    for number in range(50):
        video = open_video(data, source="clip").video
        assert video is not None
        if number % 10 == 0:
            assert len(video.read([0, 1])) == 2
        if number % 2:
            video.close()
        del video  # the other half is never closed
    gc.collect()
    assert (children(), len(os.listdir("/proc/self/fd"))) == before


def test_after_closing() -> None:
    with opened(clip(n_frames=2)) as video:
        pass
    video.close()
    with pytest.raises(MediaError, match=r"^'clip': it is closed$"):
        video.read([0])


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGSEGV, r"the decoder crashed on it \(SIGSEGV\)"),
        (signal.SIGKILL, r"the decoder was killed from outside \(the machine may have run out of memory\)"),
    ],
)
def test_a_decoder_that_dies_in_the_middle_takes_nothing_with_it(number: signal.Signals, reason: str) -> None:
    data = clip(n_frames=3)
    with opened(data) as other, opened(data) as video:
        pid = video._process.pid
        os.kill(pid, signal.SIGSTOP)  # the request is under way, and no answer comes

        def end() -> None:
            os.kill(pid, number)
            os.kill(pid, signal.SIGCONT)

        timer = threading.Timer(0.1, end)
        timer.start()
        with pytest.raises(MediaError, match=f"^'clip': {reason}$"):
            video.read([0, 1, 2])
        timer.join()
        with pytest.raises(MediaError, match=f"^'clip': {reason}$"):
            video.thumbnails([0])
        assert numbers(other.read([1])) == [1]
    with opened(data) as following:
        assert numbers(following.read([2])) == [2]


def test_an_interrupted_reading_closes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(clip(n_frames=3)) as video:

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(video._process, "answer", interrupt)
        with pytest.raises(KeyboardInterrupt):
            video.read([0])
        with pytest.raises(MediaError, match=r"^'clip': it is closed$"):
            video.read([0])


def test_the_caller_s_environment_stays_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hush")
    with opened(clip(n_frames=1)) as video:
        assert b"hush" not in Path(f"/proc/{video._process.pid}/environ").read_bytes()
        assert os.getsid(video._process.pid) == video._process.pid
        assert os.readlink(f"/proc/{video._process.pid}/cwd") == "/"


def test_without_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "av.py").write_text("raise ModuleNotFoundError(\"No module named 'av'\", name='av')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(MediaError) as caught:
        open_video(clip(n_frames=1), source="clip")
    assert caught.value.message == "'clip': av is missing, which decodes videos"
    assert caught.value.hint == "pip install 'visual-judge[video]'"
