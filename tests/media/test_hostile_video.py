"""Videos made to mislead, to hang or to break the decoder: an error that names the file, and never anything else."""

from __future__ import annotations

import errno
import re
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from judge.config import DecodingSettings
from judge.decoding.wire import HEADER, INDEX, INFO, Kind
from judge.errors import MediaError
from judge.media.video import VideoFile, open_video

from .clips import CONTAINERS, clip, number_in
from .hostile_clips import Hostile, elsewhere, hostile_clips, pointing_to
from .test_video import numbers, opened


def handled(one: Hostile, decoder: str = "pyav") -> str:
    """What a person is told: an error, or how many frames could be read."""
    limits = DecodingSettings.model_validate({"decoder": decoder, **one.limits})
    try:
        video = open_video(one.data, source=one.name, limits=limits).video
    except MediaError as error:
        return str(error)
    assert isinstance(video, VideoFile)
    with video:
        try:
            return f"{len(video.read(range(len(video.info.timestamps_s))))} frames"
        except MediaError as error:
            return str(error)


def test_all_of_them(tmp_path: Path) -> None:
    for one in hostile_clips(tmp_path):
        told = handled(one)
        assert told.startswith(f"{one.name!r}: ") or (one.refusal is None and re.fullmatch(r"\d+ frames", told)), (
            one.name
        )
        assert one.refusal is None or re.search(one.refusal, told), (one.name, told)


def test_damage_that_decord_meets(tmp_path: Path) -> None:
    """Each container once with bytes flipped: it may not be noticed, but nothing else breaks."""
    wanted = {f"{container} flipped 1" for container in CONTAINERS}
    found = [one for one in hostile_clips(tmp_path) if one.name in wanted]
    assert len(found) == len(wanted)
    for one in found:
        told = handled(one, "decord")
        assert told.startswith(f"{one.name!r}: ") or re.fullmatch(r"\d+ frames", told)


def test_what_decord_does_not_know() -> None:
    with opened(clip("mkv", codec="ffv1"), decoder="pyav") as video:
        assert numbers(video.read([7])) == [7]
    data = clip("mp4", n_frames=3, codec="libsvtav1" if "libsvtav1" in av.codecs_available else "libaom-av1")
    with (
        opened(data, decoder="decord") as video,
        pytest.raises(MediaError, match=r"^'clip': .*\(set video.decoding.decoder to 'pyav'\)$"),
    ):
        video.read([0])


def test_damage_in_the_middle_spares_what_was_read_before() -> None:
    data = bytearray(clip("mp4", gop=10))
    with opened(bytes(data)) as video:
        whole = [frame.image for frame in video.read(range(40))]
    packets = [packet for packet in _packets(bytes(data)) if packet[0] == 20]
    (_, start, size) = packets[0]
    data[start + 8 : start + size] = bytes(size - 8)  # the keyframe 20
    with opened(bytes(data)) as video:
        first = video.read(range(18))
        with pytest.raises(MediaError, match=r"^'clip': frame 2[0-9] at 0\.8\d* s cannot be decoded: "):
            video.read([5, 20, 35])
        after = video.read([30, 39])
        left = video.thumbnails([5, 20, 35]).indices
    for frame in [*first, *after]:
        np.testing.assert_array_equal(frame.image, whole[frame.index])
    assert left == (5, 35)


def _packets(data: bytes) -> list[tuple[int, int, int]]:
    """Number of the frame, place and size in the file."""
    from io import BytesIO  # noqa: PLC0415

    with av.open(BytesIO(data)) as container:
        stream = container.streams.video[0]
        found = [(packet.pts, packet.pos, packet.size) for packet in container.demux(stream) if packet.size]
    times = sorted(pts for pts, _, _ in found)
    return [(times.index(pts), pos, size) for pts, pos, size in found]


# --- other files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decoder", ["pyav", "decord"])
def test_pictures_in_another_file_are_not_read(tmp_path: Path, decoder: str) -> None:
    data = pointing_to(elsewhere(tmp_path))
    path = tmp_path / "pointing.mov"
    path.write_bytes(data)
    # The trap works: FFmpeg follows it when it is told to.
    with av.open(str(path), options={"enable_drefs": "1", "use_absolute_path": "1"}) as container:
        assert [number_in(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)] == [100, 101, 102]
    with pytest.raises(MediaError, match=r"^'clip': it contains no frames$"):
        open_video(data, source="clip", limits=DecodingSettings.model_validate({"decoder": decoder}))


def test_the_decoder_s_process_can_open_nothing(tmp_path: Path) -> None:
    code = f"""
import socket
from judge.decoding.limits import limit_process
limit_process(memory_bytes=2**26, cpu_s=5)
for attempt in (lambda: open({str(tmp_path / "new")!r}, "w"), lambda: open("/etc/hostname"), socket.socket):
    try:
        attempt()
    except OSError as error:
        print(error.errno)
try:
    bytearray(2**27)
except MemoryError:
    print("memory")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(errno.EMFILE)] * 3 + ["memory"]
    assert list(tmp_path.iterdir()) == []


# --- limits ---------------------------------------------------------------------------------------------------


def read_on_and_on(video: VideoFile) -> None:
    for _ in range(1000):
        video.read(range(40))


def test_processor_time() -> None:
    with opened(clip(n_frames=40, size=(640, 360)), cpu_s=0.5) as video:
        with pytest.raises(MediaError) as caught:
            read_on_and_on(video)
        expected = "'clip': decoding took more than 0.5 s of processor time"
        assert caught.value.message == expected
        with pytest.raises(MediaError, match=expected):
            video.read([0])


def test_memory() -> None:
    data = clip(n_frames=5, size=(5200, 3000), coding=(("preset", "ultrafast"),))
    with opened(data, memory_mb=1024) as video:
        assert numbers(video.read(range(5))) == [0, 1, 2, 3, 4]
    with (
        opened(data, memory_mb=64) as video,
        pytest.raises(MediaError, match=r"^'clip': frame .*\(if it plays elsewhere, raise video.decoding.memory_mb\)$"),
    ):
        video.read(range(5))


# --- a decoder that cannot be trusted -------------------------------------------------------------------------

_TIMES = np.array([0.0, 0.5])


def info(
    n_frames: int = 2, *, width: int = 8, rotation: int = 0, duration_s: float = 1.0, times: object = _TIMES
) -> bytes:
    payload = INFO.pack(n_frames, 1, width, 8, rotation, duration_s, b"h264") + np.asarray(times).tobytes() + bytes(4)
    return HEADER.pack(Kind.INFO, len(payload)) + payload


def decoder_that_says(folder: Path, answer: bytes, monkeypatch: pytest.MonkeyPatch, *, then: str = "sleep 60") -> None:
    """In place of the interpreter stands a program that says this, whatever it is asked."""
    (folder / "answer").write_bytes(answer)
    program = folder / "program"
    program.write_text(f"#!/bin/sh\ncat '{folder / 'answer'}'\nexec {then}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


@pytest.mark.parametrize(
    "answer",
    [
        b"Traceback (most recent call last):\n",
        HEADER.pack(Kind.INFO, 2**32 - 1),
        HEADER.pack(Kind.INFO, 3) + b"abc",
        HEADER.pack(Kind.ERROR, 2**31),
        HEADER.pack(Kind.DONE, 0),
        HEADER.pack(Kind.FRAME, 4) + bytes(4),
        info(n_frames=3),
        info(times=[0.0, np.nan]),
        info(times=[0.5, 0.7]),
        info(times=[0.0, 0.0]),
        info(times=[0.0, 2.0]),
        info(duration_s=np.inf),
        info(width=0),
        info(width=10_000_000),
        info(rotation=45),
    ],
)
def test_nonsense(answer: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder_that_says(tmp_path, answer, monkeypatch)
    with pytest.raises(MediaError, match=r"^'clip': the decoder gave an answer that makes no sense"):
        open_video(clip(n_frames=1), source="clip")


FRAME = HEADER.pack(Kind.FRAME, INDEX.size + 192)


@pytest.mark.parametrize(
    "answer",
    [
        HEADER.pack(Kind.FRAME, 2**31),
        HEADER.pack(Kind.FRAME, INDEX.size + 191) + bytes(195),
        FRAME + INDEX.pack(0) + bytes(192),
        HEADER.pack(Kind.MISSING, INDEX.size) + INDEX.pack(1),
        HEADER.pack(Kind.DONE, 0),
        FRAME + INDEX.pack(1) + bytes(192) + FRAME,
    ],
)
def test_nonsense_instead_of_a_frame(answer: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder_that_says(tmp_path, info() + answer, monkeypatch)
    with opened(clip(n_frames=1)) as video:
        with pytest.raises(MediaError, match=r"^'clip': the decoder gave an answer that makes no sense"):
            video.read([1])
        assert not video._process.alive


def test_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder_that_says(tmp_path, b"", monkeypatch, then="true")
    with pytest.raises(MediaError, match=r"^'clip': the decoder ended without an answer$"):
        open_video(clip(n_frames=1), source="clip")
    decoder_that_says(tmp_path, info()[:50], monkeypatch)
    with pytest.raises(MediaError, match=r"^'clip': decoding took longer than 0\.5 s"):
        open_video(clip(n_frames=1), source="clip", limits=DecodingSettings(wall_s=0.5))


def test_control_characters_in_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"bad\x1b[31m\nthing\xff\0try\x07"
    decoder_that_says(tmp_path, HEADER.pack(Kind.ERROR, len(text)) + text, monkeypatch)
    with pytest.raises(MediaError) as caught:
        open_video(clip(n_frames=1), source="clip")
    assert (caught.value.message, caught.value.hint) == ("'clip': bad?[31m?thing\ufffd", "try?")


def test_no_decoder_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(MediaError, match=r"^'clip': the decoder cannot be started: No such file or directory$"):
        open_video(clip(n_frames=1), source="clip")
