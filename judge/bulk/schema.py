"""The types of the rows in Parquet. What the columns mean: `judge.bulk.row`, and docs/label.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from judge.bulk.row import LabelRow

if TYPE_CHECKING:
    import pyarrow as pa


def label_schema() -> pa.Schema:
    """One column for every field of `LabelRow`, in its order."""
    import pyarrow as pa  # noqa: PLC0415

    text, texts, number = pa.string(), pa.list_(pa.string()), pa.float64()
    word = pa.dictionary(pa.int32(), pa.string())
    rule = pa.struct(
        [
            ("rule_id", text), ("category", text), ("severity", text), ("outcome", text), ("score", number),
            ("calibrated_score", number), ("stage", text), ("reason", text),
        ]
    )  # fmt: skip
    types: Mapping[str, pa.DataType] = {
        "index": pa.int64(), "id": text, "locator": text, "digest": text, "key": text, "near_hash": text,
        "duplicate_of": pa.int64(), "media_kind": word, "decision": word, "flagged": pa.bool_(), "score": number,
        "calibrated_score": number, "category_scores": pa.map_(text, number), "violated": texts,
        "rules": pa.list_(rule), "escalated": pa.bool_(), "reason": text, "error_code": word, "error_hint": text,
        "n_frames": pa.int32(), "duration_ms": pa.int64(), "model": word, "notices": texts,
        "prompt_tokens": pa.int64(), "completion_tokens": pa.int64(), "harmful": pa.bool_(), "labels": texts,
        "group": text, "problem": text, "verdict": text,
    }  # fmt: skip
    return pa.schema([pa.field(name, types[name]) for name in LabelRow.model_fields])


def to_table(rows: Iterable[LabelRow]) -> pa.Table:
    """Text that cannot be UTF-8 (half a character in a file's name) is written with `?` in its place."""
    import pyarrow as pa  # noqa: PLC0415

    return pa.Table.from_pylist([_plain(row) for row in rows], schema=label_schema())


def from_table(table: pa.Table) -> list[LabelRow]:
    return [LabelRow.model_validate(_read(each)) for each in table.to_pylist()]


def _plain(row: LabelRow) -> Mapping[str, object]:
    found = {name: _clean(value) for name, value in row.model_dump().items()}
    return {**found, "category_scores": list(row.category_scores.items())}


def _clean(value: object) -> object:
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {name: _clean(each) for name, each in value.items()}
    if isinstance(value, Sequence):
        return [_clean(each) for each in value]
    return value


def _read(found: Mapping[str, object]) -> Mapping[str, object]:
    pairs = found["category_scores"]
    assert isinstance(pairs, list)
    return {**found, "category_scores": dict(pairs)}
