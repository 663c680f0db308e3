"""Tiny models whose image tensors depend on the size of the image: grids of patches, or tiles of it.

Like `tiny_models`, from which their tokenizers come.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import (
    CLIPVisionConfig,
    GotOcr2ImageProcessorPil,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessorPil,
    Idefics3Processor,
    Idefics3VisionConfig,
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLVisionConfig,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextImageProcessorPil,
    LlavaNextProcessor,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from tests.contracts.tiny_models import (
    CHAT_TEMPLATE,
    byte_level_tokenizer,
    decoder_sizes,
    llama,
    metaspace_tokenizer,
    save,
    sharpen,
    vision,
    with_marks,
)

QWEN_TEMPLATE = CHAT_TEMPLATE.replace("<image>", "<|vision_start|><|image_pad|><|vision_end|>")
QWEN_MARKS = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>", "<end_of_utterance>")
INTERN_MARKS = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}


def build_idefics3_split(folder: Path) -> Path:
    """An image is cut into one to four tiles beside a small copy of the whole, with words for rows and columns."""
    tokenizer = byte_level_tokenizer(adds_bos=True)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<global-img>"]})
    images = Idefics3ImageProcessorPil(size={"longest_edge": 96}, max_image_size={"longest_edge": 48})
    processor = Idefics3Processor(images, tokenizer, image_seq_len=4, chat_template=CHAT_TEMPLATE)
    torch.manual_seed(6)
    config = Idefics3Config(
        text_config=llama(len(tokenizer)),
        vision_config=vision(Idefics3VisionConfig, image_size=48, patch_size=12),
        image_token_id=processor.image_token_id,
        scale_factor=2,
        pad_token_id=0,
    )
    return save(Idefics3ForConditionalGeneration(config), processor, folder)


def build_llava_next(folder: Path) -> Path:
    """Tiles in the grid that fits the image best, padding cut away again: the number of tokens depends on the sides."""
    tokenizer = metaspace_tokenizer(adds_bos=True)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>", "<end_of_utterance>"]})
    grids = [[28, 56], [56, 28], [56, 56]]
    images = LlavaNextImageProcessorPil(
        size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}, image_grid_pinpoints=grids
    )
    processor = LlavaNextProcessor(
        images,
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE.removeprefix("{{ bos_token }}"),
    )
    torch.manual_seed(7)
    config = LlavaNextConfig(
        text_config=llama(len(tokenizer)),
        vision_config=vision(CLIPVisionConfig, image_size=28, patch_size=14),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=grids,
    )
    return save(LlavaNextForConditionalGeneration(config), processor, folder)


def build_qwen2_5_vl(folder: Path) -> Path:
    """M-RoPE, an encoder with windows, as many patches as the image has."""
    tokenizer = _qwen_tokenizer()
    torch.manual_seed(8)
    eyes = {"fullatt_block_indexes": [1], "window_size": 56}
    config = Qwen2_5_VLConfig(**_qwen_config(tokenizer, {"mrope_section": [4, 6, 6]}, eyes))
    return _save_as_on_the_hub(
        Qwen2_5_VLForConditionalGeneration(config), _qwen_images(14), tokenizer, QWEN_TEMPLATE, folder
    )


def build_qwen3_vl(folder: Path) -> Path:
    """Interleaved M-RoPE, and features of an early layer of the encoder that are added in the decoder."""
    tokenizer = _qwen_tokenizer()
    torch.manual_seed(14)
    eyes = {"num_position_embeddings": 64, "deepstack_visual_indexes": [0], "patch_size": 16}
    config = Qwen3VLConfig(
        **_qwen_config(tokenizer, {"mrope_section": [6, 5, 5], "mrope_interleaved": True}, eyes),
        tie_word_embeddings=False,
    )
    return _save_as_on_the_hub(
        Qwen3VLForConditionalGeneration(config), _qwen_images(16), tokenizer, QWEN_TEMPLATE, folder
    )


def build_internvl(folder: Path) -> Path:
    """One to three tiles and a thumbnail, all in one row of pixels."""
    tokenizer = with_marks(byte_level_tokenizer(), INTERN_MARKS)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<end_of_utterance>"]})
    images = GotOcr2ImageProcessorPil(
        size={"height": 28, "width": 28}, crop_to_patches=True, min_patches=1, max_patches=3
    )
    torch.manual_seed(10)
    config = InternVLConfig(
        text_config=llama(len(tokenizer)).to_dict(),
        vision_config=vision(InternVLVisionConfig, image_size=28, patch_size=7).to_dict(),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        tie_word_embeddings=False,
    )
    template = CHAT_TEMPLATE.replace("<image>", "<IMG_CONTEXT>")
    return _save_as_on_the_hub(
        InternVLForConditionalGeneration(config), images, tokenizer, template, folder, image_seq_length=4
    )


def _qwen_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = byte_level_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": list(QWEN_MARKS)})
    return tokenizer


def _qwen_images(patch: int) -> Qwen2VLImageProcessorPil:
    side = 2 * patch
    return Qwen2VLImageProcessorPil(
        patch_size=patch, size={"shortest_edge": 2 * side * side, "longest_edge": 9 * side * side}
    )


def _qwen_config(tokenizer: PreTrainedTokenizerFast, rope: dict[str, Any], eyes: dict[str, Any]) -> dict[str, Any]:
    text = decoder_sizes(len(tokenizer)) | {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, **rope}}
    shape = {"depth": 2, "hidden_size": 48, "num_heads": 2, "intermediate_size": 96, "out_hidden_size": 64}
    names = {"image_token_id": 2, "video_token_id": 3, "vision_start_token_id": 0, "vision_end_token_id": 1}
    marks = {key: tokenizer.convert_tokens_to_ids(QWEN_MARKS[at]) for key, at in names.items()}
    return {"text_config": text, "vision_config": shape | eyes, **marks}


def _save_as_on_the_hub(
    model: PreTrainedModel,
    images: Any,
    tokenizer: PreTrainedTokenizerFast,
    chat_template: str,
    folder: Path,
    **processor: int,
) -> Path:
    """In parts, as the files of such models lie on the hub: the whole processor needs torchvision."""
    sharpen(model)
    model.save_pretrained(folder)
    images.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(chat_template)
    if processor:
        (folder / "processor_config.json").write_text(json.dumps(processor))
    return folder


TILED_BUILDERS: dict[str, Callable[[Path], Path]] = {
    "idefics3_split": build_idefics3_split,
    "llava_next": build_llava_next,
    "qwen2_5_vl": build_qwen2_5_vl,
    "qwen3_vl": build_qwen3_vl,
    "internvl": build_internvl,
}
