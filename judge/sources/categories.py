"""Common names for kinds of harm, so that a data set's labels and a detector's classes can be compared."""

from __future__ import annotations

from typing import Literal

Category = Literal[
    "sexual", "sexual-minors", "violence", "shocking", "hate", "harassment", "self-harm", "illegal-activity", "weapons",
    "drugs", "alcohol-tobacco", "gambling", "deception", "political", "health", "spam", "privacy", "animal-cruelty",
    "other",
]  # fmt: skip
"""Cards map a set's own labels to these, detectors their classes. `shocking` is gore and disgust; `other` is harm of a
kind that no other name covers, and is aligned with nothing."""
