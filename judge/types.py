"""Frozen values that every layer shares, from decoded media to the verdict.

Dataclasses stay inside the process; pydantic models cross its border as JSON. Policies have their own room:
`judge.constitution`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Outcome = Literal["satisfied", "rejected", "undecided"]
"""What is known of one precondition."""
RuleOutcome = Literal["violated", "not_violated", "abstained"]
DecisionLabel = Literal["unsafe", "safe", "uncertain"]
Severity = Literal["low", "medium", "high", "critical"]
Modality = Literal["image", "video", "text"]
MediaKind = Literal["image", "video"]
Stage = Literal[
    "none", "relevance", "token_probability", "region_test", "chain_of_thought", "rule_whole", "policy_direct"
]
"""Where something was settled; `none` = nowhere, because nothing could be asked."""

Reference = Literal["none", "blank", "noise", "noised"]
"""What stands in for the picture in a comparison: no picture at all, plain gray, noise, or the picture under noise."""

Probability = Annotated[float, Field(ge=0.0, le=1.0)]


# --- inside the process -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded picture: `(height, width, 3) uint8 RGB`."""

    index: int
    timestamp_s: float
    image: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Media:
    """Decoded media. A still image is one frame at 0.0 s.

    `id` is the sha256 (hex) of the bytes; `source` is where they came from, for people.
    """

    id: str
    kind: MediaKind
    frames: tuple[Frame, ...]
    duration_s: float
    source: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One chat turn of plain text. Frames are not placed here: see `Prompt`."""

    role: Literal["system", "user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class PromptLayout:
    """What a guard model's own format needs beside the words.

    Attributes:
        frames_last: Frames stand behind the text of the first user message: nothing can be shared between questions.
        template_fields: Variables for the model's chat template, e.g. the policy, by name.
        answer_prefix: How the answer begins; the model goes on from there.
    """

    frames_last: bool = False
    template_fields: tuple[tuple[str, str], ...] = ()
    answer_prefix: str = ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What an engine is asked.

    Frames come first, before the text of the first user message, and the question last, so that prompts
    about the same frames share their longest possible prefix. `template_digest` names the template version.
    """

    messages: tuple[Message, ...]
    frames: tuple[Frame, ...] = ()
    template_digest: str = ""
    layout: PromptLayout = PromptLayout()


@dataclass(frozen=True, slots=True)
class ChoiceProbabilities:
    """How an engine answered a multiple choice in one token.

    `probabilities` (choice -> p) sums to 1 over the choices; `mass` is their share of the whole vocabulary.
    A low mass means the model did not want to answer at all: never read it as 0.5. At a mass of 0.0 no choice was
    seen, and the probabilities say nothing.
    """

    probabilities: Mapping[str, float]
    mass: float
    prompt_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Generation:
    """Free text from an engine."""

    text: str
    finish_reason: Literal["stop", "length"]
    prompt_tokens: int = 0
    completion_tokens: int = 0


# --- across the border --------------------------------------------------------------------------------------


class Wire(BaseModel):
    """Base of everything that is written to or read from JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class Usage(Wire):
    """Tokens and questions spent."""

    prompt_tokens: int = 0
    """Tokens read, image tokens included; a shared prefix is counted once per question."""
    completion_tokens: int = 0
    """Tokens written."""
    questions: int = 0
    """One-token questions asked of the model."""
    generations: int = 0
    """Texts that the model wrote: the slow calls."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            questions=self.questions + other.questions,
            generations=self.generations + other.generations,
        )

    def __sub__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens - other.prompt_tokens,
            completion_tokens=self.completion_tokens - other.completion_tokens,
            questions=self.questions - other.questions,
            generations=self.generations - other.generations,
        )


class Region(Wire):
    """A box in a frame; the edges are shares of its width and height, from the top left corner."""

    left: Probability
    """0 = the frame's left edge."""
    top: Probability
    """0 = the frame's upper edge."""
    right: Probability
    """1 = the frame's right edge; more than `left`."""
    bottom: Probability
    """1 = the frame's lower edge; more than `top`."""
    label: str = ""
    """What was looked for."""
    score: Probability = 1.0
    """How sure the localizer is."""

    @property
    def area(self) -> float:
        """Share of the frame."""
        return (self.right - self.left) * (self.bottom - self.top)


class Readings(Wire):
    """The raw numbers of one yes/no question: each is P(Yes) / (P(Yes) + P(No)) in one view."""

    observed: Probability
    """With the image."""
    mass: Probability
    """P(Yes) + P(No) in the whole vocabulary, with the image."""
    prior: Probability | None = None
    """Text only, without any image token; None if it was not asked."""
    occluded: Probability | None = None
    """With the region of the focus objects removed; None if it was not asked."""
    references: Mapping[str, Probability] = Field(default_factory=dict)
    """Other readings by name: `blank`, `noise`, `noised` (see `Reference`), `control` (a random box removed), `crop`
    (the region alone), `reasoned` (after the reasoning)."""


class Evidence(Wire):
    """Why, for one question at one stage."""

    stage: Stage
    """The stage that asked."""
    precondition_id: str
    """Which precondition; for a stage that asks about a whole rule, the rule's id."""
    statement: str
    """The statement that was asked."""
    outcome: Outcome
    """What follows from the readings."""
    probability: Probability
    """Debiased probability that the statement is true."""
    readings: Readings | None = None
    """The raw numbers; None if the engine failed."""
    reason: str = ""
    """Why it is undecided, in words; empty if it is decided."""
    rationale: str = ""
    """What the model wrote before it answered; empty where it answered at once."""
    regions: tuple[Region, ...] = ()
    """Where the focus objects were found; all of them were removed together for `occluded`."""
    heat_map: tuple[tuple[float, ...], ...] = ()
    """Rows of a grid over the frame: how far the log-odds fall when that cell is covered; empty if not measured."""
    frame_indices: tuple[int, ...] = (0,)
    """Frames the question was asked about."""
    template_digest: str = ""
    """Version of the prompt template."""


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
    """unsafe: some rule is violated; safe: no rule is; uncertain: neither could be established."""
    flagged: bool | None
    """True for unsafe, False for safe, None for uncertain: an abstention is never "safe"."""
    score: Probability
    """Highest rule score."""
    category_scores: Mapping[str, Probability]
    """Highest rule score per category."""
    rules: tuple[RuleDecision, ...]
    """Every rule that applies to this kind of media, in the constitution's order."""
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


@dataclass(frozen=True, slots=True)
class QuestionFormat:
    """How a guard model was trained to be asked: a template of `judge.prompts`, and where the frames stand in it."""

    template: str
    frames_last: bool = False


@dataclass(frozen=True, slots=True)
class Domain:
    """What a model was made for, as a statement about the picture that the model itself can judge."""

    statement: str
    description: str
    min_probability: float = 0.5
    hint: str = field(default="choose a model with --model")
