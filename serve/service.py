"""The backend itself: decodes media and runs the pipeline. Used in this process, and inside judge replicas.

Not here: HTTP (`serve.routes`), Ray (`serve.app`).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, closing, nullcontext
from dataclasses import replace

from judge.config import JudgeConfig, StageChoice
from judge.constitution import Constitution
from judge.engines.base import Engine
from judge.errors import EngineError, MediaError
from judge.media import Permissions, load_media
from judge.media.reference import UrlMedia
from judge.media.views import blank_frame
from judge.pipeline import Judge, engine_failed
from judge.prompts.posted import check_text, text_media
from judge.prompts.render import precondition_prompt
from judge.stages.prior_store import PriorStore
from judge.types import InputError, Media, ScoreRow, Verdict
from serve.backend import ModelCard, Reply, Work
from serve.decoders import Decoders
from serve.problems import DeadlineExceeded
from serve.settings import ServeSettings
from serve.urls import media_permissions
from serve.verdict_cache import VerdictCache

Key = tuple[str, str, str, StageChoice]
_MOST_JUDGES = 32
"""Constitutions and stage choices whose judge is kept ready."""
_DEADLINE_NOTICE = "the time for the request ran out before every stage had finished"
_TOKENS_NOTICE = "the token budget of the request was reached before every stage had finished"


class JudgeService:
    """Judges media with engines that it owns: `close` closes them, and the decoders.

    Args:
        engine: The judge's own.
        config: The settings that a request's stages are laid over.
        panel: The models of `config.panel`, by name.
        decoders: None = pictures are decoded in a thread of this process.
        permissions: What callers may have read.
        cache: Final verdicts; None = none are kept.
        notices: What every verdict must say, e.g. of the canary.
    """

    def __init__(
        self,
        engine: Engine,
        config: JudgeConfig,
        *,
        panel: Mapping[str, Engine] | None = None,
        decoders: Decoders | None = None,
        permissions: Permissions | None = None,
        cache: VerdictCache | None = None,
        notices: Sequence[str] = (),
    ) -> None:
        self._engine = engine
        self._panel = dict(panel or {})
        self._config = config
        self._decoders = decoders
        self._permissions = permissions or Permissions()
        self._cache = VerdictCache(0, 0) if cache is None else cache
        self._notices = tuple(notices)
        self._priors = PriorStore(None)
        self._judges: OrderedDict[tuple[str, StageChoice], Judge] = OrderedDict()
        self._under_way: dict[Key, asyncio.Future[Verdict | None]] = {}

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
        permissions = media_permissions(settings.http)
        decoders = Decoders(settings.decoders, permissions, settings.judge.video.decoding)
        cache = VerdictCache(settings.cache.entries, settings.cache.max_bytes)
        return cls(
            engine, settings.judge, panel=panel, decoders=decoders, permissions=permissions, cache=cache,
            notices=notices,
        )  # fmt: skip

    async def judge(self, work: Work) -> AsyncGenerator[Reply, None]:
        """As `Backend.judge`. Equal works at the same time are judged once."""
        ends_at = None if work.deadline_s is None else time.monotonic() + work.deadline_s
        key = _key(work)
        known = self._cache.get(key) if key else None
        if known is None and key in self._under_way:
            known = await _followed(self._under_way[key], ends_at)
        if known is not None:
            yield Reply(_row(work.name, known), cached=True)
            return
        leading: asyncio.Future[Verdict | None] = asyncio.get_running_loop().create_future()
        if key:
            self._under_way.setdefault(key, leading)
        try:
            async with aclosing(self._judge_anew(work, ends_at)) as replies:
                async for reply, whole in replies:
                    if key and whole and reply.row.verdict is not None:
                        self._cache.put(key, reply.row.verdict)
                        leading.set_result(reply.row.verdict)
                    yield reply
        finally:
            if key and self._under_way.get(key) is leading:
                del self._under_way[key]
            if not leading.done():
                leading.set_result(None)

    async def _judge_anew(self, work: Work, ends_at: float | None) -> AsyncGenerator[tuple[Reply, bool], None]:
        """Replies, and whether each is the final verdict of all stages."""
        judge = self._judge_for(work.constitution, work.stages)
        try:
            async with _until(ends_at):
                media = await self._load(work)
        except MediaError as error:
            yield Reply(_failed(work.name, error)), False
            return
        with nullcontext() if media.video is None else closing(media.video):
            async with aclosing(_verdicts(judge, media, work, ends_at)) as verdicts:
                async for verdict, final, cut in verdicts:
                    if engine_failed(verdict):
                        raise EngineError(verdict.reason)
                    if final or work.refine:
                        yield Reply(_row(work.name, verdict), final), final and not cut

    async def models(self) -> tuple[ModelCard, ...]:
        """As `Backend.models`."""
        return tuple(_card(engine, role) for role, engine in {"judge": self._engine, **self._panel}.items())

    async def check(self) -> None:
        """As `Backend.check`."""
        question = precondition_prompt("A picture is shown.", (blank_frame(),))
        for engine in (self._engine, *self._panel.values()):
            (answer,) = await engine.choose([question])
            if not 0.0 <= answer.mass <= 1.0:
                raise EngineError(f"model '{engine.info.name}' does not answer with probabilities")

    async def close(self) -> None:
        if self._decoders is not None:
            await asyncio.to_thread(self._decoders.close)
        for engine in (self._engine, *self._panel.values()):
            await engine.close()

    def _judge_for(self, constitution: Constitution, stages: StageChoice) -> Judge:
        key = (constitution.digest, stages)
        if key not in self._judges:
            self._judges[key] = Judge(
                self._engine, constitution, stages.over(self._config), priors=self._priors, panel=self._panel,
                notices=self._notices,
            )  # fmt: skip
        self._judges.move_to_end(key)
        while len(self._judges) > _MOST_JUDGES:
            self._judges.popitem(last=False)
        return self._judges[key]

    async def _load(self, work: Work) -> Media:
        if work.media is None:
            return text_media(work.text, work.name)
        check_text(work.text)
        if self._decoders is not None:
            media = await self._decoders.load(work.media)
        else:
            decoding = self._config.video.decoding
            media = await asyncio.to_thread(load_media, work.media, self._permissions, decoding=decoding)
        return replace(media, text=work.text)


async def _verdicts(
    judge: Judge, media: Media, work: Work, ends_at: float | None
) -> AsyncGenerator[tuple[Verdict, bool, bool], None]:
    """Every verdict as soon as it is there; the last one once more, as final, and whether a limit cut it short."""
    last: Verdict | None = None
    notice = ""
    async with aclosing(judge.refine(media)) as verdicts:
        while not notice:
            try:
                async with _until(ends_at):
                    last = await anext(verdicts)
            except StopAsyncIteration:
                break
            except DeadlineExceeded:
                if last is None:
                    raise
                notice = _DEADLINE_NOTICE
                break
            yield last, False, False
            if work.completion_tokens is not None and last.usage.completion_tokens >= work.completion_tokens:
                notice = _TOKENS_NOTICE
    assert last is not None
    yield _with_notice(last, notice) if notice else last, True, bool(notice)


@asynccontextmanager
async def _until(ends_at: float | None) -> AsyncGenerator[None, None]:
    """Raises `DeadlineExceeded` where the work inside is not done by then, in seconds of the monotonic clock."""
    try:
        async with asyncio.timeout(None if ends_at is None else max(0.0, ends_at - time.monotonic())):
            yield
    except TimeoutError as error:
        raise DeadlineExceeded("the time for the request ran out before there was a verdict") from error


async def _followed(leading: asyncio.Future[Verdict | None], ends_at: float | None) -> Verdict | None:
    """What an equal work finds; None if it finds nothing, and this one must be judged by itself."""
    async with _until(ends_at):
        return await asyncio.shield(leading)


def _key(work: Work) -> Key | None:
    """What a verdict depends on beside this service's models and settings, which do not change; None = of no use again.

    A URL's content may change, and is known only when it is fetched.
    """
    if isinstance(work.media, UrlMedia):
        return None
    digest = hashlib.sha256(work.media.data).hexdigest() if work.media is not None else ""
    return digest, work.text, work.constitution.digest, work.stages


def _with_notice(verdict: Verdict, notice: str) -> Verdict:
    return verdict.model_copy(update={"notices": (*verdict.notices, notice)})


def _row(name: str, verdict: Verdict) -> ScoreRow:
    return ScoreRow(input=name, decision=verdict.decision, flagged=verdict.flagged, verdict=verdict)


def _failed(name: str, error: MediaError) -> ScoreRow:
    shown = InputError(code=error.code, message=error.message, hint=error.hint)
    return ScoreRow(input=name, decision="uncertain", flagged=None, error=shown)


def _card(engine: Engine, role: str) -> ModelCard:
    info, can = engine.info, engine.capabilities
    able = [name for name in ("choice_probabilities", "generation", "images", "structured") if getattr(can, name)]
    return ModelCard(
        info.name, role, info.digest, info.runtime, info.domain.description if info.domain else "", tuple(able)
    )
