"""Columns and fixed words of VHD11K's annotation tables (arXiv 2409.19734), shared by what writes and reads them."""

from __future__ import annotations

from typing import Final, Literal

AnnotationKind = Literal["image", "video"]
DECISION: Final = "decision"
HARMFUL_TYPE: Final = "harmfulType"
CRITIC: Final = "critic"
YES: Final = "yes"
NO: Final = "no"
ERROR: Final = "error"
"""It failed; both the decision and the harm type say so."""
NONE: Final = "none"
"""A harm type that was not given; and ours, for a decision that stayed open, which VHD11K does not know."""
NO_TEXT: Final = "None"
"""An argument or criticism that was not given."""
REFUSED: Final = "API refuse to answer"
"""The harm type of a refusal."""


def path_column(kind: AnnotationKind) -> str:
    """What names the media."""
    return f"{kind}Path"


def argument_columns(side: Literal["affirmative", "negative"], rounds: int = 2) -> list[str]:
    """One per turn of a side. The published tables have two."""
    return [f"{side}Debater_argument_{turn}" for turn in range(rounds)]


def annotation_columns(kind: AnnotationKind = "image", *, rounds: int = 2, critic: bool = False) -> list[str]:
    """All of them, in the published order; never fewer than two turns a side."""
    turns = max(rounds, 2)
    arguments = [*argument_columns("affirmative", turns), *argument_columns("negative", turns)]
    return [path_column(kind), DECISION, HARMFUL_TYPE, *arguments, *([CRITIC] if critic else [])]
