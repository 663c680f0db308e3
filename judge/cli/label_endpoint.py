"""`judge label --endpoint URL`: a running service judges, through its client."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from judge.bulk.item import Item
from judge.bulk.judging import Answer
from judge.client import JudgeClient, JudgeResult
from judge.client.errors import ClientError
from judge.client.media import Upload
from judge.config import StageChoice
from judge.errors import EngineError, JudgeError, MediaError

_OURS = ("engine", "deadline", "overloaded")
"""Codes of errors that are the service's, not the media's."""
_LONGEST_TEXT = 10_000
"""That the service takes."""


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """See `judge.bulk.judging.JudgingSpec`. Either a constitution that the service has, or a whole one."""

    url: str
    api_key: str | None
    constitution: str | None
    constitution_inline: str | None
    stages: StageChoice
    timeout_s: float = 600.0

    @property
    def takes_bytes(self) -> bool:
        return True

    def start(self) -> EndpointJudging:
        with JudgeClient(self.url, api_key=self.api_key, max_retries=1) as client:
            try:
                client.health()
            except ClientError as error:
                told = f"the service at {self.url} does not answer: {error.message}"
                raise EngineError(told, hint=error.hint) from error
        return EndpointJudging(self, JudgeClient(self.url, api_key=self.api_key, timeout_s=self.timeout_s))


class EndpointJudging:
    """Asks with one request for all items."""

    def __init__(self, spec: EndpointSpec, client: JudgeClient) -> None:
        self._spec = spec
        self._client = client

    def judge(self, items: Sequence[Item]) -> list[Answer]:
        if any(len(item.sample.text) > _LONGEST_TEXT for item in items):
            return [answer for item in items for answer in self._ask([item])]
        return self._ask(items)

    def _ask(self, items: Sequence[Item]) -> list[Answer]:
        spec = self._spec
        if len(items[0].sample.text) > _LONGEST_TEXT:
            return [
                MediaError(f"its text is longer than {_LONGEST_TEXT:,} characters", hint="judge it without --endpoint")
            ]
        media = [Upload(item.sample.id[:200], item.sample.text, item.data or b"").item() for item in items]
        try:
            results = self._client.judge(
                media, constitution=spec.constitution, constitution_inline=spec.constitution_inline,
                stages=spec.stages, explain=True,
            )  # fmt: skip
        except ClientError as error:
            return [EngineError(f"the service: {error.message}", hint=error.hint)] * len(items)
        return [_answer(result) for result in results]

    def close(self) -> None:
        self._client.close()


def _answer(result: JudgeResult) -> Answer:
    if result.verdict is not None:
        return result.verdict
    error = result.error
    if error is None:
        return JudgeError("the service gave neither a verdict nor an error")
    kind = EngineError if any(word in error.code for word in _OURS) else MediaError
    return kind(error.message, hint=error.hint)
