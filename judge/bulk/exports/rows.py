"""All rows in one file: JSON lines with the verdicts as objects, or Parquet with the columns of the parts."""

from __future__ import annotations

import json
from pathlib import Path

from judge.bulk.parts import Parts
from judge.bulk.run_file import RunRecord
from judge.bulk.schema import label_schema


def write_jsonl(parts: Parts, _: RunRecord, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in parts.all_rows():
            found = row.model_dump(mode="json")
            found["locator"] = json.loads(row.locator)
            found["verdict"] = json.loads(row.verdict) if row.verdict else None
            file.write(json.dumps(found, ensure_ascii=False) + "\n")


def write_parquet(parts: Parts, _: RunRecord, path: Path) -> None:
    import pyarrow.parquet as pq  # noqa: PLC0415

    schema = label_schema()
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for span in parts.spans:
            writer.write_table(pq.read_table(parts.path(span), partitioning=None).cast(schema))
