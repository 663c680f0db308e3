"""The embedded model's architecture, tokenizer and processor, and the packed forward pass it is trained with.

The architecture is the SmolVLM family (`Idefics3ForConditionalGeneration`), small: 144 px pictures, 18 px patches,
16 visual tokens. Training packs many questions behind one picture: each question sees the picture, the constant
text and itself, at the positions it would have alone, so that the released model may be asked one by one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import torch
    from transformers import Idefics3ForConditionalGeneration, PreTrainedTokenizerFast
    from transformers.processing_utils import ProcessorMixin

IMAGE_PX = 144
PATCH_PX = 18
VISUAL_TOKENS = 16
VISION_WIDTH = 192
VOCABULARY = 2048
FAKE, IMAGE, GLOBAL, END = "<fake_token_around_image>", "<image>", "<global-img>", "<end_of_utterance>"
USER, ASSISTANT, PAD = "<|user|>", "<|assistant|>", "<pad>"
SPECIAL_TOKENS = (PAD, USER, ASSISTANT, END, IMAGE, FAKE, GLOBAL)
PICTURE_TEXT = FAKE + GLOBAL + IMAGE * VISUAL_TOKENS + FAKE
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|assistant|>' if message['role'] == 'assistant' else '<|user|>' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<end_of_utterance>"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""Idefics3 has no system role in this template: system turns are read as user turns."""


def train_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE of at most 2,048 entries over the project's own sentences; any text can be encoded."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: PLC0415
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        bos_token=USER,
        model_max_length=1024,
        additional_special_tokens=[IMAGE, FAKE, END, GLOBAL, ASSISTANT],
    )


def build_processor(tokenizer: PreTrainedTokenizerFast) -> ProcessorMixin:
    """Pictures are squared to 144 px and never split."""
    from transformers.models.idefics3.image_processing_pil_idefics3 import (  # noqa: PLC0415
        Idefics3ImageProcessorPil,
    )
    from transformers.models.idefics3.processing_idefics3 import Idefics3Processor  # noqa: PLC0415

    pictures = Idefics3ImageProcessorPil(
        size={"longest_edge": IMAGE_PX},
        max_image_size={"longest_edge": IMAGE_PX},
        do_image_splitting=False,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    processor = Idefics3Processor(pictures, tokenizer, image_seq_len=VISUAL_TOKENS, chat_template=CHAT_TEMPLATE)
    return cast("ProcessorMixin", processor)


def build_model(tokenizer: PreTrainedTokenizerFast, *, decoder_layers: int = 4) -> Idefics3ForConditionalGeneration:
    """The model with random weights, fp32."""
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, LlamaConfig  # noqa: PLC0415

    text = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=256, intermediate_size=640, num_hidden_layers=decoder_layers,
        num_attention_heads=4, num_key_value_heads=4, head_dim=64, max_position_embeddings=1024,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=True,
    )  # fmt: skip
    vision = {
        "hidden_size": VISION_WIDTH, "intermediate_size": 4 * VISION_WIDTH, "num_hidden_layers": 6,
        "num_attention_heads": 3, "image_size": IMAGE_PX, "patch_size": PATCH_PX, "hidden_act": "gelu_pytorch_tanh",
    }  # fmt: skip
    config = Idefics3Config(
        text_config=text.to_dict(),
        vision_config=vision,
        scale_factor=2,
        image_token_id=tokenizer.vocab[IMAGE],
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = Idefics3ForConditionalGeneration(config)  # type: ignore[no-untyped-call]
    _start_well(model)
    return model


def _start_well(model: Idefics3ForConditionalGeneration) -> None:
    """Starting weights from which small vision transformers learn faster than from noise.

    Patch filters are cosine waves of two colour contrasts and brightness, positions are sines of row and column, and
    keys equal queries, so that attention starts out local and drawn to what looks alike. Source of the last two:
    "Better plain ViT baselines for ImageNet-1k" (arXiv 2205.01580), "Mimetic Initialization" (arXiv 2305.09828).
    """
    import torch  # noqa: PLC0415

    vision = model.model.vision_model
    layers = [(x.self_attn, 0.7) for x in vision.encoder.layers] + [
        (x.self_attn, 0.5) for x in model.model.text_model.layers[:2]
    ]
    with torch.no_grad():
        vision.embeddings.patch_embedding.weight.copy_(_cosine_filters(VISION_WIDTH))
        vision.embeddings.position_embedding.weight.copy_(0.5 * _sine_positions(VISION_WIDTH))
        for attention, gain in layers:
            for head in attention.q_proj.weight.view(-1, 64, attention.q_proj.weight.shape[1]):
                torch.nn.init.orthogonal_(head, gain)
            attention.k_proj.weight.copy_(attention.q_proj.weight)


def _cosine_filters(count: int) -> torch.Tensor:
    """`(count, 3, 18, 18)`: the lowest two-dimensional cosines, for brightness and two colour contrasts."""
    import torch  # noqa: PLC0415

    contrasts = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]])
    contrasts = contrasts / contrasts.norm(dim=1, keepdim=True)
    ramp = (torch.arange(PATCH_PX) + 0.5) * torch.pi / PATCH_PX
    side = int((count / 3) ** 0.5)
    filters = []
    for u in range(side):
        for v in range(side):
            wave = torch.cos(u * ramp)[:, None] * torch.cos(v * ramp)[None, :]
            wave = wave / wave.norm() * 0.15 * (1 + u + v)  # pictures hold less of the fine waves
            filters += [contrast[:, None, None] * wave for contrast in contrasts]
    return torch.stack(filters[:count])


def _sine_positions(width: int) -> torch.Tensor:
    """`(64, width)`: sines and cosines of the patch's row and column, of falling frequency."""
    import torch  # noqa: PLC0415

    side = IMAGE_PX // PATCH_PX
    frequencies = 2.0 * torch.pi / torch.logspace(0.4, 2, width // 4)  # periods of 2.5 to 100 patches
    angles = torch.arange(side)[:, None] * frequencies
    waves = torch.cat([angles.sin(), angles.cos()], 1)
    rows, columns = waves[:, None, :].expand(side, side, -1), waves[None, :, :].expand(side, side, -1)
    return torch.cat([rows, columns], -1).reshape(side * side, width)


@dataclass(frozen=True, slots=True)
class Packed:
    """One batch of pictures with packed questions.

    Attributes:
        pixels: `(pictures, 144, 144, 3) uint8`, row after row, each row's in order; None for a text-only batch.
        ids: `(batch, length) int64`, padded.
        positions: `(batch, length) int64`; restart after the prefix for every question.
        groups: `(batch, length) int64`: 0 = prefix, 1.. = question, -1 = padding.
        targets: `(batch, length) int64`: the next token where it is part of an answer, else -100.
        weights: `(batch, length) float32`: how much each target counts.
    """

    pixels: torch.Tensor | None
    ids: torch.Tensor
    positions: torch.Tensor
    groups: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor


def packed_mask(groups: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """`(batch, 1, length, length)` additive mask: causal, and each question sees the prefix and itself only."""
    import torch  # noqa: PLC0415

    length = groups.shape[1]
    earlier = torch.ones(length, length, dtype=torch.bool, device=groups.device).tril()
    same = groups[:, :, None] == groups[:, None, :]
    seen = (same | (groups[:, None, :] == 0)) & earlier
    seen |= torch.eye(length, dtype=torch.bool, device=groups.device)  # padding rows must see something
    mask = torch.zeros(seen.shape, dtype=dtype, device=groups.device)
    return mask.masked_fill(~seen, torch.finfo(dtype).min)[:, None]


@dataclass(frozen=True, slots=True)
class Seen:
    """The encoder's patch features `(batch, 64, 192)` and the decoder's visual tokens `(batch, 16, 256)`."""

    features: torch.Tensor
    visual: torch.Tensor


def see(model: Idefics3ForConditionalGeneration, pixels: torch.Tensor) -> Seen:
    """Encodes `(batch, 144, 144, 3) uint8` pictures."""
    values = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
    features = model.model.vision_model(values).last_hidden_state
    return Seen(features, model.model.connector(features))


def packed_forward(
    model: Idefics3ForConditionalGeneration, batch: Packed
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Seen | None]:
    """Logits at the target positions, the targets, their weights, and what the encoder saw."""
    embeds = model.model.text_model.get_input_embeddings()(batch.ids)
    seen = None
    if batch.pixels is not None:
        seen = see(model, batch.pixels)
        places = batch.ids == model.config.image_token_id
        embeds = embeds.masked_scatter(places[..., None], seen.visual.to(embeds.dtype))
    mask = packed_mask(batch.groups, embeds.dtype)
    hidden = model.model.text_model(
        inputs_embeds=embeds, attention_mask=mask, position_ids=batch.positions, use_cache=False
    ).last_hidden_state
    asked = batch.targets != -100
    return model.lm_head(hidden[asked]), batch.targets[asked], batch.weights[asked], seen


def save_model(model: Idefics3ForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """bf16 safetensors, tokenizer and processor, as `from_pretrained` reads them."""
    import torch  # noqa: PLC0415
    from transformers import Idefics3ForConditionalGeneration  # noqa: PLC0415

    copy = Idefics3ForConditionalGeneration(model.config)  # type: ignore[no-untyped-call]
    copy.load_state_dict(model.state_dict())
    copy.to(dtype=torch.bfloat16).save_pretrained(folder)  # type: ignore[call-arg]
    build_processor(tokenizer).save_pretrained(folder)
