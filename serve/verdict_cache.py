"""Verdicts kept for the same bytes under the same versions."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterable

from judge import __version__
from judge.config import JudgeConfig
from judge.constitution import Constitution
from judge.engines.base import Engine
from judge.pipeline import FAILURES
from judge.prompts.render import templates_digest
from judge.types import Verdict


class VerdictCache:
    """In memory; what was asked for longest ago goes first.

    Verdicts are kept as JSON: its size is known, and what is given out cannot change what is kept.

    Args:
        entries: Most verdicts; 0 = none are kept.
        max_bytes: Most bytes of JSON.
    """

    def __init__(self, entries: int, max_bytes: int) -> None:
        self._entries = entries
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._n_bytes = 0

    def get(self, key: str) -> Verdict | None:
        kept = self._kept.get(key)
        if kept is None:
            return None
        self._kept.move_to_end(key)
        return Verdict.model_validate_json(kept)

    def put(self, key: str, verdict: Verdict) -> str:
        """The JSON, which may be kept elsewhere too; empty for a verdict that rests on a failure, if only for one
        question of one frame: it is not kept."""
        text = verdict.model_dump_json()
        if any(words in text for words in FAILURES):
            return ""
        if self._entries:
            self._keep(key, text)
        return text

    def _keep(self, key: str, text: str) -> None:
        self._drop(key)
        self._kept[key] = text.encode()
        self._n_bytes += len(self._kept[key])
        while len(self._kept) > self._entries or self._n_bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

    def __len__(self) -> int:
        return len(self._kept)

    def _drop(self, key: str) -> None:
        self._n_bytes -= len(self._kept.pop(key, b""))


def versions_digest(constitution: Constitution, config: JudgeConfig, engines: Iterable[Engine]) -> str:
    """sha256 (hex) over everything beside the media that a verdict depends on.

    Args:
        config: With the stages of the request.
        engines: The judge's own first, then the panel in its order.
    """
    infos = [each.info for each in engines]
    parts = {
        "package": __version__,
        "constitution": constitution.digest,
        "models": [(info.name, info.digest, info.runtime) for info in infos],
        "templates": templates_digest(infos[0].question_format),
        # Whole, not only the digests of thresholds, stages and videos: what a later version adds must count, too.
        "config": config.model_dump(mode="json", exclude={"engine", "panel", "concurrency", "cache", "cache_dir"}),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def verdict_key(media: bytes, text: str, versions: str) -> str:
    """sha256 (hex) over the bytes, what was posted with them, and `versions_digest`."""
    digests = (
        hashlib.sha256(media).hexdigest(),
        hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        versions,
    )
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()
