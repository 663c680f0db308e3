"""ShieldGemma 2: does a picture break one of three policies? One question per policy, answered Yes or No.

The score of a policy is the softmax over the logits of Yes and No behind the question, column 0: Yes, it is broken.
The docstring of transformers' class calls column 1 the violation, and is wrong (5.19). The score of a picture is the
highest.
Sources: arXiv 2504.01081, `ShieldGemma2ForImageClassification` of transformers.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, field_validator

from judge.bench.detectors.base import DetectorInfo, DetectorSettings
from judge.bench.detectors.checkpoints import Checkpoint, import_loading
from judge.bench.detectors.network_detector import NETWORK_FIELDS, NetworkDetector, Published, describe
from judge.bench.detectors.options import read_options
from judge.bench.detectors.picture_detector import PictureOptions, PictureScore
from judge.config import ModelTraits
from judge.errors import ConfigError
from judge.sources.categories import Category

if TYPE_CHECKING:
    from PIL.Image import Image

Policy = Literal["sexual", "dangerous", "violence"]
_KINDS: MappingProxyType[Policy, tuple[Category, ...]] = MappingProxyType(
    {"sexual": ("sexual",), "dangerous": ("illegal-activity",), "violence": ("violence", "shocking")}
)
"""The policy `dangerous` is about what helps or calls to harm; `violence` names gore as well."""
_MODEL = "google/shieldgemma-2-4b-it"
_YES = 0
"""Column of the answer that the policy is broken."""


class ShieldGemmaOptions(PictureOptions):
    """Which policies are asked about."""

    policies: Annotated[tuple[Policy, ...], Field(min_length=1)] = ("sexual", "dangerous", "violence")
    """Of those that the model was trained on."""
    dtype: str = "auto"
    """Number type; `auto` = float32 on the CPU, bfloat16 on a GPU."""

    @field_validator("policies")
    @classmethod
    def _once_each(cls, value: tuple[Policy, ...]) -> tuple[Policy, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a policy is named twice")
        return value


class ShieldGemma2(NetworkDetector):
    """See the module.

    Args:
        checkpoint: Its `prepare` is the whole processor, which writes the questions.
        policies: See `ShieldGemmaOptions`.
        info: See `FrameDetector`.
        batch: See `FrameDetector`; every policy is a row of its own.
        max_frames: See `FrameDetector`.

    Raises:
        ConfigError: The model's tokens for Yes and No, or its policies, are not what they should be.
    """

    def __init__(
        self, checkpoint: Checkpoint, policies: Sequence[Policy], info: DetectorInfo, *, batch: int, max_frames: int
    ) -> None:
        super().__init__(checkpoint, info, batch=batch, max_frames=max_frames)
        _check(checkpoint, policies)
        self._policies = tuple(policies)

    @classmethod
    def from_settings(cls, settings: DetectorSettings) -> Self:
        options = read_options(ShieldGemmaOptions, settings, uses=NETWORK_FIELDS)
        kinds = frozenset(kind for policy in options.policies for kind in _KINDS[policy])
        checkpoint = _load(settings, options.dtype)
        info = describe(settings, options, Published(_MODEL, kinds, 0.5, "arXiv 2504.01081"), checkpoint)
        return cls(checkpoint, options.policies, info, batch=settings.batch, max_frames=options.max_frames)

    def read(self, checkpoint: Checkpoint, pictures: Sequence[Image]) -> list[PictureScore]:
        inputs = checkpoint.prepare(
            images=[[picture] for picture in pictures], policies=list(self._policies), return_tensors="pt"
        )
        # The picture is as precise as the weights; the words are whole numbers.
        inputs = inputs.to(checkpoint.place, dtype=checkpoint.network.dtype)
        logits = checkpoint.network(**inputs, logits_to_keep=1).logits
        broken: list[float] = logits.double().softmax(dim=-1)[:, _YES].tolist()
        width = len(self._policies)
        return [self._read(broken[start : start + width]) for start in range(0, len(broken), width)]

    def _read(self, broken: Sequence[float]) -> PictureScore:
        categories = {
            kind: value for policy, value in zip(self._policies, broken, strict=True) for kind in _KINDS[policy]
        }
        return PictureScore(max(broken), categories)


def _load(settings: DetectorSettings, dtype: str) -> Checkpoint:
    loading = import_loading()
    from transformers import ShieldGemma2ForImageClassification  # noqa: PLC0415

    place = loading.place_of(settings.device)
    precision = loading.precision_of(dtype, place.type)
    source = loading.find_model(settings.model or _MODEL, revision=None, local_files_only=False)
    traits = ModelTraits(processor_class="ShieldGemma2Processor")
    processor = loading.load_processor(source, trust_remote_code=False, traits=traits)
    network: Any = loading.load_network(ShieldGemma2ForImageClassification, source, place, precision)
    runtime = f"{str(precision).removeprefix('torch.')}/{place.type}"
    info, _ = loading.describe_model(source, name="", config_json=network.config.to_json_string(), runtime=runtime)
    return Checkpoint(network, processor, place, info.name, info.digest, info.runtime)


def _check(checkpoint: Checkpoint, policies: Sequence[Policy]) -> None:
    network, processor = checkpoint.network, checkpoint.prepare
    for index, word in ((network.yes_token_index, "Yes"), (network.no_token_index, "No")):
        known = isinstance(index, int) and 0 <= index < len(processor.tokenizer)
        said = processor.tokenizer.decode([index]) if known else "nothing"
        if said.strip() != word:
            raise ConfigError(f"model '{checkpoint.name}': its token {index} for {word} stands for {said!r}")
    for policy in policies:
        if policy not in processor.policy_definitions:
            raise ConfigError(f"model '{checkpoint.name}' has no policy '{policy}'")
