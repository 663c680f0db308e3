"""One prompt, one full forward pass, with plain transformers: what every shared computation must reproduce."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from PIL import Image
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
    InternVLProcessor,
    Qwen2_5_VLProcessor,
    Qwen3VLProcessor,
)

from judge.types import Prompt


class _Qwen2_5(Qwen2_5_VLProcessor):
    def __init__(self, image_processor: object, tokenizer: object, chat_template: str | None = None) -> None:
        super().__init__(image_processor, tokenizer, None, chat_template)


class _Qwen3(Qwen3VLProcessor):
    def __init__(self, image_processor: object, tokenizer: object, chat_template: str | None = None) -> None:
        super().__init__(image_processor, tokenizer, None, chat_template)


class _InternVL(InternVLProcessor):
    def __init__(
        self, image_processor: object, tokenizer: object, image_seq_length: int, chat_template: str | None = None
    ) -> None:
        super().__init__(image_processor, tokenizer, None, image_seq_length, chat_template)


WITHOUT_VIDEO = {"qwen2_5_vl": _Qwen2_5, "qwen3_vl": _Qwen3, "internvl": _InternVL}
"""Of families whose whole processor needs torchvision."""


class PlainReference:
    """Written against transformers alone: it shares no code with `judge.engines`."""

    def __init__(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        kind = WITHOUT_VIDEO.get(AutoConfig.from_pretrained(folder).model_type, AutoProcessor)
        self.processor = kind.from_pretrained(folder)
        self.model = AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype).eval()

    def inputs(self, prompt: Prompt) -> dict[str, torch.Tensor]:
        images = [Image.fromarray(frame.image) for frame in prompt.frames]
        if self.processor.chat_template is None:
            text = self.processor.image_token * len(images) + "\n".join(message.text for message in prompt.messages)
            found = self.processor(text=[text], images=[images], return_tensors="pt")
        else:
            pictures = [{"type": "image", "image": image} for image in images]
            conversation = []
            for message in prompt.messages:
                shown, pictures = (pictures, []) if message.role == "user" else ([], pictures)
                content = [*shown, {"type": "text", "text": message.text}]
                conversation.append({"role": message.role, "content": content})
            found = self.processor.apply_chat_template(
                conversation, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
            )
        return {
            key: value.to(self.model.dtype) if value.is_floating_point() else value
            for key, value in found.items()
            if key != "labels"
        }

    @torch.inference_mode()
    def masses(self, prompt: Prompt) -> dict[str, float]:
        """Probability in the whole vocabulary of all tokens that read as each choice."""
        probabilities = torch.softmax(self.model(**self.inputs(prompt)).logits[0, -1].double(), dim=-1)
        return {word: float(probabilities[list(ids)].sum()) for word, ids in self._words().items()}

    @torch.inference_mode()
    def greedy(self, prompt: Prompt, n_tokens: int) -> list[int]:
        """Token by token without any cache."""
        inputs = self.inputs(prompt)
        written: list[int] = []
        for _ in range(n_tokens):
            written.append(int(self.model(**inputs, use_cache=False).logits[0, -1].argmax()))
            for key in inputs:
                if inputs[key].shape == inputs["input_ids"].shape and key != "input_ids":
                    more = torch.full((1, 1), int(key == "attention_mask"))  # the others: its type, which is text
                    inputs[key] = torch.cat([inputs[key], more], dim=1)
            inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([[written[-1]]])], dim=1)
        return written

    @cache  # noqa: B019  (one reference per model and session)
    def _words(self) -> dict[str, tuple[int, ...]]:
        """By reading the whole vocabulary aloud."""
        tokenizer = self.processor.tokenizer
        spelled = {token: tokenizer.decode([token]).strip() for token in range(len(tokenizer))}
        return {
            word: tuple(token for token, text in spelled.items() if text in (word, word.lower(), word.upper()))
            for word in ("Yes", "No")
        }
