"""docs/bench.md names what there is."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from judge.bench.frame_measures import FRAME_MEASURES
from judge.bench.measures import columns, everything
from judge.bench.page import FRAME_NAMES, NAMES
from judge.bench.perturbations import PERTURBATIONS
from judge.bench.predictions import PREDICTIONS, RUN, SAMPLES
from judge.cli.bench import PAGE, RESULTS

TEXT = (Path(__file__).parents[2] / "docs" / "bench.md").read_text(encoding="utf-8")


def test_every_measure_is_defined_and_shown() -> None:
    measures = set(everything(columns([True], [True], [0.5], [""]), np.ones((1, 1))))
    assert {name for name in measures if f"`{name}`" not in TEXT} == set()
    assert {name for name, _ in NAMES} == measures - {"fpr"}  # that one stands where slices are


def test_measures_by_frame_are_defined_and_shown() -> None:
    assert [name for name in FRAME_MEASURES if f"`{name}`" not in TEXT] == []
    assert tuple(name for name, _ in FRAME_NAMES) == FRAME_MEASURES


def test_every_perturbation_and_file_is_named() -> None:
    assert {each.family for each in PERTURBATIONS.values() if f"`{each.family}`" not in TEXT} == set()
    assert all(f"`{name}`" in TEXT for name in (PREDICTIONS, RUN, SAMPLES, PAGE, RESULTS))
