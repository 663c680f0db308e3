"""What is judged and what is asked, inside the process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from judge.types.names import MediaKind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from judge.types.video import FrameSource


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded picture: `(height, width, 3) uint8 RGB`."""

    index: int
    timestamp_s: float
    image: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Media:
    """Decoded media. A still image is one frame at 0.0 s; of a video, `frames` may be empty until some are read.

    `id` is the sha256 (hex) of the bytes; `source` is where they came from, for people; `video` reads more frames, and
    is the caller's to close. `text` is what was posted with it; of kind "text" it is all there is, without frames.
    """

    id: str
    kind: MediaKind
    frames: tuple[Frame, ...]
    duration_s: float
    source: str = ""
    video: FrameSource | None = None
    text: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Message:
    """One chat turn of plain text. Frames are not placed here: see `Prompt`."""

    role: Literal["system", "user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class PromptLayout:
    """What a prompt needs beside the words: the names of its frames, and a guard model's own format.

    Attributes:
        frame_labels: What stands before each frame, e.g. `Frame 2:`; empty = nothing, else one per frame.
        frames_last: Frames stand behind the text of the first user message: nothing can be shared between questions.
        template_fields: Variables for the model's chat template, e.g. the policy, by name.
        answer_prefix: How the answer begins; the model goes on from there.
    """

    frames_last: bool = False
    template_fields: tuple[tuple[str, str], ...] = ()
    answer_prefix: str = ""
    frame_labels: tuple[str, ...] = ()


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
