"""`judge stickers train-encoder | evaluate-encoder`: the dual encoder of the relevance scan, and its figures."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from judge.assets import constitution_path, model_path, scan_paths
from judge.config import load_config
from judge.constitution import load_constitution
from judge.errors import ConfigError
from judge.stickers.splits import PolicyTruth, Split, draw_split
from judge.stickers.statements import Atom, parse

if TYPE_CHECKING:
    from judge.metrics import Measured

_SPLITS: tuple[Split, ...] = (
    "calibration",
    "test",
    "test-decorrelated",
    "test-heldout-pairs",
    "test-twins",
    "test-heldout-style",
)


def add_encoder_parsers(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    train = actions.add_parser("train-encoder", help="train the scan's encoder; continues from the folder's checkpoint")
    train.add_argument("folder", type=Path, help="pictures and checkpoints go here, the model to FOLDER/model")
    train.add_argument("--pictures", type=int, default=32_000)
    train.add_argument("--steps", type=int, default=1_000)
    train.add_argument("--batch", type=int, default=96)
    train.add_argument("--layers", type=int, default=4, help="of the picture tower, of the embedded model's six")
    train.add_argument("--frozen", type=int, default=2, help="of these, the lower ones that stay as they are")
    train.add_argument("--workers", type=int, default=1, help="processes that make pictures")
    train.add_argument("--threads", type=int, default=1)
    train.add_argument("--seed", type=int, default=11)
    evaluate = actions.add_parser("evaluate-encoder", help="what the scan's encoder tells apart, and what scans keep")
    evaluate.add_argument("--model", default="stickers-siglip", help="embedded name or folder")
    evaluate.add_argument("--count", type=int, default=200, help="pictures a split (default 200)")
    evaluate.add_argument("--device", default="auto")
    evaluate.add_argument("--seed", type=int, default=0)
    evaluate.add_argument("--json", type=Path, help="also write everything to this file")


def train_encoder(arguments: argparse.Namespace) -> int:
    """Trains and writes the model; returns the exit code."""
    import torch  # noqa: PLC0415

    from judge.stickers.train_dual_encoder import DualRecipe, DualTrainer  # noqa: PLC0415

    torch.set_num_threads(arguments.threads)
    recipe = DualRecipe(
        pictures=arguments.pictures,
        steps=arguments.steps,
        batch=arguments.batch,
        vision_layers=arguments.layers,
        frozen_layers=arguments.frozen,
        seed=arguments.seed,
    )
    if not 0 <= arguments.frozen <= arguments.layers <= 6 or arguments.layers < 1:
        raise ConfigError("--layers is 1 to 6, and --frozen at most as many")
    if min(arguments.pictures, arguments.steps, arguments.batch, arguments.threads) < 1 or arguments.workers < 0:
        raise ConfigError("--pictures, --steps, --batch and --threads are 1 or more, --workers 0 or more")
    embedded = model_path("stickers-vlm")
    assert embedded is not None, "one of ours"
    trainer = DualTrainer(
        arguments.folder, recipe, embedded=embedded, policy=policy_atoms(), workers=arguments.workers, report=_say
    )
    trainer.run()
    trainer.release(arguments.folder / "model")
    _say(f"model written to {arguments.folder / 'model'}")
    return 0


async def evaluate_encoder(arguments: argparse.Namespace) -> int:
    """Prints a table of every split; returns the exit code."""
    from judge.engines.clip import ClipEmbedder  # noqa: PLC0415  (needs torch from here on)
    from judge.stickers.evaluate_dual_encoder import kept_and_dropped, statement_auroc  # noqa: PLC0415

    policy = load_constitution(constitution_path("stickers"))
    scans = {name: load_config(path).cascade.relevance for name, path in scan_paths("stickers", "stickers-vlm").items()}
    embedder = ClipEmbedder.load(arguments.model, arguments.device)
    found: dict[str, dict[str, Measured]] = {}
    for split in _SPLITS:
        items = list(draw_split(split, arguments.count, PolicyTruth(policy), seed=arguments.seed))
        figures = {f"AUROC, {name}": value for name, value in (await statement_auroc(embedder, items, policy)).items()}
        for name, settings in scans.items():
            kept, dropped = await kept_and_dropped(embedder, items, policy, settings)
            figures |= {f"{name}: violated rules kept": kept, f"{name}: rules dropped": dropped}
        found[split] = figures
    _print_figures(found)
    if arguments.json:
        figures_json = {
            split: {name: [value.value, value.low, value.high] for name, value in figures.items()}
            for split, figures in found.items()
        }
        content = {"model_digest": embedder.info.digest, "count": arguments.count, "splits": figures_json}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0


def _print_figures(found: Mapping[str, Mapping[str, Measured]]) -> None:
    table = Table("split", "what", "measured [95 % interval]", title="The scan's encoder")
    for split, figures in found.items():
        for name, value in figures.items():
            table.add_row(split, name, str(value))
    Console(width=130).print(table)


def policy_atoms() -> list[Atom]:
    """The preconditions of the policy `stickers`."""
    policy = load_constitution(constitution_path("stickers"))
    atoms = [parse(each.statement) for each in policy.preconditions]
    return [atom for atom in atoms if atom is not None]


def _say(line: str) -> None:
    print(line, flush=True)
