"""Decoding a video: decord against PyAV, keyframes against evenly spread frames against all of them.

The clip is made here: 720p, 30 frames a second, H.264, with a keyframe every 30 and every 250 frames. Both decoders
work in the process that judging uses too, and take turns. `cpu_s` is processor time of that process (ticks of 10 ms),
which other work on the machine changes little; `wall_s` is what a caller waits. Medians. Opening starts the process,
reads all packets and decodes one keyframe; it is a row of its own and in no other. `mb` is the most memory that the
process has held by then, the work of the rows above included.

Then judging: the embedded model judges the sample clips with frames chosen by each strategy, both decoders taking
turns; `wall_s` is per clip and holds everything from the bytes to the verdict. The last line is one JSON object.

    python benchmarks/video.py
    python benchmarks/video.py --seconds 10 --rounds 1 --clips 4   # a quick look
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from rich.console import Console
from rich.table import Table

from judge.assets import constitution_path, sample_media_path
from judge.config import DecodingSettings, EngineConfig, JudgeConfig, VideoSettings
from judge.constitution import load_constitution
from judge.engines.build import build_engine
from judge.media.image import sample_evenly
from judge.media.video import VideoFile, open_video
from judge.pipeline import Judge
from judge.stages.prior_store import PriorStore
from judge.stickers.evaluate_video import STRATEGIES
from judge.types import Verdict

Decoder = Literal["pyav", "decord"]
DECODERS: tuple[Decoder, ...] = ("pyav", "decord")
_WIDTH, _HEIGHT, _RATE = 1280, 720, 30
_AT_ONCE = 100
"""Frames of one call when all are read."""


@dataclass(frozen=True)
class Cost:
    """Of one piece of work."""

    cpu_s: float
    wall_s: float
    mb: float


def main() -> None:
    """Measures, prints a table, and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clips", type=int, default=20, help="sample clips that are judged; 0 = none")
    arguments = parser.parse_args()
    rows: list[dict[str, float | str]] = []
    for every in (30, 250):
        rows += decoding_rows(h264_clip(arguments.seconds, every), every, arguments.rounds)
    print_table("Decoding 720p30 H.264; frames leave at 1024 x 576", rows)
    if arguments.clips:
        judged = asyncio.run(judging_rows(arguments.clips, arguments.rounds))
        print_table(f"Judging {arguments.clips} sticker clips, embedded model; per clip", judged)
        rows += judged
    print(json.dumps({"name": "video", "seconds": arguments.seconds, "load": os.getloadavg()[0], "rows": rows}))


def decoding_rows(data: bytes, every: int, rounds: int) -> list[dict[str, float | str]]:
    """One row for each way of choosing frames, both decoders side by side."""
    costs: dict[tuple[str, Decoder], list[Cost]] = {}
    n_frames: dict[str, int] = {}
    for _ in range(rounds):
        for decoder in DECODERS:
            video, opening = opened(data, decoder)
            with video:
                costs.setdefault(("open", decoder), []).append(opening)
                for name, indices in choices(video).items():
                    n_frames[name] = len(indices)
                    costs.setdefault((name, decoder), []).append(reading(video, indices))
    names = ["open", *n_frames]
    return [row(every, name, n_frames.get(name, 0), [costs[name, decoder] for decoder in DECODERS]) for name in names]


async def judging_rows(n_clips: int, rounds: int) -> list[dict[str, float | str]]:
    """One row for each strategy, both decoders side by side."""
    clips = [path.read_bytes() for path in sorted(sample_media_path("clips").rglob("*.mp4"))[:n_clips]]
    engine = build_engine(EngineConfig())
    policy, priors = load_constitution(constitution_path("stickers-video")), PriorStore(None)
    judges = {
        name: Judge(engine, policy, JudgeConfig(video=VideoSettings(sampling=sampling)), priors=priors)
        for name, sampling in STRATEGIES.items()
    }
    for judge in judges.values():
        await judged(judge, clips[0], "pyav")  # the text-only readings, and warming up
    walls: dict[tuple[str, Decoder], list[float]] = {}
    verdicts: dict[str, list[Verdict]] = {}
    for _ in range(rounds):
        for name, judge in judges.items():
            for decoder in DECODERS:
                started = time.perf_counter()
                verdicts[name] = [await judged(judge, clip, decoder) for clip in clips]
                walls.setdefault((name, decoder), []).append((time.perf_counter() - started) / len(clips))
    await engine.close()
    slowest = statistics.median(walls["fps(10)", "pyav"])
    rows: list[dict[str, float | str]] = []
    for name, found in verdicts.items():
        pyav, decord = (statistics.median(walls[name, decoder]) for decoder in DECODERS)
        rows.append(
            {
                "what": name,
                "frames": statistics.mean(verdict.n_frames or 0 for verdict in found),
                "questions": statistics.mean(verdict.usage.questions for verdict in found),
                "pyav_wall_s": pyav,
                "decord_wall_s": decord,
                "decord/pyav": decord / pyav,
                "of fps(10)": pyav / slowest,
            }
        )
    return rows


async def judged(judge: Judge, data: bytes, decoder: Decoder) -> Verdict:
    media = open_video(data, source="clip", limits=DecodingSettings(decoder=decoder))
    assert isinstance(media.video, VideoFile)
    with media.video:
        (verdict,) = await judge.judge([media])
    return verdict


def choices(video: VideoFile) -> dict[str, Sequence[int]]:
    """Which frames are read. decord starts with the first read, so one frame is read before all others."""
    n_frames = len(video.info.timestamps_s)
    return {
        "first frame": (0,),
        "keyframes": video.info.keyframes,
        "uniform 5": sample_evenly(n_frames, 5),
        "uniform 16": sample_evenly(n_frames, 16),
        "all frames": range(n_frames),
    }


def row(every: int, name: str, n_frames: int, costs: Sequence[Sequence[Cost]]) -> dict[str, float | str]:
    pyav, decord = (statistics.median(one.cpu_s for one in found) for found in costs)
    pyav_wall, decord_wall = (statistics.median(one.wall_s for one in found) for found in costs)
    return {
        "keyframe every": every,
        "what": name,
        "frames": n_frames,
        "pyav_cpu_s": pyav,
        "decord_cpu_s": decord,
        "decord/pyav": decord / pyav if pyav else float("nan"),
        "pyav_wall_s": pyav_wall,
        "decord_wall_s": decord_wall,
        **{f"{decoder}_mb": max(one.mb for one in found) for decoder, found in zip(DECODERS, costs, strict=True)},
    }


def opened(data: bytes, decoder: Decoder) -> tuple[VideoFile, Cost]:
    started = time.perf_counter()
    video = open_video(
        data, source="clip", limits=DecodingSettings(decoder=decoder, wall_s=600, cpu_s=600, memory_mb=8192)
    ).video
    assert isinstance(video, VideoFile)
    return video, Cost(cpu_s(video), time.perf_counter() - started, peak_mb(video))


def reading(video: VideoFile, indices: Sequence[int]) -> Cost:
    before, started = cpu_s(video), time.perf_counter()
    for begin in range(0, len(indices), _AT_ONCE):
        video.read(indices[begin : begin + _AT_ONCE])
    return Cost(cpu_s(video) - before, time.perf_counter() - started, peak_mb(video))


def cpu_s(video: VideoFile) -> float:
    """Of the decoder's process, since it began."""
    ticks = Path(f"/proc/{video._process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def peak_mb(video: VideoFile) -> float:
    """Resident memory of the decoder's process at its highest."""
    status = Path(f"/proc/{video._process.pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def h264_clip(seconds: int, every: int) -> bytes:
    """Textured ground that moves, with noise in it, so that neither motion nor detail is free."""
    chance = np.random.default_rng(0)
    ground = np.kron(chance.integers(0, 200, (90, 200, 3), dtype=np.uint8), np.ones((16, 16, 1), np.uint8))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "clip.mp4")
        options = {"preset": "veryfast", "x264-params": f"keyint={every}:min-keyint={every}:scenecut=0"}
        with av.open(str(path), "w") as output:
            stream = output.add_stream("libx264", rate=_RATE, options=options)
            stream.width, stream.height, stream.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
            for number in range(seconds * _RATE):
                left, top = number * 3 % 1900, number % 700
                picture = ground[top : top + _HEIGHT, left : left + _WIDTH].copy()
                picture[200:400, 300:600] += chance.integers(0, 32, (200, 300, 3), dtype=np.uint8)
                frame = av.VideoFrame.from_ndarray(picture, "rgb24")
                frame.pts, frame.time_base = number, Fraction(1, _RATE)
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return path.read_bytes()


def print_table(title: str, rows: Sequence[dict[str, float | str]]) -> None:
    table = Table(*rows[0], title=title)
    for one in rows:
        table.add_row(*(f"{value:.3g}" if isinstance(value, float) else str(value) for value in one.values()))
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
