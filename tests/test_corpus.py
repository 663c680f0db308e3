from __future__ import annotations

import numpy as np
import pytest

from judge.corpus import MIN_READINGS, corpus_statistics, fit_mixture
from judge.types import Evidence, Readings, Stage


def evidence(id: str, observed: float, mass: float = 1.0, stage: Stage = "token_probability") -> Evidence:
    readings = Readings(observed=observed, mass=mass)
    return Evidence(
        stage=stage, precondition_id=id, statement=id, outcome="undecided", probability=observed, readings=readings
    )


def draw(low: int, high: int, *, seed: int = 0) -> list[float]:
    rng = np.random.default_rng(seed)
    return [*rng.normal(-4.0, 1.0, low), *rng.normal(3.0, 0.5, high)]


def test_two_bells_are_found_again() -> None:
    fitted = fit_mixture(draw(1500, 500))
    assert fitted is not None
    assert fitted.model_dump() == pytest.approx(
        {"low_mean": -4.0, "low_std": 1.0, "high_mean": 3.0, "high_std": 0.5, "high_share": 0.25}, abs=0.1
    )


def test_the_order_of_the_readings_does_not_matter() -> None:
    logits = draw(60, 20)
    assert fit_mixture(logits[::-1]) == fit_mixture(logits)


@pytest.mark.parametrize(
    "logits",
    [[1.0] * 50, list(np.random.default_rng(1).normal(0.0, 1.0, 300))],
    ids=["all the same", "one bell"],
)
def test_what_is_not_two_bells_has_no_mixture(logits: list[float]) -> None:
    assert fit_mixture(logits) is None


def test_statistics_are_kept_by_precondition_and_only_of_usable_first_readings() -> None:
    rows = [evidence("knife", p) for p in [0.1] * 15 + [0.9] * 5]
    rows += [evidence("knife", 1.0, mass=0.1)] * 30
    rows += [evidence("knife", 1.0, stage="chain_of_thought")] * 30
    rows += [evidence("rare", 0.5)] * (MIN_READINGS - 1)
    found = corpus_statistics(rows, min_mass=0.5)
    assert found.keys() == {"knife"}
    assert found["knife"].mean == pytest.approx(0.3)
    assert found["knife"].mixture is not None
    assert found["knife"].mixture.high_share == pytest.approx(0.25, abs=1e-6)


def test_an_empty_corpus_has_no_statistics() -> None:
    assert corpus_statistics([], min_mass=0.5) == {}
