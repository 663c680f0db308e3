"""The files of one authoring run: the draft, the review beside it, and what is kept of an unfinished run."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import JsonValue, ValidationError

from judge.authoring import Decomposed, Objectified
from judge.errors import ConfigError
from judge.types import Wire

Record = TypeVar("Record", Objectified, Decomposed)


class _State(Wire):
    key: str
    """Of input, settings, model and prompts: records are of use for the same run only."""
    records: tuple[JsonValue, ...] = ()
    """All rules, as far as they came."""


class RunFiles(Generic[Record]):
    """Refuses to overwrite; keeps records after every round.

    Args:
        out: Where the draft goes. `NAME.review.yaml` and `NAME.state.json` lie beside it.
        key: What the run depends on.
        record: Kind of the records.
    """

    def __init__(self, out: Path, key: str, record: type[Record]) -> None:
        self.out = out
        self.review = out.with_name(f"{out.stem}.review.yaml")
        self.state = out.with_name(f"{out.stem}.state.json")
        self._key = key
        self._record: type[Record] = record

    def start(self, source: Path, *, force: bool, resume: bool) -> list[Record]:
        """Records to go on with; writes nothing.

        Raises:
            ConfigError: Something would be overwritten, or there is nothing to resume.
        """
        if self.out.suffix not in (".yaml", ".yml"):
            raise ConfigError(f"'{self.out}' is no name for a YAML file", hint="let --out end in .yaml")
        if source.resolve() in (self.out.resolve(), self.review.resolve(), self.state.resolve()):
            raise ConfigError(f"--out would overwrite the input '{source}'", hint="choose another name")
        records = self._resumed() if resume else []
        if not resume and not force:
            self._refuse_to_overwrite()
        return records

    def keep(self, records: Sequence[Record]) -> None:
        """Writes all records. With none, before the first question, it finds out whether the folder takes files."""
        state = _State(key=self._key, records=tuple(record.model_dump(mode="json") for record in records))
        _write(self.state, state.model_dump_json())

    def finish(self, draft: str, review: str, *, complete: bool) -> None:
        """Writes the results; the state stays if the engine failed on some rule, so that they can be asked again."""
        _write(self.review, review)
        _write(self.out, draft)
        if complete:
            self.state.unlink(missing_ok=True)

    def _refuse_to_overwrite(self) -> None:
        if self.state.exists():
            raise ConfigError(
                f"'{self.state}' is kept of an unfinished run", hint="--resume goes on with it, --force starts anew"
            )
        for path in (self.out, self.review):
            if path.exists():
                raise ConfigError(f"'{path}' exists", hint="choose another --out, or overwrite it with --force")

    def _resumed(self) -> list[Record]:
        try:
            state = _State.model_validate_json(self.state.read_bytes())
            # As JSON, because answers are strict: what a list may stand for is known there only.
            records = [self._record.model_validate_json(json.dumps(each)) for each in state.records]
        except FileNotFoundError as error:
            raise ConfigError(f"there is no '{self.state}' to resume", hint="leave out --resume") from error
        except (OSError, ValidationError) as error:
            raise ConfigError(f"'{self.state}' cannot be read", hint="--force starts anew") from error
        if state.key != self._key:
            raise ConfigError(
                f"'{self.state}' is of a run with another input, model, settings or version",
                hint="give the same options again, or start anew with --force",
            )
        return records


def _write(path: Path, text: str) -> None:
    """Writes beside the target and renames over it, so that no reader ever sees half a file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            Path(name).chmod(0o666 & ~_umask())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(f"'{path}' cannot be written: {error.strerror}") from error


def _umask() -> int:
    """mkstemp makes files that only their owner reads; a result is for everyone whom the umask lets."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
