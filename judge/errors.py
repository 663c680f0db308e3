"""The one tree of errors that leaves this library.

Every class says for itself whether trying again may help (`retryable`); every error names the thing that
failed, and carries a `hint` with the way out where there is one.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar

_LONGEST_NAME = 100
"""Longer words are no misspelt names, and comparing them costs time."""
_MOST_NAMES = 12


class JudgeError(Exception):
    """Root of the tree.

    Args:
        message: One sentence that names the thing that failed, e.g. ``rule 'weapons.threat': ...``.
        hint: What the reader can do about it; empty if there is nothing to add.
    """

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigError(JudgeError):
    """A setting, a name or a file of ours is wrong."""

    code = "config"


class CalibrationError(ConfigError):
    """Fitted thresholds were fitted with something else."""


class ConstitutionError(JudgeError):
    """A constitution cannot be read or contradicts itself."""

    code = "constitution"


class MediaError(JudgeError):
    """One piece of media cannot be fetched or decoded; others are not affected."""

    code = "media"


class EngineError(JudgeError):
    """The model could not answer: out of memory, died, timed out."""

    code = "engine"
    retryable = True


class AnswerError(JudgeError):
    """The model answered, but not with something that can be read as an answer."""

    code = "answer"


def quoted(text: str) -> str:
    """In single quotes, on one line, of bearable length."""
    shown = text if len(text) <= 60 else text[:57] + "..."
    return f"'{''.join(char if char.isprintable() else '?' for char in shown)}'"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint for an unknown word: the nearest known one, else all of them if they are few."""
    choices = list(known)
    near = get_close_matches(word, choices, n=1) if len(word) <= _LONGEST_NAME else []
    if near:
        return f"did you mean {quoted(near[0])}?"
    return f"known: {', '.join(choices)}" if 0 < len(choices) <= _MOST_NAMES else ""
