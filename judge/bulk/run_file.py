"""`run.json`: what a folder of labels was made with, so that every row can be made again and none is mixed in."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue, ValidationError

from judge import __version__
from judge.errors import ConfigError
from judge.types import Versions, Wire

_LIBRARIES = (
    "torch", "transformers", "vllm", "ray", "pyarrow", "pillow", "numpy", "av", "decord", "pydantic",
)  # fmt: skip
_CHECKED = ("package", "model", "runtime", "constitution", "thresholds", "cascade", "calibrated")
"""Of a verdict's versions; the others depend on the kind of media and on whether there is a text."""


class JobRecord(Wire):
    """What may not change between the runs into one folder."""

    source: str
    """As it was given."""
    root: str = ""
    """Where the files of a dataset card lie."""
    split: str = ""
    """Of a card or a data set."""
    columns: Mapping[str, JsonValue] = Field(default_factory=dict)
    """Columns that were named."""
    card: str = ""
    """Name and digest of the dataset card."""
    share: float = 1.0
    """Of the rows, drawn by their ids."""
    seed: int = 0
    """Of the drawing."""
    duplicates: str = "exact"
    """Which rows share a verdict: `none`, `exact` or `near`."""
    constitution: str
    """`name@version`."""
    constitution_digest: str
    """sha256 of its canonical form."""
    judged_by: Literal["pipeline", "service"] = "pipeline"
    """This program, or a service that it asked."""
    settings: Mapping[str, JsonValue] = Field(default_factory=dict)
    """Every setting of the pipeline; of a service only the stages that it was asked for."""


class Session(Wire):
    """One run of the command."""

    started: str
    """UTC."""
    ended: str
    """UTC."""
    first_missing: int
    """Rows that were written before."""
    why: str
    """`complete`, `limit`, `interrupted`, `budget_tokens`, `budget_seconds`, or what went wrong."""
    counts: Mapping[str, int]
    """What was added."""
    libraries: Mapping[str, str]
    """Versions of what may change a verdict."""
    machine: str
    """Where it ran."""


class RunRecord(Wire):
    """The whole file."""

    format: int = 1
    """Of this file and of the part files."""
    package: str = __version__
    """Version of visual-judge."""
    job: JobRecord
    """What may not change."""
    constitution_text: str = ""
    """The whole constitution, in its canonical form."""
    versions: Versions | None = None
    """Digests in the first verdict; null before there is one."""
    status: str = "running"
    """`complete` when every row of the source is written; `running` also after a kill."""
    rows: int = 0
    """Rows written, as of the last session that ended by itself."""
    sessions: tuple[Session, ...] = ()
    """All of them that ended by themselves."""


def read_run(path: Path) -> RunRecord | None:
    """None if there is none.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        return RunRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        why = f"{error.error_count()} wrong fields" if isinstance(error, ValidationError) else str(error)
        raise ConfigError(f"'{path}' cannot be read: {why}", hint="label into a new folder") from error


def write_run(path: Path, record: RunRecord) -> None:
    """Replaced as a whole.

    Raises:
        ConfigError: It cannot be written.
    """
    hidden = path.with_name(".run.json.tmp")
    try:
        with hidden.open("w", encoding="utf-8") as file:
            file.write(json.dumps(record.model_dump(mode="json"), indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        hidden.replace(path)
    except OSError as error:
        raise ConfigError(f"'{path}' cannot be written: {error.strerror}") from error


def check_same_job(found: JobRecord, asked: JobRecord, folder: Path) -> None:
    """Raises `ConfigError`, which says what differs, unless both are the same."""
    differences = list(_differences(found.model_dump(mode="json"), asked.model_dump(mode="json")))
    if differences:
        shown = "; ".join(differences[:4]) + (f"; and {len(differences) - 4} more" if len(differences) > 4 else "")
        raise ConfigError(
            f"'{folder}' holds rows that were made otherwise: {shown}",
            hint="give the same options as then, or another --out",
        )


def check_same_versions(found: Versions, made: Sequence[Versions], folder: Path) -> None:
    """Raises `ConfigError`, which says what differs, unless a verdict comes from the same model and settings."""
    for each in made:
        differing = [name for name in _CHECKED if getattr(found, name) != getattr(each, name)]
        if differing:
            raise ConfigError(
                f"'{folder}' holds rows of another {' and '.join(differing)}: "
                f"{_short(getattr(found, differing[0]))} then, {_short(getattr(each, differing[0]))} now",
                hint="label into another --out",
            )


def libraries() -> dict[str, str]:
    """Installed versions."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _differences(found: JsonValue, asked: JsonValue, name: str = "") -> Sequence[str]:
    if isinstance(found, dict) and isinstance(asked, dict):
        names = dict.fromkeys((*found, *asked))
        inner = (_differences(found.get(key), asked.get(key), f"{name}.{key}".lstrip(".")) for key in names)
        return [each for part in inner for each in part]
    return [] if found == asked else [f"{name} was {_short(found)} and is {_short(asked)}"]


def _short(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= 40 else text[:37] + "...")
