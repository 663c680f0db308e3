"""The dual encoder's architecture, tokenizer and files: a small SigLIP that starts with the embedded model's eyes.

The picture tower is the lower layers of the embedded model's own encoder with SigLIP's pooling head; the text tower
is small and learned from nothing. Not here: what it is trained on (`dual_encoder_corpus`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from judge.engines.model_folder import write_digests
from judge.stickers.network import IMAGE_PX, PATCH_PX, VISION_WIDTH

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, SiglipModel
    from transformers.processing_utils import ProcessorMixin

PAD, END = "<pad>", "</s>"
TEXT_TOKENS = 24
"""Longer statements are cut, as CLIP does at 77."""
TEXT_WIDTH = 128
ENTRIES = 640


def train_statement_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE of at most 640 entries; any text can be encoded."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers  # noqa: PLC0415
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=ENTRIES,
        special_tokens=[PAD, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    end = (END, tokenizer.token_to_id(END))
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[end])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        model_max_length=TEXT_TOKENS,
        model_input_names=["input_ids"],  # as SigLIP's own: padding is read, not masked
    )


def build_processor(tokenizer: PreTrainedTokenizerFast) -> ProcessorMixin:
    """Pictures are squared to 144 px, as the embedded model's are."""
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil  # noqa: PLC0415
    from transformers.models.siglip.processing_siglip import SiglipProcessor  # noqa: PLC0415

    pictures = SiglipImageProcessorPil(
        size={"height": IMAGE_PX, "width": IMAGE_PX}, image_mean=[0.5, 0.5, 0.5], image_std=[0.5, 0.5, 0.5]
    )
    return cast("ProcessorMixin", SiglipProcessor(pictures, tokenizer))  # type: ignore[no-untyped-call]


def build_dual_encoder(tokenizer: PreTrainedTokenizerFast, *, vision_layers: int = 4) -> SiglipModel:
    """The model with random weights, fp32."""
    from transformers import SiglipConfig, SiglipModel  # noqa: PLC0415

    text = {
        "vocab_size": len(tokenizer), "hidden_size": TEXT_WIDTH, "intermediate_size": 3 * TEXT_WIDTH,
        "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": TEXT_TOKENS,
        "projection_size": VISION_WIDTH, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
    }  # fmt: skip
    vision = {
        "hidden_size": VISION_WIDTH, "intermediate_size": 4 * VISION_WIDTH, "num_hidden_layers": vision_layers,
        "num_attention_heads": 3, "image_size": IMAGE_PX, "patch_size": PATCH_PX,
    }  # fmt: skip
    config = SiglipConfig(text_config=text, vision_config=vision)
    return SiglipModel(config)


def start_from_embedded(model: SiglipModel, folder: Path) -> None:
    """Copies patches, positions and the lower layers of the embedded model's encoder."""
    from transformers import AutoModelForImageTextToText  # noqa: PLC0415

    source = AutoModelForImageTextToText.from_pretrained(folder).model.vision_model.float()
    kept = len(model.vision_model.encoder.layers)
    model.vision_model.embeddings.load_state_dict(source.embeddings.state_dict(), strict=False)
    for own, theirs in zip(model.vision_model.encoder.layers, source.encoder.layers[:kept], strict=True):
        own.load_state_dict(theirs.state_dict())
    model.vision_model.post_layernorm.load_state_dict(source.post_layernorm.state_dict())


def save_dual_encoder(model: SiglipModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """float16 safetensors, tokenizer, processor, and the digests that a damaged file is known by."""
    import torch  # noqa: PLC0415
    from transformers import SiglipModel  # noqa: PLC0415

    copy = SiglipModel(model.config)
    copy.load_state_dict(model.state_dict())
    copy.to(dtype=torch.float16).save_pretrained(folder)  # type: ignore[call-arg]
    build_processor(tokenizer).save_pretrained(folder)
    write_digests(folder)
