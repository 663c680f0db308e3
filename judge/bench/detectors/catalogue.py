"""What can be said of every detector without loading it: for `judge detectors`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from judge.assets import constitution_path
from judge.bench.detectors.common_names import COMMON, ON_PICTURES, OPENAI, kinds_of_rules
from judge.bench.detectors.nudenet_profiles import PROFILES
from judge.constitution import load_constitution
from judge.sources.categories import Category
from judge.types import Modality

_EXTRAS: Mapping[str, tuple[str, ...]] = {
    "transformers": ("torch", "transformers"), "nudenet": ("nudenet", "onnxruntime", "cv2")
}  # fmt: skip
_PICTURES: tuple[Modality, ...] = ("image",)
_SEXUAL: tuple[Category, ...] = ("sexual",)


@dataclass(frozen=True, slots=True)
class Listed:
    """One detector with its published settings.

    Attributes:
        about: What it is, in a few words.
        modalities: Media that it takes; animations count as pictures.
        kinds: Kinds of harm that it was made for; None = any, or those of its `constitution`.
        threshold: None = no threshold decides, but the rules or the service.
        needs: What must be had beside this package, for people.
        extras: Of this package.
        constitution: The policy that it judges by unless another is chosen; empty = its own, built in.
    """

    about: str
    threshold: float | None
    needs: str
    extras: tuple[str, ...] = ("transformers",)
    modalities: tuple[Modality, ...] = _PICTURES
    kinds: tuple[Category, ...] | None = None
    constitution: str = ""

    def categories(self) -> tuple[Category, ...] | None:
        """In the common order; None = harm of any kind."""
        if self.constitution:
            policy = load_constitution(constitution_path(self.constitution))
            found = kinds_of_rules(policy, self.modalities)
        elif self.kinds is None:
            return None
        else:
            found = frozenset(self.kinds)
        return tuple(kind for kind in COMMON if kind in found)

    def missing(self) -> tuple[str, ...]:
        """Packages of its extras that are not installed; finding out imports none."""
        return tuple(module for extra in self.extras for module in _EXTRAS[extra] if find_spec(module) is None)


_OUR_MODEL = "nothing with the embedded model; for photographs a model: model=NAME (judge models)"
_MODERATED = tuple(dict.fromkeys(kind for name in ON_PICTURES for kind in OPENAI[name]))

CATALOGUE: Mapping[str, Listed] = {
    "falconsai": Listed("ViT classifier: nsfw or normal", 0.5, "weights Falconsai/nsfw_image_detection", kinds=_SEXUAL),
    "i2p": Listed(
        "rule of I2P: Q16 or NudeNet flags it", 0.5, "what q16 and nudenet need", extras=("transformers", "nudenet")
    ),
    "image-classifier": Listed(
        "any classifier of pictures, by its labels", 0.5, "weights model=NAME; harmful={LABEL: KIND}"
    ),
    "laion": Listed(
        "LAION's head on CLIP vectors", 0.5, "weights openai/clip-vit-large-patch14; head=FILE", kinds=_SEXUAL
    ),
    "llavaguard": Listed(
        "guard model asked with a policy", 0.5, "weights AIML-TUDA/LlavaGuard-v1.2-7B-OV-hf, a GPU",
        constitution="llavaguard",
    ),
    "nudenet": Listed(
        "finds naked body parts", PROFILES["5-0.5"].threshold, "no more: the package (AGPL-3.0) holds the weights",
        extras=("nudenet",), kinds=_SEXUAL,
    ),
    "openai-moderation": Listed(
        "any service with OpenAI's /v1/moderations", None, "OPENAI_API_KEY, or base_url=URL", extras=(),
        kinds=_MODERATED,
    ),
    "ours-fast": Listed(
        "our judge: one-token questions", None, _OUR_MODEL, modalities=("image", "video"), constitution="stickers"
    ),
    "ours-full": Listed(
        "our judge: also region test, reasoning; on request vote, debate", None, _OUR_MODEL,
        modalities=("image", "video"), constitution="stickers",
    ),
    "ours-policy-direct": Listed(
        "baseline: the whole policy in one prompt", 0.5, _OUR_MODEL, modalities=("image", "video"),
        constitution="stickers",
    ),
    "q16": Listed(
        "CLIP vectors against two learned prompts", 0.5, "weights openai/clip-vit-large-patch14; prompts=FILE"
    ),
    "sd-safety-checker": Listed(
        "filter of Stable Diffusion", 0.5, "weights CompVis/stable-diffusion-safety-checker", kinds=_SEXUAL
    ),
    "shieldgemma-2": Listed(
        "guard model with three policies", 0.5, "weights google/shieldgemma-2-4b-it (gated), a GPU",
        kinds=("sexual", "violence", "shocking", "illegal-activity"),
    ),
    "shieldstral": Listed(
        "guard model asked with a policy", 0.5, "weights mistralai/Shieldstral-1.0-3B, a GPU", constitution="general"
    ),
}  # fmt: skip
