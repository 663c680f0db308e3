"""Whether the relevance scan pays with the embedded models: seconds per picture of the whole judge, with and without.

Sticker scenes of the test split, one after the other, each way in every round and in turn, so that all meet the same
load. What a scan costs in quality is not measured here: see `judge ablate`. The last line is one JSON object.

    python benchmarks/scan.py
    python benchmarks/scan.py --pictures 20 --rounds 1
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from judge.assets import constitution_path, scan_paths
from judge.config import EngineConfig, JudgeConfig, load_config
from judge.constitution import load_constitution
from judge.engines.build import build_engine
from judge.metrics import bootstrap
from judge.pipeline import Judge
from judge.stickers.splits import PolicyTruth, draw_split
from judge.types import Frame, Media


def main() -> None:
    """Measures, prints a table, and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--together", type=int, default=1, help="pictures judged in one batch")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = asyncio.run(_measure(arguments))
    table = Table(*rows[0], title="seconds per picture (median over rounds, mean over pictures), and what is asked")
    for row in rows:
        table.add_row(*(value if isinstance(value, str) else f"{value:.3g}" for value in row.values()))
    Console(width=130).print(table)
    print(json.dumps({"name": "scan", "threads": arguments.threads, "together": arguments.together, "rows": rows}))


async def _measure(arguments: argparse.Namespace) -> list[dict[str, str | float]]:
    policy = load_constitution(constitution_path("stickers"))
    engine = build_engine(EngineConfig(device="cpu"))
    configs = {"no scan": JudgeConfig(cache=False)}
    configs |= {name: load_config(path) for name, path in scan_paths("stickers", "stickers-vlm").items()}
    judges = {name: Judge(engine, policy, config) for name, config in configs.items()}
    items = list(draw_split("test", arguments.pictures, PolicyTruth(policy)))
    media = [Media(item.id, "image", (Frame(0, 0.0, item.image),), 0.0) for item in items]
    parts = [media[start : start + arguments.together] for start in range(0, len(media), arguments.together)]
    seconds: dict[str, list[list[float]]] = {name: [[] for _ in parts] for name in judges}
    asked: dict[str, list[int]] = {name: [] for name in judges}
    tokens: dict[str, list[int]] = {name: [] for name in judges}
    for number in range(arguments.rounds + 1):  # the first warms up, and encodes the statements
        for position, part in enumerate(parts):
            for name, judge in judges.items():
                started_s = time.perf_counter()
                verdicts = await judge.judge(part)
                if number:
                    seconds[name][position].append((time.perf_counter() - started_s) / len(part))
                    asked[name] += [verdict.usage.questions for verdict in verdicts]
                    tokens[name] += [verdict.usage.prompt_tokens for verdict in verdicts]
    await engine.close()
    medians = {name: np.array([statistics.median(each) for each in found]) for name, found in seconds.items()}
    plain = medians["no scan"]
    return [
        {
            "way": name,
            "seconds": float(found.mean()),
            "without/with [95 % interval]": str(bootstrap(lambda a, b: float(a.sum() / b.sum()), plain, found)),
            "questions": statistics.mean(asked[name]),
            "tokens": statistics.mean(tokens[name]),
        }
        for name, found in medians.items()
    ]


if __name__ == "__main__":
    main()
