"""Puts the HTTP side together over a backend: the one place that knows every part of it."""

from __future__ import annotations

from judge.canary import check_at_start
from judge.config import EngineConfig
from judge.engines.base import Engine
from judge.engines.build import build_engine
from judge.profiles import resolve_profile
from serve.backend import Backend
from serve.batching import batched
from serve.context import Context
from serve.gate import build_gate
from serve.service import JudgeService
from serve.settings import ServeSettings
from serve.store.opening import open_store
from serve.telemetry import with_telemetry


def build_context(settings: ServeSettings, backend: Backend) -> Context:
    """What the routes share; the backend stays the caller's to close, and so does the store that is opened.

    Raises:
        ConfigError: Everybody would be let in, or the settings name no store that can be opened.
        StoreError: The store cannot be reached.
    """
    store = open_store(settings.store)
    context = Context(
        settings=settings, backend=backend, policies=store.policies, gate=build_gate(settings, store.keys),
        archive=store.verdicts if settings.store.keep_verdicts else None, store=store,
    )  # fmt: skip
    return with_telemetry(context)


async def build_service(settings: ServeSettings) -> JudgeService:
    """The backend in this process, with engines of its own.

    Raises:
        ConfigError: An engine cannot be built; those built before are closed then.
        EngineError: The same.
    """

    built: dict[str, Engine] = {}
    notices: list[str] = []
    configs: dict[str, EngineConfig] = {"": settings.judge.engine, **settings.judge.panel}
    try:
        for name, given in configs.items():
            config = resolve_profile(given)
            built[name] = batched(build_engine(config), config, settings.batch_wait_ms)
            notices += await check_at_start(built[name], config)
    except BaseException:
        for engine in built.values():
            await engine.close()
        raise
    return JudgeService.from_settings(settings, built.pop(""), panel=built, notices=notices)
