"""Columns and fixed words of VHD11K's annotation tables (arXiv 2409.19734), shared by what writes and reads them."""

from __future__ import annotations

from typing import Literal

AnnotationKind = Literal["image", "video"]
DECISION, HARMFUL_TYPE, CRITIC = "decision", "harmfulType", "critic"
YES, NO, ERROR, NONE = "yes", "no", "error", "none"
"""Decisions: harmful; unharmful; it failed; and ours for what stayed undecided, which VHD11K does not know. An empty
`harmfulType` is `none`, too."""
NO_TEXT = "None"
"""An argument or criticism that was not given."""
REFUSED = "API refuse to answer"
"""The `harmfulType` of a refusal."""


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
