"""Frozen values that every layer shares, from decoded media to the verdict.

Dataclasses stay inside the process; pydantic models cross its border as JSON. Policies have their own room:
`judge.constitution`.
"""

from judge.types.debate import Debate, DebateOrder, Speaker, Turn
from judge.types.evidence import Evidence, Readings, Region, Usage
from judge.types.media import (
    ChoiceProbabilities,
    Domain,
    Frame,
    Generation,
    Media,
    Message,
    Prompt,
    PromptLayout,
    QuestionFormat,
)
from judge.types.names import (
    DecisionLabel,
    HarmCategory,
    MediaKind,
    Modality,
    Outcome,
    Probability,
    Reference,
    RuleOutcome,
    Severity,
    Side,
    Stage,
    Wire,
)
from judge.types.timeline import Segment, Timeline
from judge.types.verdict import Guarantee, InputError, RuleDecision, ScoreRow, Verdict, Versions
from judge.types.video import FrameSource, Thumbnails, VideoInfo

__all__ = [
    "ChoiceProbabilities",
    "Debate",
    "DebateOrder",
    "DecisionLabel",
    "Domain",
    "Evidence",
    "Frame",
    "FrameSource",
    "Generation",
    "Guarantee",
    "HarmCategory",
    "InputError",
    "Media",
    "MediaKind",
    "Message",
    "Modality",
    "Outcome",
    "Probability",
    "Prompt",
    "PromptLayout",
    "QuestionFormat",
    "Readings",
    "Reference",
    "Region",
    "RuleDecision",
    "RuleOutcome",
    "ScoreRow",
    "Segment",
    "Severity",
    "Side",
    "Speaker",
    "Stage",
    "Thumbnails",
    "Timeline",
    "Turn",
    "Usage",
    "Verdict",
    "Versions",
    "VideoInfo",
    "Wire",
]
