"""The shared contract, on a tiny checkpoint of every detector that loads published weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from judge.bench.detectors.base import DetectorSettings
from tests.bench.detectors.pictures import animation, picture
from tests.bench.detectors.tiny_checkpoints import (
    tiny_falconsai,
    tiny_laion,
    tiny_llavaguard,
    tiny_q16,
    tiny_sd_safety_checker,
    tiny_shieldgemma,
    tiny_shieldstral,
)
from tests.contracts.detectors import DetectorContract, Subject

Make = Callable[[Path], DetectorSettings]
MAKERS: tuple[tuple[Make, dict[str, object]], ...] = (
    (tiny_falconsai, {"max_frames": 3}),
    (tiny_laion, {"max_frames": 3}),
    (tiny_llavaguard, {"ask": "category"}),
    (tiny_q16, {"max_frames": 3}),
    (tiny_sd_safety_checker, {"max_frames": 3}),
    (tiny_shieldgemma, {"policies": ["violence"]}),
    (tiny_shieldstral, {"ask": "category"}),
)
"""What writes a checkpoint, and options that change what is predicted."""


@pytest.fixture(scope="module", params=MAKERS, ids=lambda param: param[0].__name__.removeprefix("tiny_"))
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    make, other_options = request.param
    settings: DetectorSettings = make(tmp_path_factory.mktemp("checkpoint"))
    changes = [
        settings.model_copy(update={"threshold": 0.31}),
        settings.model_copy(update={"options": {**settings.options, **other_options}}),
    ]
    # Q16 multiplies a cosine by 100 before its softmax, and the filter of Stable Diffusion rounds.
    media = [*(picture(seed) for seed in range(5)), animation(5, 6)]
    made = Subject(settings, media, changes, tolerance=0.006)
    yield made
    made.close()


class TestModels(DetectorContract):
    """Nothing more than the contract."""
