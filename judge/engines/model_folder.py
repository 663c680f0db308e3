"""What a model folder says about itself besides weights: its digest and its domain (`visual_judge.json`)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from judge.errors import ConfigError
from judge.types import Domain, Probability

CARD_FILE = "visual_judge.json"
DIGESTS_FILE = "sha256.json"
_DIGESTED = frozenset({".safetensors", ".bin", ".json", ".model", ".txt", ".jinja", ".tiktoken", ".py"})
_CHUNK_BYTES = 1 << 20


class DomainCard(BaseModel):
    """What the model was made for, as `judge.types.Domain` has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    statement: str
    """A statement about the picture that the model itself can judge."""
    description: str
    """The domain in words for people."""
    min_probability: Probability = 0.5
    """Below this the picture is outside."""
    hint: str = "choose a model with --model"
    """The way out."""


class ModelCard(BaseModel):
    """The content of `visual_judge.json`; every field may be left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = ""
    """What to call the model; empty = as it was asked for."""
    domain: DomainCard | None = None
    """None = no stated limits."""
    max_frames: int | None = Field(default=None, ge=1)
    """Most frames in one prompt; None = the engine's default."""

    def to_domain(self) -> Domain | None:
        if self.domain is None:
            return None
        card = self.domain
        return Domain(card.statement, card.description, card.min_probability, card.hint)


def read_card(folder: Path) -> ModelCard:
    """Read `visual_judge.json`; without that file an empty card.

    Raises:
        ConfigError: The file is there but cannot be read.
    """
    path = folder / CARD_FILE
    if not path.is_file():
        return ModelCard()
    try:
        return ModelCard.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ConfigError(f"model card '{path}' cannot be read: {error}") from error


def folder_digest(folder: Path) -> str:
    """sha256 (hex) over names and contents of the weight, configuration and tokenizer files at the top of a folder.

    Documentation does not count; a subfolder (training checkpoints) does not either.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if _counts(path):
            digest.update(f"{path.name}\0{_file_digest(path)}\0".encode())
    return digest.hexdigest()


def hub_digest(model_id: str, commit: str, config_json: str) -> str:
    """sha256 (hex) for a model of the hub: the commit fixes every file; the configuration is what was really loaded."""
    return hashlib.sha256(f"{model_id}\0{commit}\0{config_json}".encode()).hexdigest()


def write_digests(folder: Path) -> None:
    """Write `sha256.json`: the digest of every weight, configuration and tokenizer file at the top of a folder."""
    digests = {path.name: _file_digest(path) for path in sorted(folder.iterdir()) if _counts(path)}
    digests.pop(DIGESTS_FILE, None)
    (folder / DIGESTS_FILE).write_text(json.dumps(digests, indent=1) + "\n", encoding="utf-8")


def check_digests(folder: Path, name: str) -> None:
    """Compare a folder with its `sha256.json`.

    Args:
        folder: Of a model that ships with this package.
        name: What the model is called, for messages.

    Raises:
        ConfigError: A file is missing, damaged or unknown to the list, or the list itself cannot be read.
    """
    try:
        listed: object = json.loads((folder / DIGESTS_FILE).read_bytes())
        found = {path.name: _file_digest(path) for path in sorted(folder.iterdir()) if _counts(path)}
    except (OSError, ValueError) as error:
        raise ConfigError(f"model '{name}': '{DIGESTS_FILE}' cannot be read: {error}", hint="install again") from error
    found.pop(DIGESTS_FILE, None)
    expected = listed if isinstance(listed, dict) else {}
    for file in sorted({*expected, *found}):
        if file not in found:
            raise ConfigError(f"model '{name}': its file '{file}' is missing", hint="install again")
        if expected.get(file) != found[file]:
            raise ConfigError(f"model '{name}': its file '{file}' is damaged or changed", hint="install again")


def _counts(path: Path) -> bool:
    return path.is_file() and path.suffix in _DIGESTED and not path.name.startswith(".")


def _file_digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
