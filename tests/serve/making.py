"""Small parts that several tests of the service need."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from contextlib import aclosing

from PIL import Image

from judge.assets import constitution_path, sample_media_path
from judge.constitution import Constitution, load_constitution
from judge.engines.base import YES_NO
from judge.engines.scripted import ScriptedEngine
from judge.media import InlineMedia
from judge.types import ChoiceProbabilities, Prompt
from serve.backend import Backend, Reply, Work


def stickers() -> Constitution:
    return load_constitution(constitution_path("stickers"))


def demo(name: str = "harmless-1") -> bytes:
    return (sample_media_path("demo") / f"{name}.png").read_bytes()


def picture(shade: int, side_px: int = 32) -> bytes:
    """A grey square, another one for every shade."""
    file = io.BytesIO()
    Image.new("RGB", (side_px, side_px), (shade, shade, shade)).save(file, "PNG")
    return file.getvalue()


def work(data: bytes, name: str = "0", **fields: object) -> Work:
    given = {"constitution": stickers(), **fields}
    return Work(InlineMedia(data=data, name=name), name, **given)  # type: ignore[arg-type]


async def replies(backend: Backend, asked: Work) -> list[Reply]:
    async with aclosing(backend.judge(asked)) as stream:
        return [reply async for reply in stream]


def sure() -> ScriptedEngine:
    """Denies everything, and not out of habit."""
    return ScriptedEngine(default=0.02, text_only={"": 0.5})


class HeldEngine(ScriptedEngine):
    """Answers as `sure`, once it is `let_go`.

    Attributes:
        asked: Set when there is a call.
        cancelled: Calls that were given up.
    """

    def __init__(self) -> None:
        super().__init__(default=0.02, text_only={"": 0.5})
        self.asked = asyncio.Event()
        self.let_go = asyncio.Event()
        self.cancelled = 0

    async def choose(self, prompts: Sequence[Prompt], choices: Sequence[str] = YES_NO) -> list[ChoiceProbabilities]:
        answers = await super().choose(prompts, choices)
        self.asked.set()
        try:
            await self.let_go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return answers
