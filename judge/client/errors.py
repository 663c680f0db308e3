"""What the client raises: the service's own code, sentence and hint, and the id of the request for its logs."""

from __future__ import annotations

from typing import ClassVar

from judge.client.wire import ErrorBody
from judge.errors import JudgeError


class ClientError(JudgeError):
    """Root of what the client raises about a call.

    Attributes:
        status: Of HTTP; None if there was no answer.
        error_code: The service's short name for it, as in `ErrorBody.code`; empty if there was no answer.
        param: The field of the request that is wrong, where it is one.
        request_id: For the service's logs.
        retry_after_s: What the service asked to wait before the next try.
    """

    code: ClassVar[str] = "client"

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        status: int | None = None,
        error_code: str = "",
        param: str | None = None,
        request_id: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.error_code = error_code
        self.param = param
        self.request_id = request_id
        self.retry_after_s = retry_after_s


class Refused(ClientError):
    """Something in the request is wrong: 4xx. The same request would be refused again."""


class NotAllowed(Refused):
    """The API key is missing, unknown, or may not do this: 401, 403."""


class NotFound(Refused):
    """There is no such thing, or it belongs to another key: 404."""


class RateLimited(ClientError):
    """Too much is under way, or the key's limit or quota is used up: 429."""

    retryable: ClassVar[bool] = True


class Unavailable(ClientError):
    """The service cannot be reached, broke off, or its model does not answer: 502, 503."""

    retryable: ClassVar[bool] = True


class OutOfTime(ClientError):
    """The client's `timeout_s`, or the service's own limit (504), ran out before there was an answer."""

    retryable: ClassVar[bool] = True


class ServiceFailed(ClientError):
    """The service has a fault of its own: any other 5xx."""


class UnreadableAnswer(ClientError):
    """What answered is not this service, or a version of it that this client does not know."""


_BY_STATUS: dict[int, type[ClientError]] = {
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    429: RateLimited,
    502: Unavailable,
    503: Unavailable,
    504: OutOfTime,
}


def to_error(status: int, body: ErrorBody | None, *, request_id: str, retry_after_s: float | None) -> ClientError:
    """The error of an answer; `body` is None where it is not in the service's shape (a proxy's, say)."""
    kind = _BY_STATUS.get(status) or (Refused if 400 <= status < 500 else ServiceFailed)
    told = body or ErrorBody(message=f"the service answered with status {status}", type="", code="")
    return kind(
        told.message, hint=told.hint, status=status, error_code=told.code, param=told.param,
        request_id=told.request_id or request_id, retry_after_s=retry_after_s,
    )  # fmt: skip
