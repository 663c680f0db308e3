"""`judge stickers train-encoder | evaluate-encoder`: the dual encoder of the relevance scan, and its figures."""

from __future__ import annotations

import argparse
from pathlib import Path

from judge.assets import constitution_path, model_path
from judge.constitution import load_constitution
from judge.stickers.statements import Atom, parse


def add_encoder_parsers(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    train = actions.add_parser("train-encoder", help="train the scan's encoder; continues from the folder's checkpoint")
    train.add_argument("folder", type=Path, help="pictures and checkpoints go here, the model to FOLDER/model")
    train.add_argument("--pictures", type=int, default=32_000)
    train.add_argument("--steps", type=int, default=1_000)
    train.add_argument("--batch", type=int, default=96)
    train.add_argument("--workers", type=int, default=1, help="processes that make pictures")
    train.add_argument("--threads", type=int, default=1)
    train.add_argument("--seed", type=int, default=11)


def train_encoder(arguments: argparse.Namespace) -> int:
    """Trains and writes the model; returns the exit code."""
    import torch  # noqa: PLC0415

    from judge.stickers.train_dual_encoder import DualRecipe, DualTrainer  # noqa: PLC0415

    torch.set_num_threads(arguments.threads)
    recipe = DualRecipe(
        pictures=arguments.pictures, steps=arguments.steps, batch=arguments.batch, seed=arguments.seed
    )
    embedded = model_path("stickers-vlm")
    assert embedded is not None, "one of ours"
    trainer = DualTrainer(
        arguments.folder, recipe, embedded=embedded, policy=policy_atoms(), workers=arguments.workers, report=_say
    )
    trainer.run()
    trainer.release(arguments.folder / "model")
    _say(f"model written to {arguments.folder / 'model'}")
    return 0


def policy_atoms() -> list[Atom]:
    """The preconditions of the policy `stickers`."""
    policy = load_constitution(constitution_path("stickers"))
    atoms = [parse(each.statement) for each in policy.preconditions]
    return [atom for atom in atoms if atom is not None]


def _say(line: str) -> None:
    print(line, flush=True)
