"""From a YAML file to a card."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from judge.assets import card_names, card_path
from judge.config import first_problem, one_line
from judge.errors import ConfigError, did_you_mean
from judge.sources.card import Card

YAML_SUFFIXES = frozenset({".yaml", ".yml"})
_MOST_PARENTS = 4
_GROUPS = frozenset({"rows", "media", "kinds", "origin"})


def find_card(name: str) -> Card:
    """A built-in card by its name, or one from a YAML file.

    Raises:
        ConfigError: There is no such card, or it is wrong.
    """
    return read_card(Path(name)) if Path(name).suffix in YAML_SUFFIXES else load_card(name)


def load_card(name: str) -> Card:
    """A built-in card.

    Raises:
        ConfigError: There is no such card, or it is wrong.
    """
    return read_card(card_path(name))


def read_card(path: Path) -> Card:
    """A card from a file; with `extends: NAME` it is laid over a card beside it, or over a built-in one.

    Raises:
        ConfigError: The file cannot be read, or a field is wrong; the message names both.
    """
    try:
        card = Card.model_validate(_fields(path, _MOST_PARENTS))
    except ValidationError as error:
        raise ConfigError(f"dataset card '{path}': {first_problem(error)}") from error
    if card.name != path.stem:
        raise ConfigError(f"dataset card '{path}': name: it is '{card.name}', and the file's name is '{path.stem}'")
    return card


def _fields(path: Path, parents: int) -> dict[object, object]:
    try:
        content: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"dataset card '{path}' cannot be read: {error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"dataset card '{path}' is not valid YAML: {one_line(error)}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"dataset card '{path}' must be a mapping of fields")
    base = content.pop("extends", None)
    if base is None:
        return content
    if not parents:
        raise ConfigError(f"dataset card '{path}': extends: too many cards, or a circle")
    return _laid_over(_fields(_parent(path, str(base)), parents - 1), content)


def _parent(path: Path, name: str) -> Path:
    beside = {each.stem: each for each in path.parent.glob("*.yaml")}  # looked up, so that no name becomes a path
    if name not in beside and name not in card_names():
        raise ConfigError(
            f"dataset card '{path}': extends: no card '{name}'", hint=did_you_mean(name, [*beside, *card_names()])
        )
    return beside[name] if name in beside else card_path(name)


def _laid_over(base: dict[object, object], over: dict[object, object]) -> dict[object, object]:
    """Groups of fields are merged, anything else is replaced, also mappings whose keys are a card's own."""
    merged = dict(base)
    for name, value in over.items():
        below = merged.get(name)
        if name in _GROUPS and isinstance(below, dict) and isinstance(value, dict):
            merged[name] = {**below, **value}
        else:
            merged[name] = value
    return merged
