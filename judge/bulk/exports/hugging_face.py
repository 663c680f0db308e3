"""A data set as Hugging Face's `load_from_disk` reads it: the columns of the parts, categories and scores as pairs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from judge.bulk.parts import Parts
from judge.bulk.row import LabelRow
from judge.bulk.run_file import RunRecord
from judge.bulk.schema import label_schema
from judge.sources.needs import need


def write_data_set(parts: Parts, _: RunRecord, folder: Path) -> None:
    """Raises `ConfigError` if the package `datasets` is missing."""
    datasets = need("datasets", "a Hugging Face data set")
    import pyarrow as pa  # noqa: PLC0415

    pair = pa.list_(pa.struct([("category", pa.string()), ("score", pa.float64())]))
    fields = []
    for field in label_schema():
        kind = pair if field.name == "category_scores" else field.type
        fields.append(pa.field(field.name, kind.value_type if pa.types.is_dictionary(kind) else kind))
    features = datasets.Features.from_arrow_schema(pa.schema(fields))

    def rows() -> Iterator[Mapping[str, object]]:
        for row in parts.all_rows():
            yield _plain(row)

    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as cache:
        datasets.Dataset.from_generator(rows, features=features, cache_dir=cache).save_to_disk(str(folder))


def _plain(row: LabelRow) -> Mapping[str, object]:
    pairs = [{"category": name, "score": score} for name, score in row.category_scores.items()]
    return {**row.model_dump(mode="json"), "category_scores": pairs}
