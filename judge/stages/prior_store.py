"""Keeps the readings that do not depend on the frame (text only, blank, noise) between runs: one JSON file each.

One file per key, replaced atomically, is all that concurrent processes need: the worst case is a reading
computed twice. A cache, never a source of errors: what cannot be read is asked again, what cannot be written
stays in memory.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from judge.types import Reference

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PriorKey:
    """Everything that a reading which does not depend on the frame depends on."""

    model_digest: str
    runtime: str
    template_digest: str
    statement: str
    reference: Reference = "none"


def default_cache_dir() -> Path:
    """The user's cache folder for this project, by the XDG convention."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "visual-judge"


class PriorStore:
    """Probability of Yes for a reference, by `PriorKey`.

    Args:
        folder: Where the files lie; created on the first write. None keeps everything in memory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._memory: dict[PriorKey, float] = {}

    def get(self, key: PriorKey) -> float | None:
        """The stored probability, or None if there is none that can be trusted."""
        if key not in self._memory and self._folder is not None:
            stored = _read(self._folder / _file_name(key), key)
            if stored is not None:
                self._memory[key] = stored
        return self._memory.get(key)

    def put(self, key: PriorKey, prior: float) -> None:
        """Store a probability in [0, 1]; a folder that cannot be written is logged once and given up."""
        self._memory[key] = prior
        if self._folder is None:
            return
        try:
            _write(self._folder / _file_name(key), {**asdict(key), "prior": prior})
        except OSError as error:
            _logger.warning("priors are kept in memory only: cannot write to '%s': %s", self._folder, error)
            self._folder = None


def _file_name(key: PriorKey) -> str:
    return hashlib.sha256(json.dumps(asdict(key), sort_keys=True).encode()).hexdigest() + ".json"


def _read(path: Path, key: PriorKey) -> float | None:
    try:
        content: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        _logger.warning("prior '%s' cannot be read and is asked again: %s", path, error)
        return None
    prior = content.get("prior") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(prior, float) or not 0.0 <= prior <= 1.0:
        _logger.warning("prior '%s' is not a stored reading and is asked again", path)
        return None
    if content != {**asdict(key), "prior": prior}:
        _logger.warning("prior '%s' belongs to another question and is asked again", path)
        return None
    return prior


def _write(path: Path, content: dict[str, str | float]) -> None:
    """Write beside the target and rename over it, so that no reader ever sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
