"""`judge stickers evaluate-video`: every sampling strategy on the same clips, and questions about several frames."""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import track
from rich.table import Table

from judge.assets import constitution_path
from judge.constitution import Constitution, load_constitution
from judge.stickers.splits import PolicyTruth
from judge.stickers.video_files import write_video_split
from judge.stickers.video_splits import VIDEO_SPLITS, VideoItem, VideoSplit, draw_video_split

if TYPE_CHECKING:
    from judge.engines.base import Engine
    from judge.metrics import Measured

IOU_GOAL = 0.7
_QUESTIONS = 400


def add_video_parser(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser("evaluate-video", help="measure the judge on clips, by sampling strategy")
    parser.add_argument("--model", default="stickers-vlm", help="embedded name or folder")
    parser.add_argument("--split", choices=VIDEO_SPLITS, default="test-video")
    parser.add_argument("--count", type=_positive, default=100, help="clips (default 100)")
    parser.add_argument(
        "--questions", type=_positive, default=_QUESTIONS, help=f"about several frames (default {_QUESTIONS})"
    )
    parser.add_argument("--questions-only", action="store_true", help="leave out the strategies")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the last line, all figures, to this file")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


async def evaluate_video(arguments: argparse.Namespace) -> int:
    """Prints the tables, and all figures as one line of JSON; returns the exit code."""
    from judge.config import EngineConfig  # noqa: PLC0415  (needs torch from here on)
    from judge.engines.build import build_engine  # noqa: PLC0415
    from judge.stickers.evaluate_clips import clip_accuracy  # noqa: PLC0415

    constitution = load_constitution(constitution_path("stickers-video"))
    items = list(draw_video_split(arguments.split, arguments.count, PolicyTruth(constitution), seed=arguments.seed))
    engine = build_engine(EngineConfig(model=arguments.model, device=arguments.device, batch_size=64))
    try:
        questions = await clip_accuracy(engine, items, arguments.questions, seed=arguments.seed)
        measured = {} if arguments.questions_only else await _strategies(engine, constitution, items, arguments.split)
        found = {
            "model_digest": engine.info.digest,
            "split": arguments.split,
            "count": arguments.count,
            "seed": arguments.seed,
            "clip_questions": _plain(questions),
            "strategies": {name: _plain(values) for name, values in measured.items()},
        }
    finally:
        await engine.close()
    _print_tables(questions, measured, arguments)
    line = json.dumps(found)
    print(line)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(line + "\n", encoding="utf-8")
    return 0


async def _strategies(
    engine: Engine, constitution: Constitution, items: Sequence[VideoItem], split: VideoSplit
) -> dict[str, dict[str, Measured]]:
    """Every strategy on the same files."""
    from judge.config import JudgeConfig, VideoSettings  # noqa: PLC0415
    from judge.pipeline import Judge  # noqa: PLC0415
    from judge.stages.prior_store import PriorStore  # noqa: PLC0415
    from judge.stickers.evaluate_video import STRATEGIES, video_metrics, watch  # noqa: PLC0415

    clip_rules = PolicyTruth(constitution).clip_rules
    priors = PriorStore(None)
    measured: dict[str, dict[str, Measured]] = {}
    with tempfile.TemporaryDirectory() as name:
        write_video_split(Path(name), split, iter(items))
        clips = [(item, Path(name) / split / f"{item.id}.mp4") for item in items]
        for number, (strategy, sampling) in enumerate(STRATEGIES.items()):
            judge = Judge(engine, constitution, JudgeConfig(video=VideoSettings(sampling=sampling)), priors=priors)
            if number == 0:
                await watch(judge, clips[:1])  # the text-only readings and warming up are in no strategy's time
            progress = track(clips, description=strategy, console=Console(stderr=True))
            measured[strategy] = video_metrics(await watch(judge, progress), clip_rules)
    return measured


def _print_tables(
    questions: Mapping[str, Measured], measured: Mapping[str, Mapping[str, Measured]], arguments: argparse.Namespace
) -> None:
    console = Console(width=170)
    asked = Table(
        "kind", "measured [95 % interval]", title=f"Clip questions: balanced accuracy of {arguments.questions}"
    )
    for name, value in questions.items():
        asked.add_row("all" if name == "clip questions" else name, str(value))
    console.print(asked)
    if not measured:
        return
    table = Table("what", *measured, title=f"{arguments.count} clips of {arguments.split} by sampling strategy")
    for name in next(iter(measured.values())):
        goal = f" (goal {IOU_GOAL})" if name == "iou" else ""
        table.add_row(name.replace("_", " ") + goal, *(str(values[name]) for values in measured.values()))
    console.print(table)


def _plain(values: Mapping[str, Measured]) -> dict[str, list[float | None]]:
    """Value and interval; JSON has no nan."""
    return {name: [None if math.isnan(x) else x for x in astuple(value)] for name, value in values.items()}
