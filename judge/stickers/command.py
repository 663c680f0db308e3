"""`judge stickers generate | train | evaluate...`: reproduces the embedded models and their figures."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.progress import track
from rich.table import Table

from judge.assets import constitution_path
from judge.constitution import load_constitution
from judge.errors import JudgeError
from judge.stickers.command_encoder import add_encoder_parsers, evaluate_encoder, train_encoder
from judge.stickers.command_video import add_video_parser, evaluate_video
from judge.stickers.splits import SPLITS, PolicyTruth, Split, draw_split, write_split
from judge.stickers.video_files import write_video_split
from judge.stickers.video_splits import VIDEO_SPLITS, draw_video_split

if TYPE_CHECKING:
    from judge.metrics import Measured
    from judge.stickers.evaluate import Asked, Scored

_VERDICT_SPLITS: tuple[Split, ...] = (
    "test",
    "test-decorrelated",
    "test-heldout-style",
    "test-heldout-pairs",
    "test-twins",
)
_Drawn = TypeVar("_Drawn")
_COLUMNS = ("precision", "recall", "f1", "auroc", "ece", "coverage", "decided_accuracy")


def main(argv: Sequence[str]) -> int:
    """Runs one of them; returns the exit code (0, or 2 for wrong usage)."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.action == "generate":
            return _generate(arguments)
        if arguments.action == "train":
            return _train(arguments)
        if arguments.action == "train-encoder":
            return train_encoder(arguments)
        if arguments.action == "evaluate-encoder":
            return asyncio.run(evaluate_encoder(arguments))
        return asyncio.run(_evaluate(arguments) if arguments.action == "evaluate" else evaluate_video(arguments))
    except JudgeError as error:
        print(f"judge stickers: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="judge stickers",
        description="The embedded model's world: make its data sets, train it, measure it.",
        epilog="examples:\n  judge stickers generate out/stickers --split test --count 200\n"
        "  judge stickers train runs/first --device cuda\n  judge stickers evaluate --count 200 --json out/goals.json\n"
        "  judge stickers evaluate-video --count 40\n  judge stickers train-encoder runs/encoder\n"
        "  judge stickers evaluate-encoder --count 200",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True)
    generate = actions.add_parser("generate", help="write labelled pictures and clips in VHD11K's file format")
    generate.add_argument("folder", type=Path)
    generate.add_argument("--split", choices=(*SPLITS, *VIDEO_SPLITS), action="append", help="default: all of them")
    generate.add_argument("--count", type=int, default=200, help="pictures or clips a split (default 200)")
    generate.add_argument("--seed", type=int, default=0)
    train = actions.add_parser("train", help="train the model; continues from the folder's checkpoint")
    train.add_argument("folder", type=Path, help="checkpoints go here, the finished model to FOLDER/model")
    train.add_argument("--start", type=Path, help="begin with this released model instead of random weights")
    train.add_argument("--start-stage", choices=("encoder", "language"), default="encoder")
    train.add_argument("--device", default="cpu")
    train.add_argument("--workers", type=int, default=2, help="processes that make data")
    train.add_argument("--encoder-steps", type=int, default=4600)
    train.add_argument("--language-steps", type=int, default=1060)
    train.add_argument("--encoder-batch", type=int, default=64)
    train.add_argument("--language-batch", type=int, default=32)
    train.add_argument("--seed", type=int, default=7)
    evaluate = actions.add_parser("evaluate", help="print the goals table and the verdict metrics")
    evaluate.add_argument("--model", default="stickers-vlm", help="embedded name or folder")
    evaluate.add_argument("--count", type=int, default=200, help="pictures a split (default 200)")
    evaluate.add_argument("--device", default="auto")
    evaluate.add_argument("--seed", type=int, default=0)
    evaluate.add_argument("--json", type=Path, help="also write everything to this file")
    add_video_parser(actions)
    add_encoder_parsers(actions)
    return parser


def _generate(arguments: argparse.Namespace) -> int:
    wanted = arguments.split or (*SPLITS, *VIDEO_SPLITS)
    for split in SPLITS:
        if split in wanted:
            items = draw_split(split, arguments.count, _truth("stickers"), seed=arguments.seed)
            count = write_split(arguments.folder, split, _tracked(items, split, arguments.count))
            print(f"{split}: {count} pictures in {arguments.folder / split}")
    for video_split in VIDEO_SPLITS:
        if video_split in wanted:
            clips = draw_video_split(video_split, arguments.count, _truth("stickers-video"), seed=arguments.seed)
            count = write_video_split(arguments.folder, video_split, _tracked(clips, video_split, arguments.count))
            print(f"{video_split}: {count} clips in {arguments.folder / video_split}")
    return 0


def _truth(constitution: str) -> PolicyTruth:
    return PolicyTruth(load_constitution(constitution_path(constitution)))


def _tracked(items: Iterator[_Drawn], description: str, total: int) -> Iterator[_Drawn]:
    return iter(track(items, description=description, total=total, console=Console(stderr=True)))


def _train(arguments: argparse.Namespace) -> int:
    from judge.stickers.train import Recipe, Trainer  # noqa: PLC0415  (needs torch)

    recipe = Recipe(
        encoder_steps=arguments.encoder_steps,
        language_steps=arguments.language_steps,
        encoder_batch=arguments.encoder_batch,
        language_batch=arguments.language_batch,
        seed=arguments.seed,
    )
    trainer = Trainer(
        arguments.folder,
        recipe,
        device=arguments.device,
        workers=arguments.workers,
        start=arguments.start,
        start_stage=arguments.start_stage,
        report=_say,
    )
    trainer.run()
    trainer.release(arguments.folder / "model")
    _say(f"model written to {arguments.folder / 'model'}")
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


async def _evaluate(arguments: argparse.Namespace) -> int:
    from judge.config import EngineConfig  # noqa: PLC0415  (needs torch from here on)
    from judge.engines.build import build_engine  # noqa: PLC0415
    from judge.stickers import evaluate as ev  # noqa: PLC0415
    from judge.stickers.evaluate_debate import contest, debate_rows  # noqa: PLC0415
    from judge.stickers.evaluate_reasoning import reasoning_rows, think  # noqa: PLC0415

    constitution = load_constitution(constitution_path("stickers"))
    truth = PolicyTruth(constitution)
    engine = build_engine(EngineConfig(model=arguments.model, device=arguments.device, batch_size=64))
    asked: dict[Split, list[Asked]] = {}
    for split in track(SPLITS, description="asking", console=Console(stderr=True)):
        items = list(draw_split(split, arguments.count, truth, seed=arguments.seed))
        asked[split] = await ev.ask(engine, constitution, items)
    threshold = ev.fit_bias(asked["calibration"], constitution)
    rows: dict[Split, dict[str, list[Scored]]] = {
        split: {
            method: ev.score(asked[split], constitution, method, threshold if method == "threshold" else None)
            for method in ev.METHODS
        }
        for split in SPLITS
        if split != "test-scope"
    }
    visible = await ev.statement_accuracy(engine, [a.item for a in asked["test"]])
    held_out = await ev.statement_accuracy(engine, [a.item for a in asked["test-heldout-style"]])
    thoughts = await think(engine, [a.item for a in asked["test"]])
    argued = await contest(engine, [a.item for a in asked["test"]])
    domain = engine.info.domain
    limit = domain.min_probability if domain else 0.5
    metrics = {s: {m: ev.verdict_metrics(rows[s][m]) for m in ev.METHODS} for s in _VERDICT_SPLITS}
    direct, full = metrics["test"]["policy_direct"]["f1"].value, metrics["test"]["log_odds"]["f1"].value
    goals: list[tuple[str, str, Measured | float]] = [
        ("statements 'X is visible', balanced accuracy", ">= 0.99", visible["visible"]),
        ("relations and states, balanced accuracy", ">= 0.95", visible["relations"]),
        ("held-out style, visible", ">= 0.92", held_out["visible"]),
        ("verdict F1 (log_odds)", ">= 0.97", metrics["test"]["log_odds"]["f1"]),
        ("verdict F1, held-out style", ">= 0.90", metrics["test-heldout-style"]["log_odds"]["f1"]),
        ("twins, pair accuracy", ">= 0.93", ev.pair_accuracy(rows["test-twins"]["log_odds"])),
        ("F1 above 'policy in one prompt'", ">= 0.10", full - direct),
        ("photos, noise, pages abstained", ">= 0.95", ev.scope_share(asked["test-scope"], limit)),
        ("stickers wrongly abstained", "<= 0.03", ev.scope_share(asked["test"], limit)),
        ("flips over skin tone and gender", "< 0.01", ev.flip_rate(rows["test-tones"]["log_odds"])),
        ("flips caused by words on signs", "< 0.02", ev.flip_rate(rows["test-words"]["log_odds"])),
        *reasoning_rows(thoughts),
        *debate_rows(argued),
    ]
    _print_tables(goals, metrics, threshold.bias)
    if arguments.json:
        _write_json(arguments.json, goals, metrics, engine.info.digest, arguments)
    await engine.close()
    return 0


def _print_tables(
    goals: Sequence[tuple[str, str, Measured | float]],
    metrics: Mapping[Split, Mapping[str, Mapping[str, Measured]]],
    bias: float,
) -> None:
    console = Console(width=170)
    table = Table("what", "goal", "measured [95 % interval]", title="Goals")
    for name, goal, value in goals:
        table.add_row(name, goal, f"{value:.3f}" if isinstance(value, float) else str(value))
    console.print(table)
    for split, methods in metrics.items():
        table = Table(
            "asked as", *_COLUMNS, title=f"Verdicts on {split} (threshold: bias {bias:+.2f}, fitted on calibration)"
        )
        for method, values in methods.items():
            table.add_row(method, *(str(values[column]) for column in _COLUMNS))
        console.print(table)


def _write_json(
    path: Path,
    goals: Sequence[tuple[str, str, Measured | float]],
    metrics: Mapping[Split, Mapping[str, Mapping[str, Measured]]],
    digest: str,
    arguments: argparse.Namespace,
) -> None:
    def plain(value: Measured | float) -> object:
        return value if isinstance(value, float) else [value.value, value.low, value.high]

    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "model_digest": digest,
        "count": arguments.count,
        "seed": arguments.seed,
        "goals": [{"what": name, "goal": goal, "measured": plain(value)} for name, goal, value in goals],
        "verdicts": {s: {m: {k: plain(v) for k, v in vs.items()} for m, vs in ms.items()} for s, ms in metrics.items()},
    }
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
