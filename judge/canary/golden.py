"""The golden questions: the same few pictures and statements for every model and for ever.

Three are sticker scenes, copies that no new set of samples replaces; two are drawn with integers alone, for models
that never saw a sticker, one of them wide, so that resizing is part of the check. A changed question or picture needs
new records of every model.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from judge.engines.base import Capabilities
from judge.engines.identity import frame_key
from judge.media import FileMedia, Permissions, load_media
from judge.prompts.render import precondition_prompt
from judge.types import Frame, Prompt, QuestionFormat

TEXT_ONLY = ""
"""The picture of a question that has none."""
_PICTURES = Path(__file__).resolve().parent / "pictures"


@dataclass(frozen=True, slots=True)
class GoldenQuestion:
    """A statement, and the name of the picture it is asked about."""

    picture: str
    statement: str

    def __str__(self) -> str:
        return f"{self.picture or 'text only'}: {self.statement}"


_STATEMENTS: dict[str, tuple[str, ...]] = {
    "knife-at-cat": ("A weapon touches an animal.", "There is a dog.", "There is a cat."),
    "bomb-at-hospital": ("An explosive is next to a building.", "There is a person."),
    "child-and-sign": ("There is a sign with hateful words.", "A child is next to a drug."),
    "shapes": ("There is a red circle.", "The picture is made of stickers."),
    "gradient": ("The right half is darker than the left half.",),
    TEXT_ONLY: ("There is a dog.", "A person is on fire."),
}


def golden_questions(capabilities: Capabilities) -> tuple[GoldenQuestion, ...]:
    """All, or all with a picture for an engine that takes no prompt without one."""
    names = [name for name in _STATEMENTS if name != TEXT_ONLY or capabilities.text_only]
    return tuple(GoldenQuestion(name, statement) for name in names for statement in _STATEMENTS[name])


def golden_prompt(question: GoldenQuestion, question_format: QuestionFormat | None = None) -> Prompt:
    """Worded as preconditions are, in the format that the model wants."""
    frames = (golden_frame(question.picture),) if question.picture else ()
    return precondition_prompt(question.statement, frames, question_format)


def golden_template(question_format: QuestionFormat | None = None) -> str:
    """Digest of the template behind `golden_prompt`."""
    return precondition_prompt("", (), question_format).template_digest


@cache
def golden_frame(picture: str) -> Frame:
    """A picture by name.

    Raises:
        MediaError: A picture file of this installation is missing or damaged.
    """
    if picture in _DRAWN:
        return Frame(0, 0.0, _DRAWN[picture]())
    return load_media(FileMedia(path=_PICTURES / f"{picture}.png"), Permissions(files=True)).frames[0]


def golden_pictures() -> dict[str, str]:
    """Name of every picture -> sha256 of its pixels."""
    return {name: frame_key(golden_frame(name), {}) for name in _STATEMENTS if name}


def _shapes() -> NDArray[np.uint8]:
    """(224, 224, 3): a red disc, a blue square and a green triangle on white."""
    y, x = np.mgrid[0:224, 0:224]
    image = np.full((224, 224, 3), 255, dtype=np.uint8)
    image[(x - 70) ** 2 + (y - 70) ** 2 <= 45**2] = (220, 30, 30)
    image[(x >= 130) & (x < 200) & (y >= 30) & (y < 100)] = (30, 60, 200)
    image[(y >= 130) & (y < 200) & (abs(x - 112) * 2 <= y - 130)] = (30, 160, 60)
    return image


def _gradient() -> NDArray[np.uint8]:
    """(160, 256, 3): from orange on the left to dark blue on the right."""
    x = np.arange(256)[None, :, None]
    left, right = np.array((255, 170, 60)), np.array((10, 20, 90))
    row = (left * (255 - x) + right * x) // 255
    return np.repeat(row, 160, axis=0).astype(np.uint8)


_DRAWN = {"shapes": _shapes, "gradient": _gradient}
