"""One row of labels, as it is written: a verdict, or why there is none. `schema` has its types in Parquet."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, ValidationError

from judge.errors import ConfigError
from judge.types import DecisionLabel, MediaKind, Severity, Verdict, Wire
from judge.types.names import RuleOutcome, Stage


class RuleRow(Wire):
    """What was decided about one rule."""

    rule_id: str
    """Id in the constitution."""
    category: str
    """Category in the constitution."""
    severity: Severity
    """As the constitution has it."""
    outcome: RuleOutcome
    """violated, not_violated, or abstained."""
    score: float
    """Probability that it is violated."""
    calibrated_score: float | None
    """The score as a share of labelled media; null where no map was fitted."""
    stage: Stage
    """Where it was settled; `none` if it was not."""
    reason: str
    """Why it was abstained; empty otherwise."""


class LabelRow(Wire):
    """One row of the output for every row of the source, whatever happened to it."""

    index: int
    """Place among the chosen rows of the source, from 0; unique."""
    id: str
    """The source's name for it: a path below the root, its own id, or a row number."""
    locator: str
    """Where the media lies, as JSON."""
    digest: str
    """sha256 of the media's bytes; empty if they could not be read."""
    key: str
    """The same for rows that need only one verdict: of the media and what was posted with it; empty as `digest`."""
    near_hash: str = ""
    """Perceptual hash (64 bits, hex) of the first frame; empty where near duplicates were not looked for."""
    duplicate_of: int | None = None
    """`index` of the row whose verdict this is; null if it was judged itself."""
    media_kind: MediaKind | None = None
    """image, video or text; null where it could not be seen."""
    decision: DecisionLabel
    """unsafe, safe, or uncertain: also for every error."""
    flagged: bool | None
    """true for unsafe, false for safe, null for uncertain."""
    score: float | None = None
    """Highest rule score; null for an error."""
    calibrated_score: float | None = None
    """The score as a share of labelled media; null where no map was fitted."""
    category_scores: Mapping[str, float] = Field(default_factory=dict)
    """Highest rule score per category."""
    violated: tuple[str, ...] = ()
    """Ids of the rules that are violated."""
    rules: tuple[RuleRow, ...] = ()
    """Every rule that applies to such media."""
    escalated: bool = False
    """Whether a slow stage (region test, reasoning, vote, debate...) looked at it."""
    reason: str = ""
    """Why it is uncertain; empty otherwise."""
    error_code: str = ""
    """Short machine-readable name of what went wrong (`media`, `engine`...); empty if it was judged."""
    error_hint: str = ""
    """The way out, where there is one."""
    n_frames: int | None = None
    """Frames judged."""
    duration_ms: int | None = None
    """Length of a video."""
    model: str = ""
    """Name of the model."""
    notices: tuple[str, ...] = ()
    """What the reader must know of the verdict."""
    prompt_tokens: int = 0
    """Tokens read for it; 0 for a duplicate."""
    completion_tokens: int = 0
    """Tokens written for it; 0 for a duplicate."""
    harmful: bool | None = None
    """The source's own label; null for none."""
    labels: tuple[str, ...] = ()
    """Kinds of harm in the source's own words."""
    group: str = ""
    """Rows of a group belong together, as the source says."""
    problem: str = ""
    """What is wrong with the row of the source, e.g. a label that cannot be read; empty otherwise."""
    verdict: str = ""
    """The whole verdict as JSON, with the digests of everything that it depends on; empty for an error."""

    @property
    def failed(self) -> bool:
        """Whether it has no verdict, or one that only says that something broke."""
        return bool(self.error_code)

    def read_verdict(self) -> Verdict | None:
        """The whole verdict; None for an error.

        Raises:
            ConfigError: It was written by another version, and cannot be read.
        """
        try:
            return Verdict.model_validate_json(self.verdict) if self.verdict else None
        except ValidationError as error:
            raise ConfigError(f"row {self.index}: its verdict cannot be read by this version") from error
