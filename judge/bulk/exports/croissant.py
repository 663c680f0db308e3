"""Croissant 1.0 metadata of `labels.parquet`: what the columns are, for programs and catalogues.

Source: the Croissant format specification, http://mlcommons.org/croissant/1.0
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args, get_type_hints

from pydantic import JsonValue

from judge import __version__
from judge.bulk.parts import Parts
from judge.bulk.row import LabelRow
from judge.bulk.run_file import RunRecord

_LABELS = "labels.parquet"
_NESTED = ("category_scores", "rules")
"""Columns that are in the file and not described: their fields have no place in a flat record."""
_REPEATED = ("violated", "notices", "labels")
_CONTEXT: Mapping[str, JsonValue] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def write_croissant(parts: Parts, record: RunRecord, path: Path) -> None:
    """`labels.parquet` lies beside it already."""
    labels = path.with_name(_LABELS)
    job = record.job
    described: dict[str, JsonValue] = {
        "@context": dict(_CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "labels",
        "description": f"{parts.n_rows} rows of '{job.source}', judged under the policy {job.constitution} "
        f"by visual-judge {record.package}. Labels only: the media are not part of it.",
        "license": "https://schema.org/license-not-stated",
        "url": "https://localhost/labels",
        "version": "1.0.0",
        "datePublished": datetime.now(UTC).date().isoformat(),
        "creator": {"@type": "sc:Organization", "name": f"visual-judge {__version__}"},
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": _LABELS,
                "name": _LABELS,
                "contentUrl": _LABELS,
                "contentSize": f"{labels.stat().st_size} B",
                "encodingFormat": "application/x-parquet",
                "sha256": _sha256(labels),
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet", "@id": "labels", "name": "labels", "key": {"@id": "labels/index"},
                "field": list(_fields()),
            }
        ],
    }  # fmt: skip
    path.write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")


def _fields() -> Sequence[JsonValue]:
    hints = get_type_hints(LabelRow)
    found: list[JsonValue] = []
    for name, field in LabelRow.model_fields.items():
        if name not in _NESTED:
            described: dict[str, JsonValue] = {
                "@type": "cr:Field",
                "@id": f"labels/{name}",
                "name": name,
                "description": (field.description or "").replace("`", ""),
                "dataType": _data_type(hints[name]),
                "source": {"fileObject": {"@id": _LABELS}, "extract": {"column": name}},
            }
            found.append({**described, "repeated": True} if name in _REPEATED else described)
    return found


def _data_type(hint: object) -> str:
    kinds = {hint, *get_args(hint)}
    if bool in kinds:
        return "sc:Boolean"
    if int in kinds:
        return "sc:Integer"
    return "sc:Float" if float in kinds else "sc:Text"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
