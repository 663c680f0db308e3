"""When the relevance scan pays: the time it takes per image against the time of the questions that it saves.

CLIP ViT-B/16 and SmolVLM-256M in their real shapes with random weights, side by side in one run, the median of several
rounds. What a scan drops is not measured here (random weights see nothing) but assumed: 67 % of the rules, the
published share (CLUE, arXiv 2501.00192, section 3.2). The last line is one JSON object.

    python benchmarks/relevance.py                  # both models in their real shapes (minutes)
    python benchmarks/relevance.py --shape embedded # questions to the embedded model
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from shared_prefix import _prompts, smolvlm_folder

from judge.assets import model_path
from judge.engines.clip import ClipEmbedder
from judge.engines.transformers import TransformersEngine

KEPT = 0.33


def main() -> None:
    """Measures, prints a table, and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=("embedded", "smolvlm-256m"), default="smolvlm-256m")
    parser.add_argument("--questions", type=int, nargs="+", default=[8, 16, 32, 64, 128])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        embedded = str(model_path("stickers-vlm"))
        model = embedded if arguments.shape == "embedded" else str(smolvlm_folder(Path(folder) / "vlm"))
        engine = TransformersEngine(model, device=arguments.device, batch_size=64)
        embedder = ClipEmbedder(str(_clip(Path(folder) / "clip")), device=arguments.device, local_files_only=True)
        rows = [_measure(engine, embedder, n, arguments.rounds) for n in arguments.questions]
    table = Table(*rows[0], title=f"{arguments.shape}: seconds per image with and without a scan that keeps {KEPT:.0%}")
    for row in rows:
        table.add_row(*(f"{value:.3g}" for value in row.values()))
    Console(width=130).print(table)
    print(json.dumps({"name": "relevance", "shape": arguments.shape, "device": arguments.device, "rows": rows}))


def _measure(engine: TransformersEngine, embedder: ClipEmbedder, n_questions: int, rounds: int) -> dict[str, float]:
    prompts = _prompts(n_questions)
    fewer = prompts[: max(1, round(KEPT * n_questions))]
    runs: dict[str, Callable[[], Awaitable[object]]] = {
        "scan": lambda: embedder.embed_frames(prompts[0].frames),
        "all": lambda: engine.choose(prompts),
        "kept": lambda: engine.choose(fewer),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            asyncio.run(_await(run()))
            if number:  # the first round warms up
                seconds[name].append(time.perf_counter() - started)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "questions": n_questions,
        "scan_s": median["scan"],
        "all_questions_s": median["all"],
        "scan_and_kept_s": median["scan"] + median["kept"],
        "without/with": median["all"] / (median["scan"] + median["kept"]),
    }


async def _await(work: Awaitable[object]) -> object:
    return await work


def _clip(folder: Path) -> Path:
    """Random weights in the shape of CLIP ViT-B/16: its published configuration, a tokenizer of letters."""
    from transformers import CLIPConfig, CLIPModel, CLIPProcessor, CLIPTokenizer  # noqa: PLC0415
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil  # noqa: PLC0415

    letters = [chr(n) for n in range(97, 123)]
    words = [*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer: Any = CLIPTokenizer(vocab={word: n for n, word in enumerate(words)}, merges=[], model_max_length=77)
    vision = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    text = {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 8}
    config: Any = CLIPConfig(
        text_config={**text, "eos_token_id": words.index("<|endoftext|>")},
        vision_config={**vision, "image_size": 224, "patch_size": 16},
        projection_dim=512,
    )
    torch.manual_seed(0)
    model: Any = CLIPModel(config)
    model.save_pretrained(folder)
    pictures: Any = CLIPImageProcessorPil()
    processor: Any = CLIPProcessor(pictures, tokenizer)  # type: ignore[no-untyped-call]
    processor.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    main()
