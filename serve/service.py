"""The backend itself: decodes media and runs the pipeline. Used in this process, and inside judge replicas.

Not here: HTTP (`serve.routes`), Ray (`serve.app`).
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, closing, nullcontext
from dataclasses import replace

from judge.config import JudgeConfig, StageChoice
from judge.constitution import Constitution
from judge.engines.base import Engine
from judge.errors import EngineError, MediaError
from judge.media import Permissions, load_media
from judge.media.views import blank_frame
from judge.pipeline import Judge, engine_failed
from judge.prompts.posted import check_text, text_media
from judge.prompts.render import precondition_prompt
from judge.stages.prior_store import PriorStore
from judge.types import InputError, Media, ScoreRow, Verdict
from serve.backend import ModelCard, Reply, Work
from serve.problems import DeadlineExceeded

_MOST_JUDGES = 32
"""Constitutions and stage choices whose judge is kept ready."""
_DEADLINE_NOTICE = "the time for the request ran out before every stage had finished"
_TOKENS_NOTICE = "the token budget of the request was reached before every stage had finished"


class JudgeService:
    """Judges media with engines that it owns: `close` closes them.

    Args:
        engine: The judge's own.
        panel: The models of `config.panel`, by name.
        config: The settings that a request's stages are laid over.
        notices: What every verdict must say, e.g. of the canary.
    """

    def __init__(
        self,
        engine: Engine,
        config: JudgeConfig,
        *,
        panel: Mapping[str, Engine] | None = None,
        permissions: Permissions | None = None,
        notices: Sequence[str] = (),
    ) -> None:
        self._engine = engine
        self._panel = dict(panel or {})
        self._config = config
        self._permissions = permissions or Permissions()
        self._notices = tuple(notices)
        self._priors = PriorStore(None)
        self._judges: OrderedDict[tuple[str, StageChoice], Judge] = OrderedDict()

    async def judge(self, work: Work) -> AsyncGenerator[Reply, None]:
        """As `Backend.judge`."""
        judge = self._judge_for(work.constitution, work.stages)
        ends_at = None if work.deadline_s is None else time.monotonic() + work.deadline_s
        try:
            media = await self._load(work)
        except MediaError as error:
            yield Reply(_failed(work.name, error))
            return
        with nullcontext() if media.video is None else closing(media.video):
            async with aclosing(_verdicts(judge, media, work, ends_at)) as verdicts:
                async for verdict, final in verdicts:
                    if engine_failed(verdict):
                        raise EngineError(verdict.reason)
                    if final or work.refine:
                        yield Reply(_row(work.name, verdict), final)

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
        media = await asyncio.to_thread(load_media, work.media, self._permissions, decoding=self._config.video.decoding)
        return replace(media, text=work.text)


async def _verdicts(
    judge: Judge, media: Media, work: Work, ends_at: float | None
) -> AsyncGenerator[tuple[Verdict, bool], None]:
    """Every verdict as soon as it is there; the last one comes once more, as final."""
    last: Verdict | None = None
    async with aclosing(judge.refine(media)) as verdicts:
        while True:
            try:
                async with asyncio.timeout(None if ends_at is None else max(0.0, ends_at - time.monotonic())):
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


def _failed(name: str, error: MediaError) -> ScoreRow:
    shown = InputError(code=error.code, message=error.message, hint=error.hint)
    return ScoreRow(input=name, decision="uncertain", flagged=None, error=shown)


def _card(engine: Engine, role: str) -> ModelCard:
    info, can = engine.info, engine.capabilities
    able = [name for name in ("choice_probabilities", "generation", "images", "structured") if getattr(can, name)]
    return ModelCard(
        info.name, role, info.digest, info.runtime, info.domain.description if info.domain else "", tuple(able)
    )
