"""What every engine that runs a model refuses before it spends any work."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from judge.engines.base import Capabilities, JsonSchema
from judge.errors import EngineError
from judge.types import Frame, Prompt


def check_prompts(model: str, capabilities: Capabilities, prompts: Sequence[Prompt]) -> None:
    """Refuse prompts that ask nothing, have too many or too few frames, or frames that are no pictures.

    Raises:
        EngineError: It names `model`, or the frame.
    """
    limit = capabilities.max_frames
    for prompt in prompts:
        if not any(message.role == "user" for message in prompt.messages):
            raise EngineError("a prompt without a user message asks nothing")
        if len(prompt.frames) > limit:
            raise EngineError(f"model '{model}' takes {limit} frames in a prompt, not {len(prompt.frames)}")
        labels = prompt.layout.frame_labels
        if labels and len(labels) != len(prompt.frames):
            raise EngineError(f"a prompt has {len(labels)} labels for {len(prompt.frames)} frames")
        if not prompt.frames and not capabilities.text_only:
            raise EngineError(f"model '{model}' takes no prompt without a frame")
        for frame in prompt.frames:
            _check_frame(frame)


def check_max_tokens(max_tokens: int) -> None:
    """Refuse to write nothing.

    Raises:
        EngineError: Less than one token.
    """
    if max_tokens < 1:
        raise EngineError(f"max_tokens is {max_tokens}, at least 1 is needed")


class SchemaRefused(EngineError):
    """A text under this JSON schema is not to be had, however often it is asked for."""

    retryable = False


def check_schema(model: str, capabilities: Capabilities, schema: JsonSchema | None) -> None:
    """Refuse a schema that is no JSON, and any where nothing could hold a text to it.

    Raises:
        SchemaRefused: It names `model`.
    """
    if schema is None:
        return
    if not capabilities.structured:
        raise SchemaRefused(
            f"model '{model}' cannot be held to a JSON schema here",
            hint="what the engine logged when it started says why; transformers needs the package llguidance for it",
        )
    try:
        json.dumps(dict(schema), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise SchemaRefused(f"model '{model}' cannot write under this JSON schema: {error}") from error


def check_length(model: str, n_tokens: int, limit: int | None) -> None:
    """Beyond its positions a model goes on answering, but from noise.

    Raises:
        EngineError: More tokens than `limit`; None = no limit is known.
    """
    if limit and n_tokens > limit:
        raise EngineError(f"a prompt of {n_tokens} tokens; model '{model}' takes {limit}")


def _check_frame(frame: Frame) -> None:
    image = frame.image
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise EngineError(f"frame {frame.index} is {image.dtype} {image.shape}, not uint8 (height, width, 3)")
