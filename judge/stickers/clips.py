"""Sticker videos: scenes frame by frame, in which one thing changes for a while, and what can be said about them.

A clip shows a scene, then an edit of it (a sticker moves, appears, goes, or turns into another one), then the first
scene again; everything sways a little. The truth of every frame follows from its own scene graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from judge.stickers.sampling import edit
from judge.stickers.scene import CANVAS_PX, Scene, Sticker, shape
from judge.stickers.statements import Atom, Truth, either, negate, parse, within_sentence
from judge.stickers.statements import render as render_atom
from judge.types import Outcome

RATE_HZ = 10
CLIP_FRAMES = (2, 6)
"""Fewest and most frames in a prompt about a clip."""
_MOVE_FRAMES = 4
"""A sticker that moves takes this many frames."""
_SWAY_PX = 2.0
ClipKind = Literal["sometime", "always", "begins", "ends"]
OPENINGS: dict[ClipKind, str] = {
    "sometime": "At some moment",
    "always": "In every frame",
    "begins": "Later, but not in the first frame,",
    "ends": "At first, but not in the last frame,",
}
CLIP_KINDS: tuple[ClipKind, ...] = ("sometime", "always", "begins", "ends")


@dataclass(frozen=True, slots=True)
class Clip:
    """Scenes at `RATE_HZ`."""

    frames: tuple[Scene, ...]

    @property
    def duration_ms(self) -> int:
        return len(self.frames) * 1000 // RATE_HZ


@dataclass(frozen=True, slots=True)
class ClipStatement:
    """When an atom holds along a clip: at some moment, always, only after the first frame, only before the last."""

    kind: ClipKind
    atom: Atom


def make_clip(calm: Scene, event: Scene, *, frames: int, start: int, end: int, seed: int) -> Clip:
    """`calm`, with `event` from frame `start` up to but not including `end`; both differ in at most one sticker.

    Args:
        calm: The scene before and after.
        event: The scene in between.
        frames: Length of the clip.
        start: 0 = the clip begins with the event.
        end: `frames` = it lasts to the end.
        seed: Of the swaying.
    """
    sway = _Sway(np.random.default_rng(seed))
    path = _path(calm, event)
    made: list[Scene] = []
    for number in range(frames):
        inside = min(number - start + 1, end - number + _MOVE_FRAMES - 1)  # frames since it began, or still to go
        share = min(1.0, max(0.0, inside / _MOVE_FRAMES)) if path else float(start <= number < end)
        made.append(sway.of(_between(calm, event, path, share), number))
    return Clip(tuple(made))


@dataclass(frozen=True, slots=True)
class _Path:
    """Sticker `number` moves from one corner to another."""

    number: int
    source: tuple[int, int]
    target: tuple[int, int]


def _path(calm: Scene, event: Scene) -> _Path | None:
    """None where the scenes differ in another way."""
    if len(calm.stickers) != len(event.stickers):
        return None
    moved = [n for n, (a, b) in enumerate(zip(calm.stickers, event.stickers, strict=True)) if a != b]
    if len(moved) != 1 or not _only_moved(calm.stickers[moved[0]], event.stickers[moved[0]]):
        return None
    a, b = calm.stickers[moved[0]], event.stickers[moved[0]]
    return _Path(moved[0], (a.x, a.y), (b.x, b.y))


def _only_moved(a: Sticker, b: Sticker) -> bool:
    return a.model_copy(update={"x": b.x, "y": b.y}) == b


def _between(calm: Scene, event: Scene, path: _Path | None, share: float) -> Scene:
    if path is None or share in {0.0, 1.0}:
        return event if share == 1.0 else calm
    x, y = (round(a + (b - a) * share) for a, b in zip(path.source, path.target, strict=True))
    stickers = list(calm.stickers)
    stickers[path.number] = stickers[path.number].model_copy(update={"x": x, "y": y})
    return calm.model_copy(update={"stickers": tuple(stickers)})


class _Sway:
    """Slow movement of the whole picture's stickers together: their geometry to each other stays."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._phase = rng.uniform(0, 2 * np.pi, 2)
        self._pace = rng.uniform(0.1, 0.4, 2)

    def of(self, scene: Scene, number: int) -> Scene:
        shift = _SWAY_PX * np.sin(self._phase + self._pace * number)
        moved = tuple(_shifted(scene.style, sticker, shift) for sticker in scene.stickers)
        return scene.model_copy(update={"stickers": moved})


def _shifted(style: str, sticker: Sticker, shift: NDArray[np.float64]) -> Sticker:
    height, width = shape(style, sticker).mask.shape
    x = min(max(0, sticker.x + round(float(shift[0]))), CANVAS_PX - width)
    y = min(max(0, sticker.y + round(float(shift[1]))), CANVAS_PX - height)
    return sticker.model_copy(update={"x": x, "y": y})


def draw_clip(scene: Scene, rng: np.random.Generator, *, seconds: tuple[float, float] = (2.0, 8.0)) -> Clip:
    """A clip in which the scene turns into an edit of it for a while, or the edit into the scene."""
    frames = int(rng.uniform(*seconds) * RATE_HZ)
    edited = None
    for _ in range(4):
        if not scene.stickers:
            break
        edited = edit(scene, int(rng.integers(len(scene.stickers))), rng)
        if edited is not None:
            break
    first, second = (scene, edited or scene) if rng.random() < 0.5 else (edited or scene, scene)
    start = int(rng.integers(-frames // 4, frames * 3 // 4))
    length = int(rng.integers(frames // 5, frames * 3 // 4))
    return make_clip(first, second, frames=frames, start=max(0, start), end=min(frames, max(0, start) + length),
                     seed=int(rng.integers(2**31)))  # fmt: skip


def clip_sentence(statement: ClipStatement, sentence: str = "") -> str:
    """The words, around a wording of the atom (empty = the standard one)."""
    return f"{OPENINGS[statement.kind]} {within_sentence(sentence or render_atom(statement.atom))}"


def parse_clip(sentence: str) -> ClipStatement | None:
    """What a sentence says of a clip; None if it is not in the grammar."""
    text = " ".join(sentence.split())
    for kind, opening in OPENINGS.items():
        if text.lower().startswith(opening.lower() + " "):
            atom = parse(text[len(opening) :])
            return ClipStatement(kind, atom) if atom else None
    return None


def clip_truth(statement: ClipStatement, frames: Sequence[Scene]) -> Outcome:
    """Of these frames, in order; `undecided` where a frame that matters is."""
    return clip_outcome(statement.kind, [Truth(scene).of(statement.atom) for scene in frames])


def clip_outcome(kind: ClipKind, outcomes: Sequence[Outcome]) -> Outcome:
    """The same from the atom's outcome in every frame, at least one."""
    match kind:
        case "sometime":
            return either(outcomes)
        case "always":
            return negate(either([negate(outcome) for outcome in outcomes]))
        case "begins":
            return _both(negate(outcomes[0]), either(outcomes[1:]))
        case "ends":
            return _both(negate(outcomes[-1]), either(outcomes[:-1]))


def _both(first: Outcome, second: Outcome) -> Outcome:
    return negate(either([negate(first), negate(second)]))
