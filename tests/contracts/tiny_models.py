"""Tiny vision-language models with random weights and real tokenizers, saved as folders an engine can load.

A new architecture is one `build_...` function and one entry in `BUILDERS`. Their answers mean nothing; that the
engine reads the same answers as plain transformers does means everything.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3ImageProcessorPil,
    Gemma3Processor,
    Gemma3TextConfig,
    GemmaConfig,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessorPil,
    Idefics3Processor,
    Idefics3VisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    MistralConfig,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    PaliGemmaProcessor,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ShieldGemma2Config,
    ShieldGemma2ForImageClassification,
    ShieldGemma2Processor,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
)

CORPUS = (
    "Is this statement true of the image? Answer Yes or No.",
    "Statement: a person holds a kitchen knife. Answer: Yes",
    "Statement: a dog stands next to a burning house. Answer: No",
    "Yes yes YES No no NO. Describe the scene: a woman and a cat, a slot machine, a bottle of wine.",
    "There is no image. Answer from what is usual. User: Assistant: System:",
)
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] | capitalize }}: "
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}"
    "{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)

GEMMA_MARKS = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
SHIELDGEMMA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    "<start_of_image>{% else %}Policy: {{ part['text'] }} Is it broken? Yes or No.{% endif %}{% endfor %}\nmodel\n"
    "{% endfor %}"
)


def byte_level_tokenizer(corpus: tuple[str, ...] = CORPUS, *, adds_bos: bool = False) -> PreTrainedTokenizerFast:
    """BPE over bytes: a leading space is part of the token (as in GPT-2, Llama 3, Qwen, SmolVLM)."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    specials = ["<pad>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus * 3, trainer)
    if adds_bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", name_or_path="byte-level"
    )


def metaspace_tokenizer(corpus: tuple[str, ...] = CORPUS, *, adds_bos: bool = False) -> PreTrainedTokenizerFast:
    """BPE over words with a marker for the space before them (as in Llama 2, LLaVA, Gemma)."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    specials = ["<pad>", "<s>", "</s>", "<unk>"]
    tokenizer.train_from_iterator(
        corpus * 3, trainers.BpeTrainer(vocab_size=500, special_tokens=specials, show_progress=False)
    )
    if adds_bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        name_or_path="metaspace",
    )


def decoder_sizes(vocabulary: int) -> dict[str, int]:
    return {
        "vocab_size": vocabulary,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "max_position_embeddings": 512,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }


def llama(vocabulary: int) -> LlamaConfig:
    return LlamaConfig(**decoder_sizes(vocabulary))


def vision(kind: type, **more: int) -> Any:
    return kind(hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=2, **more)


def build_idefics3(folder: Path) -> Path:
    """The embedded model's architecture: one square image, no splitting, pixel shuffle.

    Both its template and its tokenizer write the start token, as Llama 3's do: there must be only one.
    """
    tokenizer = byte_level_tokenizer(adds_bos=True)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<global-img>"]})
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": 96}, max_image_size={"longest_edge": 96}, do_image_splitting=False
    )
    processor = Idefics3Processor(images, tokenizer, image_seq_len=16, chat_template=CHAT_TEMPLATE)
    torch.manual_seed(1)
    config = Idefics3Config(
        text_config=llama(len(tokenizer)),
        vision_config=vision(Idefics3VisionConfig, image_size=96, patch_size=12),
        image_token_id=processor.image_token_id,
        scale_factor=2,
        pad_token_id=0,
    )
    return save(Idefics3ForConditionalGeneration(config), processor, folder)


def build_llava(folder: Path) -> Path:
    """CLIP encoder, sentencepiece-like tokenizer that adds the start token itself, template without one."""
    return _build_llava(folder, llama)


def build_llava_sliding(folder: Path) -> Path:
    """A decoder that sees only the last 24 tokens: less than one prompt."""
    return _build_llava(folder, lambda vocabulary: MistralConfig(**decoder_sizes(vocabulary), sliding_window=24))


def build_llava_bidirectional(folder: Path) -> Path:
    """A decoder whose tokens see the later ones too, so no prefix can be shared: the probe must find out."""
    return _build_llava(
        folder, lambda vocabulary: Gemma3TextConfig(**decoder_sizes(vocabulary), use_bidirectional_attention=True)
    )


def _build_llava(folder: Path, decoder: Callable[[int], PreTrainedConfig]) -> Path:
    tokenizer = metaspace_tokenizer(adds_bos=True)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>", "<end_of_utterance>"]})
    images = CLIPImageProcessorPil(
        size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}, do_center_crop=True
    )
    processor = LlavaProcessor(
        images,
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE.removeprefix("{{ bos_token }}"),
    )
    torch.manual_seed(2)
    config = LlavaConfig(
        text_config=decoder(len(tokenizer)),
        vision_config=vision(CLIPVisionConfig, image_size=56, patch_size=14),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    return save(LlavaForConditionalGeneration(config), processor, folder)


def build_paligemma(folder: Path) -> Path:
    """Bidirectional over image and question, so nothing can be shared; no template, no prompt without an image."""
    tokenizer = byte_level_tokenizer()
    images = SiglipImageProcessorPil(size={"height": 56, "width": 56})
    images.image_seq_length = 16
    processor = PaliGemmaProcessor(images, tokenizer)
    torch.manual_seed(3)
    config = PaliGemmaConfig(
        text_config=GemmaConfig(**decoder_sizes(len(processor.tokenizer))),
        vision_config=vision(SiglipVisionConfig, image_size=56, patch_size=14),
        image_token_id=processor.image_token_id,
        projection_dim=64,
    )
    return save(PaliGemmaForConditionalGeneration(config), processor, folder)


def build_gemma3(folder: Path, corpus: tuple[str, ...] = CORPUS) -> Path:
    """Two layers that see the last 16 tokens and one that sees all; within an image, tokens see the later ones too.

    The window is shorter than every prompt, and than an image with the words around it.
    """
    tokenizer = with_marks(byte_level_tokenizer(corpus), GEMMA_MARKS)
    images = Gemma3ImageProcessorPil(size={"height": 56, "width": 56})
    template = CHAT_TEMPLATE.replace("<image>", GEMMA_MARKS["boi_token"])
    processor = Gemma3Processor(images, tokenizer, chat_template=template, image_seq_length=4)
    torch.manual_seed(5)
    layers = {"num_hidden_layers": 3, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
    text = Gemma3TextConfig(**decoder_sizes(len(tokenizer)) | layers, sliding_window=16)
    config = Gemma3Config(text_config=text.to_dict(), **_gemma_images(tokenizer))
    return save(Gemma3ForConditionalGeneration(config), processor, folder)


def build_shieldgemma2(folder: Path) -> Path:
    """Gemma 3 inside a classifier. Its processor ignores the words it is given, and its template adds the question."""
    tokenizer = with_marks(byte_level_tokenizer(), GEMMA_MARKS)
    images = Gemma3ImageProcessorPil(size={"height": 56, "width": 56})
    processor = ShieldGemma2Processor(images, tokenizer, chat_template=SHIELDGEMMA_TEMPLATE, image_seq_length=4)
    torch.manual_seed(4)
    config = ShieldGemma2Config(
        text_config=Gemma3TextConfig(**decoder_sizes(len(tokenizer))).to_dict(), **_gemma_images(tokenizer)
    )
    return save(ShieldGemma2ForImageClassification(config), processor, folder)


def with_marks(tokenizer: PreTrainedTokenizerFast, marks: dict[str, str]) -> PreTrainedTokenizerFast:
    """The same with special tokens that have names of their own, such as `image_token`."""
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens=marks,
    )


def _gemma_images(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """The part of a Gemma 3 configuration that is about images: 4 tokens each."""
    return {
        "vision_config": vision(SiglipVisionConfig, image_size=56, patch_size=14).to_dict(),
        "mm_tokens_per_image": 4,
        "image_token_index": tokenizer.convert_tokens_to_ids(GEMMA_MARKS["image_token"]),
        "boi_token_index": tokenizer.convert_tokens_to_ids(GEMMA_MARKS["boi_token"]),
        "eoi_token_index": tokenizer.convert_tokens_to_ids(GEMMA_MARKS["eoi_token"]),
    }


BUILDERS: dict[str, Callable[[Path], Path]] = {
    "idefics3": build_idefics3,
    "llava": build_llava,
    "llava_sliding": build_llava_sliding,
    "llava_bidirectional": build_llava_bidirectional,
    "paligemma": build_paligemma,
    "gemma3": build_gemma3,
}


def save(model: PreTrainedModel, processor: object, folder: Path) -> Path:
    sharpen(model)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def sharpen(model: PreTrainedModel) -> None:
    """Fresh weights are so small that every image looks alike: larger ones make a wrong image or mask visible.

    Some are zero (Gemma 3's projection of the images), which makes a model blind.
    """
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4.0) if parameter.any() else parameter.normal_(std=0.1)
