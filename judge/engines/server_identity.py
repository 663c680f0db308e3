"""What a model behind a server is, as far as that can be known, and the key that opens it."""

from __future__ import annotations

import hashlib
import json
import os

from judge.config import OpenAIOptions
from judge.engines.chat_format import Completion
from judge.errors import ConfigError

_NUMBERS = {
    "top_logprobs",
    "samples",
    "seed",
    "max_tokens_field",
    "image_format",
    "jpeg_quality",
    "image_detail",
    "extra_body",
}
"""Options that change answers, and so the digest."""


def served_digest(model: str, revision: str | None, options: OpenAIOptions, first: Completion) -> str:
    """sha256 (hex) over what is known of the model. Not the address: where a model runs is not what it is."""
    known = {
        "model": model,
        "revision": revision,
        "served_model": first.model,
        "system_fingerprint": first.system_fingerprint,
        "options": options.model_dump(mode="json", include=_NUMBERS),
    }
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def read_key(variable: str) -> str:
    """From the environment; empty without a variable.

    Raises:
        ConfigError: The environment has no such variable.
    """
    if not variable:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(
            f"the environment variable '{variable}' is not set; it should hold the key of engine 'openai'",
            hint="set it, or leave engine.openai.api_key_env empty for a server without keys",
        )
    return key
