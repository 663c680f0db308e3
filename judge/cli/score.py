"""From arguments to rows: one `ScoreRow` per input, whatever happened to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass

from judge.config import DecodingSettings
from judge.errors import JudgeError, MediaError
from judge.media import FailedInput, Input, Permissions, load_media
from judge.media.load import load_frames
from judge.media.video import DEFAULT_DECODING
from judge.pipeline import Judge
from judge.report.page import Card
from judge.report.strip import VideoStrip, frames_to_show, video_strip
from judge.report.thumbnails import thumbnail
from judge.types import InputError, Media, ScoreRow, Verdict

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """One input, decoded or failed."""

    name: str
    media: Media | None
    error: JudgeError | None = None


def load_all(
    inputs: Sequence[Input],
    permissions: Permissions,
    decoding: DecodingSettings = DEFAULT_DECODING,
    *,
    frames: int | None = None,
) -> Iterator[Loaded]:
    """Decodes inputs one by one; a failure stays with its input.

    Args:
        frames: Of a video, in memory; None = videos come open, and whoever takes one closes it.
    """
    for found in inputs:
        if isinstance(found, FailedInput):
            yield Loaded(found.name, None, found.error)
            continue
        try:
            if frames is None:
                media = load_media(found.ref, permissions, decoding=decoding)
            else:
                media = load_frames(found.ref, permissions, frames, decoding=decoding)
            yield Loaded(found.name, media)
        except JudgeError as error:
            yield Loaded(found.name, None, error)


def score_all(
    judge: Judge | None,
    inputs: Sequence[Input],
    permissions: Permissions,
    *,
    batch: int,
    thumbnails: bool = False,
    decoding: DecodingSettings = DEFAULT_DECODING,
) -> Iterator[Card]:
    """Rows in input order, judged `batch` pictures at a time, so that memory stays bounded; videos one by one.

    `judge` may be None if every input failed already.
    """
    waiting: list[Loaded] = []
    with asyncio.Runner() as runner:
        for loaded in load_all(inputs, permissions, decoding):
            video = loaded.media.video if loaded.media else None
            with nullcontext() if video is None else closing(video):
                waiting.append(loaded)
                if len(waiting) == batch or video is not None:
                    yield from _judge(runner, judge, waiting, thumbnails=thumbnails)
                    waiting = []
        yield from _judge(runner, judge, waiting, thumbnails=thumbnails)


def _judge(runner: asyncio.Runner, judge: Judge | None, part: Sequence[Loaded], *, thumbnails: bool) -> list[Card]:
    media = [loaded.media for loaded in part if loaded.media is not None]
    verdicts = iter(runner.run(judge.judge(media)) if judge and media else ())
    return [
        Card(_failed(loaded)) if loaded.media is None else _card(loaded.name, loaded.media, next(verdicts), thumbnails)
        for loaded in part
    ]


def _card(name: str, media: Media, verdict: Verdict, thumbnails: bool) -> Card:
    row = ScoreRow(input=name, decision=verdict.decision, flagged=verdict.flagged, verdict=verdict)
    if not thumbnails:
        return Card(row)
    if media.kind == "video":
        return Card(row, strip=strip_of(media, verdict))
    return Card(row, thumbnail(media.frames[0]) if media.frames else "")


def strip_of(media: Media, verdict: Verdict) -> VideoStrip | None:
    """None if the frames cannot be read a second time; the verdict stands without them."""
    video, frames = media.video, media.frames
    if video is None:
        wanted = frames_to_show(verdict, [each.index for each in frames], [each.timestamp_s for each in frames])
        return video_strip([each for each in frames if each.index in wanted], media.duration_s)
    times = video.info.timestamps_s
    try:
        shown = video.read(frames_to_show(verdict, range(len(times)), times))
    except MediaError as error:
        _LOG.warning("'%s': no frames for the report: %s", media.source, error)
        return None
    return video_strip(shown, media.duration_s)


def _failed(loaded: Loaded) -> ScoreRow:
    error = loaded.error or JudgeError(f"'{loaded.name}' could not be read")
    shown = InputError(code=error.code, message=error.message, hint=error.hint)
    return ScoreRow(input=loaded.name, decision="uncertain", flagged=None, error=shown)
