"""Finds what ships with the package by name: constitutions, dataset cards, models, canary records, sample media.

The data lies beside the packages in a checkout and inside `judge/_data` in a wheel. Reading it is the
business of others; only paths leave this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from judge.errors import ConfigError, did_you_mean

_PACKAGE = Path(__file__).resolve().parent
_MODELS = {"stickers-vlm": _PACKAGE / "stickers" / "model"}
_ENCODERS = {"stickers-siglip": _PACKAGE / "stickers" / "dual_encoder"}
_CANARIES = _PACKAGE / "canary" / "records"
_SAMPLES = _PACKAGE / "stickers" / "samples"


def constitution_names() -> tuple[str, ...]:
    """Built-in constitutions, sorted."""
    return _yaml_names("constitutions")


def constitution_path(name_or_path: str) -> Path:
    """The file of a built-in constitution, or of one the caller wrote.

    A built-in name always means the built-in one: write ``./general`` for a file of that name.

    Raises:
        ConfigError: Neither a built-in name nor an existing file.
    """
    if name_or_path in constitution_names():
        return _yaml_path("constitutions", name_or_path)
    path = Path(name_or_path)
    if path.is_file():
        return path
    raise _unknown("constitution", name_or_path, constitution_names(), "or the path of a YAML file")


def card_names() -> tuple[str, ...]:
    """Built-in dataset cards, sorted."""
    return _yaml_names("datasets")


def card_path(name: str) -> Path:
    """The file of a built-in dataset card.

    Raises:
        ConfigError: There is no such card.
    """
    if name not in card_names():
        raise _unknown("dataset card", name, card_names())
    return _yaml_path("datasets", name)


def model_names() -> tuple[str, ...]:
    """Embedded models whose weights are part of this installation, sorted."""
    return _installed(_MODELS)


def model_path(name: str) -> Path | None:
    """The folder of an embedded model; None if the name is not one of ours (a folder or a hub id).

    Raises:
        ConfigError: The name is ours, but this installation lacks the weights.
    """
    return _weights(_MODELS, "model", name)


def encoder_names() -> tuple[str, ...]:
    """Embedded encoders of pictures and texts whose weights are part of this installation, sorted."""
    return _installed(_ENCODERS)


def encoder_path(name: str) -> Path | None:
    """The folder of an embedded encoder; None if the name is not one of ours (a folder or a hub id).

    Raises:
        ConfigError: The name is ours, but this installation lacks the weights.
    """
    return _weights(_ENCODERS, "encoder", name)


def scan_paths(constitution: str, model: str) -> dict[str, Path]:
    """Settings of the relevance scan that were fitted to a built-in constitution and an embedded model.

    Returns:
        By name: `scan` never drops severe rules, `scan of any rule` may drop each. Empty if none were fitted to these.
    """
    folder = _ENCODERS["stickers-siglip"]
    if (constitution, model) != ("stickers", "stickers-vlm") or not encoder_names():
        return {}
    return {"scan": folder / "scan.yaml", "scan of any rule": folder / "scan-any-rule.yaml"}


def canary_path(model: str) -> Path | None:
    """The recorded scores of a model, by its name (`owner/name` lies in `owner--name.json`); None if there are none."""
    known = {path.stem: path for path in _CANARIES.glob("*.json")}  # looked up, so that no name becomes a path
    return known.get(model.replace("/", "--"))


def sample_media_path(name: str = "") -> Path:
    """A committed sample file or folder, by its path below the samples; an empty name is the folder of all.

    Raises:
        ConfigError: There is no such sample.
    """
    path = (_SAMPLES / name).resolve()
    if not path.is_relative_to(_SAMPLES) or not path.exists():
        known = sorted(entry.name for entry in _SAMPLES.iterdir()) if _SAMPLES.is_dir() else []
        raise _unknown("sample", name, known)
    return path


def _data_folder(kind: str) -> Path:
    packaged = _PACKAGE / "_data"
    return (packaged if packaged.is_dir() else _PACKAGE.parent) / kind


def _yaml_names(kind: str) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in _data_folder(kind).glob("*.yaml")))


def _yaml_path(kind: str, name: str) -> Path:
    return _data_folder(kind) / f"{name}.yaml"


def _unknown(kind: str, name: str, known: Sequence[str], otherwise: str = "") -> ConfigError:
    hint = f"{did_you_mean(name, known)} {otherwise}".strip()
    return ConfigError(f"unknown {kind} '{name}'", hint=hint)


def _installed(folders: Mapping[str, Path]) -> tuple[str, ...]:
    return tuple(sorted(name for name, folder in folders.items() if (folder / "config.json").is_file()))


def _weights(folders: Mapping[str, Path], kind: str, name: str) -> Path | None:
    if name in folders and name not in _installed(folders):
        raise ConfigError(f"the weights of the embedded {kind} '{name}' are missing here", hint="install again")
    return folders.get(name)
