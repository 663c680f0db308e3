"""Errors as callers see them: a status, a code, a sentence and a hint; never a library's text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from judge.client.wire import ErrorBody, ErrorResponse
from judge.errors import AnswerError, ConfigError, ConstitutionError, EngineError, JudgeError, MediaError

_LONGEST_TEXT = 10_000


class Overloaded(JudgeError):
    """There is no room for the request now."""

    code: ClassVar[str] = "overloaded"
    retryable: ClassVar[bool] = True

    def __init__(self, message: str, *, hint: str = "try again later", retry_after_s: float = 1.0) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[object, ...]:
        return _overloaded, (self.message, self.hint, self.retry_after_s)


class DeadlineExceeded(JudgeError):
    """The time of the request ran out before there was any verdict."""

    code: ClassVar[str] = "deadline_exceeded"
    retryable: ClassVar[bool] = True


class Conflict(ConfigError):
    """There is something else under this name already."""

    code: ClassVar[str] = "conflict"


class StoreError(JudgeError):
    """The database, or the folder of waiting media, cannot be used now."""

    code: ClassVar[str] = "store"
    retryable: ClassVar[bool] = True


class ApiError(JudgeError):
    """An answer that is an error, with its status.

    Args:
        type: As `ErrorBody.type`.
        param: The field that is wrong.
        headers: Of the answer, e.g. `Retry-After`.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        type: str = "invalid_request_error",
        hint: str = "",
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.error_code = code
        self.type = type
        self.param = param
        self.headers = dict(headers or {})

    def body(self, request_id: str) -> ErrorResponse:
        return ErrorResponse(
            error=ErrorBody(
                message=_sendable(self.message), type=self.type, param=_sendable(self.param) if self.param else None,
                code=self.error_code, hint=_sendable(self.hint), request_id=request_id,
            )
        )  # fmt: skip


def to_api_error(error: JudgeError) -> ApiError:
    """How an error of the library is told to a caller."""
    match error:
        case ApiError():
            return error
        case Overloaded():
            retry = {"Retry-After": str(max(1, round(error.retry_after_s)))}
            told = ApiError(429, error.code, error.message, type="overloaded_error", hint=error.hint, headers=retry)
        case DeadlineExceeded():
            told = ApiError(504, error.code, error.message, type="timeout_error", hint=error.hint)
        case MediaError() | ConstitutionError():
            told = ApiError(422, error.code, error.message, hint=error.hint)
        case Conflict():
            told = ApiError(409, error.code, error.message, hint=error.hint)
        case StoreError():
            told = ApiError(
                503, "store_unavailable", error.message, type="server_error", hint="try again later",
                headers={"Retry-After": "1"},
            )  # fmt: skip
        case ConfigError():
            told = ApiError(400, error.code, error.message, hint=error.hint)
        case EngineError() | AnswerError():
            told = ApiError(
                503, "engine_unavailable", "the model cannot answer now", type="engine_error", hint="try again later",
                headers={"Retry-After": "1"},
            )  # fmt: skip
        case _:
            told = ApiError(500, "internal", "something went wrong here", type="server_error")
    return told


def _sendable(text: str) -> str:
    """Without half characters (lone surrogates), which JSON can name and no answer can carry; of bearable length."""
    return text[:_LONGEST_TEXT].encode("utf-8", "replace").decode("utf-8")


def _overloaded(message: str, hint: str, retry_after_s: float) -> Overloaded:
    return Overloaded(message, hint=hint, retry_after_s=retry_after_s)
