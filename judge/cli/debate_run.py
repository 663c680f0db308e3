"""From arguments of `judge debate annotate` to annotations: one per input, whatever happened to it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from judge.bench.annotate import Annotator, Asked, MediaAnnotation, failed, frames_of
from judge.bench.annotation_file import AnnotationFile
from judge.bench.in_context import ChosenExample
from judge.cli.debate_examples import read_media
from judge.cli.score import Loaded, load_all
from judge.cli.start import close_all, start_engine, start_panel
from judge.config import JudgeConfig
from judge.constitution import Constitution
from judge.engines.base import Engine
from judge.errors import ConfigError, JudgeError
from judge.media import Input, Permissions
from judge.prompts.debate import JudgedExample
from judge.stages.build import build_cast


@dataclass(frozen=True, slots=True)
class Running:
    """An annotator with its engines, and what its judge is shown with every media."""

    annotator: Annotator
    engines: tuple[Engine, ...]
    shown: tuple[JudgedExample, ...]

    def close(self) -> None:
        close_all(self.engines)


def judged(chosen: Sequence[ChosenExample], folder: Path, max_frames: int) -> tuple[JudgedExample, ...]:
    """The examples, each with at most so many frames.

    Raises:
        MediaError: One cannot be read, or lies outside of `folder`.
    """
    found = ((read_media(each.media, folder, max_frames), each.answer) for each in chosen)
    return tuple(JudgedExample(frames_of(media, max_frames), answer) for media, answer in found)


def open_annotator(
    settings: JudgeConfig, policy: Constitution, shown: Sequence[JudgedExample], messages: Console, *, vote: bool
) -> Running:
    """Start what annotates; it is the caller's to close.

    Raises:
        ConfigError: A model cannot be found, or cannot play its role; the engines are closed then.
        EngineError: A model does not start.
    """
    running, _ = start_engine(settings.engine, messages)
    engines = [running]
    try:
        panel, _ = start_panel(settings, messages)
        engines += panel.values()
        cast = build_cast(running, settings, panel)
        return Running(Annotator(cast, policy, settings, examples=shown, vote=vote), tuple(engines), tuple(shown))
    except ConfigError as error:
        close_all(engines)
        if not shown:
            raise
        raise ConfigError(error.message, hint="--max-examples 0 shows no examples; or choose another model") from error
    except JudgeError:
        close_all(engines)
        raise


def annotate_all(
    running: Running | None,
    inputs: Sequence[Input],
    permissions: Permissions,
    *,
    batch: int,
    clip_frames: int,
    table: AnnotationFile | None = None,
) -> Iterator[MediaAnnotation]:
    """Annotations in input order, `batch` at a time, of `clip_frames` frames of a video; each batch is in the table
    before it is told.

    `running` may be None if every input failed already.
    """
    annotator, shown = (running.annotator, running.shown) if running else (None, ())
    with asyncio.Runner() as runner:
        for part in batches(load_all(inputs, permissions, frames=clip_frames), batch):
            found = runner.run(annotate_loaded(annotator, part, [shown] * len(part)))
            if table is not None:
                table.append(found, annotator.name if annotator else "")
            yield from found


def batches(stream: Iterable[Loaded], size: int) -> Iterator[list[Loaded]]:
    """Parts of the stream, so that only one of them is in memory."""
    part: list[Loaded] = []
    for loaded in stream:
        part.append(loaded)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part


async def annotate_loaded(
    annotator: Annotator | None, part: Sequence[Loaded], shown: Sequence[tuple[JudgedExample, ...]]
) -> list[MediaAnnotation]:
    """One annotation per input, in order, in sight of the examples in its place; what could not be read is an error."""
    pairs = zip(part, shown, strict=True)
    asked = [Asked(each.name, each.media, examples) for each, examples in pairs if each.media is not None]
    found = iter(await annotator.annotate(asked) if annotator and asked else ())
    return [
        failed(each.name, each.error or JudgeError(f"'{each.name}' could not be read"))
        if each.media is None
        else next(found)
        for each in part
    ]
