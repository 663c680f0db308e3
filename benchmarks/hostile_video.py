"""What becomes of hostile and broken videos: the error or the frames, the seconds, the decoder's largest memory.

The files are those of tests/media/hostile_clips.py. `peak_mb` is the resident memory of the decoder's process at its
highest, seen every 20 ms; 0 where the file was refused before a process was started. The last line is one JSON object.

    python benchmarks/hostile_video.py
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from judge.config import DecodingSettings
from judge.errors import MediaError
from judge.media.video import open_video

_SAMPLE_S = 0.02


def main() -> None:
    """Measures, prints a table, and the JSON line."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    clips = importlib.import_module("tests.media.hostile_clips")
    with tempfile.TemporaryDirectory() as folder:
        rows = [measured(one) for one in clips.hostile_clips(Path(folder))]
    table = Table("file", "seconds", "peak MB", "what came of it", title="Hostile videos")
    for row in rows:
        table.add_row(row["file"], f"{row['seconds']:.2f}", f"{row['peak_mb']:.0f}", row["told"])
    Console(width=170).print(table)
    print(json.dumps({"name": "hostile_video", "rows": rows}))


def measured(one: Any) -> dict[str, Any]:
    limits = DecodingSettings.model_validate(dict(one.limits))
    peak = Peak()
    started = time.perf_counter()
    told = handled(one.data, limits)
    seconds = time.perf_counter() - started
    return {"file": one.name, "seconds": seconds, "peak_mb": peak.stop(), "told": told}


def handled(data: bytes, limits: DecodingSettings) -> str:
    """As a person is told; anything but our own error ends the script."""
    try:
        video = open_video(data, source="it", limits=limits).video
    except MediaError as error:
        return str(error)
    assert video is not None
    try:
        n_frames = len(video.info.timestamps_s)
        return f"{len(video.read(range(n_frames)))} frames"
    except MediaError as error:
        return f"{len(video.thumbnails(range(n_frames)).indices)} of {n_frames} frames; {error}"
    finally:
        video.close()


class Peak:
    """Watches the processes that this one starts."""

    def __init__(self) -> None:
        self._peak_mb = 0.0
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def stop(self) -> float:
        self._over.set()
        self._watcher.join()
        return self._peak_mb

    def _watch(self) -> None:
        while not self._over.wait(_SAMPLE_S):
            for folder in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):  # it has ended since
                    status = (folder / "status").read_text(encoding="utf-8")
                    found = re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)
                    if found and f"\nPPid:\t{os.getpid()}\n" in status:
                        self._peak_mb = max(self._peak_mb, int(found[1]) / 1024)


if __name__ == "__main__":
    main()
