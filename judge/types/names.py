"""The closed sets of words, and the base of everything that crosses the border as JSON."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Outcome = Literal["satisfied", "rejected", "undecided"]
"""What is known of one precondition."""
RuleOutcome = Literal["violated", "not_violated", "abstained"]
DecisionLabel = Literal["unsafe", "safe", "uncertain"]
Side = Literal["unsafe", "safe"]
"""A decision that was made."""
Severity = Literal["low", "medium", "high", "critical"]
Modality = Literal["image", "video", "text"]
MediaKind = Literal["image", "video", "text"]
Stage = Literal[
    "none", "relevance", "token_probability", "region_test", "chain_of_thought", "vote", "debate", "rule_whole",
    "clip", "policy_direct",
]  # fmt: skip
"""Where something was settled; `none` = nowhere, because nothing could be asked."""

Reference = Literal["none", "blank", "noise", "noised"]
"""What stands in for the picture in a comparison: no picture at all, plain gray, noise, or the picture under noise."""

HarmCategory = Literal[
    "sexual", "sexual-minors", "violence", "shocking", "hate", "harassment", "self-harm", "illegal-activity", "weapons",
    "drugs", "alcohol-tobacco", "gambling", "deception", "political", "health", "spam", "privacy", "animal-cruelty",
    "other",
]  # fmt: skip
"""Common names for kinds of harm: data sets, detectors and constitutions map their own to these. `shocking` is gore and
disgust; `other` is harm of a kind that no other name covers, and is aligned with nothing."""

Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class Wire(BaseModel):
    """Base of everything that is written to or read from JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null", use_attribute_docstrings=True)
