"""Words that tables use for harmful and unharmful."""

from __future__ import annotations

_HARMFUL = frozenset({"harmful", "unsafe", "yes", "nsfw"})
_UNHARMFUL = frozenset({"unharmful", "harmless", "not harmful", "safe", "no", "benign", "sfw"})
_NUMBERS = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}


def read_label(value: str, *, numbers: bool) -> bool | None:
    """None if the value says neither; `numbers`: 1 and true are harmful, 0 and false are not."""
    word = value.strip().lower()
    if word in _HARMFUL or word in _UNHARMFUL:
        return word in _HARMFUL
    return _NUMBERS.get(word) if numbers else None
