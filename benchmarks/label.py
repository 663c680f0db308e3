"""`judge label` against the pipeline called directly, on the same sticker pictures; and its memory as the job grows.

Direct: one process that decodes and judges as `judge score` does, engine loaded once. Label: the command itself, in a
process of its own. Start-up is shown apart: the time until the first bundle has come; the speed is that of all pictures
after it. Both take turns, `--rounds` times; the ratio is that of the medians. Then a job of a tenth of the pictures and
one of all of them: the most memory (proportional set size, so that shared pages count once) that the command and every
process that it started held together, without the shared object store, which is set aside whole at the start. The last
line is one JSON object.

    python benchmarks/label.py
    python benchmarks/label.py --pictures 200 --rounds 1   # a quick look
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

_EVERY_S = 0.5
_DIRECT = """
import sys, time
from judge.assets import constitution_path
from judge.cli.score import score_all
from judge.config import JudgeConfig
from judge.constitution import load_constitution
from judge.engines.build import build_engine
from judge.media import Permissions, expand_inputs
from judge.pipeline import Judge
began_s = time.monotonic()
settings = JudgeConfig()
judge = Judge(build_engine(settings.engine), load_constitution(constitution_path("stickers")), settings)
found = expand_inputs([sys.argv[1]])[: int(sys.argv[2])]
for place, _ in enumerate(score_all(judge, found, Permissions(files=True), batch=settings.concurrency), start=1):
    if place == settings.concurrency:
        first_s = time.monotonic()
ended_s = time.monotonic()
print(first_s - began_s, (len(found) - settings.concurrency) / (ended_s - first_s))
"""


@dataclass(frozen=True)
class Row:
    """Of one way and one number of pictures; medians."""

    way: str
    pictures: int
    start_s: float
    pictures_per_s: float
    ratio: float
    peak_mb: float


@dataclass(frozen=True)
class Ran:
    """One run."""

    start_s: float
    pictures_per_s: float
    peak_mb: float


def main() -> None:
    """Measures, prints a table, and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, help="judges; default: as the command has it")
    arguments = parser.parse_args()
    n = arguments.pictures
    with tempfile.TemporaryDirectory(prefix="label") as made:
        folder = Path(made)
        pictures = sticker_pictures(folder / "set", n)
        runs: dict[str, list[Ran]] = {"direct": [], "judge label": []}
        for number in range(arguments.rounds):
            runs["direct"].append(direct(pictures, n))
            runs["judge label"].append(label(pictures, n, folder / f"out{number}", arguments.concurrency))
        small = [label(pictures, max(n // 10, 32), folder / "small", arguments.concurrency)]
    base = statistics.median(each.pictures_per_s for each in runs["direct"])
    rows = [row(way, n, each, base) for way, each in runs.items()]
    rows.append(row("judge label, a tenth", max(n // 10, 32), small, base))
    show(rows)
    shown = [asdict(each) for each in rows]
    print(json.dumps({"name": "label", "cores": os.cpu_count(), "load": os.getloadavg()[0], "rows": shown}))


def sticker_pictures(folder: Path, count: int) -> Path:
    """Pictures of the test split, all different."""
    command = [sys.executable, "-m", "judge.cli", "stickers", "generate", str(folder), "--split", "test"]
    subprocess.run([*command, "--count", str(count)], check=True, capture_output=True)
    return folder / "test"


def direct(pictures: Path, count: int) -> Ran:
    """The pipeline in one process."""
    command = [sys.executable, "-c", _DIRECT, str(pictures), str(count)]
    answer, peak_mb = run_watched(command)
    start_s, rate = (float(value) for value in answer.split()[-2:])
    return Ran(start_s, rate, peak_mb)


def label(pictures: Path, count: int, out: Path, concurrency: int | None) -> Ran:
    """The command."""
    command = [sys.executable, "-m", "judge.cli", "label", str(pictures), "--out", str(out), "--json"]
    command += ["--limit", str(count), *(["--concurrency", str(concurrency)] if concurrency else [])]
    answer, peak_mb = run_watched(command)
    found = json.loads(answer)
    assert found["rows"] == count, found
    return Ran(found["start_seconds"], found["rows_per_second"], peak_mb)


def run_watched(command: list[str]) -> tuple[str, float]:
    """What it printed, and the most memory that it and its descendants held, in MB."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    peak_kb = 0
    while process.poll() is None:
        peak_kb = max(peak_kb, sum(private_kb(pid) for pid in family(process.pid)))
        time.sleep(_EVERY_S)
    assert process.stdout is not None
    printed = process.stdout.read()
    assert process.returncode == 0, (command, process.returncode)
    return printed, peak_kb / 1024


def family(pid: int) -> Iterator[int]:
    """A process and all its descendants."""
    yield pid
    try:
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:
        return
    for child in children:
        yield from family(child)


def private_kb(pid: int) -> int:
    """Proportional set size without shared memory."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    sizes = {line.split(":")[0]: int(line.split()[-2]) for line in lines[1:]}
    return sizes.get("Pss", 0) - sizes.get("Pss_Shmem", 0)


def row(way: str, pictures: int, runs: list[Ran], base: float) -> Row:
    rate = statistics.median(each.pictures_per_s for each in runs)
    start_s = statistics.median(each.start_s for each in runs)
    peak_mb = max(each.peak_mb for each in runs)
    return Row(way, pictures, round(start_s, 2), round(rate, 2), round(rate / base, 3), round(peak_mb, 1))


def show(rows: list[Row]) -> None:
    table = Table("way", "pictures", "start-up s", "pictures/s", "ratio", "peak MB", title="judge label")
    for each in rows:
        table.add_row(*[str(value) for value in asdict(each).values()])
    Console().print(table)


if __name__ == "__main__":
    main()
