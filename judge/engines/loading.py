"""Loads a vision-language model with Hugging Face transformers.

Not here: what is asked of the model, and the part of its untyped interface that we use (`model_interface`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub import HfApi, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from judge.config import NO_TRAITS, ModelTraits
from judge.engines.base import ModelInfo
from judge.engines.images_only import images_only
from judge.engines.model_folder import ModelCard, folder_digest, hub_digest, read_card
from judge.engines.model_interface import Model, Processor
from judge.errors import ConfigError, EngineError

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_HUB_TIMEOUT_S = 10.0
_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?")


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in evaluation mode on its device, with what belongs to it."""

    model: Model
    processor: Processor
    info: ModelInfo
    card: ModelCard


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where the files of a model are.

    Attributes:
        model: As it was asked for.
        place: A folder, or an id of the hub.
        revision: Of an id: its commit, if the hub could be asked.
        local_files_only: Do not ask the hub (again).
    """

    model: str
    place: Path | str
    revision: str
    local_files_only: bool

    @property
    def location(self) -> str:
        return str(self.place)

    def options(self, trust_remote_code: bool) -> dict[str, str | bool]:
        """What every `from_pretrained` is given."""
        return {
            "revision": self.revision,
            "trust_remote_code": trust_remote_code,
            "local_files_only": self.local_files_only,
        }


def load_model(
    model: str,
    *,
    name: str,
    device: str,
    dtype: str,
    revision: str | None,
    trust_remote_code: bool,
    local_files_only: bool,
    traits: ModelTraits,
) -> LoadedModel:
    """Load from a folder or, by id, from the hub.

    Raises:
        ConfigError: No such model, one that transformers cannot load as a vision-language model, or weights that
            do not fill it; an impossible device or dtype.
        EngineError: The model does not fit into memory.
    """
    place, precision = place_of(device), precision_of(dtype, place_of(device).type)
    source = find_model(model, revision=revision, local_files_only=local_files_only)
    processor = load_processor(source, trust_remote_code=trust_remote_code, traits=traits)
    auto_model = _class_of(traits.wrapper_class) if traits.wrapper_class else AutoModelForImageTextToText
    network = load_network(auto_model, source, place, precision, trust_remote_code)
    loaded: Model = network.model if traits.wrapper_class else network
    runtime = f"transformers/{str(precision).removeprefix('torch.')}/{place.type}"
    config_json = loaded.config.to_json_string()
    info, card = describe_model(source, name=name, config_json=config_json, runtime=runtime, traits=traits)
    return LoadedModel(loaded, processor, info, card)


def load_network(
    auto_model: Any, source: ModelSource, place: torch.device, precision: torch.dtype, trust_remote_code: bool = False
) -> Any:
    """The network of one of transformers' `AutoModel...` classes, whole, in evaluation mode, on its device.

    Untyped on purpose: this is the border, and the caller's protocols describe what comes back.

    Raises:
        ConfigError: It cannot be loaded, or weights are missing.
        EngineError: It does not fit into memory.
    """
    try:
        network, report = auto_model.from_pretrained(
            source.location, dtype=precision, output_loading_info=True, **source.options(trust_remote_code)
        )
        loaded = network.eval().to(place)
    except torch.OutOfMemoryError as error:
        raise EngineError(
            f"model '{source.model}' does not fit into the memory of {place}", hint="use bfloat16"
        ) from error
    except Exception as error:
        raise _load_error(source, error, auto_model.__name__) from error
    _check_complete(source.model, report)
    return loaded


def find_model(model: str, *, revision: str | None, local_files_only: bool) -> ModelSource:
    """Tell a folder from an id of the hub, and fix the id's commit.

    Raises:
        ConfigError: Neither a folder nor an id, or the hub says that there is no such model.
    """
    place = _source(model)
    revision = revision or "main"
    if isinstance(place, str) and not local_files_only:
        revision, local_files_only = _resolve(place, revision)
    return ModelSource(model, place, revision, local_files_only)


def load_processor(source: ModelSource, *, trust_remote_code: bool, traits: ModelTraits = NO_TRAITS) -> Processor:
    """The model's tokenizer, chat template and image processor, with the image budget of its traits.

    Raises:
        ConfigError: They cannot be loaded, or the image processor knows no such setting.
    """
    kind = _class_of(traits.processor_class) if traits.processor_class else AutoProcessor
    processor = _load_processor(source, kind, source.options(trust_remote_code), traits.image)
    for name in traits.image:  # transformers takes unknown settings in silence
        if not hasattr(processor.image_processor, name):
            raise ConfigError(f"model '{source.model}': its image processor has no setting '{name}'")
    return processor


def _load_processor(
    source: ModelSource, kind: Any, options: Mapping[str, object], image: Mapping[str, object]
) -> Processor:
    try:
        processor: Processor = kind.from_pretrained(source.location, **options, **image)
    except Exception as error:
        lesser = images_only(kind, source.location, options)
        if lesser is None:
            raise _load_error(source, error) from error
    else:
        return processor
    return _load_processor(source, lesser, options, image)


def _class_of(name: str) -> Any:
    """A class of transformers.

    Raises:
        ConfigError: There is none of that name.
    """
    found = getattr(transformers, name, None)
    if found is None or not hasattr(found, "from_pretrained"):
        raise ConfigError(f"transformers has no class '{name}' that loads a model")
    return found


def load_config_json(source: ModelSource, *, trust_remote_code: bool) -> str:
    """The model's configuration, for its digest where the network is loaded by somebody else.

    Raises:
        ConfigError: It cannot be loaded.
    """
    auto_config: Any = AutoConfig
    try:
        return str(auto_config.from_pretrained(source.location, **source.options(trust_remote_code)).to_json_string())
    except Exception as error:
        raise _load_error(source, error) from error


def describe_model(
    source: ModelSource, *, name: str, config_json: str, runtime: str, traits: ModelTraits = NO_TRAITS
) -> tuple[ModelInfo, ModelCard]:
    """Name, digest and domain, once the model is loaded: the same for one folder in every engine.

    Args:
        source: Where it was loaded from.
        name: What to call it where its card has no name; empty = as its folder or id.
        config_json: The configuration that was loaded; counts for a model of the hub only.
        runtime: See `ModelInfo`.
        traits: Part of the digest.

    Raises:
        ConfigError: The card cannot be read.
    """
    place = source.place
    card = read_card(place) if isinstance(place, Path) else ModelCard()
    digest = traits.added_to(_digest(place, source.revision, config_json))
    shown = card.name or name or _display_name(place)
    return ModelInfo(shown, digest, card.to_domain(), runtime, traits.question_format()), card


def precision_of(dtype: str, device_type: str) -> torch.dtype:
    """`auto` is float32 on the CPU, where half precision is no faster everywhere and costs reproducibility.

    Raises:
        ConfigError: There is no such number type.
    """
    if dtype == "auto":
        return torch.float32 if device_type == "cpu" else torch.bfloat16
    if dtype not in _DTYPES:
        raise ConfigError(f"dtype '{dtype}' is not known", hint=f"use auto, {', '.join(_DTYPES)}")
    return _DTYPES[dtype]


def _source(model: str) -> Path | str:
    folder = Path(model).expanduser()
    if model and folder.is_dir():
        return folder
    if _HUB_ID.fullmatch(model) and not model.endswith((".json", ".safetensors")):
        return model
    raise ConfigError(
        f"model '{model}': no such folder, and not a Hugging Face id either", hint="name a folder or 'owner/name'"
    )


def _resolve(model_id: str, revision: str) -> tuple[str, bool]:
    """The commit behind a revision, and whether only downloaded files are left to use.

    One short question first: without a network, transformers would retry every file for more than two minutes.

    Raises:
        ConfigError: The hub answered, and has no such model or revision, or does not give it to us.
    """
    try:
        commit = HfApi().model_info(model_id, revision=revision, timeout=_HUB_TIMEOUT_S).sha
    except HfHubHTTPError as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"model '{model_id}': no such folder, and the hub does not have or give it: {reason}",
            hint="check the spelling; some models want an account",
        ) from error
    except Exception:  # no network, offline mode, a proxy in the way: what was downloaded before may do
        return revision, True
    return commit or revision, False


def place_of(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"device '{device}' does not exist", hint="use auto, cpu, cuda or cuda:0") from error
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device '{device}': no such GPU here", hint="use auto or cpu")
    return place


def _load_error(source: ModelSource, error: Exception, loader: str = "AutoModelForImageTextToText") -> ConfigError:
    model = source.model
    reason = " ".join(str(error).split())[:300]
    if isinstance(source.place, str) and isinstance(error, OSError):
        return ConfigError(
            f"model '{model}': no such folder, and the hub cannot be reached for it: {reason}",
            hint="check the spelling and the network, or download the model and name its folder",
        )
    if isinstance(error, ImportError):
        return ConfigError(f"model '{model}' needs a package that does not load here: {reason}")
    return ConfigError(
        f"model '{model}' cannot be loaded: {type(error).__name__}: {reason}",
        hint=f"it must be one that {loader} and AutoProcessor of transformers can load",
    )


def _check_complete(model: str, report: Mapping[str, Sequence[str]]) -> None:
    """Transformers fills missing weights with random numbers and only warns: such a model must not judge."""
    missing = sorted(report["missing_keys"])
    if missing:
        raise ConfigError(
            f"model '{model}' lacks {len(missing)} weights, '{missing[0]}' first", hint="the download may be incomplete"
        )


def _digest(source: Path | str, revision: str, config_json: str) -> str:
    if isinstance(source, Path):
        return folder_digest(source)
    cached = try_to_load_from_cache(source, "config.json", revision=revision)
    if not isinstance(cached, str):
        raise ConfigError(f"model '{source}': cannot tell which commit was loaded", hint="name a downloaded folder")
    return hub_digest(source, Path(cached).parent.name, config_json)  # .../snapshots/<commit>/config.json


def _display_name(source: Path | str) -> str:
    return source.resolve().name if isinstance(source, Path) else source
