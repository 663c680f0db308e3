"""What the service and its callers say to each other, and a client for Python.

from pathlib import Path
from judge.client import JudgeClient

with JudgeClient("http://127.0.0.1:8000") as client:
    for result in client.judge([Path("a.jpg"), Path("b.png")], constitution="stickers"):
        print(result.input, result.decision, result.score)
"""

from judge.client.aio import AsyncJudgeClient
from judge.client.calls import ConstitutionVersion, ModelEntry
from judge.client.errors import (
    ClientError,
    NotAllowed,
    NotFound,
    OutOfTime,
    RateLimited,
    Refused,
    ServiceFailed,
    Unavailable,
    UnreadableAnswer,
)
from judge.client.media import Input
from judge.client.sync import JudgeClient
from judge.client.video import JobFailed, ModerationLabel, TimedLabel, VideoJob, VideoMetadata
from judge.client.wire import Budget, JudgeResult, MediaItem, StreamLine

__all__ = [
    "AsyncJudgeClient",
    "Budget",
    "ClientError",
    "ConstitutionVersion",
    "Input",
    "JobFailed",
    "JudgeClient",
    "JudgeResult",
    "MediaItem",
    "ModelEntry",
    "ModerationLabel",
    "NotAllowed",
    "NotFound",
    "OutOfTime",
    "RateLimited",
    "Refused",
    "ServiceFailed",
    "StreamLine",
    "TimedLabel",
    "Unavailable",
    "UnreadableAnswer",
    "VideoJob",
    "VideoMetadata",
]
