"""Tiny checkpoints of the same classes as published detectors, with random weights: their answers mean nothing.

`tiny_...(folder)` writes one into an empty folder and returns the settings that name it.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    Gemma3ImageProcessorPil,
    Gemma3TextConfig,
    ShieldGemma2Config,
    ShieldGemma2ForImageClassification,
    ShieldGemma2Processor,
    SiglipVisionConfig,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
)

from judge.bench.detectors.base import DetectorSettings
from tests.contracts.tiny_models import (
    CORPUS,
    GEMMA_MARKS,
    SHIELDGEMMA_TEMPLATE,
    build_idefics3,
    byte_level_tokenizer,
    decoder_sizes,
    sharpen,
    with_marks,
)

SIDE_PX = 32
DIMENSIONS = 24
"""Of the common space of the tiny CLIP model."""
VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIDE_PX,
    "patch_size": 8,
}

POLICY = """
name: short
version: "1"
categories:
  violence:
    title: Violence
    mappings: {openai: [violence, violence/graphic]}
  adverts:
    title: Adverts
    mappings: {unsafebench: [Spam]}
  insults:
    title: Insults
preconditions:
  knife: {statement: A knife is visible.}
  blood: {statement: Blood is visible.}
  shop: {statement: The name of a shop is visible.}
  insult: {statement: Written words insult a person.}
rules:
  v.knife: {category: violence, severity: high, text: t, statement: A knife is shown., violated_when: knife}
  ads: {category: adverts, severity: low, text: t, statement: A shop is advertised., violated_when: shop}
  v.blood: {category: violence, severity: low, text: t, statement: Blood is shown., violated_when: blood}
  words:
    category: insults
    severity: low
    text: t
    statement: A person is insulted.
    violated_when: insult
    modalities: [text]
"""
"""A policy that a tiny model can read; its last rule is not about pictures."""


def tiny_falconsai(folder: Path, labels: tuple[str, ...] = ("normal", "nsfw")) -> DetectorSettings:
    torch.manual_seed(11)
    network = ViTForImageClassification(ViTConfig(**VISION, id2label=dict(enumerate(labels))))
    sharpen(network)
    network.save_pretrained(folder)
    ViTImageProcessorPil(size={"height": SIDE_PX, "width": SIDE_PX}).save_pretrained(folder)
    return DetectorSettings(name="falconsai", model=str(folder), device="cpu")


def tiny_clip(folder: Path, seed: int = 12) -> CLIPModel:
    """Both sides, as CLIP is published."""
    torch.manual_seed(seed)
    words = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    network = CLIPModel(
        CLIPConfig(
            text_config={**words, "num_attention_heads": 2, "projection_dim": DIMENSIONS},
            vision_config={**VISION, "projection_dim": DIMENSIONS},
            projection_dim=DIMENSIONS,
        )
    )
    sharpen(network)
    network.save_pretrained(folder)
    _clip_pictures().save_pretrained(folder)
    return network


def tiny_q16(folder: Path) -> DetectorSettings:
    tiny_clip(folder)
    prompts = np.random.default_rng(1).normal(size=(2, DIMENSIONS)).astype(np.float32)
    np.save(folder / "prompts.npy", prompts)
    options = {"prompts": str(folder / "prompts.npy")}
    return DetectorSettings(name="q16", model=str(folder), device="cpu", options=options)


def tiny_laion(folder: Path) -> DetectorSettings:
    tiny_clip(folder)
    save_file(laion_tensors(), folder / "head.safetensors")
    options = {"head": str(folder / "head.safetensors")}
    return DetectorSettings(name="laion", model=str(folder), device="cpu", options=options)


def laion_tensors(dimensions: int = DIMENSIONS) -> dict[str, torch.Tensor]:
    """Four layers, as the head for ViT-L/14 has."""
    random = torch.Generator().manual_seed(3)
    widths = (dimensions, 8, 12, 6, 1)
    tensors = {
        "norm.mean": torch.randn(dimensions, generator=random) * 0.1,
        "norm.variance": torch.rand(dimensions, generator=random) * 0.1 + 0.05,
    }
    for number, (wide, next_wide) in enumerate(pairwise(widths), start=1):
        tensors[f"linear_{number}.weight"] = torch.randn(next_wide, wide, generator=random) * 0.5
        tensors[f"linear_{number}.bias"] = torch.randn(next_wide, generator=random) * 0.1
    return tensors


def tiny_sd_safety_checker(folder: Path) -> DetectorSettings:
    """In the layout of the published file: the picture side one level deeper, its size said outside its own part."""
    network = tiny_clip(folder)
    tensors = {
        f"vision_model.{name}": tensor.clone()
        for name, tensor in network.state_dict().items()
        if name.startswith("vision_model.")
    }
    random = torch.Generator().manual_seed(4)
    tensors |= {
        "visual_projection.weight": network.visual_projection.weight.detach().clone(),
        "concept_embeds": torch.randn(17, DIMENSIONS, generator=random),
        "special_care_embeds": torch.randn(3, DIMENSIONS, generator=random),
        "concept_embeds_weights": torch.rand(17, generator=random) * 0.1 + 0.4,
        "special_care_embeds_weights": torch.rand(3, generator=random) * 0.1 + 0.1,
    }
    for path in folder.glob("*.safetensors"):
        path.unlink()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = ["StableDiffusionSafetyChecker"]
    del config["vision_config"]["projection_dim"]
    (folder / "config.json").write_text(json.dumps(config))
    prepare = json.loads((folder / "preprocessor_config.json").read_text())
    del prepare["image_processor_type"]
    prepare["feature_extractor_type"] = "CLIPFeatureExtractor"
    (folder / "preprocessor_config.json").write_text(json.dumps(prepare))
    return DetectorSettings(name="sd-safety-checker", model=str(folder), device="cpu")


def tiny_shieldgemma(folder: Path) -> DetectorSettings:
    """The tokens for Yes and No are not where the published model has them, so its configuration says where."""
    tokenizer = with_marks(byte_level_tokenizer((*CORPUS, *("Yes", "No") * 20)), GEMMA_MARKS)
    images = Gemma3ImageProcessorPil(size={"height": 56, "width": 56})
    processor = ShieldGemma2Processor(images, tokenizer, chat_template=SHIELDGEMMA_TEMPLATE, image_seq_length=4)
    torch.manual_seed(13)
    token = tokenizer.convert_tokens_to_ids
    sizes = {**decoder_sizes(len(tokenizer)), "max_position_embeddings": 1024}
    config = ShieldGemma2Config(
        text_config=Gemma3TextConfig(**sizes).to_dict(),
        vision_config=SiglipVisionConfig(**{**VISION, "image_size": 56, "patch_size": 14}).to_dict(),
        mm_tokens_per_image=4,
        image_token_index=token(GEMMA_MARKS["image_token"]),
        boi_token_index=token(GEMMA_MARKS["boi_token"]),
        eoi_token_index=token(GEMMA_MARKS["eoi_token"]),
        yes_token_index=token("Yes"),
        no_token_index=token("No"),
    )
    network = ShieldGemma2ForImageClassification(config)
    sharpen(network)
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    return DetectorSettings(name="shieldgemma-2", model=str(folder), device="cpu", batch=4)


def tiny_llavaguard(folder: Path) -> DetectorSettings:
    """Any tiny model, asked in LlavaGuard's format; random weights put little on Safe and Unsafe."""
    policy = folder / "policy.yaml"
    model = build_idefics3(folder)
    policy.write_text(POLICY)
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["max_position_embeddings"] = 1024  # a whole policy is longer than the questions of others
    (folder / "config.json").write_text(json.dumps(config))
    options = {"constitution": str(policy), "min_mass": 0.0}
    return DetectorSettings(name="llavaguard", model=str(model), device="cpu", batch=4, options=options)


def tiny_shieldstral(folder: Path) -> DetectorSettings:
    return tiny_llavaguard(folder).model_copy(update={"name": "shieldstral"})


def _clip_pictures() -> CLIPImageProcessorPil:
    return CLIPImageProcessorPil(size={"shortest_edge": SIDE_PX}, crop_size={"height": SIDE_PX, "width": SIDE_PX})
