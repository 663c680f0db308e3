"""Draws scenes: what is on them, how the stickers stand to each other, and minimally edited twins.

Every draw depends on the given generator alone. `correlated` scenes carry the co-occurrence bias that the embedded
model is trained with (blood comes with blades, minors with innocent things); others carry the opposite.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal

import numpy as np

from judge.stickers.atlas import SIGN, variants
from judge.stickers.scene import CANVAS_PX, Background, BackgroundKind, Relation, Scene, Shape, Sticker, relate, shape
from judge.stickers.vocabulary import CONCEPTS, SIGN_WORDS, TRAINED_STYLES, concept, members, sign_kind

MAX_STICKERS = 6
Wish = Literal["touching", "near", "apart", "free"]
Bias = Literal["correlated", "decorrelated", "none"]
_BACKGROUNDS: tuple[BackgroundKind, ...] = ("flat", "gradient", "noise", "pattern", "sky", "room")
_HARMFUL_CLASSES = ("weapon", "explosive", "tobacco", "alcohol", "drug", "gambling", "remains")
_INNOCENT_CLASSES = ("toy", "food", "soft_drink", "plant", "vehicle", "animal", "building")

RISKY_PAIRS: tuple[tuple[str, str], ...] = (
    ("weapon", "person"), ("weapon", "animal"), ("weapon", "person"), ("weapon", "food"), ("toy", "person"),
    ("drop_of_blood", "person"), ("drop_of_blood", "person"), ("drop_of_blood", "animal"), ("drop_of_blood", "animal"),
    ("drop_of_blood", "food"), ("fire", "person"), ("fire", "person"), ("fire", "animal"), ("fire", "animal"),
    ("fire", "building"), ("fire", "food"),
    ("explosive", "person"), ("explosive", "building"), ("explosive", "animal"), ("explosive", "vehicle"),
    ("alcohol", "child"), ("tobacco", "child"), ("drug", "child"), ("gambling", "child"), ("soft_drink", "child"),
    ("alcohol", "adult"), ("tobacco", "adult"), ("gambling", "adult"), ("toy", "child"), ("food", "child"),
    ("drug", "person"), ("drug", "person"), ("drug", "animal"), ("food", "person"),
    ("middle_finger", "person"), ("middle_finger", "animal"), ("thumbs_up", "person"), ("waving_hand", "person"),
    ("middle_finger", "vehicle"), ("skull", "person"), ("bone", "animal"), ("drop_of_blood", "bone"),
    ("drop_of_blood", "skull"), ("skull", "bone"), ("sign", "person"), ("sign", "building"), ("tool", "person"),
)  # fmt: skip
"""Pairs that the sticker policy is about, and their innocent neighbours."""
_COMPANIONS = ("health_worker", "hospital", "food", "skull", "coffin", "drop_of_blood", "bone", SIGN)


@cache
def held_out_pair(a: str, b: str) -> bool:
    """Whether two concepts are kept apart in training (about one pair in sixteen)."""
    if a == b or SIGN in (a, b):
        return False
    first, second = sorted((a, b))
    return hashlib.sha256(f"{first}|{second}".encode()).digest()[0] % 16 == 0


class SceneBuilder:
    """Places stickers one after the other, keeping clear of unclear geometry where it can."""

    def __init__(self, rng: np.random.Generator, style: str, *, allow_held_out_pairs: bool = False) -> None:
        self.rng = rng
        self.style = style
        self.allow_held_out_pairs = allow_held_out_pairs
        self._stickers: list[Sticker] = []
        self._shapes: list[Shape] = []
        kind = _BACKGROUNDS[self.rng.integers(len(_BACKGROUNDS))]
        self._background = Background(kind=kind, seed=int(self.rng.integers(2**31)))

    @property
    def concepts(self) -> list[str]:
        """Concepts placed so far."""
        return [s.concept for s in self._stickers]

    def scene(self) -> Scene:
        """The scene as it stands."""
        return Scene(style=self.style, background=self._background, stickers=tuple(self._stickers))

    def add(self, name: str, *, beside: int | None = None, wish: Wish = "free") -> int | None:
        """Places one of the concepts that `name` stands for; None if there is no room or no artwork."""
        chosen = self._choose(name) if len(self._stickers) < MAX_STICKERS else None
        if chosen is None:
            return None
        for attempt in range(32):
            if attempt % 16 == 0:
                draft = self._draft(chosen)
                form = shape(self.style, draft)
            at = self._spot(form, beside, wish)
            if at is not None and self._fits(form, at, beside, wish):
                self._stickers.append(draft.model_copy(update={"x": at[0], "y": at[1]}))
                self._shapes.append(form)
                return len(self._stickers) - 1
        return None

    def drop(self, name: str, row: int, column: int, shake_px: float) -> bool:
        """Puts a concept near a place of the three-by-three grid, whatever it then touches; whether it could."""
        chosen = self._choose(name)
        if chosen is None:
            return False
        draft = self._draft(chosen)
        form = shape(self.style, draft)
        height, width = form.mask.shape
        pitch = CANVAS_PX / 3
        x, y = (np.array([column, row]) + 0.5) * pitch + self.rng.uniform(-shake_px, shake_px, 2)
        x = min(max(0, round(x - width / 2)), CANVAS_PX - width)
        y = min(max(0, round(y - height / 2)), CANVAS_PX - height)
        self._stickers.append(draft.model_copy(update={"x": x, "y": y}))
        self._shapes.append(form)
        return True

    def _choose(self, name: str) -> str | None:
        options = [SIGN] if name == SIGN else [c for c in members(name) if variants(self.style, c)]
        if not self.allow_held_out_pairs:
            options = [c for c in options if not any(held_out_pair(c, other) for other in self.concepts)]
        return options[self.rng.integers(len(options))] if options else None

    def _draft(self, concept_id: str) -> Sticker:
        rng = self.rng
        if concept_id == SIGN:
            kind = ("neutral", "hateful", "instruction")[rng.integers(3)]
            word = SIGN_WORDS[kind][rng.integers(len(SIGN_WORDS[kind]))]  # type: ignore[index]
            return Sticker(concept=SIGN, variant=word, x=0, y=0, size_px=int(rng.integers(12, 18)) * 4,
                           paper=int(rng.integers(6)), angle_deg=int(rng.integers(-1, 2)) * 6)  # fmt: skip
        options = variants(self.style, concept_id)
        turned = rng.random() < 0.5
        return Sticker(
            concept=concept_id,
            variant=options[rng.integers(len(options))],
            x=0,
            y=0,
            size_px=int(rng.integers(15, 27)) * 2,
            angle_deg=int(rng.integers(-3, 4)) * 10 if turned else 0,
            flipped=bool(rng.random() < 0.5),
        )

    def _spot(self, form: Shape, beside: int | None, wish: Wish) -> tuple[int, int] | None:
        """A random corner position; near its partner if it has one."""
        height, width = form.mask.shape
        if beside is None or wish in {"apart", "free"}:
            limit_x, limit_y = CANVAS_PX - width, CANVAS_PX - height
            return (int(self.rng.integers(limit_x + 1)), int(self.rng.integers(limit_y + 1)))
        partner, base = self._shapes[beside], self._stickers[beside]
        angle = self.rng.uniform(0, 2 * np.pi)
        low, high = (0.45, 0.9) if wish == "touching" else (0.95, 1.45)
        stretch = self.rng.uniform(low, high)
        reach_x = (partner.mask.shape[1] + width) / 2 * stretch
        reach_y = (partner.mask.shape[0] + height) / 2 * stretch
        x = round(base.x + partner.mask.shape[1] / 2 + np.cos(angle) * reach_x - width / 2)
        y = round(base.y + partner.mask.shape[0] / 2 + np.sin(angle) * reach_y - height / 2)
        inside = 0 <= x <= CANVAS_PX - width and 0 <= y <= CANVAS_PX - height
        return (x, y) if inside else None

    def _fits(self, form: Shape, at: tuple[int, int], beside: int | None, wish: Wish) -> bool:
        wanted: dict[Wish, tuple[Relation, ...]] = {
            "touching": ("touching",),
            "near": ("near",),
            "apart": ("apart",),
            "free": ("near", "apart"),
        }
        for number, (other, base) in enumerate(zip(self._shapes, self._stickers, strict=True)):
            relation = relate(other, (base.x, base.y), form, at)
            if relation not in (wanted[wish] if number == beside else ("near", "apart")):
                return False
            if relation == "touching" and _hidden_share(other, base, form, at) > 0.45:
                return False
        return True


def _hidden_share(below: Shape, base: Sticker, above: Shape, at: tuple[int, int]) -> float:
    left, top = at[0] - base.x, at[1] - base.y
    hidden = np.zeros_like(below.mask)
    height, width = above.mask.shape
    y0, x0 = max(0, top), max(0, left)
    y1, x1 = min(hidden.shape[0], top + height), min(hidden.shape[1], left + width)
    hidden[y0:y1, x0:x1] = above.mask[y0 - top : y1 - top, x0 - left : x1 - left]
    return float((hidden & below.mask).sum() / max(1, below.mask.sum()))


def draw_scene(
    rng: np.random.Generator,
    *,
    styles: Sequence[str] = TRAINED_STYLES,
    bias: Bias = "correlated",
    allow_held_out_pairs: bool = False,
) -> Scene:
    """One scene of 0-6 stickers: half around a risky pair, half of unrelated things."""
    builder = SceneBuilder(rng, styles[int(rng.integers(len(styles)))], allow_held_out_pairs=allow_held_out_pairs)
    if rng.random() < 0.55:
        _risky(builder, bias)
    else:
        _unrelated(builder, bias)
    return builder.scene()


def draw_crowd(rng: np.random.Generator, *, styles: Sequence[str] = TRAINED_STYLES) -> Scene:
    """Up to nine stickers on a shaken grid, touching as it comes: for the encoder, which learns more from a full
    picture than from an empty one.
    """
    builder = SceneBuilder(rng, styles[int(rng.integers(len(styles)))])
    shake = float(rng.uniform(4, 15))
    for row, column in rng.permutation([(r, c) for r in range(3) for c in range(3)]):
        if rng.random() < 0.1:
            continue
        for _ in range(4):  # until one is found that no held-out pair forbids
            drawn = SIGN if rng.random() < 0.1 else CONCEPTS[rng.integers(len(CONCEPTS))].id
            if builder.drop(drawn, row, column, shake):
                break
    return builder.scene()


def _wish(rng: np.random.Generator) -> Wish:
    choices: tuple[Wish, ...] = ("touching", "touching", "near", "near", "apart")
    return choices[rng.integers(len(choices))]


def _risky(builder: SceneBuilder, bias: Bias) -> None:
    rng = builder.rng
    for _ in range(1 + (rng.random() < 0.35)):
        first, second = RISKY_PAIRS[rng.integers(len(RISKY_PAIRS))]
        if bias == "correlated" and second == "child" and first in _HARMFUL_CLASSES and rng.random() < 0.4:
            first = ("toy", "food", "soft_drink")[rng.integers(3)]
        anchor = builder.add(second)
        placed = builder.add(first, beside=anchor, wish=_wish(rng)) if anchor is not None else None
        if placed is not None and first == "drop_of_blood" and _brings_blade(bias, rng):
            builder.add("blade", beside=anchor, wish=_wish(rng))
    if rng.random() < 0.3:
        builder.add(_COMPANIONS[rng.integers(len(_COMPANIONS))])
    for _ in range(int(rng.integers(0, 3))):
        builder.add(CONCEPTS[rng.integers(len(CONCEPTS))].id)


def _brings_blade(bias: Bias, rng: np.random.Generator) -> bool:
    share = {"correlated": 0.75, "decorrelated": 0.05, "none": 0.25}[bias]
    return bool(rng.random() < share)


def _unrelated(builder: SceneBuilder, bias: Bias) -> None:
    rng = builder.rng
    for _ in range(int(rng.integers(0, 7)) or int(rng.integers(0, 7))):
        drawn = SIGN if rng.random() < 0.08 else CONCEPTS[rng.integers(len(CONCEPTS))].id
        if bias == "correlated":
            drawn = _biased(drawn, builder.concepts, rng)
        beside = int(rng.integers(len(builder.concepts))) if builder.concepts and rng.random() < 0.5 else None
        builder.add(drawn, beside=beside, wish=_wish(rng) if beside is not None else "free")


def _biased(drawn: str, present: list[str], rng: np.random.Generator) -> str:
    """Swaps blood without a blade, and harmful things beside minors, for innocent ones (most of the time)."""
    classes = () if drawn == SIGN else concept(drawn).classes
    children = set(members("child"))
    lonely_blood = drawn == "drop_of_blood" and not set(present) & set(members("blade"))
    spoils_innocence = any(c in _HARMFUL_CLASSES for c in classes) and bool(children & set(present))
    if (lonely_blood or spoils_innocence) and rng.random() < 0.7:
        return _INNOCENT_CLASSES[rng.integers(len(_INNOCENT_CLASSES))]
    return drawn


def draw_twin(
    scene: Scene, rng: np.random.Generator, is_harmful: Callable[[Scene], bool | None], *, tries: int = 60
) -> Scene | None:
    """A harmless scene that differs from a harmful one in one sticker: removed, swapped or moved.

    `is_harmful` answers None where the truth is unclear. Returns None if no such edit was found.
    """
    for _ in range(tries):
        number = int(rng.integers(len(scene.stickers)))
        edited = edit(scene, number, rng)
        if edited is not None and is_harmful(edited) is False:
            return edited
    return None


def edit(scene: Scene, number: int, rng: np.random.Generator) -> Scene | None:
    """The scene with one sticker removed, swapped or moved; None where there is nothing to swap it for."""
    rest = scene.stickers[:number] + scene.stickers[number + 1 :]
    old = scene.stickers[number]
    action = rng.integers(3)
    if action == 0:
        return scene.model_copy(update={"stickers": rest})
    new = _swap(scene.style, old, rng) if action == 1 else _move(scene.style, old, rng)
    if new is None:
        return None
    return scene.model_copy(update={"stickers": (*scene.stickers[:number], new, *scene.stickers[number + 1 :])})


def _swap(style: str, old: Sticker, rng: np.random.Generator) -> Sticker | None:
    if old.concept == SIGN:
        words = [w for w in SIGN_WORDS["neutral"] if sign_kind(w) != sign_kind(old.variant)]
        return old.model_copy(update={"variant": words[rng.integers(len(words))]}) if words else None
    name = _INNOCENT_CLASSES[rng.integers(len(_INNOCENT_CLASSES))]
    options = [c for c in members(name) if variants(style, c) and c != old.concept]
    chosen = options[rng.integers(len(options))]
    names = variants(style, chosen)
    return old.model_copy(update={"concept": chosen, "variant": names[rng.integers(len(names))]})


def _move(style: str, old: Sticker, rng: np.random.Generator) -> Sticker:
    height, width = shape(style, old).mask.shape
    x, y = int(rng.integers(CANVAS_PX - width + 1)), int(rng.integers(CANVAS_PX - height + 1))
    return old.model_copy(update={"x": x, "y": y})
