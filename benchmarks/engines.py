"""One model on three engines: transformers with a shared image, vLLM with and without prefix caching.

Every row is measured side by side in one run: each engine lives in a process of its own, with one thread for its model,
and they take turns, so that whatever else the machine does meets all of them; medians of several rounds, and of their
ratios. vLLM prepares pictures in a second process, which helps on an idle machine and is lost on a full one: the load
average stands beside the figures.
Warm-up is left out. No picture comes twice, neither in the warm-up nor in another round: otherwise vLLM would find its
answers' prefixes in the cache of the round before. Within a round all engines see the same pictures, and their
probabilities are compared. `batch` is how many pictures are handed over at once. The last line is one JSON object.

    python benchmarks/engines.py                        # the embedded model
    python benchmarks/engines.py --shape smolvlm-256m   # random weights in SmolVLM-256M's shape (many minutes)
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from shared_prefix import smolvlm_folder

from judge.assets import constitution_path, model_path
from judge.constitution import load_constitution
from judge.engines.base import Engine
from judge.prompts.render import precondition_prompt
from judge.types import Frame, Prompt

Job = tuple[int, int, int]
"""Pictures, questions, seed of the first picture."""
Answers = list[float]
"""P(Yes) of every question, in order."""
_START_S = 600
_ROUND_S = 3600


def main() -> None:
    """Measures, prints a table, and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=("embedded", "smolvlm-256m"), default="embedded")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--questions", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # the child processes inherit it
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        model = str(model_path("stickers-vlm") if arguments.shape == "embedded" else smolvlm_folder(folder))
        workers = {name: stack.enter_context(_Worker(name, make, model)) for name, make in ENGINES.items()}
        rows = [
            row
            for batch in arguments.batches
            for row in _measure(workers, batch, n_questions=arguments.questions, rounds=arguments.rounds)
        ]
    load = os.getloadavg()[0]
    title = f"{arguments.shape}: {arguments.questions} questions a picture; load average at the end {load:.1f}"
    table = Table(*rows[0], title=title)
    for row in rows:
        table.add_row(*(value if isinstance(value, str) else f"{value:.3g}" for value in row.values()))
    Console(width=150).print(table)
    print(json.dumps({"name": "engines", "shape": arguments.shape, "questions": arguments.questions,
                      "rounds": arguments.rounds, "load_average": load, "rows": rows}))  # fmt: skip


def _measure(workers: dict[str, _Worker], batch: int, *, n_questions: int, rounds: int) -> list[dict[str, float | str]]:
    seconds: dict[str, list[float]] = {name: [] for name in workers}
    difference = dict.fromkeys(workers, 0.0)
    for number in range(rounds + 1):
        job = (batch, n_questions, 1_000_000 * batch + 1000 * number)
        found = {name: worker.ask(job) for name, worker in workers.items()}
        if number == 0:  # warm-up
            continue
        reference = found["transformers"][1]
        for name, (spent_s, answers) in found.items():
            seconds[name].append(spent_s)
            largest = max(abs(a - b) for a, b in zip(answers, reference, strict=True))
            difference[name] = max(difference[name], largest)
    return [
        {
            "batch": batch,
            "engine": name,
            "pictures_per_s": batch / statistics.median(spent),
            "slowest": batch / max(spent),
            "fastest": batch / min(spent),
            "over_transformers": statistics.median(
                plain / own for plain, own in zip(seconds["transformers"], spent, strict=True)
            ),
            "largest_difference": difference[name],
        }
        for name, spent in seconds.items()
    ]


# --- engines, each in a process -----------------------------------------------------------------------------


def _transformers(model: str) -> Engine:
    import torch  # noqa: PLC0415

    from judge.engines.transformers import TransformersEngine  # noqa: PLC0415

    torch.set_num_threads(1)
    return TransformersEngine(model, device="cpu", batch_size=64)


def _vllm(model: str, *, prefix_caching: bool) -> Engine:
    from judge.engines.vllm import VllmEngine  # noqa: PLC0415

    options = {"enable_prefix_caching": prefix_caching}
    return VllmEngine(model, device="cpu", batch_size=64, options=options)


ENGINES: dict[str, Callable[[str], Engine]] = {
    "transformers": _transformers,
    "vllm": partial(_vllm, prefix_caching=True),
    "vllm, no prefix caching": partial(_vllm, prefix_caching=False),
}


class _Worker:
    """An engine in a process of its own: two engines of vLLM do not share one."""

    def __init__(self, name: str, make: Callable[[str], Engine], model: str) -> None:
        self._name = name
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, model), name=name)

    def __enter__(self) -> _Worker:
        self._process.start()
        self._receive(_START_S)  # one after the other: loading is no part of the comparison
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # it may have died
            self._pipe.send(None)
        self._process.join(60)
        if self._process.is_alive():
            self._process.kill()

    def ask(self, job: Job) -> tuple[float, Answers]:
        """Seconds, and the answers."""
        self._pipe.send(job)
        return self._receive(_ROUND_S)

    def _receive(self, limit_s: float) -> tuple[float, Answers]:
        end_s = time.monotonic() + limit_s
        while not self._pipe.poll(1):
            if not self._process.is_alive() or time.monotonic() > end_s:
                raise SystemExit(f"engine '{self._name}' gave no answer; its messages above say why")
        seconds, answers = self._pipe.recv()
        return float(seconds), list(answers)


def _serve(pipe: Connection, make: Callable[[str], Engine], model: str) -> None:
    engine = make(model)
    loop = asyncio.new_event_loop()
    pipe.send((0.0, []))
    while (job := pipe.recv()) is not None:
        prompts = _prompts(job)
        started = time.perf_counter()
        answers = loop.run_until_complete(engine.choose(prompts))
        pipe.send((time.perf_counter() - started, [answer.probabilities["Yes"] for answer in answers]))
    loop.run_until_complete(engine.close())


def _prompts(job: Job) -> Sequence[Prompt]:
    """The statements of the constitution `general`, about pictures of noise."""
    n_pictures, n_questions, seed = job
    statements = [each.statement for each in load_constitution(constitution_path("general")).preconditions]
    asked = [f"{statements[n % len(statements)]}{' Again.' * (n // len(statements))}" for n in range(n_questions)]
    pictures = [
        np.random.default_rng(seed + n).integers(0, 256, (480, 480, 3), dtype=np.uint8) for n in range(n_pictures)
    ]
    return [precondition_prompt(statement, (Frame(0, 0.0, image),)) for image in pictures for statement in asked]


if __name__ == "__main__":
    main()
