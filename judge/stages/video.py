"""Judges one video: looks, asks, looks closer where it matters, and asks about pieces of it as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from judge.config import JudgeConfig
from judge.constitution import Rule
from judge.engines.base import Engine
from judge.errors import EngineError, MediaError
from judge.stages.asking import Asker
from judge.stages.board import ENGINE_FAILED, Decider, FrameBoard, MediaBoard
from judge.stages.clip_questions import ask_about_clips, windows
from judge.stages.watching import Watcher
from judge.types import Frame, FrameSource, Media


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the looking at one video is.

    Attributes:
        source: Where it came from.
        judged: Frames judged so far.
        most: Frames that may be judged.
    """

    source: str
    judged: int
    most: int


OnProgress = Callable[[Progress], None]


class VideoStage:
    """Fills the board of a video that is open (`Media.video`)."""

    def __init__(
        self, engine: Engine, asker: Asker, decider: Decider, config: JudgeConfig, report: OnProgress | None = None
    ) -> None:
        self._engine = engine
        self._asker = asker
        self._decider = decider
        self._settings = config.video
        self._thresholds = config.thresholds
        self._report = report

    async def watch(self, media: Media, video: FrameSource, rules: tuple[Rule, ...]) -> MediaBoard:
        """The board with everything that one-token questions can tell."""
        board = MediaBoard(media, rules, ())
        watcher = Watcher(video, self._settings.sampling)
        try:
            frames = await watcher.first()
            while frames and not board.failure:
                await self._ask(board, frames)
                frames = await watcher.closer(self._suspicions(board))
                board.damaged, board.taken_over = tuple(watcher.damaged), dict(watcher.taken_over)
            await self._ask_about_pieces(board, video)
        except MediaError as error:
            board.failure = f"the video could not be read: {error}"
        board.notices += self._notices(board, video, over_time=watcher.over_time)
        return board

    async def _ask(self, board: MediaBoard, frames: Sequence[Frame]) -> None:
        new = [FrameBoard(frame) for frame in frames]
        await self._asker.scan([(board, new)])
        await self._asker.ask([(board, new)])
        board.frames = tuple(sorted((*board.frames, *new), key=lambda each: each.frame.index))
        if self._report is not None:
            self._report(Progress(board.media.source, len(board.frames), self._settings.sampling.max_frames))

    def _suspicions(self, board: MediaBoard) -> list[dict[int, float | None]]:
        """Rule by rule, what each judged frame says: its score, or None where a low score is undecided."""
        found: list[dict[int, float | None]] = []
        for rule in board.frame_rules:
            decisions = {each.frame.index: self._decider.on_frame(rule, each) for each in board.frames}
            scores = {
                index: None if each.outcome == "abstained" and each.score < self._settings.sampling.suspicion
                else each.score
                for index, each in decisions.items()
            }  # fmt: skip
            found.append(scores)
        return found

    async def _ask_about_pieces(self, board: MediaBoard, video: FrameSource) -> None:
        """For the rules that no single frame can show. What fails leaves them open, and nothing else."""
        if board.failure or not board.clip_rules:
            return
        size = min(self._settings.clips.frames, self._engine.capabilities.max_frames)
        if size < 2:
            board.clip_failure = f"model '{self._engine.info.name}' takes one frame in a prompt, and clips need more"
            return
        if self._engine.info.question_format is not None:
            board.clip_failure = f"model '{self._engine.info.name}' is asked in a format that knows no clips"
            return
        pieces = windows(video.info, self._settings.clips, size)
        if not pieces:
            board.clip_failure = "the video has a single frame: there is nothing that could change"
            return
        try:
            clips = [await asyncio.to_thread(video.read, piece.indices) for piece in pieces]
            answers = await ask_about_clips(
                self._engine, clips, self._decider.needed(board.clip_rules), self._thresholds, board.media.text
            )
        except EngineError as error:
            board.clip_failure = f"{ENGINE_FAILED}: {error}"
            return
        except MediaError as error:
            board.clip_failure = f"the video could not be read: {error}"
            return
        outside = next((each.outside for each in board.frames if each.outside), "")
        board.clips = tuple(
            FrameBoard(
                frames[len(frames) // 2],
                tuple(frames),
                evidence={id: (item,) for id, item in answer.evidence.items()},
                outside=outside,
            )
            for frames, answer in zip(clips, answers, strict=True)
        )
        for answer in answers:
            board.usage += answer.usage

    def _notices(self, board: MediaBoard, video: FrameSource, *, over_time: bool) -> tuple[str, ...]:
        times = [*(each.frame.timestamp_s for each in board.frames), *board.times_s.values()]
        edges = sorted({0.0, *times, video.info.duration_s})
        gap_s = max((b - a for a, b in pairwise(edges)), default=0.0)
        judged = (
            f"{len(board.frames)} of {len(video.info.timestamps_s)} frames were judged "
            f"({self._settings.sampling.strategy}); the longest stretch between two of them is {gap_s:.1f} s"
        )
        told = [judged] if board.frames else []
        if over_time:
            told.append("the time budget ended the closer looks")
        told += [f"not read: {reason}" for reason in board.damaged[:1]]
        return tuple(told)
