"""Signs webhooks as Standard Webhooks has it, so that its libraries verify them in any language.

Headers: `webhook-id` (the same at every attempt: a receiver that has seen it ignores it), `webhook-timestamp` (seconds;
a receiver refuses old ones), `webhook-signature` (`v1,` and the base64 of an HMAC-SHA256 over `id.timestamp.body`).
Source: Standard Webhooks, specification 1.0.0.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os

from judge.errors import ConfigError
from serve.settings import WebhookSettings

_SHORTEST_BYTES = 24


def read_secret(settings: WebhookSettings) -> bytes:
    """The key of the signatures; empty if no host may be told.

    Raises:
        ConfigError: Hosts may be told, and the environment variable holds no key, or one that can be guessed.
    """
    if not settings.hosts:
        return b""
    text = os.environ.get(settings.secret_env, "").strip()
    hint = f"set {settings.secret_env} to whsec_ and the base64 of at least {_SHORTEST_BYTES} random bytes"
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigError("the key of the webhooks' signatures is not base64", hint=hint) from error
    if len(key) < _SHORTEST_BYTES:
        raise ConfigError("there is no key for the webhooks' signatures, or it is too short", hint=hint)
    return key


def signed_headers(key: bytes, id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    content = b".".join((id.encode(), str(timestamp_s).encode(), body))
    signature = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return {"webhook-id": id, "webhook-timestamp": str(timestamp_s), "webhook-signature": f"v1,{signature}"}
