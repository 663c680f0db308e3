"""The pictures of one batch of prompts as `data:` URLs: each is encoded once, whatever arrays it lies in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from judge.config import OpenAIOptions
from judge.engines.chat_format import data_url
from judge.engines.identity import frame_key, prompt_words
from judge.types import Prompt


@dataclass(frozen=True, slots=True)
class BatchPictures:
    """Frame object -> key of its pixels -> its `data:` URL."""

    keys: Mapping[int, str]
    urls: Mapping[str, str]

    def of(self, prompt: Prompt) -> tuple[str, ...]:
        """URLs of the prompt's frames, in order."""
        return tuple(self.urls[self.keys[id(frame)]] for frame in prompt.frames)

    def prompt_key(self, prompt: Prompt) -> tuple[object, ...]:
        """Equal for prompts with the same words about the same pixels."""
        return (prompt_words(prompt), *(self.keys[id(frame)] for frame in prompt.frames))


def encode_pictures(prompts: Sequence[Prompt], options: OpenAIOptions) -> BatchPictures:
    """All frames of the prompts, which must outlive the result."""
    keys: dict[int, str] = {}
    digests: dict[int, str] = {}
    urls: dict[str, str] = {}
    for frame in (frame for prompt in prompts for frame in prompt.frames):
        if id(frame) in keys:
            continue
        key = keys[id(frame)] = frame_key(frame, digests)
        if key not in urls:
            urls[key] = data_url(frame, options)
    return BatchPictures(keys, urls)
