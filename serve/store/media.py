"""Media that wait for a job: one file each, written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from judge.errors import MediaError
from serve.problems import StoreError

_UNOWNED_S = 3600.0
"""Files of no job that waits are deleted after so long: the job may be about to be written."""


class WaitingMedia:
    """A folder, made on the first use. Files are named by the digest of their content, and by their job."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, job_id: str, digest: str, data: bytes) -> None:
        """Raises `StoreError` if it cannot be written."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, part = tempfile.mkstemp(dir=self._folder, suffix=".part")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(part, self._path(job_id, digest))
            except OSError:
                _unlink(Path(part))
                raise
        except OSError as error:
            raise StoreError("the video cannot be kept until it is judged") from error

    def read(self, job_id: str, digest: str) -> bytes:
        """Raises `MediaError` if it is not there, or is not what was written."""
        try:
            data = self._path(job_id, digest).read_bytes()
        except OSError as error:
            raise MediaError("the waiting video cannot be read", hint="start the job again") from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise MediaError("the waiting video was changed on the disk", hint="start the job again")
        return data

    def remove(self, job_id: str, digest: str | None) -> None:
        """Nothing happens if there is none; what cannot be removed is swept later."""
        if digest is not None:
            _unlink(self._path(job_id, digest))

    def sweep(self, waiting: Collection[str]) -> None:
        """Delete the files of all other jobs, unless they are young."""
        if not self._folder.is_dir():
            return
        for path in self._folder.iterdir():
            try:
                young = time.time() - path.stat().st_mtime < _UNOWNED_S
            except OSError:
                continue
            if not young and path.name.rpartition(".")[2] not in waiting:
                _unlink(path)

    def _path(self, job_id: str, digest: str) -> Path:
        return self._folder / f"{digest}.{job_id}"


def _unlink(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
