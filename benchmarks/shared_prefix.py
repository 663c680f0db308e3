"""What sharing an image between its questions saves: one full pass per question, against the engine's two shared ways.

Every row is measured side by side in one run: the same prompts about one image, each way in turn, the median of
several rounds. The bound is what the floating-point operations of the shared way would take at the speed of a large
matrix product, measured in the same run. The last line is one JSON object.

    python benchmarks/shared_prefix.py                        # the embedded model
    python benchmarks/shared_prefix.py --shape smolvlm-256m   # random weights in SmolVLM-256M's shape (minutes)
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from judge.assets import constitution_path, model_path
from judge.constitution import load_constitution
from judge.engines.answer_tokens import answer_tokens, choice_log_masses
from judge.engines.base import YES_NO
from judge.engines.shared_prefix import _common_length, score_one
from judge.engines.transformers import TransformersEngine
from judge.prompts.render import precondition_prompt
from judge.types import Frame, Prompt


def main() -> None:
    """Measures, prints a table, and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=("embedded", "smolvlm-256m"), default="embedded")
    parser.add_argument("--questions", type=int, nargs="+", default=[1, 8, 32, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = str(model_path("stickers-vlm")) if arguments.shape == "embedded" else str(smolvlm_folder(Path(folder)))
        engine = TransformersEngine(model, device=arguments.device, batch_size=64)
        ceiling = _flops_per_s(arguments.device)
        rows = [_measure(engine, n, arguments.rounds, ceiling) for n in arguments.questions]
    table = Table(*rows[0], title=f"{arguments.shape}: seconds per image, {ceiling / 1e9:.0f} GFLOP/s at most")
    for row in rows:
        table.add_row(*(f"{value:.3g}" for value in row.values()))
    Console(width=150).print(table)
    print(json.dumps({"name": "shared_prefix", "shape": arguments.shape, "device": arguments.device, "rows": rows}))


def _measure(engine: TransformersEngine, n_questions: int, rounds: int, ceiling: float) -> dict[str, float]:
    scorer, loaded = engine._scorer, engine._loaded
    assert scorer is not None
    assert loaded is not None
    prompts = _prompts(n_questions)
    answers = answer_tokens(loaded.processor.tokenizer, YES_NO)
    read = partial(choice_log_masses, answers=answers)

    def naive() -> list[list[float]]:
        return [score_one(loaded.model, engine._encoder.encode(prompt), read) for prompt in prompts]

    def shared(way: Any) -> list[list[float]]:
        scorer.frames_way = way
        return [values for values, _ in scorer.score(prompts, answers)]

    ways: dict[str, Callable[[], list[list[float]]]] = {
        "naive": naive,
        "expanded": partial(shared, "expanded"),
        "packed": partial(shared, "packed"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, list[list[float]]] = {}
    with torch.inference_mode():
        for name, run in ways.items():
            if name != "naive" or n_questions < 8:
                run()  # warm up
        for _ in range(rounds):
            for name, run in ways.items():
                started = time.perf_counter()
                found[name] = run()
                seconds[name].append(time.perf_counter() - started)
    plain, packed = (torch.tensor(found[name]).exp() for name in ("naive", "packed"))
    median = {name: statistics.median(values) for name, values in seconds.items()}
    bound = _shared_flops(loaded.model, engine, prompts) / ceiling
    return {
        "questions": n_questions,
        **{f"{name}_s": value for name, value in median.items()},
        "naive/packed": median["naive"] / median["packed"],
        "expanded/packed": median["expanded"] / median["packed"],
        "bound_s": bound,
        "bound/packed": bound / median["packed"],
        "largest_difference": float((plain - packed).abs().max()),
    }


def _prompts(count: int) -> list[Prompt]:
    """The statements of the constitution `general`, about one picture of noise."""
    statements = [p.statement for p in load_constitution(constitution_path("general")).preconditions]
    picture = np.random.default_rng(0).integers(0, 256, (480, 480, 3), dtype=np.uint8)
    frames = (Frame(0, 0.0, picture),)
    asked = [f"{statements[n % len(statements)]}{' Again.' * (n // len(statements))}" for n in range(count)]
    return [precondition_prompt(statement, frames) for statement in asked]


def _shared_flops(model: Any, engine: TransformersEngine, prompts: Sequence[Prompt]) -> float:
    """Multiplications and additions of the packed way: image once, prefix once, the questions' own tokens."""
    group = engine._encoder.encode_group(prompts)
    assert group is not None
    tails = [len(tail) for tail in group.tails]
    shared = _common_length(set(group.tails))
    prefix = len(group.head) + shared
    new = prefix + sum(tails) - shared * len(tails)
    text, vision = model.config.get_text_config(), model.config.vision_config
    patches = (vision.image_size // vision.patch_size) ** 2
    in_text = sum(p.numel() for p in model.model.text_model.layers.parameters())
    in_vision = sum(p.numel() for p in model.model.vision_model.encoder.parameters())
    attention = 4 * text.num_hidden_layers * text.hidden_size * new * (prefix / 2 + (new - prefix) / 2)
    seeing = 4 * vision.num_hidden_layers * vision.hidden_size * patches**2
    heads = 2 * len(tails) * text.vocab_size * text.hidden_size
    return float(2 * in_vision * patches + seeing + 2 * in_text * new + attention + heads)


def _flops_per_s(device: str) -> float:
    """Of a large float32 matrix product here and now."""
    a, b = torch.randn(2048, 2048, device=device), torch.randn(2048, 2048, device=device)
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        (a @ b).sum().item()
        best = min(best, time.perf_counter() - started)
    return 2 * 2048**3 / best


def smolvlm_folder(folder: Path) -> Path:
    """Random weights in the shape of SmolVLM-256M: its published configuration, our tokenizer, one tile of 512 px."""
    from transformers import (  # noqa: PLC0415
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        LlamaConfig,
        PreTrainedTokenizerFast,
    )
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil  # noqa: PLC0415
    from transformers.models.idefics3.processing_idefics3 import Idefics3Processor  # noqa: PLC0415

    from judge.stickers.network import CHAT_TEMPLATE, IMAGE  # noqa: PLC0415

    tokenizer: Any = PreTrainedTokenizerFast.from_pretrained(str(model_path("stickers-vlm")))
    text: Any = LlamaConfig(
        vocab_size=49_280, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, head_dim=64, max_position_embeddings=8192, pad_token_id=0,
    )  # fmt: skip
    vision = {
        "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
        "image_size": 512, "patch_size": 16, "hidden_act": "gelu_pytorch_tanh",
    }  # fmt: skip
    config: Any = Idefics3Config(
        text_config=text.to_dict(), vision_config=vision, scale_factor=4, image_token_id=tokenizer.vocab[IMAGE],
        tie_word_embeddings=True, pad_token_id=0,
    )  # fmt: skip
    pictures: Any = Idefics3ImageProcessorPil(
        size={"longest_edge": 512}, max_image_size={"longest_edge": 512}, do_image_splitting=False
    )
    torch.manual_seed(0)
    model: Any = Idefics3ForConditionalGeneration(config)  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    processor: Any = Idefics3Processor(pictures, tokenizer, image_seq_len=64, chat_template=CHAT_TEMPLATE)
    processor.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    main()
