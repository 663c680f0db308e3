"""The pipeline, called directly: reads jobs from its input, answers how long they took."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from judge.assets import constitution_path
from judge.constitution import load_constitution
from judge.engines.build import build_engine
from judge.media import InlineMedia, Permissions, load_media
from judge.pipeline import Judge
from judge.stages.prior_store import PriorStore

from .child import tell
from .pictures import encoded
from .settings import judge_config


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        config = judge_config(sys.argv[1], Path(folder))
        engine = build_engine(config.engine)
        judge = Judge(engine, load_constitution(constitution_path("stickers")), config, priors=PriorStore(None))
        tell({})
        for line in sys.stdin:
            job = json.loads(line)
            tell(runner.run(_measure(judge, encoded(job["first"], job["count"]), job["together"])))


async def _measure(judge: Judge, pictures: list[bytes], together: int) -> dict[str, object]:
    """Seconds for all, and milliseconds of each call of `together` pictures."""
    calls_ms: list[float] = []
    began_s = time.perf_counter()
    for first in range(0, len(pictures), together):
        call_s = time.perf_counter()
        batch = [load_media(InlineMedia(data=data), Permissions()) for data in pictures[first : first + together]]
        await judge.judge(batch)
        calls_ms.append((time.perf_counter() - call_s) * 1000)
    return {"seconds": time.perf_counter() - began_s, "calls_ms": calls_ms}


if __name__ == "__main__":
    main()
