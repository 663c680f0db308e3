"""From prompts to token ids and image tensors, with the frames of a group of prompts prepared only once.

Not here: anything that runs the model.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from PIL import Image
from torch import Tensor

from judge.engines.model_interface import Processor
from judge.errors import EngineError
from judge.types import Frame, Prompt

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FrameGroup:
    """Prompts about the same frames, cut where their texts begin.

    Attributes:
        head: Token ids up to and including the last image, the same for all prompts; empty without frames.
        tails: Token ids behind it, one non-empty list per prompt.
        images: Image tensors of one row (`pixel_values`...), empty without frames.
        token_types: Tensors beside the token ids of the first prompt, `(1, length)`.
    """

    head: tuple[int, ...]
    tails: tuple[tuple[int, ...], ...]
    images: Mapping[str, Tensor]
    token_types: Mapping[str, Tensor]

    @property
    def n_pixels(self) -> int:
        """Pixel values of all frames and their tiles."""
        return sum(tensor.numel() for tensor in self.images.values() if tensor.is_floating_point())


class PromptEncoder:
    """Renders prompts with the model's chat template and runs its processor.

    Args:
        processor: The model's own.
        accepted: Names of the inputs that the model takes; None = all.
        template_options: Variables for its chat template.
    """

    def __init__(
        self,
        processor: Processor,
        accepted: frozenset[str] | None = None,
        template_options: Mapping[str, object] | None = None,
    ) -> None:
        self._processor = processor
        self.tokenizer = processor.tokenizer
        self._template_options = _known_options(processor, template_options or {})
        self._accepted = accepted
        self._special = frozenset(self.tokenizer.all_special_ids)
        self._placeholders = _placeholders(processor)

    @property
    def has_template(self) -> bool:
        return bool(self._processor.chat_template or self.tokenizer.chat_template)

    def render(self, prompt: Prompt) -> str:
        """The prompt as text, with a placeholder for each frame and the beginning of the answer's turn.

        Raises:
            EngineError: The chat template does not write what the prompt's layout gives it, e.g. the policy.
        """
        source = self._processor if self._processor.chat_template else self.tokenizer
        if not source.chat_template:
            return self._plain(prompt)
        options = self._template_options | dict(prompt.layout.template_fields)
        text = source.apply_chat_template(_conversation(prompt), tokenize=False, add_generation_prompt=True, **options)
        for name, value in prompt.layout.template_fields:
            if not all(line.strip() in text for line in value.splitlines()):
                raise EngineError(f"the chat template of '{self.tokenizer.name_or_path}' leaves out '{name}'")
        return text + prompt.layout.answer_prefix

    def _plain(self, prompt: Prompt) -> str:
        mark = self._placeholders[0] if self._placeholders else ""
        images = "".join(label + mark for label in prompt.layout.frame_labels) or mark * len(prompt.frames)
        text = "\n".join(message.text for message in prompt.messages)
        return (text + images if prompt.layout.frames_last else images + text) + prompt.layout.answer_prefix

    def encode(self, prompt: Prompt) -> dict[str, Tensor]:
        """One prompt exactly as the model's authors feed it: a batch of one row."""
        return self._process(self.render(prompt), prompt.frames)

    def encode_group(self, prompts: Sequence[Prompt]) -> FrameGroup | None:
        """Prompts about the same frames; the processor sees the frames once.

        Returns:
            None if the prompts differ before their frames end, or if this tokenizer cannot be fed in two pieces.
        """
        texts = [self.render(prompt) for prompt in prompts]
        frames = prompts[0].frames
        if not frames:
            tails = tuple(self._text_ids(text) for text in texts)
            return FrameGroup((), tails, {}, {}) if all(tails) else None
        parts = [part for text in texts if (part := self._split(text, len(frames)))]
        if len(parts) != len(texts) or len({part[:2] for part in parts}) != 1:
            return None
        tails = tuple(self._tail_ids(placeholder, behind) for _, placeholder, behind in parts)
        group = self._join(self._process(texts[0], frames), tails)
        if group and (len({tail[0] for tail in tails}) == 1 or self._stay_apart(group, parts)):
            return group
        return None  # a tail that begins otherwise than the first might merge with the head's last token

    def split_ids(self, prompt: Prompt) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Token ids with one placeholder per frame, for a library that expands them itself: no picture is touched.

        Returns:
            The ids up to and including the last placeholder, empty without frames; the ids behind it.

        Raises:
            EngineError: The words hold a placeholder too, or this tokenizer does not keep one as one token.
        """
        text = self.render(prompt)
        if not prompt.frames:
            return (), self._text_ids(text)
        part = self._split(text, len(prompt.frames))
        if part is None:
            raise EngineError(
                f"a prompt of {len(prompt.frames)} frames is rendered with another number of placeholders"
            )
        mark = self.tokenizer.encode(part[1], add_special_tokens=False)
        ids = self.tokenizer.encode(text, add_special_tokens=self._adds_special(text))
        if len(mark) != 1 or ids.count(mark[0]) != len(prompt.frames):
            raise EngineError(f"tokenizer '{self.tokenizer.name_or_path}' does not keep '{part[1]}' as one token")
        cut = len(ids) - ids[::-1].index(mark[0])
        return tuple(ids[:cut]), tuple(ids[cut:])

    def _join(self, inputs: dict[str, Tensor], tails: tuple[tuple[int, ...], ...]) -> FrameGroup | None:
        """Check on the first prompt that head and tail, tokenized apart, are what the processor made of the whole."""
        ids = tuple(int(token) for token in inputs["input_ids"][0])
        if not all(tails) or ids[-len(tails[0]) :] != tails[0]:
            return None
        head = ids[: -len(tails[0])]
        images: dict[str, Tensor] = {}
        token_types: dict[str, Tensor] = {}
        for key, tensor in inputs.items():
            if key in ("input_ids", "attention_mask"):
                continue
            (token_types if tensor.shape == inputs["input_ids"].shape else images)[key] = tensor
        return FrameGroup(head, tails, images, token_types)

    def _stay_apart(self, group: FrameGroup, parts: Sequence[tuple[str, str, str]]) -> bool:
        """Whether words that the processor itself puts behind an image merge with no text (Gemma 3: two newlines)."""
        own = tuple(takewhile(lambda token: token not in self._special, reversed(group.head)))[::-1]
        if not own:
            return True
        words = self.tokenizer.decode(own, skip_special_tokens=False)
        return all(
            self._tail_ids(placeholder, words + behind) == own + tail
            for tail, (_, placeholder, behind) in zip(group.tails, parts, strict=True)
        )

    def _split(self, text: str, n_frames: int) -> tuple[str, str, str] | None:
        """Text before the last placeholder, the placeholder, text behind it."""
        for placeholder in self._placeholders:
            if text.count(placeholder) == n_frames:
                before, _, behind = text.rpartition(placeholder)
                return before, placeholder, behind
        return None

    def _tail_ids(self, placeholder: str, text: str) -> tuple[int, ...]:
        """Tokenized behind the placeholder: alone, a sentencepiece tokenizer would put a space in front."""
        mark = self.tokenizer.encode(placeholder, add_special_tokens=False)
        ids = self.tokenizer.encode(placeholder + text, add_special_tokens=False)
        return tuple(ids[1:]) if len(mark) == 1 and ids[:1] == mark else ()

    def _text_ids(self, text: str) -> tuple[int, ...]:
        self._refuse_placeholder(text)
        return tuple(self.tokenizer.encode(text, add_special_tokens=self._adds_special(text)))

    def _process(self, text: str, frames: Sequence[Frame]) -> dict[str, Tensor]:
        if not frames:
            self._refuse_placeholder(text)
        inputs = self._processor(
            text=[text],
            images=[[Image.fromarray(frame.image) for frame in frames]] if frames else None,
            return_tensors="pt",
            add_special_tokens=self._adds_special(text),
        )
        return {
            key: value
            for key, value in inputs.items()
            if key != "labels" and (self._accepted is None or key in self._accepted)
        }

    def _refuse_placeholder(self, text: str) -> None:
        """An image token without an image is silently read as an ordinary word."""
        for placeholder in self._placeholders:
            if placeholder in text:
                raise EngineError(f"the text of a prompt without frames contains the image placeholder '{placeholder}'")

    def _adds_special(self, text: str) -> bool:
        """Most chat templates write the start token themselves; a second one changes the answers."""
        return not (self.tokenizer.bos_token and text.startswith(self.tokenizer.bos_token))


def _conversation(prompt: Prompt) -> list[dict[str, object]]:
    """Frames before the text of the first user message, or behind it, as the prompt's layout says."""
    first_user = next(i for i, message in enumerate(prompt.messages) if message.role == "user")
    conversation: list[dict[str, object]] = []
    for i, message in enumerate(prompt.messages):
        images = _images(prompt) if i == first_user else []
        text: list[dict[str, object]] = []
        if message.text or not images:
            text.append({"type": "text", "text": message.text})
        content = [*text, *images] if prompt.layout.frames_last else [*images, *text]
        conversation.append({"role": message.role, "content": content})
    return conversation


def _images(prompt: Prompt) -> list[dict[str, object]]:
    """Each frame behind its label, if the frames have some."""
    image: dict[str, object] = {"type": "image"}
    if not prompt.layout.frame_labels:
        return [image] * len(prompt.frames)
    labels: list[dict[str, object]] = [{"type": "text", "text": label} for label in prompt.layout.frame_labels]
    return [part for label in labels for part in (label, image)]


def _known_options(processor: Processor, options: Mapping[str, object]) -> dict[str, object]:
    """Those that occur in the chat template: transformers would complain of the others at every prompt."""
    template = str(processor.chat_template or processor.tokenizer.chat_template)
    unknown = [name for name in options if name not in template]
    if unknown:
        _LOG.warning("the chat template has no variable %s: it changes nothing", ", ".join(unknown))
    return {name: value for name, value in options.items() if name not in unknown}


def _placeholders(processor: Processor) -> tuple[str, ...]:
    """What stands for an image in rendered text: `image_token`, but `boi_token` where that one is expanded."""
    names = (getattr(processor, "image_token", None), getattr(processor, "boi_token", None))
    return tuple(dict.fromkeys(str(name) for name in names if name))
