"""Detectors under the contract, each as a fixture."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from judge.bench.detectors.build import parse_detector
from judge.types import Media
from tests.bench.detectors.media import FACES, HARMFUL, HARMLESS, demo, photo
from tests.bench.detectors.moderation_server import our_service
from tests.contracts.detectors import Subject


@pytest.fixture(scope="session")
def service() -> Iterator[str]:
    with our_service() as address:
        yield address


def _subject(line: str, media: list[Media], *changes: str) -> Iterator[Subject]:
    found = Subject(parse_detector(line), media, [parse_detector(each) for each in changes])
    yield found
    found.close()


@pytest.fixture(scope="module")
def ours_fast() -> Iterator[Subject]:
    changes = ("ours-fast,threshold=0.3", "ours-fast,preset=none", "ours-fast,constitution=general")
    yield from _subject("ours-fast", demo(*HARMFUL, *HARMLESS), *changes)


@pytest.fixture(scope="module")
def ours_full() -> Iterator[Subject]:
    changes = ("ours-full,reason=false", "ours-full,region=off", "ours-full,vote=true")
    yield from _subject("ours-full", demo(*HARMFUL, *HARMLESS), *changes)


@pytest.fixture(scope="module")
def ours_policy_direct() -> Iterator[Subject]:
    changes = ("ours-policy-direct,threshold=0.99", "ours-policy-direct,constitution=general")
    yield from _subject("ours-policy-direct", [*demo(*HARMFUL, *HARMLESS), photo()], *changes)


@pytest.fixture(scope="module")
def nudenet() -> Iterator[Subject]:
    pytest.importorskip("nudenet")
    changes = (
        "nudenet,threshold=0.6",
        "nudenet,classes=9",
        "nudenet,classes=[FACE_FEMALE, FACE_MALE],resolution_px=640",
    )
    # Nobody is naked in our pictures, but their emoji have faces: other classes of the same network.
    line = "nudenet,threshold=0.3,classes=[FACE_FEMALE, FACE_MALE]"
    yield from _subject(line, demo(*FACES, *HARMLESS[:1]), *changes)


@pytest.fixture(scope="module")
def openai_moderation(service: str) -> Iterator[Subject]:
    line = f"openai-moderation,base_url={service}"
    changes = (f"{line},threshold=0.2", f"{line},model=general", f"{line}/other")
    yield from _subject(line, demo(*HARMFUL, *HARMLESS), *changes)


@pytest.fixture(scope="module")
def i2p() -> Iterator[Subject]:
    """Two of ours stand for its parts."""
    other = "ours-fast,constitution=general"
    parts = {"two": ["ours-fast", "ours-policy-direct,threshold=0.999"], "others": ["ours-fast", other]}
    lines = {name: f"i2p,parts={json.dumps(each)}" for name, each in parts.items()}
    yield from _subject(lines["two"], demo(*HARMFUL, *HARMLESS), lines["others"])
