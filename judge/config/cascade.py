"""Which stages run beside the one-token questions, and what each may spend."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from judge.config.base import Fraction, Settings, settings_digest
from judge.config.debate import DebateSettings, VoteSettings


class RelevanceSettings(Settings):
    """The scan before the questions: rules that an image-text encoder finds far from the frame are not asked."""

    embedder: Literal["off", "clip", "siglip"] = "off"
    """Kind of encoder. Off by default: behind a shared prefix a question costs little."""
    model: str = "openai/clip-vit-base-patch16"
    """Folder or Hugging Face id of the encoder; `stickers-siglip` is the embedded one, for scenes of stickers."""
    threshold: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.22
    """A rule is asked if one of its preconditions is at least this similar. Source: CLUE, section 3.2, CLIP B/16."""
    always_ask: tuple[Literal["low", "medium", "high", "critical"], ...] = ("high", "critical")
    """Severities that the scan never drops."""


class RegionSettings(Settings):
    """The region test: does the answer change when the objects in question are removed?"""

    localizer: Literal["off", "occlusion", "owlv2"] = "off"
    """`occlusion` needs no other model: it covers grid cells and watches the answer. `owlv2` finds named objects."""
    model: str = "google/owlv2-base-patch16-ensemble"
    """Folder or Hugging Face id of the localizer's model."""
    min_score: Fraction = 0.05
    """Boxes found with less are ignored. Source: CLUE, section 3.4."""
    fill: Literal["mean", "blur", "black"] = "mean"
    """What a removed region is filled with."""
    grid: Annotated[int, Field(ge=2, le=16)] = 4
    """`occlusion`: cells per side; the best cell is refined once."""
    crop_below: Fraction = 0.01
    """A region smaller than this share of the frame is also asked about alone, enlarged. Source: CLUE, section 3.4."""
    test_satisfied: bool = False
    """Also test what was accepted: an answer that survives without its evidence becomes undecided."""
    seed: int = 0
    """Of the random control boxes."""


class ReasoningSettings(Settings):
    """Chain of thought, for what is undecided and can still change a rule."""

    enabled: bool = False
    """Whether to reason at all."""
    max_tokens: Annotated[int, Field(ge=1)] = 256
    """Longest reasoning about one question."""
    max_generations: Annotated[int, Field(ge=1)] = 16
    """Most texts per media."""
    token_budget: Annotated[int, Field(ge=1)] = 4096
    """Tokens written per media, after which no further question is reasoned about."""


class Cascade(Settings):
    """Which stages run beside the one-token questions. All of it changes verdicts, so all of it is in `digest`."""

    relevance: RelevanceSettings = RelevanceSettings()
    """Before the questions."""
    region: RegionSettings = RegionSettings()
    """After them, for what is undecided."""
    reasoning: ReasoningSettings = ReasoningSettings()
    """After that, for what is still undecided."""
    vote: VoteSettings = VoteSettings()
    """After that, for what is still undecided."""
    debate: DebateSettings = DebateSettings()
    """At the end, for what not even a vote decides."""
    holistic_weight: Fraction = 0.0
    """Share, in logits, of one question about the whole rule in the rule's score; 0 = it is not asked."""
    thorough: bool = False
    """Slow stages also work on media that a violated rule has decided already, and on all of its frames."""

    @property
    def digest(self) -> str:
        """sha256 (hex) of all fields."""
        return settings_digest(self)
