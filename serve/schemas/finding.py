"""What we add to the answers of other contracts: the decision behind their yes or no."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from judge.types import DecisionLabel, Probability, Wire


class Finding(Wire):
    """About one picture, video or text of a request."""

    input: Literal["image", "text"]
    """Which kind of input; a video counts as an image."""
    index: int
    """Its place among the inputs of this kind that the answer is about, from 0 on."""
    decision: DecisionLabel
    """unsafe, safe, or uncertain."""
    score: Probability | None = None
    """Highest rule score; null where there is no verdict."""
    violated: tuple[str, ...] = ()
    """Ids of the rules that are violated."""
    category_scores: Mapping[str, Probability] = {}
    """By the constitution's own categories."""
    reason: str = ""
    """Why it is uncertain; empty otherwise."""
    notices: tuple[str, ...] = ()
    """What the reader must know, e.g. that the words posted with a picture were not read."""
    media_id: str = ""
    """sha256 of the media's bytes, or of the text; empty where there is no verdict."""
    model: str = ""
    """Name of the model; empty where there is no verdict."""


class Findings(Wire):
    """The field `visual_judge`."""

    constitution: str
    """`name@version` that was applied."""
    decision: DecisionLabel | None
    """About everything together: unsafe if anything is, safe only if everything is; null if nothing was judged."""
    findings: tuple[Finding, ...] = ()
    """Pictures first, then texts, in the order of the request."""
