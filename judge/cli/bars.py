"""Progress on standard error: one bar for the inputs and, while a video is watched, one for its frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePath
from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from judge.stages.video import Progress as Watched

Item = TypeVar("Item")


class Bars:
    """A context manager; silent where standard error is no terminal."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=console, disable=not console.is_terminal, transient=True,
        )  # fmt: skip
        self._video: TaskID | None = None

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def over(self, items: Iterable[Item], total: int) -> Iterator[Item]:
        """The items, counted as they come."""
        task = self._progress.add_task("judging", total=total)
        for item in items:
            self._end_video()
            self._progress.advance(task)
            yield item
        self._end_video()

    def watched(self, found: Watched) -> None:
        """How far the looking at a video is; for `Judge(on_progress=...)`."""
        name = escape(PurePath(found.source).name)
        if self._video is None:
            self._video = self._progress.add_task(f"  frames of {name}", total=found.most)
        self._progress.update(self._video, completed=found.judged, description=f"  frames of {name}")

    def _end_video(self) -> None:
        if self._video is not None:
            self._progress.remove_task(self._video)
            self._video = None
