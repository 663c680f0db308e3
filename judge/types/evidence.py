"""Why: what was asked about one question, what was read, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from judge.types.debate import Debate
from judge.types.names import Outcome, Probability, Stage, Wire


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
    (the region alone), `reasoned` (after the reasoning), `voted`, `debated`."""


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
    calibrated_probability: Probability | None = None
    """The same as a share of labelled media; None where no map was fitted for the precondition."""
    readings: Readings | None = None
    """The raw numbers; None if the engine failed."""
    reason: str = ""
    """Why it is undecided, in words; empty if it is decided."""
    rationale: str = ""
    """What the model wrote before it answered; empty where it answered at once."""
    debates: tuple[Debate, ...] = ()
    """What was argued or voted; empty where nothing was. Two where both speaking orders were heard."""
    regions: tuple[Region, ...] = ()
    """Where the focus objects were found; all of them were removed together for `occluded`."""
    heat_map: tuple[tuple[float, ...], ...] = ()
    """Rows of a grid over the frame: how far the log-odds fall when that cell is covered; empty if not measured."""
    frame_indices: tuple[int, ...] = (0,)
    """Frames the question was asked about."""
    template_digest: str = ""
    """Version of the prompt template."""
