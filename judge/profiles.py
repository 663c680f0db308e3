"""Named models: where they are, how they want to be loaded, asked and read, and what is known of them.

The facts live in `profiles.yaml`; a user's own file has the same form. Not here: loading a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError

from judge.config import EngineConfig, ModelTraits, Settings, first_problem, one_line
from judge.errors import ConfigError, did_you_mean, quoted

_WEIGHT_BYTES = 2
"""bfloat16."""
_WORKING_SHARE = 0.2
_WORKING_BYTES = 1 << 30


class Profile(Settings):
    """One named model."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    """What it is called here."""
    kind: Literal["embedded", "general", "guard"]
    """Part of this package; a model for anything; one trained to judge safety."""
    purpose: str
    """What it was made for, in a few words."""
    repository: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    """Id on the Hugging Face hub; None for an embedded model."""
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    """A commit that was seen in a source; None = whatever the hub has now."""
    engine: Literal["transformers", "vllm", "openai"] = "transformers"
    """The engine that suits it, unless another is chosen."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number type, unless another is chosen."""
    parameters: Annotated[int, Field(ge=1)] | None = None
    """Weights, pictures included; None = not found."""
    licence: str | None = None
    """Of the weights, as the hub names it; None = not found."""
    gated: bool = False
    """The hub gives it only to accounts that accepted its terms."""
    traits: ModelTraits = ModelTraits()
    """How to load, ask and read it."""
    sources: tuple[str, ...] = ()
    """Where the facts are from."""
    verified: bool
    """Every fact here was found in a source."""
    tested: str
    """What was really run."""
    note: str = ""
    """What else to know."""

    @property
    def memory_bytes(self) -> int | None:
        """Weights in bfloat16, and an estimate of what working with them takes: a fifth more, and 1 GiB.

        Not measured: long prompts, large pictures and many rows at once need more. None without `parameters`.
        """
        if self.parameters is None:
            return None
        weights = self.parameters * _WEIGHT_BYTES
        return weights + int(weights * _WORKING_SHARE) + _WORKING_BYTES


def load_profiles(extra: Path | None = None) -> Mapping[str, Profile]:
    """All profiles by name, in the order of the files.

    Args:
        extra: A user's file.

    Raises:
        ConfigError: A file cannot be read, or a profile in it is wrong; it is named.
    """
    shipped = _shipped()
    if extra is None:
        return shipped
    try:
        text = extra.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"profiles '{extra}' cannot be read: {error}") from error
    return {**shipped, **parse_profiles(text, str(extra), taken=frozenset(shipped))}


def parse_profiles(text: str, where: str, *, taken: frozenset[str] = frozenset()) -> dict[str, Profile]:
    """Read profiles from YAML, a list under `profiles`.

    Args:
        text: The YAML.
        where: Its file, for messages.
        taken: Names that are no longer free.

    Raises:
        ConfigError: It is no such list, or a profile in it is wrong or not the only one of its name.
    """
    try:
        content: object = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"profiles '{where}' are not valid YAML: {one_line(error)}") from error
    entries = content.get("profiles") if isinstance(content, dict) and len(content) == 1 else None
    if not isinstance(entries, list):
        raise ConfigError(f"profiles '{where}' must be a mapping with one list, 'profiles'")
    found: dict[str, Profile] = {}
    for number, entry in enumerate(entries, start=1):
        profile = _parse(entry, where, number)
        if profile.name in found or profile.name in taken:
            raise ConfigError(f"profiles '{where}': the name '{profile.name}' is taken", hint="choose another")
        found[profile.name] = profile
    return found


def find_profile(name: str, extra: Path | None = None) -> Profile:
    """The profile of that name.

    Raises:
        ConfigError: There is none; and as `load_profiles`.
    """
    profiles = load_profiles(extra)
    if name not in profiles:
        hint = did_you_mean(name, profiles) or "`judge models` lists them"
        raise ConfigError(f"unknown model profile {quoted(name)}", hint=hint)
    return profiles[name]


def resolve_profile(config: EngineConfig) -> EngineConfig:
    """Fill in what the profile of a model says, where nothing else was chosen. Without a profile: unchanged.

    Raises:
        ConfigError: `config.profile` names none; and as `load_profiles`.
    """
    if config.profile:
        profile = find_profile(config.profile, config.profiles_file)
    else:
        found = load_profiles(config.profiles_file).get(config.model)
        if found is None:
            return config
        profile = found
    given = config.model_fields_set
    update: dict[str, object] = {"profile": profile.name, "traits": profile.traits.under(config.traits)}
    defaults = {"name": profile.engine, "dtype": profile.dtype, "revision": profile.revision}
    update |= {field: value for field, value in defaults.items() if field not in given}
    if "model" not in given or config.model == profile.name:
        update["model"] = profile.repository or profile.name
    elif "revision" not in given:
        update["revision"] = None  # of other files than the profile's
    if update.get("name", config.name) == "openai" and "revision" not in given:
        update["revision"] = None  # which one the server runs is not known
    return config.model_copy(update=update)


@cache
def _shipped() -> Mapping[str, Profile]:
    text = resources.files("judge").joinpath("profiles.yaml").read_text(encoding="utf-8")
    return MappingProxyType(parse_profiles(text, "profiles.yaml"))


def _parse(entry: object, where: str, number: int) -> Profile:
    name = entry.get("name") if isinstance(entry, dict) else None
    shown = f"profile {quoted(name)}" if isinstance(name, str) else f"profile {number}"
    try:
        return Profile.model_validate(entry)
    except ValidationError as error:
        raise ConfigError(f"{shown} in '{where}': {first_problem(error)}") from error
