"""Scene graphs: which stickers stand where, and what follows from their geometry.

The truth of every statement is computed from here, by code; pictures come from `render`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from judge.stickers.atlas import SIGN, sign_tile, solid, sprite, tile

CANVAS_PX = 144
TOUCHING_PX2 = 48
"""Overlap from which two stickers touch, in square pixels."""
GAP_CLEAR_PX = 4.0
"""Gap from which two stickers clearly do not touch."""
NEAR_PX = 12.0
"""Largest gap of two stickers that are next to each other."""
APART_PX = 24.0
"""Smallest gap of two stickers that are clearly apart."""

Relation = Literal["touching", "near", "apart", "unclear_touch", "unclear_near"]
"""`unclear_*`: too close to a boundary to ask about it."""
BackgroundKind = Literal["flat", "gradient", "noise", "pattern", "sky", "room"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sticker(_Frozen):
    """One placed sticker; `x`, `y` is the top left corner of its visible box."""

    concept: str
    """Concept id, or `sign`."""
    variant: str
    """`icon:tone`; for a sign, its word."""
    x: int
    y: int
    size_px: int
    angle_deg: int = 0
    flipped: bool = False
    paper: int = 0
    """Colours of a sign."""


class Background(_Frozen):
    """What is behind the stickers; drawn from the seed alone."""

    kind: BackgroundKind
    seed: int


class Scene(_Frozen):
    """A picture's scene graph. Later stickers lie on top of earlier ones."""

    style: str
    background: Background
    stickers: tuple[Sticker, ...]


def reading_order(scene: Scene) -> list[int]:
    """Positions of the stickers from top left to bottom right, in rows of a third of the canvas."""
    return sorted(range(len(scene.stickers)), key=lambda n: (scene.stickers[n].y // 48, scene.stickers[n].x))


@dataclass(frozen=True, slots=True)
class Shape:
    """A sprite's geometry, its top left corner at the origin."""

    rgba: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    edge: NDArray[np.float32]
    """`(n, 2)` points (x, y) on the outline, at most 72."""


@lru_cache(maxsize=16384)
def _shape(  # noqa: PLR0917  (a cache key)
    style: str, concept: str, variant: str, size_px: int, angle_deg: int, flipped: bool, paper: int
) -> Shape:
    source = sign_tile(variant, paper) if concept == SIGN else tile(style, concept, variant)
    rgba = sprite(source, size_px, angle_deg, flipped=flipped)
    mask = solid(rgba)
    inner = np.zeros_like(mask)
    inner[1:-1, 1:-1] = mask[1:-1, 1:-1] & mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    ys, xs = np.nonzero(mask & ~inner)
    points = np.stack([xs, ys], axis=1).astype(np.float32)
    return Shape(rgba, mask, points[:: max(1, -(-len(points) // 72))])


def shape(style: str, sticker: Sticker) -> Shape:
    """Geometry of a sticker in an art style."""
    return _shape(
        style, sticker.concept, sticker.variant, sticker.size_px, sticker.angle_deg, sticker.flipped, sticker.paper
    )


def overlap_px2(a: Shape, at_a: tuple[int, int], b: Shape, at_b: tuple[int, int]) -> int:
    """Area where both are solid."""
    left, top = max(at_a[0], at_b[0]), max(at_a[1], at_b[1])
    right = min(at_a[0] + a.mask.shape[1], at_b[0] + b.mask.shape[1])
    bottom = min(at_a[1] + a.mask.shape[0], at_b[1] + b.mask.shape[0])
    if right <= left or bottom <= top:
        return 0
    part_a = a.mask[top - at_a[1] : bottom - at_a[1], left - at_a[0] : right - at_a[0]]
    part_b = b.mask[top - at_b[1] : bottom - at_b[1], left - at_b[0] : right - at_b[0]]
    return int(np.count_nonzero(part_a & part_b))


def gap_px(a: Shape, at_a: tuple[int, int], b: Shape, at_b: tuple[int, int]) -> float:
    """Smallest distance between the outlines."""
    shift = np.array([at_b[0] - at_a[0], at_b[1] - at_a[1]], dtype=np.float32)
    delta = a.edge[:, None, :] - (b.edge + shift)[None, :, :]
    return float(np.sqrt((delta * delta).sum(-1).min()))


def _box_gap_px(a: Shape, at_a: tuple[int, int], b: Shape, at_b: tuple[int, int]) -> float:
    """Distance of the visible boxes: never more than the distance of the outlines."""
    across = max(at_a[0] - at_b[0] - b.mask.shape[1] + 1, at_b[0] - at_a[0] - a.mask.shape[1] + 1, 0)
    down = max(at_a[1] - at_b[1] - b.mask.shape[0] + 1, at_b[1] - at_a[1] - a.mask.shape[0] + 1, 0)
    return float(np.hypot(across, down))


def relate(a: Shape, at_a: tuple[int, int], b: Shape, at_b: tuple[int, int]) -> Relation:
    """How two placed shapes stand to each other."""
    if _box_gap_px(a, at_a, b, at_b) >= APART_PX:
        return "apart"
    overlap = overlap_px2(a, at_a, b, at_b)
    if overlap >= TOUCHING_PX2:
        return "touching"
    gap = 0.0 if overlap else gap_px(a, at_a, b, at_b)
    if gap < GAP_CLEAR_PX:
        return "unclear_touch"
    if gap <= NEAR_PX:
        return "near"
    return "apart" if gap >= APART_PX else "unclear_near"


def relations(scene: Scene) -> dict[tuple[int, int], Relation]:
    """Relation of every pair of stickers, keyed by positions `(i, j)` with i < j."""
    shapes = [shape(scene.style, s) for s in scene.stickers]
    corners = [(s.x, s.y) for s in scene.stickers]
    return {
        (i, j): relate(shapes[i], corners[i], shapes[j], corners[j])
        for i in range(len(shapes))
        for j in range(i + 1, len(shapes))
    }
