"""The service's log: one JSON object a line, one line a request. Never media, keys, or the query of a URL."""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TextIO

from starlette.types import Scope

from judge.errors import JudgeError
from judge.types import DecisionLabel, ScoreRow

_REQUESTS = logging.getLogger("serve.requests")
_FACTS = "facts"


@dataclass(slots=True)
class RequestFacts:
    """What the log says of one request; the routes fill in what they know.

    Attributes:
        status: 0 until the answer begins.
        n_bytes: Of the body, as far as it was read.
        n_failed: Media without a verdict.
        error: Code of the error that was answered.
    """

    request_id: str
    began_s: float = field(default_factory=time.monotonic)
    status: int = 0
    n_bytes: int = 0
    n_media: int = 0
    decisions: Counter[DecisionLabel] = field(default_factory=Counter)
    n_failed: int = 0
    error: str = ""

    def count(self, row: ScoreRow) -> None:
        """Add what became of one piece of media."""
        if row.error is None:
            self.decisions[row.decision] += 1
        else:
            self.n_failed += 1


def facts_of(scope: Scope) -> RequestFacts:
    """Those of the request; of a request that did not come through the gateway, new ones."""
    state = scope.setdefault("state", {})
    found = state.get(_FACTS)
    if not isinstance(found, RequestFacts):
        found = state[_FACTS] = RequestFacts("")
    return found


def begin_facts(scope: Scope, request_id: str) -> RequestFacts:
    """New facts; the request's id is also `request.state.request_id`."""
    scope.setdefault("state", {}).update({_FACTS: RequestFacts(request_id), "request_id": request_id})
    return facts_of(scope)


def log_request(scope: Scope) -> None:
    """One line about a request that has ended."""
    facts, caller, route = facts_of(scope), scope["state"].get("caller"), scope.get("route")
    shown: dict[str, object] = {
        "request_id": facts.request_id,
        "key": caller.name if caller else "",
        "method": scope["method"],
        "route": getattr(route, "path", ""),  # the template, so that no id of a path is written
        "status": facts.status,
        "ms": round((time.monotonic() - facts.began_s) * 1000, 1),
        "media": facts.n_media,
        "bytes": facts.n_bytes,
        "decisions": dict(facts.decisions),
        "failed": facts.n_failed,
        "error": facts.error,
    }
    _REQUESTS.info("request", extra={"fields": shown})


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON, with the `fields` it carries.

    Of an error of other people's code, its kind and where it was raised are written and its text is not: it may
    repeat what a caller sent.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, Mapping):
            line |= fields
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            line["exception"] = _described(error)
        return json.dumps(line, default=str)


def configure_logs(level: str, stream: TextIO | None = None) -> None:
    """Write the log of `serve` and `judge` as JSON, to the standard error stream if no other one is given."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    for name in ("serve", "judge"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level.upper())
    # The server's own lines about requests show whole URLs.
    logging.getLogger("uvicorn.access").disabled = True


def _described(error: BaseException) -> list[str]:
    """The error and what it came from, outermost first."""
    lines: list[str] = []
    current: BaseException | None = error
    while current is not None and len(lines) < 10:
        text = f": {current}" if isinstance(current, JudgeError) else ""
        frames = traceback.extract_tb(current.__traceback__)[-8:]
        where = " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames))
        lines.append(f"{type(current).__name__}{text} at {where}")
        inner = current.exceptions[0] if isinstance(current, BaseExceptionGroup) else None
        current = inner or current.__cause__ or current.__context__
    return lines
