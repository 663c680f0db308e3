"""Bundles in, rows out: the same pipeline as `judge score`, whatever breaks on the way.

What breaks the engine is found by trying again row by row; an engine that answers nothing ends the run instead of
turning a million rows into errors.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from judge.bulk.control import Control
from judge.bulk.item import Bundle, Item, Judged, judged_row, unjudged_row
from judge.bulk.row import LabelRow
from judge.canary import check_at_start
from judge.config import DecodingSettings, EngineConfig, JudgeConfig
from judge.constitution import Constitution
from judge.engines.base import Engine
from judge.engines.build import build_engine
from judge.errors import EngineError, JudgeError
from judge.media import decode_image, open_video
from judge.media.signature import sniff
from judge.pipeline import Judge
from judge.prompts.debate import JudgedExample
from judge.stages.board import ENGINE_FAILED
from judge.types import InputError, Media, Verdict, Versions

Answer = Verdict | JudgeError
_TRIES_ALONE = 2


class EngineDied(EngineError):
    """The engine answers nothing any more: whoever holds it starts it again and tries the bundle once more."""


class Judging(Protocol):
    """Something that judges rows."""

    def judge(self, items: Sequence[Item]) -> list[Answer]:
        """One answer per item, in order. An `EngineError` in it may be cured by trying again, other errors not."""
        ...

    def close(self) -> None: ...


class JudgingSpec(Protocol):
    """How to start it: a value that can be pickled."""

    @property
    def takes_bytes(self) -> bool:
        """Whether it wants encoded media; else pictures are decoded before."""
        ...

    def start(self) -> Judging:
        """Raises `JudgeError` if it cannot be."""
        ...


@dataclass(frozen=True)
class PipelineSpec:
    """The pipeline with engines of its own."""

    constitution: Constitution
    settings: JudgeConfig
    examples: Mapping[str, Sequence[JudgedExample]] = field(default_factory=dict)

    @property
    def takes_bytes(self) -> bool:
        return False

    def start(self) -> PipelineJudging:
        started: list[Engine] = []
        try:
            engine, notices = self._engine(self.settings.engine, started)
            panel, told = self._panel(started)
            judge = Judge(
                engine, self.constitution, self.settings, panel=panel, examples=self.examples, notices=notices + told
            )
        except JudgeError:
            _close(started)
            raise
        return PipelineJudging(judge, self.settings.video.decoding, started)

    def _panel(self, started: list[Engine]) -> tuple[dict[str, Engine], tuple[str, ...]]:
        """The models that play a role in a debate, and what every verdict must say of them."""
        debate = self.settings.cascade.debate
        played = dict.fromkeys(debate.panel.values()) if debate.enabled else {}
        known = {name: self.settings.panel[name] for name in played if name in self.settings.panel}
        made = {name: self._engine(config, started) for name, config in known.items()}
        engines = {name: engine for name, (engine, _) in made.items()}
        return engines, tuple(notice for _, notices in made.values() for notice in notices)

    def _engine(self, config: EngineConfig, started: list[Engine]) -> tuple[Engine, tuple[str, ...]]:
        engine = build_engine(config)
        started.append(engine)
        return engine, asyncio.run(check_at_start(engine, config))


class PipelineJudging:
    """Runs the pipeline in this process."""

    def __init__(self, judge: Judge, decoding: DecodingSettings, engines: Sequence[Engine] = ()) -> None:
        self._judge = judge
        self._decoding = decoding
        self._engines = engines
        self._runner = asyncio.Runner()

    def judge(self, items: Sequence[Item]) -> list[Answer]:
        """Pictures together, what must be decoded here one by one."""
        ready = [item for item in items if item.media is not None]
        verdicts = iter(self._run([_with_text(item, item.media) for item in ready if item.media is not None]))
        return [next(verdicts) if item.media is not None else self._decode_and_judge(item) for item in items]

    def close(self) -> None:
        self._runner.close()
        _close(self._engines)

    def _run(self, media: Sequence[Media]) -> list[Verdict]:
        return self._runner.run(self._judge.judge(media)) if media else []

    def _decode_and_judge(self, item: Item) -> Answer:
        data = item.data or b""
        try:
            if sniff(data).kind != "video":
                media = decode_image(data, source=item.sample.id)
                return self._run([_with_text(item, media)])[0]
            media = open_video(data, source=item.sample.id, limits=self._decoding)
            assert media.video is not None
            with closing(media.video):
                return self._run([_with_text(item, media)])[0]
        except JudgeError as error:
            return error


class Labeller:
    """One judge's work on bundles.

    Args:
        journal: A file to which a line is added for every row before it is judged; None = none.
    """

    def __init__(self, judging: Judging, control: Control, journal: Path | None = None) -> None:
        self._judging = judging
        self._control = control
        self._journal = journal

    def __call__(self, bundle: Bundle) -> Judged:
        """Raises `EngineDied`."""
        if bundle.fatal is not None:
            return Judged(bundle.number, (), fatal=bundle.fatal, stops=False)
        waiting = [item for item in bundle.items if item.waits]
        rows = [unjudged_row(item) for item in bundle.items if not item.waits]
        answers: list[tuple[Item, Answer]] = []
        if waiting and not self._control.is_stopping():
            attempt = self._control.begin(bundle.number)
            answers = self._together(waiting) if attempt == 1 else self._one_by_one(waiting)
            alive = any(not _engine_broke(answer) for _, answer in answers)
            if not alive and answers and attempt == 1:
                raise EngineDied("the engine answered nothing of a bundle")
            if answers and not self._control.engine_answers(alive):
                return Judged(bundle.number, (), len(bundle.items), fatal=_gave_up(answers))
        rows += [_row(item, answer) for item, answer in answers]
        rows.sort(key=lambda row: row.index)
        return Judged(bundle.number, tuple(rows), len(waiting) - len(answers), versions=_versions(answers))

    def close(self) -> None:
        self._judging.close()

    def _together(self, items: Sequence[Item]) -> list[tuple[Item, Answer]]:
        return list(zip(items, self._ask(items), strict=True))

    def _one_by_one(self, items: Sequence[Item]) -> list[tuple[Item, Answer]]:
        """Something ended the engine before: whatever did it again when it was alone is not tried a third time."""
        found: list[tuple[Item, Answer]] = []
        for item in items:
            if self._control.is_stopping():
                break
            if self._control.begin_alone(item.index) > _TRIES_ALONE:
                killed = EngineError(f"'{item.sample.id}': the engine died whenever it was to judge this")
                found.append((item, killed))
            else:
                found += self._together([item])
                self._control.end_alone(item.index)
        return found

    def _ask(self, items: Sequence[Item]) -> list[Answer]:
        self._note(items)
        try:
            return self._judging.judge(items)
        except JudgeError as error:
            return [error] * len(items)
        except Exception as error:  # a bug of ours or of a model's library: it costs these rows, and is told
            return [EngineError(f"unforeseen: {type(error).__name__}: {error}")] * len(items)

    def _note(self, items: Sequence[Item]) -> None:
        if self._journal is None:
            return
        who = {"host": socket.gethostname(), "pid": os.getpid(), "at": time.time()}
        lines = "".join(json.dumps({"index": item.index, "id": item.sample.id, **who}) + "\n" for item in items)
        descriptor = os.open(self._journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, lines.encode())
        finally:
            os.close(descriptor)


def _row(item: Item, answer: Answer) -> LabelRow:
    return unjudged_row(item.failed(answer)) if isinstance(answer, JudgeError) else judged_row(item, answer)


def _engine_broke(answer: Answer) -> bool:
    if isinstance(answer, JudgeError):
        return isinstance(answer, EngineError)
    return ENGINE_FAILED in answer.reason


def _gave_up(answers: Sequence[tuple[Item, Answer]]) -> InputError:
    answer = answers[-1][1]
    why = answer.message if isinstance(answer, JudgeError) else answer.reason
    return InputError(
        code="engine", message=f"the engine answers nothing any more; last: {why}",
        hint="what is written stays: run the same command again when it is well",
    )  # fmt: skip


def _versions(answers: Sequence[tuple[Item, Answer]]) -> tuple[Versions, ...]:
    found = (answer.versions for _, answer in answers if isinstance(answer, Verdict))
    return tuple({each.model_dump_json(): each for each in found}.values())


def _with_text(item: Item, media: Media) -> Media:
    return replace(media, text=item.sample.text) if item.sample.text else media


def _close(engines: Sequence[Engine]) -> None:
    for engine in engines:
        asyncio.run(engine.close())
