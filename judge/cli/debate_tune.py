"""What `judge debate tune-icl` does with pictures and engines, and what it prints and writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import numpy as np
import yaml
from rich.console import Console
from rich.progress import Progress

from judge.bench.annotate import Annotator, MediaAnnotation, frames_of
from judge.bench.in_context import answer
from judge.bench.labelled import LabelledFile
from judge.bench.tune import Candidate, Rate, Rates, Round, Said, Targets, Tuned, check_classes, tune
from judge.cli.debate_run import annotate_loaded, batches, open_annotator
from judge.cli.score import load_all
from judge.config import JudgeConfig
from judge.constitution import Constitution
from judge.media import FileMedia, FoundInput, Permissions
from judge.media.load import load_frames
from judge.prompts.debate import JudgedExample
from judge.types import Frame

_FILES = Permissions(files=True)


def run_tuning(
    settings: JudgeConfig,
    policy: Constitution,
    files: Sequence[LabelledFile],
    targets: Targets,
    messages: Console,
    *,
    tell: Callable[[Round], None],
) -> Tuned:
    """Search for examples among labelled files.

    Raises:
        ConfigError: A model cannot play its role or takes too few pictures at once; or a class is missing.
        EngineError: A model does not start.
        MediaError: An example can no longer be read.
    """
    most = min(targets.max_examples, max(len(files) - 1, 0))
    candidates = [Candidate(each.name, each.harmful, _detail(each, policy)) for each in files]
    check_classes(candidates)  # before a model starts
    running = open_annotator(settings, policy, [_PLACEHOLDER] * most, messages, vote=False)
    try:
        with Progress(console=messages, disable=not messages.is_terminal, transient=True) as progress:
            asking = _Asking(running.annotator, files, settings, progress)
            tuned = asyncio.run(tune(candidates, asking.ask, targets, tell=tell))
    finally:
        running.close()
    for name, reason in asking.failures.items():
        messages.print(f"{name}: {reason}", style="magenta", markup=False, soft_wrap=True)
    return tuned


_PLACEHOLDER = JudgedExample((Frame(0, 0.0, np.zeros((1, 1, 3), dtype=np.uint8)),), "")
"""Stands for an example where only their number matters."""


class _Asking:
    """Reads and judges labelled files, batch by batch.

    Attributes:
        failures: Name -> why it was not judged.
    """

    def __init__(
        self, annotator: Annotator, files: Sequence[LabelledFile], settings: JudgeConfig, progress: Progress
    ) -> None:
        self._annotator = annotator
        self._inputs = {each.name: FoundInput(each.name, FileMedia(path=each.path)) for each in files}
        self._batch = settings.concurrency
        self._max_frames = settings.video.clips.frames
        self._progress = progress
        self.failures: dict[str, str] = {}

    async def ask(self, candidates: Sequence[Candidate], in_use: Sequence[Candidate]) -> list[Said]:
        examples = [self._example(each) for each in in_use]
        task = self._progress.add_task(f"with {len(in_use)} examples", total=len(candidates))
        found: list[MediaAnnotation] = []
        inputs = [self._inputs[each.name] for each in candidates]
        for part in batches(load_all(inputs, _FILES, frames=self._max_frames), self._batch):
            ids = [one.media.id if one.media else "" for one in part]  # copies under other names are the same media
            shown = [tuple(example for id, example in examples if id != own) for own in ids]
            found += await annotate_loaded(self._annotator, part, shown)
            self._progress.advance(task, len(part))
        self._progress.remove_task(task)
        self.failures |= {each.input: each.error.message for each in found if each.error}
        return [_said(each) for each in found]

    def _example(self, candidate: Candidate) -> tuple[str, JudgedExample]:
        media = load_frames(self._inputs[candidate.name].ref, _FILES, self._max_frames)
        frames = frames_of(media, self._max_frames)
        return media.id, JudgedExample(frames, answer(candidate.harmful, candidate.detail))


def _said(annotation: MediaAnnotation) -> Said:
    harmful = {"yes": True, "no": False}.get(annotation.decision)
    return Said(harmful, annotation.probability, failed=annotation.error is not None)


def _detail(file: LabelledFile, policy: Constitution) -> str:
    """The category, where the table names rules instead; else the table's own words."""
    first = file.harmful_type.split(";")[0].strip()
    categories = [rule.category for rule in policy.rules if file.harmful and rule.id == first]
    return categories[0] if categories else file.harmful_type


def print_round(console: Console, found: Round) -> None:
    """One line for each of the two sets of rates."""
    console.print(f"round {found.number}, {len(found.examples)} examples{': passed' if found.passed else ''}")
    console.print(f"  without them: {_rates(found.rest)}", markup=False, soft_wrap=True)
    console.print(f"  all pictures: {_rates(found.everything)}", markup=False, soft_wrap=True)


def _rates(rates: Rates) -> str:
    return f"TPR {_rate(rates.tpr)}, TNR {_rate(rates.tnr)}, {rates.undecided} undecided, {rates.failed} failed"


def _rate(rate: Rate) -> str:
    return f"{rate.value:.3f} [{rate.low:.3f}, {rate.high:.3f}] of {rate.of}"


def to_yaml(tuned: Tuned, targets: Targets, settings: JudgeConfig, policy: Constitution) -> str:
    """The examples for a person to review, then how they were found."""
    content = {
        "examples": [
            {"media": each.name, "violates": each.harmful, "note": " ".join(each.detail.split())}
            for each in tuned.examples
        ],
        "converged": tuned.converged,
        "ended": tuned.reason or "both rates reached their targets",
        "examples_of_round": tuned.best,
        "constitution": f"{policy.name}@{policy.version}",
        "model": f"{settings.engine.name} {settings.engine.model}",
        "targets": {"tpr": targets.tpr, "tnr": targets.tnr},
        "rounds": [each.model_dump(mode="json") for each in tuned.rounds],
    }
    return _HEAD + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)


_HEAD = """\
# In-context examples, for a person to review before they are used: judge debate annotate --examples THIS_FILE.
# Paths are below the folder of the labelled pictures (--media-folder). The note of a violating one is its category.
# The rates were measured on the pictures among which the examples were chosen: on others, expect lower ones.
"""
