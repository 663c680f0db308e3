"""Tells others that a job has ended: signed, tried again with growing pauses, kept in the database until it arrived.

One message at a time to each host, many hosts at the same time: one that fails or hangs delays no other. Addresses are
checked as for media by URL, redirects are not followed, and nothing of an answer but its status is read.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import httpcore
import httpx

from judge.client.wire import JudgeResult
from judge.errors import JudgeError, MediaError, quoted
from judge.media.dial import CheckedBackend, Deadline, Network
from judge.media.hosts import host_allowed
from judge.types import InputError
from serve.jobs.signature import signed_headers
from serve.problems import ApiError, StoreError
from serve.schemas.jobs import WebhookData, WebhookEvent
from serve.settings import WebhookSettings
from serve.store.deliveries import Delivery, DeliveryTable, Message
from serve.store.jobs import JobRequest

_LOG = logging.getLogger(__name__)
_HOSTS_AT_A_TIME = 32
_LOOK_AGAIN_S = 0.5
_LEASE_EXTRA_S = 30.0
_LONGEST_PAUSE_S = 3600.0
_GONE = 410


class Undelivered(JudgeError):
    """A message did not arrive. `never` = it need not be tried again."""

    def __init__(self, message: str, *, never: bool = False) -> None:
        super().__init__(message)
        self.never = never


class WebhookSender:
    """Sends what is due until it is cancelled.

    Args:
        on_attempt: Told whether an attempt was taken.
    """

    def __init__(
        self,
        deliveries: DeliveryTable,
        settings: WebhookSettings,
        key: bytes,
        network: Network,
        *,
        on_attempt: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._deliveries = deliveries
        self._settings = settings
        self._key = key
        self._network = network
        self._on_attempt = on_attempt
        self._under_way: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        # Threads of its own: a host that hangs holds one for as long as an attempt may take.
        threads = ThreadPoolExecutor(_HOSTS_AT_A_TIME, thread_name_prefix="webhook")
        try:
            while True:
                if not await self._begin_due(threads):
                    await asyncio.sleep(_LOOK_AGAIN_S)
        finally:
            for task in self._under_way.values():
                task.cancel()
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)
            threads.shutdown(wait=False)

    async def _begin_due(self, threads: ThreadPoolExecutor) -> int:
        self._under_way = {host: task for host, task in self._under_way.items() if not task.done()}
        room = _HOSTS_AT_A_TIME - len(self._under_way)
        try:
            due = await self._deliveries.claim(
                self._settings.timeout_s + _LEASE_EXTRA_S, self._under_way.keys(), room
            )  # fmt: skip
        except StoreError:
            _LOG.exception("webhooks that are due cannot be looked up")
            return 0
        for delivery in due:
            self._under_way[delivery.message.host] = asyncio.create_task(self._deliver(delivery, threads))
        return len(due)

    async def _deliver(self, delivery: Delivery, threads: ThreadPoolExecutor) -> None:
        try:
            await self._attempt(delivery, threads)
        except Exception:  # due again when the lease ends, but not for ever: the attempt is counted
            _LOG.exception("what became of webhook %s is not known", delivery.id)

    async def _attempt(self, delivery: Delivery, threads: ThreadPoolExecutor) -> None:
        try:
            if delivery.attempt > self._settings.max_attempts:
                raise Undelivered("the service ended under the last attempt", never=True)
            await asyncio.get_running_loop().run_in_executor(threads, self._post, delivery)
        except Undelivered as error:
            self._on_attempt(False)
            gives_up = error.never or delivery.attempt >= self._settings.max_attempts
            _LOG.warning(
                "webhook %s to %s, attempt %d: %s%s", delivery.id, quoted(delivery.message.host), delivery.attempt,
                error.message, "; given up" if gives_up else "",
            )  # fmt: skip
            pause_s = min(self._settings.first_pause_s * 2 ** (delivery.attempt - 1), _LONGEST_PAUSE_S)
            await self._deliveries.failed(delivery, error.message, None if gives_up else pause_s)
        else:
            self._on_attempt(True)
            await self._deliveries.delivered(delivery)

    def _post(self, delivery: Delivery) -> None:
        """Raises `Undelivered`."""
        try:
            check_webhook_url(delivery.message.url, self._settings)  # the list may have changed since
        except ApiError as error:
            raise Undelivered(error.message, never=True) from error
        body = delivery.message.body.encode()
        headers = signed_headers(self._key, delivery.id, int(time.time()), body)
        status = post(delivery.message.url, headers, body, timeout_s=self._settings.timeout_s, network=self._network)
        if not 200 <= status < 300:
            raise Undelivered(f"the answer was {status}", never=status == _GONE)


def post(url: str, headers: Mapping[str, str], body: bytes, *, timeout_s: float, network: Network) -> int:
    """One request; returns the status of the answer.

    Raises:
        Undelivered: There was no answer in time, or the address is not a public one.
    """
    parsed = httpx.URL(url)
    target = httpcore.URL(
        scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=parsed.raw_path
    )  # fmt: skip
    whole: list[tuple[bytes | str, bytes | str]] = [
        ("Host", parsed.netloc),
        ("User-Agent", "visual-judge"),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        *headers.items(),
    ]
    backend = CheckedBackend(network, Deadline(timeout_s))
    try:
        with (
            httpcore.ConnectionPool(ssl_context=network.tls(), network_backend=backend) as pool,
            pool.stream("POST", target, headers=whole, content=body) as response,
        ):
            return response.status
    except MediaError as error:
        raise Undelivered(error.message) from error
    except httpcore.TimeoutException as error:
        raise Undelivered(f"there was no answer in {timeout_s:g} s") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, ValueError) as error:
        raise Undelivered("the transfer failed") from error


def check_webhook_url(url: str, settings: WebhookSettings) -> str:
    """Host and port of a URL that may be told, as far as its text shows. Raises `ApiError` 422."""
    if not settings.hosts:
        raise _refused("webhooks are off here", "look for the job's end yourself")
    try:
        parsed = httpx.URL(url)
        host = parsed.raw_host.decode("ascii")
    except (httpx.InvalidURL, ValueError) as error:
        raise _refused("the WebhookUrl is not a URL") from error
    if parsed.scheme not in ("http", "https") or parsed.userinfo or "%" in host:
        raise _refused("the WebhookUrl must be http or https, without user name and password")
    if parsed.port is not None and not 0 < parsed.port < 2**16:
        raise _refused("the WebhookUrl has no valid port")
    if not host_allowed(host, settings.hosts):
        raise _refused(f"host {quoted(host)} is not on the list of hosts that may be told")
    return parsed.netloc.decode("ascii")


def message_about(
    job_id: str, request: JobRequest, result: JudgeResult | None, error: InputError | None
) -> Message | None:
    """What is told when a job has ended; None if nobody asked."""
    if request.webhook_url is None:
        return None
    data = WebhookData(
        job_id=job_id, job_status="SUCCEEDED" if result else "FAILED", job_tag=request.job_tag,
        constitution=request.constitution, decision=result.decision if result else None,
        flagged=result.flagged if result else None, verdict_id=result.id if result else None, error=error,
    )  # fmt: skip
    event = WebhookEvent(
        type="video_job.succeeded" if result else "video_job.failed", timestamp=datetime.now(UTC), data=data
    )
    host = httpx.URL(request.webhook_url).netloc.decode("ascii")
    return Message(request.webhook_url, host, event.model_dump_json(by_alias=True))


def _refused(message: str, hint: str = "") -> ApiError:
    return ApiError(422, "webhook_not_allowed", message, hint=hint, param="WebhookUrl")
