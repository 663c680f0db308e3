"""What travels from the reader over the decoders to the judges. Pickled, a bundle at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from judge.bulk.row import LabelRow, RuleRow
from judge.errors import EngineError, JudgeError, MediaError
from judge.pipeline import VIDEO_FAILED, engine_failed
from judge.sources.sample import Sample
from judge.types import InputError, Media, Stage, Verdict, Versions

_FAST: frozenset[Stage] = frozenset({"none", "relevance", "token_probability", "clip"})


@dataclass(frozen=True, slots=True)
class Item:
    """One row on its way.

    Attributes:
        data: Encoded media, until it is decoded; None for what will not be judged.
        media: Decoded media; None where the judge decodes (videos, very large pictures).
        error: Why it cannot be judged.
        duplicate_of: Index of the row that has the same verdict.
    """

    index: int
    sample: Sample
    digest: str = ""
    key: str = ""
    near_hash: str = ""
    data: bytes | None = None
    media: Media | None = None
    error: InputError | None = None
    duplicate_of: int | None = None

    @property
    def waits(self) -> bool:
        """Whether there is something to judge."""
        return self.error is None and self.duplicate_of is None

    def failed(self, error: JudgeError) -> Item:
        """The same, which will not be judged."""
        return replace(self, data=None, media=None, error=as_input_error(error))


@dataclass(frozen=True, slots=True)
class Bundle:
    """Items that are decoded and judged together.

    Attributes:
        number: In the order of reading; counted anew in every run.
        n_bytes: Encoded bytes that were read for it.
        fatal: The source cannot be read on from here; the last bundle then.
    """

    number: int
    items: tuple[Item, ...]
    n_bytes: int = 0
    fatal: InputError | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of a bundle.

    Attributes:
        rows: Duplicates come without their verdict.
        skipped: How many items were not judged because the run is to end.
        fatal: What ends the run.
        stops: At once; else when what is under way is judged.
        versions: Of the verdicts, each once.
    """

    number: int
    rows: tuple[LabelRow, ...]
    skipped: int = 0
    fatal: InputError | None = None
    stops: bool = True
    versions: tuple[Versions, ...] = ()


def as_input_error(error: JudgeError) -> InputError:
    return InputError(code=error.code, message=error.message, hint=error.hint)


def key_of(digest: str, text: str) -> str:
    """What two rows with the same verdict have in common."""
    if not text:
        return digest
    return hashlib.sha256(f"{digest} {text}".encode("utf-8", "surrogatepass")).hexdigest()


def unjudged_row(item: Item) -> LabelRow:
    """The row of what failed, or of a duplicate before its verdict is known."""
    error = item.error or InputError(code="duplicate", message="")
    return LabelRow.model_validate(
        {
            **_common(item),
            "duplicate_of": item.duplicate_of,
            "decision": "uncertain",
            "flagged": None,
            "reason": error.message,
            "error_code": error.code,
            "error_hint": error.hint,
        }
    )


def judged_row(item: Item, verdict: Verdict) -> LabelRow:
    """The row of what has a verdict; one that only says that something broke is an error, too."""
    same = {name: getattr(verdict, name) for name in _OF_VERDICT}
    rules = [{name: getattr(rule, name) for name in RuleRow.model_fields} for rule in verdict.rules]
    return LabelRow.model_validate(
        {
            **_common(item),
            **same,
            "violated": [rule.rule_id for rule in verdict.rules if rule.outcome == "violated"],
            "rules": rules,
            "escalated": is_escalated(verdict),
            "error_code": _code(verdict),
            "prompt_tokens": verdict.usage.prompt_tokens,
            "completion_tokens": verdict.usage.completion_tokens,
            "verdict": verdict.model_dump_json(),
        }
    )


def copied_row(row: LabelRow, original: LabelRow) -> LabelRow:
    """A duplicate with the verdict of its original; what is the row's own stays."""
    own = {name: getattr(row, name) for name in _OWN}
    return original.model_copy(update={**own, "prompt_tokens": 0, "completion_tokens": 0})


def is_escalated(verdict: Verdict) -> bool:
    """Whether a slow stage had a say."""
    return any(each.stage not in _FAST for rule in verdict.rules for each in rule.evidence)


def _code(verdict: Verdict) -> str:
    """Of what broke, if that is all that the verdict says."""
    if not engine_failed(verdict):
        return ""
    return MediaError.code if VIDEO_FAILED in verdict.reason else EngineError.code


_OF_VERDICT = (
    "media_kind", "decision", "flagged", "score", "calibrated_score", "category_scores", "reason", "n_frames",
    "duration_ms", "model", "notices",
)  # fmt: skip
_OWN = (
    "index", "id", "locator", "digest", "key", "near_hash", "duplicate_of", "harmful", "labels", "group", "problem",
)  # fmt: skip


def _common(item: Item) -> Mapping[str, object]:
    sample = item.sample
    return {
        "index": item.index,
        "id": sample.id,
        "locator": json.dumps(sample.locator.model_dump(), default=str),  # escapes what is no UTF-8
        "digest": item.digest,
        "key": item.key,
        "near_hash": item.near_hash,
        "harmful": sample.harmful,
        "labels": sample.labels,
        "group": sample.group,
        "problem": sample.problem,
    }
