"""Common names for kinds of harm, so that a data set's labels and a detector's classes can be compared."""

from __future__ import annotations

from judge.types import HarmCategory as Category

__all__ = ["Category"]
