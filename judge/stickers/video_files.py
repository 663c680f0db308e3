"""Sticker clips on disk: MP4 files, VHD11K's table, and the truth with what each clip was made from."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judge.errors import ConfigError
from judge.stickers.clips import RATE_HZ
from judge.stickers.render import render
from judge.stickers.scene import CANVAS_PX
from judge.stickers.video_splits import VideoItem, VideoSplit
from judge.types.annotation import NO, NONE, YES, annotation_columns

_CODEC = {
    "crf": "23",
    "preset": "veryfast",
    # A keyframe every second and nowhere else. One thread, and no macroblock tree, which reads memory that nothing was
    # written to (docs/log.md): so that the same frames give the same bytes.
    "x264-params": f"keyint={RATE_HZ}:min-keyint={RATE_HZ}:scenecut=0:threads=1:mbtree=0",
}


def encode(path: Path, frames: Iterable[NDArray[np.uint8]]) -> None:
    """Writes H.264 in MP4, yuv420p, at `RATE_HZ`; frames are `(144, 144, 3) uint8 RGB`.

    Raises:
        ConfigError: PyAV is not installed, or lacks libx264.
    """
    try:
        import av  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise ConfigError("clips are written with PyAV", hint='pip install "visual-judge[video]"') from error
    try:
        with av.open(str(path), "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=RATE_HZ, options=_CODEC)
            stream.width = stream.height = CANVAS_PX
            stream.pix_fmt = "yuv420p"
            for picture in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))
    except av.FFmpegError as error:
        raise ConfigError(f"'{path}' cannot be written: {error}", hint="this needs PyAV with libx264") from error


def write_video_split(folder: Path, split: VideoSplit, items: Iterator[VideoItem]) -> int:
    """Writes MP4 files, `harmful_video_<split>_ann.csv` in VHD11K's columns, and `clips_<split>.jsonl`.

    Returns:
        How many clips.

    Raises:
        ConfigError: As for `encode`.
    """
    clips = folder / split
    clips.mkdir(parents=True, exist_ok=True)
    columns = annotation_columns("video")
    count = 0
    with ExitStack() as files:
        table = files.enter_context((folder / f"harmful_video_{split}_ann.csv").open("w", newline="", encoding="utf-8"))
        truths = files.enter_context((folder / f"clips_{split}.jsonl").open("w", encoding="utf-8"))
        writer = csv.writer(table)
        writer.writerow(columns)
        for item in items:
            path = f"{split}/{item.id}.mp4"
            encode(folder / path, (render(scene) for scene in item.plan.clip().frames))
            reason = "; ".join(item.truth.intervals) or "no rule is violated"
            no_arguments = [NONE] * (len(columns) - 3)
            writer.writerow([path, YES if item.harmful else NO, reason, *no_arguments])
            truths.write(json.dumps(_row(item, path)) + "\n")
            count += 1
    return count


def _row(item: VideoItem, path: str) -> dict[str, Any]:
    return {
        "id": item.id,
        "path": path,
        "duration_ms": item.duration_ms,
        "harmful": item.harmful,
        "intervals": item.truth.intervals,
        "unclear": item.truth.unclear,
        "plan": item.plan.model_dump(mode="json"),
    }
