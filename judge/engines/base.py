"""The contract of every engine: a batch of prompts in, a batch of answers out, order kept; and of two helpers.

Not here: prompts (`judge.prompts`), what an answer means (`judge.debias`), any model library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pydantic import JsonValue

from judge.types import ChoiceProbabilities, Domain, Frame, Generation, Prompt, QuestionFormat, Region

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

YES_NO: tuple[str, str] = ("Yes", "No")
JsonSchema = Mapping[str, JsonValue]
Spellings = Mapping[str, Sequence[str]]
"""Choice -> more words that mean it, exactly as this model writes them: `{"Yes": ["Unsafe"]}` for a guard model."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do; checked once, when the pipeline is built.

    Attributes:
        choice_probabilities: `choose` reads real next-token probabilities.
        generation: `generate` works.
        images: Prompts may carry frames.
        max_frames: Most frames in one prompt.
        text_only: Prompts may carry no frame at all (the prior reading).
        structured: `generate` can be held to a JSON schema.
    """

    choice_probabilities: bool = True
    generation: bool = True
    images: bool = True
    max_frames: int = 1
    text_only: bool = True
    structured: bool = False


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Which model answers, and on what.

    Attributes:
        name: For people.
        digest: Covers weights, tokenizer, processor settings and `ModelTraits`.
        domain: What it was made for; None = no stated limits.
        runtime: Engine, number type and kind of device: the same weights give slightly other numbers elsewhere.
        question_format: How it wants to be asked; None = in our own words.
    """

    name: str
    digest: str
    domain: Domain | None = None
    runtime: str = ""
    question_format: QuestionFormat | None = None

    @property
    def reads_text(self) -> bool:
        """Whether it may be shown words that were posted with a picture.

        A model with a domain, or with a format, of its own was trained on questions without such words: its answers
        would mean nothing.
        """
        return self.question_format is None and self.domain is None


class Engine(Protocol):
    """A vision-language model.

    Contract, checked by the same suite for every implementation:
    - One answer per prompt, in the order of the prompts; an empty batch gives an empty list.
    - A prompt's answer does not depend on the rest of its batch, beyond floating-point noise.
    - `choose` never samples, unless its settings ask for it, and then `info.runtime` says so.
    - `probabilities` has exactly the given choices as keys and sums to 1; `mass` is the unnormalised sum and is
      honest: it is not computed under a grammar or a token mask. A mass of 0.0 means that no choice was seen at all:
      the probabilities are then placeholders, and the answer counts as unreadable.
    - Prompts about the same frames may come in any order; an engine encodes frames once per batch at most.
    - `generate` with a `json_schema` gives JSON under that schema where `finish_reason` is "stop". Where it is "length"
      the text was cut off and is no JSON: nothing closes it. Without `structured`, or for a schema that cannot be
      enforced, it raises `EngineError`; the schema is never quietly left aside. The words of a prompt should ask for
      JSON too: a schema only forbids.
    - What cannot be answered raises `EngineError` (the whole batch) and is never returned as a number.
    - Empty `choices` and frames that the engine cannot take raise `EngineError` too.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def info(self) -> ModelInfo: ...

    async def choose(self, prompts: Sequence[Prompt], choices: Sequence[str] = YES_NO) -> list[ChoiceProbabilities]: ...

    async def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        json_schema: JsonSchema | None = None,
    ) -> list[Generation]: ...

    async def close(self) -> None: ...


class Embedder(Protocol):
    """Images and texts as unit vectors in one space: the dot product says how well they belong together.

    Contract: one row per input, in order; no input, no row; failures raise `EngineError`.
    """

    @property
    def info(self) -> ModelInfo: ...

    async def embed_frames(self, frames: Sequence[Frame]) -> NDArray[np.float32]:
        """`(frames, dimensions)`, rows of length 1."""

    async def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """`(texts, dimensions)`, rows of length 1; texts longer than the encoder reads are cut."""


class ObjectDetector(Protocol):
    """Finds named objects in a frame.

    Contract: one tuple of regions per frame, surest first, with the object's name as label; no names, no regions;
    failures raise `EngineError`.
    """

    @property
    def info(self) -> ModelInfo: ...

    async def detect(
        self, frames: Sequence[Frame], names: Sequence[Sequence[str]], *, min_score: float
    ) -> list[tuple[Region, ...]]: ...
