"""Whether a model of the Hugging Face hub is on this machine already, without the hub's library and without a network.

The folders are laid out as huggingface_hub does it: `models--owner--name/snapshots/<commit>/`, with `refs/main` naming
the commit of the default branch.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Literal

Presence = Literal["yes", "incomplete", "no"]
_INDEX = "model.safetensors.index.json"
_WEIGHTS = ("*.safetensors", "*.bin")


def default_hub_cache() -> Path:
    """Where huggingface_hub keeps models, by the variables that it reads."""
    if cache := os.environ.get("HF_HUB_CACHE", "") or os.environ.get("HUGGINGFACE_HUB_CACHE", ""):
        return Path(cache).expanduser()
    if home := os.environ.get("HF_HOME", ""):
        return Path(home).expanduser() / "hub"
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base).expanduser() if base else Path.home() / ".cache") / "huggingface" / "hub"


def hub_presence(repository: str, revision: str | None, cache: Path) -> Presence:
    """`incomplete` if some of the configuration or of the weights is missing.

    Args:
        repository: `owner/name`.
        revision: A commit; None = the default branch as it was last seen.
        cache: The hub's folder.
    """
    folder = cache / f"models--{repository.replace('/', '--')}"
    commit = revision or _read(folder / "refs" / "main").strip()
    snapshot = folder / "snapshots" / commit
    if not commit or not snapshot.is_dir():
        return "no"
    complete = (snapshot / "config.json").is_file() and _has_weights(snapshot)
    return "yes" if complete else "incomplete"


def _has_weights(snapshot: Path) -> bool:
    """Every part that the index names; links whose file is gone do not count."""
    if (snapshot / _INDEX).exists():
        parts = _parts(_read(snapshot / _INDEX))
        return bool(parts) and all((snapshot / part).is_file() for part in parts)
    return any(path.is_file() for pattern in _WEIGHTS for path in snapshot.glob(pattern))


def _parts(text: str) -> set[str]:
    try:
        index: object = json.loads(text)
    except ValueError:
        return set()
    named = index.get("weight_map") if isinstance(index, dict) else None
    return {str(part) for part in named.values()} if isinstance(named, dict) else set()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
