"""Loads the networks of published classifiers through transformers. Torch comes in only when something is loaded.

Number type is float32 unless a detector says otherwise: these networks are small, and were published and measured so.
Pictures are prepared with Pillow wherever they are scored: torchvision's resizing gives other pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judge.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from torch import Tensor

    from judge.engines.loading import ModelSource

EXTRA = "pip install 'visual-judge[transformers]'"


@dataclass(slots=True)
class Checkpoint:
    """A network on its device and what prepares pictures for it; `network` and `prepare` are transformers' own.

    Attributes:
        name: For people.
        digest: Of weights and configuration.
        runtime: Number type and kind of device.
    """

    network: Any
    prepare: Any
    place: torch.device
    name: str
    digest: str
    runtime: str

    def inputs(self, pictures: Sequence[Image]) -> Tensor:
        """`(pictures, 3, height, width)`, as the network wants them, on its device."""
        pixels: Tensor = self.prepare(images=list(pictures), return_tensors="pt")["pixel_values"]
        return pixels.to(self.place)


def load_checkpoint(model: str, device: str, network_class: Callable[[], Any]) -> Checkpoint:
    """A classifier of single pictures, from a folder or the hub.

    Args:
        model: Folder or id.
        device: As the engines have it.
        network_class: Imports the class that `from_pretrained` is called on.

    Raises:
        ConfigError: A package is missing, there is no such model or device, or it is a model of another kind.
        EngineError: It does not fit into memory.
    """
    loading = import_loading()
    place = loading.place_of(device)
    source = loading.find_model(model, revision=None, local_files_only=False)
    network = loading.load_network(network_class(), source, place, loading.precision_of("float32", place.type))
    info, _ = loading.describe_model(
        source, name="", config_json=network.config.to_json_string(), runtime=f"float32/{place.type}"
    )
    return Checkpoint(network, _load_prepare(source), place, info.name, info.digest, info.runtime)


def import_loading() -> Any:
    """`judge.engines.loading`.

    Raises:
        ConfigError: Torch or transformers is missing.
    """
    try:
        from judge.engines import loading  # noqa: PLC0415 - it brings torch
    except ImportError as error:
        raise missing_package(error) from error
    return loading


def missing_package(error: ImportError) -> ConfigError:
    return ConfigError(f"package '{error.name}' is missing or does not load: {error}", hint=EXTRA)


def needed_file(path: str, what: str, suffixes: Sequence[str]) -> Path:
    """An existing file of one of these kinds.

    Raises:
        ConfigError: It is not there, or of another kind.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise ConfigError(f"{what} '{path}': there is no such file")
    if file.suffix.lower() not in suffixes:
        raise ConfigError(f"{what} '{path}' is of no known kind", hint=f"known: {', '.join(suffixes)}")
    return file


def _load_prepare(source: ModelSource) -> Any:
    import transformers  # noqa: PLC0415

    auto_processor: Any = transformers.AutoImageProcessor
    try:
        return auto_processor.from_pretrained(source.location, backend="pil", **source.options(False))
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"model '{source.model}': its settings for pictures cannot be loaded: {reason}",
            hint="preprocessor_config.json belongs to it",
        ) from error
