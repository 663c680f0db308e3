"""The names of the exports, and what they all do: read rows, write beside the place, rename."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from pathlib import Path

from judge.bulk.exports.croissant import write_croissant
from judge.bulk.exports.label_studio import write_tasks
from judge.bulk.exports.rows import write_jsonl, write_parquet
from judge.bulk.exports.vhd11k import write_annotations
from judge.bulk.parts import Parts
from judge.bulk.run_file import RunRecord
from judge.errors import ConfigError

Writer = Callable[[Parts, RunRecord, Path], None]


class Export(StrEnum):
    """What can be written."""

    jsonl = "jsonl"
    parquet = "parquet"
    vhd11k = "vhd11k"
    label_studio = "label-studio"
    hf = "hf"
    croissant = "croissant"


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    write: Writer


def _hugging_face(parts: Parts, record: RunRecord, path: Path) -> None:
    """Imported by name: the command line itself needs no `datasets`."""
    write: Writer = import_module("judge.bulk.exports.hugging_face").write_data_set
    write(parts, record, path)


_KINDS: Mapping[Export, Sequence[_Kind]] = {
    Export.jsonl: (_Kind("labels.jsonl", write_jsonl),),
    Export.parquet: (_Kind("labels.parquet", write_parquet),),
    Export.vhd11k: (_Kind("vhd11k", write_annotations),),
    Export.label_studio: (_Kind("label-studio", write_tasks),),
    Export.hf: (_Kind("hf", _hugging_face),),
    Export.croissant: (_Kind("labels.parquet", write_parquet), _Kind("croissant.json", write_croissant)),
}


def export_all(parts: Parts, record: RunRecord, out: Path, exports: Sequence[Export]) -> list[Path]:
    """The files and folders written.

    Raises:
        ConfigError: One cannot be written, or a package for it is missing.
    """
    written: list[Path] = []
    for kind in dict.fromkeys(kind for export in exports for kind in _KINDS[export]):
        with _replaced(out / kind.name) as hidden:
            kind.write(parts, record, hidden)
        written.append(out / kind.name)
    return written


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    hidden = path.with_name(f".{path.name}.tmp")
    _remove(hidden)
    try:
        yield hidden
        _remove(path)
        hidden.rename(path)
    except OSError as error:
        raise ConfigError(f"'{path}' cannot be written: {error.strerror or error}") from error
    finally:
        _remove(hidden)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
