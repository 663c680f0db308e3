"""From a name, or a line like `nudenet,threshold=0.5,classes=9`, to a detector. Nothing is imported before."""

from __future__ import annotations

import re

import yaml
from pydantic import JsonValue, ValidationError

from judge.bench.detectors.base import ConfigurableDetector, Detector, DetectorSettings
from judge.config import first_problem, one_line
from judge.errors import ConfigError, did_you_mean, quoted
from judge.registry import Registry

DETECTORS: Registry[ConfigurableDetector] = Registry("detector")
DETECTORS.register("ours-fast", "judge.bench.detectors.ours:Fast")
DETECTORS.register("ours-full", "judge.bench.detectors.ours:Full")
DETECTORS.register("ours-policy-direct", "judge.bench.detectors.ours:PolicyDirect")
DETECTORS.register("nudenet", "judge.bench.detectors.nudenet:NudeNet")
DETECTORS.register("openai-moderation", "judge.bench.detectors.openai_moderation:OpenAIModeration")
DETECTORS.register("i2p", "judge.bench.detectors.i2p:I2P")
DETECTORS.register("q16", "judge.bench.detectors.q16:Q16")
DETECTORS.register("sd-safety-checker", "judge.bench.detectors.sd_safety_checker:SdSafetyChecker")
DETECTORS.register("falconsai", "judge.bench.detectors.image_classifier:Falconsai")
DETECTORS.register("image-classifier", "judge.bench.detectors.image_classifier:ImageClassifier")
DETECTORS.register("laion", "judge.bench.detectors.laion:LaionHead")
DETECTORS.register("shieldgemma-2", "judge.bench.detectors.shieldgemma:ShieldGemma2")
DETECTORS.register("llavaguard", "judge.bench.detectors.guard:LlavaGuard")
DETECTORS.register("shieldstral", "judge.bench.detectors.guard:Shieldstral")

_NEXT_FIELD = re.compile(r",[A-Za-z_][A-Za-z0-9_]*=")
"""A comma is part of a value unless `key=` follows: `label=NudeNet, strict` needs no quotes."""
_TRUE_OR_FALSE = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_SINGLE = tuple(field for field in DetectorSettings.model_fields if field not in ("name", "options"))
_TEXTS = frozenset({"label", "model", "base_url", "api_key_env", "device"})


class _Loader(yaml.SafeLoader):
    """YAML whose only words are true, false and null: `region=off` is no boolean, and a date is text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if not tag.endswith((":bool", ":timestamp"))]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", _TRUE_OR_FALSE, list("tTfF"))


def detector_names() -> tuple[str, ...]:
    """Every name that can be built, sorted."""
    return DETECTORS.names()


def parse_detector(text: str) -> DetectorSettings:
    """Read `NAME[,key=value...]`.

    Keys are the fields of `DetectorSettings`; others are the detector's own options, whose values are YAML
    (`classes=[A, B]`). They are checked when the detector is built.

    Raises:
        ConfigError: An unknown name, a key without a value or given twice, or a value of the wrong kind.
    """
    name, *parts = _split(text)
    _check_name(name.strip())
    fields: dict[str, JsonValue] = {}
    options: dict[str, JsonValue] = {}
    for part in parts:
        key, _, value = part.partition("=")
        if key in fields or key in options:
            raise ConfigError(f"detector '{name.strip()}': {quoted(key)} is given twice")
        if key in ("name", "options"):
            hint = "the name comes first, without a key; give every option by its own name"
            raise ConfigError(f"detector '{name.strip()}': {quoted(key)} cannot be set here", hint=hint)
        if key in _SINGLE:
            fields[key] = value if key in _TEXTS else _yaml(name, key, value)
        else:
            options[key] = _yaml(name, key, value)
    return make_settings({"name": name.strip(), **fields, "options": options})


def make_settings(fields: dict[str, JsonValue]) -> DetectorSettings:
    """Settings of one detector as a file or a line has them.

    Raises:
        ConfigError: A field is unknown or wrong.
    """
    try:
        return DetectorSettings.model_validate(fields)
    except ValidationError as error:
        raise ConfigError(f"detector {quoted(str(fields.get('name', '')))}: {first_problem(error)}") from error


def build_detector(settings: DetectorSettings) -> Detector:
    """Load it. Slow: seconds to minutes.

    Raises:
        ConfigError: Unknown name, a package or weights are missing, or an option is unknown or wrong.
        EngineError: Its model cannot be started.
    """
    return DETECTORS.load(settings.name).from_settings(settings)


def _split(text: str) -> list[str]:
    """At the commas before a `key=`; those within brackets belong to a value, which may itself name detectors."""
    parts, start, depth = list[str](), 0, 0
    for at, char in enumerate(text):
        depth = depth + (char in "[{") - (char in "]}" and depth > 0)
        if char == "," and not depth and _NEXT_FIELD.match(text, at):
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]


def _check_name(name: str) -> None:
    if name in DETECTORS.names():
        return
    first, comma, rest = name.partition(",")
    if comma and first.strip() in DETECTORS.names():
        raise ConfigError(
            f"detector '{first.strip()}': {quoted(rest)} is not of the form key=value",
            hint="e.g. nudenet,threshold=0.5",
        )
    hint = did_you_mean(name, DETECTORS.names()) or "`judge detectors` lists them"
    raise ConfigError(f"unknown detector {quoted(name)}", hint=hint)


def _yaml(name: str, key: str, value: str) -> JsonValue:
    try:
        found: JsonValue = yaml.load(value, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        shown = one_line(error)[:200]
        raise ConfigError(f"detector '{name.strip()}': the value of {quoted(key)} is not YAML: {shown}") from error
    return found
