"""Who may call, and how often: API keys, what they may do, their rates and quotas.

Rates and quotas are counted in this process: several gateways each allow them, and a restart forgets them.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urlsplit

from fastapi import Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter
from starlette.requests import HTTPConnection

from judge.errors import ConfigError
from serve.context import Caller, Gate, OpenGate
from serve.problems import ApiError
from serve.settings import AuthSettings, KeySettings, Scope, ServeSettings

_FAILURES = RateLimitItemPerMinute(20)
"""Unknown keys from one address, beyond which keys that were not seen before are not even looked up."""
_BEARER = HTTPBearer(auto_error=False, scheme_name="bearer", description="`Authorization: Bearer <key>`")
_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="header", description="The key alone.")


class KeyStore(Protocol):
    """Keys outside of the settings."""

    async def find(self, sha256: str) -> KeySettings | None:
        """The key with this digest, unless it is unknown or withdrawn."""


def build_gate(settings: ServeSettings, store: KeyStore | None = None) -> Gate:
    """The gate that the settings ask for.

    Raises:
        ConfigError: Everybody would be let in from other machines.
    """
    if settings.auth.mode == "keys":
        return KeyGate(settings.auth, store)
    if not _is_loopback(settings.http.host):
        raise ConfigError(
            f"auth.mode 'open' lets everybody in, and the service would listen on '{settings.http.host}'",
            hint="listen on 127.0.0.1, or use API keys",
        )
    return LocalGate()


class LocalGate(OpenGate):
    """Lets in everybody on this machine, but no web page of another site that the machine's browser shows.

    Such a page can post forms to any address, and a host name of its own can be made to lead to this machine.
    """

    async def identify(self, request: HTTPConnection) -> Caller:
        """As `Gate.identify`."""
        if not _is_loopback(_host(request)) or request.headers.get("sec-fetch-site") == "cross-site":
            raise ApiError(
                403, "foreign_page", "without API keys, only this machine is served", type="permission_error",
                hint="ask for http://127.0.0.1 or http://localhost, or use API keys",
            )  # fmt: skip
        return await super().identify(request)


class KeyGate:
    """Lets in who shows a key.

    A caller behind an address from which somebody else guesses is not locked out, once its key has been let in.
    """

    def __init__(self, auth: AuthSettings, store: KeyStore | None = None) -> None:
        self._auth = auth
        self._store = store
        self._let_in: dict[str, KeySettings] = {}
        storage = MemoryStorage()
        self._rates = MovingWindowRateLimiter(storage)
        self._quotas = FixedWindowRateLimiter(storage)

    def require(self, scope: Scope) -> Callable[[Request], Awaitable[Caller]]:
        """As `Gate.require`."""

        async def let_in(
            request: Request, bearer: object = Security(_BEARER), header: object = Security(_HEADER)
        ) -> Caller:
            caller = await self.identify(request)
            if scope not in caller.scopes:
                message = f"the API key '{caller.name}' may not do this: it has no scope '{scope}'"
                raise ApiError(403, "missing_scope", message, type="permission_error")
            return caller

        return let_in

    async def identify(self, request: HTTPConnection) -> Caller:
        """As `Gate.identify`."""
        known: Caller | None = getattr(request.state, "caller", None)
        if known is not None:
            return known
        digest = hashlib.sha256(_shown_key(request).encode()).hexdigest()
        key = await self._check(digest, request.client.host if request.client else "")
        request.state.caller = Caller(digest, key.name, frozenset(key.scopes))
        await self._count_request(digest, key)
        return Caller(digest, key.name, frozenset(key.scopes))

    async def count_media(self, caller: Caller, n_media: int) -> None:
        """As `Gate.count_media`."""
        key = self._let_in.get(caller.key_id)
        quota = (key.media_per_day if key else None) or self._auth.media_per_day
        if quota is None:
            return
        now = datetime.now(UTC)
        item, today = RateLimitItemPerDay(quota), now.date().isoformat()
        # Asked first: a hit that is refused counts nevertheless.
        if not await self._quotas.test(item, "media", caller.key_id, today, cost=n_media):
            left = (await self._quotas.get_window_stats(item, "media", caller.key_id, today)).remaining
            midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
            message = f"the API key '{caller.name}' has {left:,} of its {quota:,} media left for today, UTC"
            raise _too_many("quota_used_up", message, (midnight - now).total_seconds())
        await self._quotas.hit(item, "media", caller.key_id, today, cost=n_media)

    async def _check(self, digest: str, address: str) -> KeySettings:
        if digest not in self._let_in and not await self._rates.test(_FAILURES, "failures", address):
            wait_s = await self._wait_s(_FAILURES, "failures", address)
            raise _too_many("too_many_failures", "too many unknown API keys came from this address", wait_s)
        key = await self._find(digest)
        if key is None:
            self._let_in.pop(digest, None)
            await self._rates.hit(_FAILURES, "failures", address)
            raise _unknown_key("the API key is not known")
        self._let_in[digest] = key
        return key

    async def _find(self, digest: str) -> KeySettings | None:
        # All of them, each in constant time: how long it takes tells nothing of which one came near.
        matching = [key for key in self._auth.keys if hmac.compare_digest(key.sha256, digest)]
        if matching or self._store is None:
            return matching[0] if matching else None
        return await self._store.find(digest)

    async def _count_request(self, digest: str, key: KeySettings) -> None:
        most = key.requests_per_minute or self._auth.requests_per_minute
        if most is None:
            return
        item = RateLimitItemPerMinute(most)
        if not await self._rates.hit(item, "requests", digest):
            wait_s = await self._wait_s(item, "requests", digest)
            raise _too_many("rate_limited", f"more than {most:,} requests a minute with this API key", wait_s)

    async def _wait_s(self, item: RateLimitItem, *names: str) -> float:
        stats = await self._rates.get_window_stats(item, *names)
        return stats.reset_time - time.time()


def _host(request: HTTPConnection) -> str:
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:  # half an IPv6 address
        return ""


def _shown_key(request: HTTPConnection) -> str:
    """Raises `ApiError` 401 if there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    shown = token.strip() if scheme.lower() == "bearer" else ""
    shown = shown or request.headers.get("x-api-key", "").strip()
    if not shown:
        raise _unknown_key("an API key is needed")
    return shown


def _unknown_key(message: str) -> ApiError:
    hint = "send it as `Authorization: Bearer <key>` or `X-API-Key: <key>`"
    headers = {"WWW-Authenticate": "Bearer"}
    return ApiError(401, "invalid_api_key", message, type="authentication_error", hint=hint, headers=headers)


def _too_many(code: str, message: str, wait_s: float) -> ApiError:
    seconds = max(1, math.ceil(wait_s))
    headers = {"Retry-After": str(seconds)}
    return ApiError(
        429, code, message, type="rate_limit_error", hint=f"try again in {seconds:,} s", headers=headers
    )  # fmt: skip


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
