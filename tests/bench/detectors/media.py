"""Real media for tests of detectors: the committed samples, decoded."""

from __future__ import annotations

from pathlib import Path

from judge.assets import sample_media_path
from judge.media import FileMedia, Permissions, load_media
from judge.types import Media

HARMFUL = ("harmful-violence-weapon_threat", "harmful-drugs-non_medical")
HARMLESS = ("harmless-1", "harmless-2")
UNCERTAIN = "harmless-4"
FACES = ("harmless-2", "harmful-harassment-gesture", "harmful-drugs-non_medical")
"""In which NudeNet sees faces, each with another score."""


def load(path: Path) -> Media:
    return load_media(FileMedia(path=path), Permissions(files=True))


def demo(*names: str) -> list[Media]:
    return [load(sample_media_path("demo") / f"{name}.png") for name in names]


def photo() -> Media:
    return load(sample_media_path("demo") / "photo-coffee.jpg")


def clips() -> list[Path]:
    return sorted(path for path in sample_media_path("clips").rglob("*") if path.suffix in (".mp4", ".webm"))
