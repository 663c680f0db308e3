"""`POST /v1/moderations` as OpenAI defines it, with one field of ours.

Source: the types of the Python package `openai` 3.54.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from judge.types import Probability, Wire
from serve.schemas.finding import Findings

CATEGORIES: tuple[str, ...] = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip
MODEL_NAMES = ("omni-moderation", "text-moderation")
"""How the names of OpenAI's own models begin; they stand for the default constitution."""


class ImageUrl(Wire):
    """Where a picture is."""

    model_config = ConfigDict(extra="ignore")

    url: str = Field(repr=False)
    """A `data:` URL in base64, or an http or https URL if the service allows those. `detail`, as chats have it, is
    ignored."""


class ImagePart(Wire):
    """A picture or a video."""

    type: Literal["image_url"]
    """Tag of the union."""
    image_url: ImageUrl
    """Where it is."""


class TextPart(Wire):
    """Words: context of the pictures they come with."""

    type: Literal["text"]
    """Tag of the union."""
    text: str = Field(repr=False)
    """The words."""


Part = Annotated[ImagePart | TextPart, Field(discriminator="type")]


class ModerationRequest(Wire):
    """Body of `POST /v1/moderations`."""

    input: str | Annotated[tuple[str, ...], Field(min_length=1)] | Annotated[tuple[Part, ...], Field(min_length=1)]
    """One text; several, each judged for itself; or pictures with the words that were posted with them."""
    model: Annotated[str, Field(min_length=1, max_length=200)] = "omni-moderation-latest"
    """A constitution, as `name` or `name@version`; the name of one of OpenAI's models = the service's default."""


class ModerationResult(Wire):
    """About one text, or about all parts together."""

    flagged: bool
    """Something is unsafe; also true if something is uncertain, unless the service is set to pass it."""
    categories: Mapping[str, bool]
    """By OpenAI's names: a rule of a category with this name is violated. Where the decision is uncertain: also if it
    is undecided, unless the service is set to pass it."""
    category_scores: Mapping[str, Probability]
    """By OpenAI's names: the highest score of their rules, over all inputs; 0 where nothing was judged."""
    category_applied_input_types: Mapping[str, tuple[Literal["text", "image"], ...]]
    """By OpenAI's names: what was judged; empty where no rule of the constitution speaks of it, so that its score says
    nothing."""
    visual_judge: Findings
    """Ours: the decision, also about categories without a name in OpenAI's list."""


class ModerationResponse(Wire):
    """Answer of `POST /v1/moderations`."""

    id: str
    """Of the request."""
    model: str
    """The constitution that was applied, as `name@version`."""
    results: tuple[ModerationResult, ...]
    """One for a text, one for each of several texts, one for all parts of a multi-modal input together."""
