"""Tables with hand-computed values; logits to four decimals: ln 4 = 1.3863, ln 9 = 2.1972, ln 49 = 3.8918."""

from __future__ import annotations

import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge import debias
from judge.config import CorpusStatistics, Mixture, Preset, Thresholds
from judge.debias import Settled, references, settle
from judge.types import Outcome, Readings

PRESETS: tuple[Preset, ...] = get_args(Preset)
BELLS = Mixture(low_mean=-3.0, low_std=1.0, high_mean=3.0, high_std=2.0, high_share=0.25)
CORPUS = {"": CorpusStatistics(mean=0.8, mixture=BELLS)}
RANK: dict[Outcome, int] = {"rejected": 0, "undecided": 1, "satisfied": 2}


def read(observed: float, prior: float | None = None, mass: float = 1.0) -> Readings:
    references = {"noised": 0.5, "blank": 0.5, "noise": 0.5}
    return Readings(observed=observed, prior=prior, mass=mass, references=references)


@pytest.mark.parametrize(
    ("observed", "outcome"),
    [
        (0.0, "rejected"),
        (0.2, "rejected"),
        (0.21, "undecided"),
        (0.79, "undecided"),
        (0.8, "satisfied"),
        (1.0, "satisfied"),
    ],
)
def test_none_compares_the_observed_probability(observed: float, outcome: Outcome) -> None:
    settled = settle(read(observed), Thresholds(preset="none"))
    assert (settled.outcome, settled.probability) == (outcome, observed)


@pytest.mark.parametrize(
    ("observed", "bias", "outcome", "probability"),
    [
        (0.5, 0.0, "undecided", 0.5),
        (0.8, math.log(4), "undecided", 0.5),  # ln 4 - ln 4 = 0
        (0.9, math.log(4), "undecided", 0.692308),  # odds 9 / 4
        (0.5, math.log(4), "rejected", 0.2),  # odds 1 / 4
        (0.5, -math.log(9), "satisfied", 0.9),  # odds 9
    ],
)
def test_threshold_shifts_the_logit_one_way(observed: float, bias: float, outcome: Outcome, probability: float) -> None:
    settled = settle(read(observed), Thresholds(preset="threshold", bias=bias, reject=0.2001))
    assert settled.outcome == outcome
    assert settled.probability == pytest.approx(probability, abs=1e-6)


@pytest.mark.parametrize(
    ("observed", "prior", "outcome"),
    [
        # p0 = 0.5: rejected below 0.35, satisfied above 0.9
        (0.34, 0.5, "rejected"),
        (0.36, 0.5, "undecided"),
        (0.89, 0.5, "undecided"),
        (0.91, 0.5, "satisfied"),
        # p0 = 0.2: rejected below 0.14, satisfied above 0.84
        (0.13, 0.2, "rejected"),
        (0.15, 0.2, "undecided"),
        (0.83, 0.2, "undecided"),
        (0.85, 0.2, "satisfied"),
        # p0 = 0: nothing is rejected, not even the surest No
        (0.0, 0.0, "undecided"),
        (0.79, 0.0, "undecided"),
        (0.81, 0.0, "satisfied"),
        # p0 = 1: nothing is accepted, not even the surest Yes
        (1.0, 1.0, "undecided"),
        (0.71, 1.0, "undecided"),
        (0.69, 1.0, "rejected"),
    ],
)
def test_clue_keeps_the_published_order_and_reports_the_observed_probability(
    observed: float, prior: float, outcome: Outcome
) -> None:
    settled = settle(read(observed, prior), Thresholds(preset="clue"))
    assert (settled.outcome, settled.probability) == (outcome, observed)


@pytest.mark.parametrize(
    ("observed", "prior", "outcome", "z"),
    [
        (0.8, 0.5, "satisfied", math.log(4)),  # an undecided prior takes nothing off
        (0.2, 0.5, "rejected", -math.log(4)),
        (0.9, 0.8, "satisfied", math.log(9) - 0.5 * math.log(4)),  # 2.1972 - 0.6931
        (0.8, 0.8, "undecided", 0.5 * math.log(4)),  # the image adds nothing: 0.6931
        (0.2, 0.2, "undecided", -0.5 * math.log(4)),
        # the pathologies of clue: p0 = 0 still rejects, p0 = 1 still accepts; the prior counts as 0.02 and 0.98
        (0.02, 0.0, "rejected", -0.5 * math.log(49)),  # -3.8918 + 1.9459
        (0.5, 0.0, "satisfied", 0.5 * math.log(49)),
        (0.98, 1.0, "satisfied", 0.5 * math.log(49)),
        (0.5, 1.0, "rejected", -0.5 * math.log(49)),
    ],
)
def test_log_odds_takes_the_weighted_prior_off(observed: float, prior: float, outcome: Outcome, z: float) -> None:
    thresholds = Thresholds(accept_margin=1.3862, reject_margin=1.3862)  # just under ln 4, as logits are rounded
    settled = settle(read(observed, prior), thresholds)
    assert settled.outcome == outcome
    assert settled.probability == pytest.approx(1 / (1 + math.exp(-z)), abs=1e-9)


def test_default_margins_are_the_logits_of_the_default_probabilities() -> None:
    defaults = Thresholds()
    assert defaults.accept_margin == pytest.approx(math.log(defaults.accept / (1 - defaults.accept)), abs=1e-4)
    assert -defaults.reject_margin == pytest.approx(math.log(defaults.reject / (1 - defaults.reject)), abs=1e-4)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("observed", [0.0, 1.0])
def test_low_label_mass_is_undecided_however_sure_the_answer(preset: Preset, observed: float) -> None:
    settled = settle(read(observed, 0.5, mass=0.3), Thresholds(preset=preset))
    assert settled.outcome == "undecided"
    assert settled.reason == "the model put only 0.30 of its probability on Yes and No"


@pytest.mark.parametrize("preset", ["clue", "log_odds", "contextual"])
def test_a_missing_prior_is_undecided(preset: Preset) -> None:
    expected = Settled("undecided", 0.99, "the reading without the image is missing")
    assert settle(Readings(observed=0.99, mass=1.0), Thresholds(preset=preset)) == expected


def test_presets_ask_for_the_references_they_compare_with() -> None:
    assert {preset: references(Thresholds(preset=preset)) for preset in PRESETS} == {
        "none": (),
        "threshold": (),
        "clue": ("none",),
        "log_odds": ("none",),
        "contextual": ("none",),
        "contrastive": ("noised",),
        "batch": (),
        "mixture": (),
    }
    more = Thresholds(preset="contextual", contextual_references=("blank", "noise"))
    assert references(more) == ("blank", "noise")
    assert references(Thresholds(preset="contrastive", contrastive_reference="occluded")) == ()


CLUE_CASES = [
    # p, p0, pr (None: no box was found), outcome, by which test of the published order
    (0.30, 0.50, None, "rejected", "first: -0.20 < -0.15"),
    (0.30, 0.50, 0.00, "rejected", "first, before the region is looked at"),
    (0.69, 1.00, 0.00, "rejected", "first: -0.31 < -0.30"),
    (0.91, 0.50, None, "satisfied", "second: 0.41 > 0.40"),
    (0.91, 0.50, 0.91, "satisfied", "second, before the region is looked at"),
    (0.85, 0.20, 0.85, "satisfied", "second: 0.65 > 0.64"),
    (0.75, 0.50, 0.10, "satisfied", "third: 0.65 > 0.60"),
    (0.75, 0.90, 0.14, "satisfied", "third: 0.61 > 0.60"),
    (0.75, 0.50, 0.16, "undecided", "third: 0.59 is not above 0.60"),
    (0.75, 0.50, 0.70, "undecided", "no test holds"),
    (0.75, 0.50, None, "undecided", "no box: the third test is left out"),
    (0.79, 0.00, None, "undecided", "p0 = 0: no rejection, and 0.79 is not above 0.80"),
    (0.00, 0.00, None, "undecided", "p0 = 0: not even the surest No is rejected"),
    (1.00, 1.00, 0.30, "satisfied", "p0 = 1: the second test cannot hold, the third does: 0.70"),
    (0.36, 0.50, None, "undecided", "first: -0.14 is not below -0.15"),
    (0.89, 0.50, None, "undecided", "second: 0.39 is not above 0.40"),
]


@pytest.mark.parametrize(("observed", "prior", "occluded", "outcome", "test"), CLUE_CASES)
def test_clue_with_the_region_test_follows_the_published_order(
    observed: float, prior: float, occluded: float | None, outcome: Outcome, test: str
) -> None:
    readings = Readings(observed=observed, prior=prior, occluded=occluded, mass=1.0)
    assert settle(readings, Thresholds(preset="clue")).outcome == outcome, test


def test_a_crop_stands_for_the_picture_in_the_first_two_tests() -> None:
    readings = Readings(observed=0.5, prior=0.5, mass=1.0, references={"crop": 0.95})
    assert settle(readings, Thresholds(preset="clue")) == Settled("satisfied", 0.95)
    assert settle(readings, Thresholds(preset="none")) == Settled("satisfied", 0.95)


@pytest.mark.parametrize(
    ("chosen", "prior", "blank", "noise", "z"),
    [
        (("none",), 0.8, 0.5, 0.5, math.log(9) - math.log(4)),
        (("blank",), 0.8, 0.2, 0.5, math.log(9) + math.log(4)),
        (("none", "blank"), 0.8, 0.2, 0.5, math.log(9)),  # the two cancel
        (("none", "blank", "noise"), 0.8, 0.8, 0.5, math.log(9) - 2 / 3 * math.log(4)),
        (("noise",), 0.8, 0.8, 1.0, math.log(9) - math.log(49)),  # clipped at 0.98
    ],
)
def test_contextual_takes_the_mean_reference_off_whole(
    chosen: tuple[str, ...], prior: float, blank: float, noise: float, z: float
) -> None:
    thresholds = Thresholds.model_validate({"preset": "contextual", "contextual_references": chosen})
    readings = Readings(observed=0.9, prior=prior, mass=1.0, references={"blank": blank, "noise": noise})
    assert settle(readings, thresholds).probability == pytest.approx(1 / (1 + math.exp(-z)), abs=1e-9)


@pytest.mark.parametrize(
    ("strength", "reference", "z"),
    [
        (0.0, 0.2, math.log(9)),
        (1.0, 0.5, 2 * math.log(9)),
        (1.0, 0.9, math.log(9)),  # the noise changes nothing
        (0.5, 0.2, 1.5 * math.log(9) + 0.5 * math.log(4)),
    ],
)
def test_contrastive_moves_away_from_the_reference(strength: float, reference: float, z: float) -> None:
    readings = Readings(observed=0.9, mass=1.0, references={"noised": reference})
    settled = settle(readings, Thresholds(preset="contrastive", contrastive_strength=strength))
    assert settled.probability == pytest.approx(1 / (1 + math.exp(-z)), abs=1e-9)


def test_contrastive_against_the_region_is_plain_where_there_is_none() -> None:
    thresholds = Thresholds(preset="contrastive", contrastive_reference="occluded", region_reject=0.0)
    without, within = (Readings(observed=0.7, mass=1.0, occluded=p) for p in (None, 0.3))
    assert settle(without, thresholds).probability == 0.7
    assert settle(within, thresholds).probability == pytest.approx(343 / 370)  # odds (7/3)^3


def test_batch_takes_the_corpus_mean_off() -> None:
    thresholds = Thresholds(preset="batch", corpus={"knife": CorpusStatistics(mean=0.8)})
    settled = settle(read(0.9), thresholds, "knife")
    assert (settled.outcome, settled.probability) == ("undecided", pytest.approx(9 / 13))  # odds 9 / 4


@pytest.mark.parametrize(
    ("z", "posterior"),
    [
        (0.0, 1 / (1 + 6 * math.exp(-4.5 + 1.125))),  # 0.75 / 1 against 0.25 / 2, at 3 and 1.5 deviations
        (3.0, 1 / (1 + 6 * math.exp(-18.0))),
        (-3.0, 1 / (1 + 6 * math.exp(4.5))),
        (-50.0, 1 / (1 + 6 * math.exp(4.5))),  # the wide bell must not win far below both
    ],
)
def test_mixture_is_the_posterior_of_the_upper_bell(z: float, posterior: float) -> None:
    thresholds = Thresholds(preset="mixture", corpus=CORPUS)
    settled = settle(read(1 / (1 + math.exp(-z))), thresholds)
    assert settled.probability == pytest.approx(posterior, rel=1e-6)


@pytest.mark.parametrize("preset", ["batch", "mixture"])
def test_a_precondition_without_statistics_is_undecided(preset: Preset) -> None:
    settled = settle(read(0.99), Thresholds(preset=preset, corpus=CORPUS), "unknown")
    assert settled.outcome == "undecided"
    assert "over a corpus" in settled.reason


@pytest.mark.parametrize(
    ("observed", "occluded", "control", "outcome"),
    [
        (0.6, 0.2, None, "satisfied"),  # falls by 0.4055 + 1.3863
        (0.6, 0.3, None, "undecided"),  # by 1.2528: less than ln 4
        (0.6, 0.2, 0.4, "undecided"),  # the random box takes 0.8109 of it
        (0.6, 0.59, None, "undecided"),  # leans to Yes and survives: not enough to reject
        (0.4, 0.39, None, "rejected"),  # leans to No and nothing in the region speaks for it
        (0.4, 0.1, None, "satisfied"),  # falls by 1.7918
        (0.9, 0.89, None, "undecided"),  # a Yes that survives without what it names is taken back
        (0.9, 0.5, None, "satisfied"),
        (0.1, 0.01, None, "rejected"),  # a rejection stays
        (0.9, 0.5, 0.5, "undecided"),  # any box would have done the same
    ],
)
def test_the_region_test_is_two_sided_and_has_a_control(
    observed: float, occluded: float, control: float | None, outcome: Outcome
) -> None:
    others = {} if control is None else {"control": control}
    readings = Readings(observed=observed, mass=1.0, occluded=occluded, references=others)
    margins = Thresholds(preset="none", region_accept=1.3863, region_reject=0.2)
    assert settle(readings, margins).outcome == outcome


def test_by_default_no_fall_accepts() -> None:
    readings = Readings(observed=0.79, mass=1.0, occluded=0.0, references={"control": 0.79})
    assert settle(readings, Thresholds(preset="none")).outcome == "undecided"


def test_undecided_says_why_and_decided_says_nothing() -> None:
    assert debias.none(0.5, Thresholds()).reason == "probability 0.50 lies between 0.20 and 0.80"
    assert debias.none(0.9, Thresholds()).reason == ""
    assert debias.log_odds(0.5, 0.5, Thresholds()).reason == "debiased logit +0.00 lies between -1.39 and 1.39"
    assert debias.clue(0.5, 0.5, None, Thresholds()).reason == (
        "p changes by +0.00 from the prior 0.50: no test of CLUE holds"
    )


probabilities = st.floats(min_value=0.0, max_value=1.0)


@given(a=probabilities, b=probabilities, prior=probabilities, preset=st.sampled_from(PRESETS))
def test_more_observed_never_lowers_outcome_or_probability(a: float, b: float, prior: float, preset: Preset) -> None:
    low, high = (settle(read(p, prior), Thresholds(preset=preset, bias=0.7, corpus=CORPUS)) for p in sorted((a, b)))
    assert RANK[low.outcome] <= RANK[high.outcome]
    assert low.probability <= high.probability + 1e-12


@given(observed=probabilities, prior=probabilities, mass=probabilities, preset=st.sampled_from(PRESETS))
def test_probability_stays_a_probability_and_undecided_has_a_reason(
    observed: float, prior: float, mass: float, preset: Preset
) -> None:
    settled = settle(read(observed, prior, mass), Thresholds(preset=preset, corpus=CORPUS))
    assert 0.0 <= settled.probability <= 1.0
    assert (settled.reason != "") == (settled.outcome == "undecided")
