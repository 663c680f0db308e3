"""What the routes of other contracts share: what to judge, and the decision about all of it together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal

from judge.client.wire import JudgeOptions, MediaItem
from judge.constitution import Constitution
from judge.prompts.posted import MAX_CHARACTERS
from judge.types import DecisionLabel
from serve.backend import Reply, Work
from serve.context import Context
from serve.problems import ApiError
from serve.routes.judging import to_work
from serve.running import last_reply
from serve.schemas.finding import Finding, Findings

_STRICTEST_FIRST: tuple[DecisionLabel, ...] = ("unsafe", "uncertain", "safe")


def judges_text(constitution: Constitution) -> bool:
    return any("text" in rule.modalities for rule in constitution.rules)


def image_work(address: str, text: str, constitution: Constitution, context: Context) -> Work:
    """One picture by its `data:` URL, http(s) URL or base64, with the words that were posted with it.

    Raises:
        ApiError: 4xx, if it cannot be one.
    """
    if len(text) > MAX_CHARACTERS:
        raise ApiError(
            400, "text_too_long", f"the words posted with a picture are longer than {MAX_CHARACTERS} characters",
            hint="send fewer", param="input",
        )  # fmt: skip
    remote = address[:8].lower().startswith(("http://", "https://"))
    item = MediaItem(url=address, text=text) if remote else MediaItem(data=address, text=text)
    return to_work(item, "image", JudgeOptions(), constitution, context)


def text_work(text: str, constitution: Constitution, context: Context) -> Work:
    """A text for itself."""
    return Work(None, "text", constitution, text=text, deadline_s=context.settings.http.deadline_s)


async def all_replies(context: Context, works: Sequence[Work | Reply]) -> list[Reply]:
    """The final reply about each, in order; if one fails, the work on the others ends. A reply stays what it is."""
    try:
        async with asyncio.TaskGroup() as group:
            asked = [
                each if isinstance(each, Reply) else group.create_task(last_reply(context.backend, each))
                for each in works
            ]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    return [each if isinstance(each, Reply) else each.result() for each in asked]


def to_findings(replies: Sequence[Reply], n_images: int, constitution: Constitution) -> Findings:
    """The replies about pictures, then those about texts. Unsafe if anything is, safe only if everything is."""
    findings = [
        *(_finding(reply, "image", index) for index, reply in enumerate(replies[:n_images])),
        *(_finding(reply, "text", index) for index, reply in enumerate(replies[n_images:])),
    ]
    decisions = {finding.decision for finding in findings}
    return Findings(
        constitution=f"{constitution.name}@{constitution.version}",
        decision=next((label for label in _STRICTEST_FIRST if label in decisions), None),
        findings=tuple(findings),
    )


def _finding(reply: Reply, input: Literal["image", "text"], index: int) -> Finding:
    """What could not be read is uncertain."""
    verdict, error = reply.row.verdict, reply.row.error
    if verdict is None:
        return Finding(input=input, index=index, decision="uncertain", reason=error.message if error else "")
    return Finding(
        input=input,
        index=index,
        decision=verdict.decision,
        score=verdict.score,
        violated=tuple(rule.rule_id for rule in verdict.rules if rule.outcome == "violated"),
        category_scores=verdict.category_scores,
        reason=verdict.reason,
        notices=verdict.notices,
        media_id=verdict.media_id,
        model=verdict.model,
    )
