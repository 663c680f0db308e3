"""The answer about one piece of media."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from judge.types.evidence import Evidence, Usage
from judge.types.names import DecisionLabel, MediaKind, Probability, RuleOutcome, Severity, Side, Stage, Wire
from judge.types.timeline import Segment, Timeline


class Guarantee(Wire):
    """What is promised of a decision that fitted thresholds made, for media drawn like the labelled ones."""

    side: Side
    """The decision."""
    stage: str
    """The stage whose score made it: `fast`, or the name of a slow one."""
    threshold: Probability
    """unsafe: the score is at least this; safe: at most."""
    max_error: Probability
    """At most this share of the media decided so is decided wrongly..."""
    confidence: Probability
    """...with this probability over the draw of the labelled media."""
    upper_bound: Probability
    """The same share's exact bound on the labelled media that tested this threshold."""
    n_tested: int
    """How many those were."""
    data: str
    """Name of the labelled data."""


class RuleDecision(Wire):
    """What was decided about one rule."""

    rule_id: str
    """Id in the constitution."""
    category: str
    """Category in the constitution."""
    severity: Severity
    """As the constitution has it."""
    outcome: RuleOutcome
    """violated, not_violated, or abstained."""
    score: Probability
    """Soft score of the rule's expression: probability that it is violated, preconditions taken as independent."""
    calibrated_score: Probability | None = None
    """The score as a share of labelled media; None where no map was fitted for the rule."""
    stage: Stage
    """Where it was settled; `none` if it was not."""
    expression: str
    """The rule's `violated_when`, in canonical form."""
    frame_index: int = 0
    """The frame with the highest score."""
    reason: str = ""
    """Why it was abstained; empty otherwise."""
    evidence: tuple[Evidence, ...] = ()
    """About the frame `frame_index`, precondition by precondition of the expression, each in the order of the stages
    that asked about it: the last one counts. A reading of the whole rule, under the rule's id, comes at the end."""


class Versions(Wire):
    """Digests of everything that a verdict depends on: same digests, same verdict."""

    package: str
    """Version of visual-judge."""
    model: str
    """Digest of the model: weights, tokenizer, processor."""
    runtime: str = ""
    """Engine, number type and kind of device, e.g. `transformers/float32/cpu`."""
    constitution: str
    """sha256 of the constitution's canonical form."""
    templates: str
    """sha256 over all prompt templates used."""
    thresholds: str
    """sha256 of the thresholds."""
    cascade: str = ""
    """sha256 of the settings of the stages."""
    video: str = ""
    """sha256 of the settings for videos; empty for a picture."""
    calibrated: str = ""
    """sha256 of the fitted thresholds; empty if none had a part in it."""


class Verdict(Wire):
    """The answer about one piece of media."""

    media_id: str
    """sha256 of the media's bytes."""
    media_kind: MediaKind | None = None
    """What it is; None in verdicts of versions that did not say."""
    n_frames: int | None = None
    """Frames judged; None in verdicts of versions that did not say."""
    constitution: str
    """`name@version`."""
    decision: DecisionLabel
    """unsafe: some rule is violated; safe: no rule is; uncertain: neither could be established. With fitted thresholds:
    as they say, which need not be what follows from the rules."""
    flagged: bool | None
    """True for unsafe, False for safe, None for uncertain: an abstention is never "safe"."""
    score: Probability
    """Highest rule score."""
    calibrated_score: Probability | None = None
    """The score as a share of labelled media: how many with such a score are harmful; None where no map was fitted."""
    guarantee: Guarantee | None = None
    """What is promised of the decision; None if nothing is: without fitted thresholds, and for uncertain."""
    category_scores: Mapping[str, Probability]
    """Highest rule score per category."""
    rules: tuple[RuleDecision, ...]
    """Every rule that applies to this kind of media, in the constitution's order."""
    duration_ms: int | None = None
    """Length of the video; None for a picture."""
    segments: tuple[Segment, ...] = ()
    """When, for a video: the stretches in which a rule is violated, by start."""
    timelines: tuple[Timeline, ...] = ()
    """For a video: the rules that were read along it, in the constitution's order."""
    model: str
    """Name of the model."""
    notices: tuple[str, ...] = ()
    """What the reader must know: the model's domain, sampled frames, missing guarantee."""
    reason: str = ""
    """Why the decision is uncertain; empty otherwise."""
    versions: Versions
    """Digests for reproduction."""
    usage: Usage = Usage()
    """What it cost."""
    timings_ms: Mapping[str, float] = Field(default_factory=dict)
    """Wall time by step, in milliseconds. Not part of the answer: two equal verdicts may differ here."""


class InputError(Wire):
    """Why one input has no verdict."""

    code: str
    """Short machine-readable name, from `JudgeError.code`."""
    message: str
    """One sentence for a person."""
    hint: str = ""
    """The way out, where there is one."""


class ScoreRow(Wire):
    """One line of output per input, whatever happened: a verdict, or an error. Never neither, never both."""

    input: str
    """The path, URL or name as the caller gave it."""
    decision: DecisionLabel
    """The verdict's, or `uncertain` for an error."""
    flagged: bool | None
    """The verdict's, or None for an error."""
    verdict: Verdict | None = None
    """The verdict, unless there is an error."""
    error: InputError | None = None
    """The error, unless there is a verdict."""
