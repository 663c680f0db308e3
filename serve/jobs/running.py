"""Everything that works behind the routes: workers, webhooks, the cleaning of the store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from judge.media.dial import PUBLIC_INTERNET, Network
from serve.context import Context
from serve.jobs.runner import JobRunner
from serve.jobs.signature import read_secret
from serve.jobs.webhooks import WebhookSender
from serve.problems import StoreError
from serve.store.opening import Store
from serve.telemetry import Telemetry

_LOG = logging.getLogger(__name__)
_CLEAN_S = 600.0
_BROKEN_S = 5.0
"""Pause before a part that broke down begins again."""


class RunningJobs:
    """What `start_jobs` started; `close` ends it, and jobs under way go back to wait."""

    def __init__(self, parts: Sequence[Callable[[], Awaitable[None]]]) -> None:
        self._tasks = [asyncio.create_task(_always(part)) for part in parts]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def start_jobs(context: Context, *, network: Network = PUBLIC_INTERNET, first_pause_s: float = 1.0) -> RunningJobs:
    """Start what works behind the routes of a context with a store, in the running loop. Several processes may.

    Args:
        network: Where webhooks go.
        first_pause_s: As `JobRunner`.

    Raises:
        ConfigError: Webhooks are allowed, and there is no key for their signatures.
    """
    store, settings = context.store, context.settings.jobs
    assert store is not None
    telemetry = context.telemetry or Telemetry()
    sender = WebhookSender(
        store.deliveries, settings.webhooks, read_secret(settings.webhooks), network, on_attempt=telemetry.count_webhook
    )
    workers = [
        JobRunner(
            store.jobs, store.media, context.backend, settings, first_pause_s=first_pause_s, on_end=telemetry.count_job
        )
        for _ in range(settings.workers)
    ]
    return RunningJobs([sender.run, partial(_clean, store), *(worker.run for worker in workers)])


async def _always(part: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await part()
        except Exception:  # of nobody's making that we know: the others go on, and it is tried again
            _LOG.exception("a part of the jobs broke down")
        await asyncio.sleep(_BROKEN_S)


async def _clean(store: Store) -> None:
    while True:
        try:
            await store.clean()
        except StoreError:
            _LOG.exception("old entries cannot be deleted")
        await asyncio.sleep(_CLEAN_S)
