"""The backend itself: decodes media and runs the pipeline. Used in this process, and inside judge replicas.

Not here: HTTP (`serve.routes`), Ray (`serve.app`).
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, closing, nullcontext
from dataclasses import dataclass, replace

from judge.config import JudgeConfig, StageChoice
from judge.constitution import Constitution
from judge.engines.base import Engine
from judge.errors import CalibrationError, EngineError, MediaError
from judge.media import InlineMedia, Permissions, fetch, load_media
from judge.media.signature import sniff
from judge.pipeline import VIDEO_FAILED, Judge, engine_failed
from judge.prompts.posted import check_text, text_media
from judge.stages.prior_store import PriorStore
from judge.types import InputError, Media, ScoreRow, Verdict
from serve.backend import ModelCard, Reply, Work
from serve.decoders import Decoders
from serve.engine_check import check_engine
from serve.problems import DeadlineExceeded
from serve.settings import ServeSettings
from serve.shared_runs import SharedRuns
from serve.store.cached import CachedVerdicts, open_cached
from serve.urls import media_permissions
from serve.verdict_cache import VerdictCache, verdict_key, versions_digest

_MOST_JUDGES = 32
"""Constitutions and stage choices whose judge is kept ready."""
_ANY_NAME = "media"
"""What the bytes are called while they are judged for everybody who sent them: no caller may learn another's name."""
_DEADLINE_NOTICE = "the time for the request ran out before every stage had finished"
_TOKENS_NOTICE = "the token budget of the request was reached before every stage had finished"


@dataclass(frozen=True, slots=True)
class _Ready:
    """A judge for one constitution and one choice of stages."""

    judge: Judge
    versions: str


class JudgeService:
    """Judges media with engines that it owns: `close` closes them.

    Args:
        engine: The judge's own.
        panel: The models of `config.panel`, by name.
        config: The settings that a request's stages are laid over.
        notices: What every verdict must say, e.g. of the canary.
        decoders: Where pictures are decoded; None = in a thread of this process. Its own to close.
        cache: None = no verdict is kept.
    """

    def __init__(
        self,
        engine: Engine,
        config: JudgeConfig,
        *,
        panel: Mapping[str, Engine] | None = None,
        permissions: Permissions | None = None,
        notices: Sequence[str] = (),
        decoders: Decoders | None = None,
        cache: VerdictCache | None = None,
        cached: CachedVerdicts | None = None,
    ) -> None:
        self._engine = engine
        self._panel = dict(panel or {})
        self._config = config
        self._permissions = permissions or Permissions()
        self._notices = tuple(notices)
        self._decoders = decoders
        self._cache = VerdictCache(entries=0, max_bytes=0) if cache is None else cache
        self._cached = cached
        self._writing: set[asyncio.Task[None]] = set()
        self._priors = PriorStore(None)
        self._judges: OrderedDict[tuple[str, StageChoice], _Ready] = OrderedDict()
        self._runs: SharedRuns[Verdict] = SharedRuns()

    @classmethod
    def from_settings(
        cls,
        settings: ServeSettings,
        engine: Engine,
        *,
        panel: Mapping[str, Engine] | None = None,
        notices: Sequence[str] = (),
    ) -> JudgeService:
        """With decoder processes and a cache, as the settings have them."""
        return cls(
            engine, settings.judge, panel=panel, permissions=media_permissions(settings.http), notices=notices,
            decoders=Decoders(settings.decoders, settings.judge.video.decoding),
            cache=VerdictCache(settings.cache.entries, settings.cache.max_bytes),
            cached=open_cached(settings.store) if settings.cache.in_database else None,
        )  # fmt: skip

    async def judge(self, work: Work) -> AsyncGenerator[Reply, None]:
        """As `Backend.judge`. Equal media that are judged at the same moment are judged once."""
        ready = self._ready_for(work.constitution, work.stages)
        ends_at = None if work.deadline_s is None else time.monotonic() + work.deadline_s
        try:
            data = await self._read(work, ends_at)
            key = verdict_key(data, work.text, ready.versions)
            if (kept := await self._kept(key)) is not None:
                yield Reply(_row(work.name, kept), cached=True)
                return
            shared = self._runs.follow(key, lambda: self._judge_for_all(ready.judge, data, work.text, key))
            async with aclosing(_within_budget(shared, work, ends_at)) as verdicts:
                async for verdict, final in verdicts:
                    _check(verdict)
                    if final or work.refine:
                        yield Reply(_row(work.name, verdict), final)
        except MediaError as error:
            yield Reply(_failed(work.name, error))

    async def models(self) -> tuple[ModelCard, ...]:
        """As `Backend.models`."""
        return tuple(_card(engine, role) for role, engine in {"judge": self._engine, **self._panel}.items())

    async def check(self) -> None:
        """As `Backend.check`."""
        for engine in self._engines():
            await check_engine(engine)

    async def start(self) -> None:
        """Start the decoders; without it the first pictures wait for them."""
        if self._decoders is not None:
            await self._decoders.start()

    async def close(self) -> None:
        if self._decoders is not None:
            await self._decoders.close()
        for engine in self._engines():
            await engine.close()
        if self._cached is not None:
            await asyncio.gather(*self._writing)
            await asyncio.to_thread(self._cached.close)

    def _engines(self) -> tuple[Engine, ...]:
        return (self._engine, *self._panel.values())

    def _ready_for(self, constitution: Constitution, stages: StageChoice) -> _Ready:
        key = (constitution.digest, stages)
        if key not in self._judges:
            self._judges[key] = self._make_ready(constitution, stages.over(self._config))
        self._judges.move_to_end(key)
        while len(self._judges) > _MOST_JUDGES:
            self._judges.popitem(last=False)
        return self._judges[key]

    def _make_ready(self, constitution: Constitution, config: JudgeConfig, *notices: str) -> _Ready:
        """Without fitted thresholds where they are about another policy or other stages; verdicts say so."""
        try:
            judge = Judge(
                self._engine, constitution, config, priors=self._priors, panel=self._panel,
                notices=(*self._notices, *notices),
            )  # fmt: skip
        except CalibrationError as error:
            return self._make_ready(constitution, config.model_copy(update={"calibrated": None}), error.message)
        return _Ready(judge, versions_digest(constitution, config, self._engines()))

    async def _read(self, work: Work, ends_at: float | None) -> bytes:
        """The encoded bytes; none for words alone. Raises `MediaError`, and `DeadlineExceeded` while a URL is read."""
        check_text(work.text)
        if work.media is None:
            return b""
        if isinstance(work.media, InlineMedia):
            return fetch(work.media, self._permissions).data
        try:
            async with asyncio.timeout(_left_s(ends_at)):
                return (await asyncio.to_thread(fetch, work.media, self._permissions)).data
        except TimeoutError as error:
            raise DeadlineExceeded("the time for the request ran out before its URL was fetched") from error

    async def _judge_for_all(self, judge: Judge, data: bytes, text: str, key: str) -> AsyncGenerator[Verdict, None]:
        """Every verdict about these bytes and words; the last one is kept."""
        media = replace(await self._decode(data), text=text) if data else text_media(text, _ANY_NAME)
        last: Verdict | None = None
        with nullcontext() if media.video is None else closing(media.video):
            async with aclosing(judge.refine(media)) as verdicts:
                async for last in verdicts:
                    yield last
        if last is not None and (body := self._cache.put(key, last)) and self._cached is not None:
            writing = asyncio.create_task(self._cached.keep(key, body))  # nobody waits for the database
            self._writing.add(writing)
            writing.add_done_callback(self._writing.discard)

    async def _kept(self, key: str) -> Verdict | None:
        """From memory, or from the database, and then in memory from now on."""
        kept = self._cache.get(key)
        if kept is None and self._cached is not None and (kept := await self._cached.find(key)) is not None:
            self._cache.put(key, kept)
        return kept

    async def _decode(self, data: bytes) -> Media:
        if self._decoders is not None and sniff(data).kind != "video":
            return await self._decoders.decode(data, _ANY_NAME)
        named = InlineMedia(data=data, name=_ANY_NAME)
        return await asyncio.to_thread(load_media, named, self._permissions, decoding=self._config.video.decoding)


async def _within_budget(
    verdicts: AsyncGenerator[Verdict, None], work: Work, ends_at: float | None
) -> AsyncGenerator[tuple[Verdict, bool], None]:
    """Every verdict as soon as it is there; the last one comes once more, as final."""
    last: Verdict | None = None
    async with aclosing(verdicts):
        while True:
            try:
                async with asyncio.timeout(_left_s(ends_at)):
                    last = await anext(verdicts)
            except StopAsyncIteration:
                break
            except TimeoutError as error:
                if last is None:
                    raise DeadlineExceeded("the time for the request ran out before there was a verdict") from error
                last = _with_notice(last, _DEADLINE_NOTICE)
                break
            yield last, False
            if work.completion_tokens is not None and last.usage.completion_tokens >= work.completion_tokens:
                last = _with_notice(last, _TOKENS_NOTICE)
                break
    assert last is not None
    yield last, True


def _with_notice(verdict: Verdict, notice: str) -> Verdict:
    return verdict.model_copy(update={"notices": (*verdict.notices, notice)})


def _row(name: str, verdict: Verdict) -> ScoreRow:
    return ScoreRow(input=name, decision=verdict.decision, flagged=verdict.flagged, verdict=verdict)


def _check(verdict: Verdict) -> None:
    """Raises `MediaError` or `EngineError` for a verdict that rests on a failure alone."""
    if engine_failed(verdict):
        if VIDEO_FAILED in verdict.reason:
            raise MediaError(verdict.reason)
        raise EngineError(verdict.reason)


def _left_s(ends_at: float | None) -> float | None:
    return None if ends_at is None else max(0.0, ends_at - time.monotonic())


def _failed(name: str, error: MediaError) -> ScoreRow:
    message = error.message.replace(repr(_ANY_NAME), repr(name))
    shown = InputError(code=error.code, message=message, hint=error.hint)
    return ScoreRow(input=name, decision="uncertain", flagged=None, error=shown)


def _card(engine: Engine, role: str) -> ModelCard:
    info, can = engine.info, engine.capabilities
    able = [name for name in ("choice_probabilities", "generation", "images", "structured") if getattr(can, name)]
    return ModelCard(
        info.name, role, info.digest, info.runtime, info.domain.description if info.domain else "", tuple(able)
    )
