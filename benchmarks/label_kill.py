"""`judge label`, killed with -9 at random moments and resumed: no row lost, none twice, nothing written judged again.

Two sources: the sticker test set, and a folder of hostile files among good ones. Each is labelled by the command
itself, in a process of its own that is killed (SIGKILL) a random number of seconds after its start or a random number
of judgements later, so that start-up, judging and writing are all hit. A last run ends the work. `--journal` has a line
for every row before it is judged; no line may name a row that was written when its run began. The last line is one JSON
object; the exit code is 1 if anything was wrong.

    python benchmarks/label_kill.py
    python benchmarks/label_kill.py --kills 2 --pictures 40   # a quick look
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.table import Table

from judge.bulk.parts import Parts
from judge.bulk.row import LabelRow
from judge.sources.open import open_source

_LONGEST_S = 420.0
_POLL_S = 0.05


@dataclass
class Killed:
    """What came of one source.

    Attributes:
        lost: Rows of the source that have none in the output.
        doubled: Rows that are there twice.
        judged_again: Judgements of rows that were written already.
        repeated: Judgements of rows that were not written, made again after a kill: the price of being killed.
    """

    source: str
    rows: int
    kills: int = 0
    before_judging: int = 0
    lost: int = 0
    doubled: int = 0
    errors: int = 0
    duplicates: int = 0
    judgements: int = 0
    judged_again: int = 0
    repeated: int = 0
    seconds: float = 0.0

    @property
    def is_right(self) -> bool:
        return not (self.lost or self.doubled or self.judged_again)


def main() -> int:
    """Prints a table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument(
        "--pictures", type=int, default=300, help="of the sticker test set; a quarter in the other folder"
    )
    parser.add_argument("--only", choices=("stickers", "hostile"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary folder")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="kill") as made:
        folder = arguments.folder or Path(made)
        results = []
        for name in ("stickers", "hostile"):
            if arguments.only in (None, name):
                n_pictures = arguments.pictures if name == "stickers" else max(arguments.pictures // 4, 12)
                source = sticker_set(folder / name, n_pictures)
                if name == "hostile":
                    add_hostile_files(source)
                results.append(label_and_kill(name, source, folder / f"{name}-out", arguments.kills, rng))
    show(results)
    print(json.dumps({"name": "label_kill", "rows": [asdict(each) for each in results]}))
    return 0 if all(each.is_right for each in results) else 1


def sticker_set(folder: Path, count: int) -> Path:
    """Pictures of the test split."""
    command = [sys.executable, "-m", "judge.cli", "stickers", "generate", str(folder), "--split", "test"]
    subprocess.run([*command, "--count", str(count)], check=True, capture_output=True)
    return folder / "test"


def add_hostile_files(folder: Path) -> None:
    """Files that cannot be read, lie about what they are, are far too large, or have names that are no names."""
    good = sorted(folder.glob("*.png"))[0].read_bytes()
    files = {
        "a-empty.png": b"", "a-cut.png": good[: len(good) // 2], "b-noise.png": random.Random(1).randbytes(5000),
        "b-text.jpg": b"<html>not a picture</html>", "c-bomb.png": _bomb(), "c-twin.png": good, "d-twin.png": good,
        "d-clip.mp4": b"\0\0\0\x18ftypmp42" + b"\0" * 400,
        "e-new\nline.png": good[:-20], "e-\U0001f52b.png": b"\x89PNG\r\n\x1a\n",
        "f-" + "x" * 200 + ".png": good + b"trailing", "g-gif.gif": b"GIF89a" + b"\xff" * 300,
    }  # fmt: skip
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / os.fsdecode(b"h-\xff\xfe.png")).write_bytes(b"no")
    (folder / "i-loops").mkdir()
    (folder / "i-loops" / "loop.png").symlink_to(folder / "i-loops" / "loop.png")
    (folder / "j-gone.png").symlink_to(folder / "nowhere.png")
    os.mkfifo(folder / "k-pipe.png")
    (folder / "l-folder.png").mkdir()
    Image.new("RGB", (40, 40), (9, 9, 9)).save(folder / "l-folder.png" / "in.png")


def _bomb() -> bytes:
    """A PNG whose header promises 60,000 x 60,000 pixels."""
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (60_000).to_bytes(4) * 2 + b"\x08\x02\0\0\0" + b"\0\0\0\0" + b"\0" * 64


def label_and_kill(name: str, source: Path, out: Path, kills: int, rng: random.Random) -> Killed:
    """Label it, being killed so often, and count."""
    ids = [sample.id for sample in open_source(str(source))]
    found = Killed(name, len(ids))
    journal, began_s = out.with_suffix(".journal"), time.monotonic()
    judged: Counter[int] = Counter()
    for run in range(kills + 1):
        written = written_indexes(out)
        n_lines = len(journal_lines(journal))
        if run < kills and len(written) < len(ids):
            share = rng.uniform(0.3, 1.5) * (len(ids) - len(written)) / (kills - run)
            after_s = rng.uniform(0.5, 8.0) if rng.random() < 0.25 else None
            if run_and_kill(source, out, journal, n_lines + int(share), after_s):
                found.kills += 1
                found.before_judging += len(journal_lines(journal)) == n_lines
        else:
            subprocess.run(command(source, out, journal), check=False, timeout=_LONGEST_S, capture_output=True)
        new = journal_lines(journal)[n_lines:]
        found.judged_again += sum(index in written for index in new)
        judged.update(new)
    rows = list(Parts(out / "rows").all_rows())
    found.seconds = round(time.monotonic() - began_s, 1)
    return counted(found, rows, len(ids), judged)


def counted(found: Killed, rows: Sequence[LabelRow], n_rows: int, judged: Counter[int]) -> Killed:
    places = Counter(row.index for row in rows)
    found.lost = sum(index not in places for index in range(n_rows))
    found.doubled = sum(count - 1 for count in places.values())
    found.errors = sum(row.failed for row in rows)
    found.duplicates = sum(row.duplicate_of is not None for row in rows)
    found.judgements = judged.total()
    found.repeated = judged.total() - len(judged)
    return found


def command(source: Path, out: Path, journal: Path) -> list[str]:
    settings = out.with_suffix(".yaml")
    settings.write_text("concurrency: 4\n", encoding="utf-8")  # small bundles: more moments to be killed in
    options = ["--out", str(out), "--journal", str(journal), "--config", str(settings)]
    options += ["--part-rows", "8", "--flush-seconds", "1", "--json"]
    return [sys.executable, "-m", "judge.cli", "label", str(source), *options]


def run_and_kill(source: Path, out: Path, journal: Path, n_lines: int, after_s: float | None) -> bool:
    """Kill it when the journal has so many lines, or after so many seconds; whether it was still alive then."""
    process = subprocess.Popen(
        command(source, out, journal), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    began_s = time.monotonic()
    while process.poll() is None and time.monotonic() - began_s < _LONGEST_S:
        if after_s is not None and time.monotonic() - began_s >= after_s:
            break
        if after_s is None and len(journal_lines(journal)) >= n_lines:
            break
        time.sleep(_POLL_S)
    was_alive = process.poll() is None
    process.kill()
    process.wait()
    return was_alive


def journal_lines(journal: Path) -> list[int]:
    """Indexes, in the order of judging; a line that is not whole does not count."""
    if not journal.exists():
        return []
    lines = journal.read_text(encoding="utf-8").split("\n")[:-1]
    return [int(json.loads(line)["index"]) for line in lines]


def written_indexes(out: Path) -> set[int]:
    return {index for span in Parts(out / "rows").spans for index in range(span.first, span.last + 1)}


def show(results: Sequence[Killed]) -> None:
    table = Table(*asdict(results[0]), title="judge label, killed with -9 and resumed")
    for each in results:
        table.add_row(*[str(value) for value in asdict(each).values()])
    Console(width=160).print(table)


if __name__ == "__main__":
    sys.exit(main())
