"""What a benchmark concludes from predictions: by hand, on sets small enough to count."""

from __future__ import annotations

import json
import math

import pytest

from judge.bench.detectors.base import Prediction
from judge.bench.evaluate import Options, evaluate
from judge.bench.records import DetectorRecord, Predicted, RunRecord, to_row
from judge.bench.references import PUBLISHED
from judge.bench.results import BenchResult, Interval
from judge.sources.categories import Category
from judge.sources.sample import NoMedia, Sample
from judge.types import Usage

FEW = Options(rounds=50)


def sample(id: str, harmful: bool | None, *categories: Category, **fields: object) -> Sample:
    base = {"id": id, "locator": NoMedia(), "modality": "image", "harmful": harmful, "categories": categories}
    return Sample.model_validate(base | fields)


def record(categories: tuple[Category, ...] | None = None, threshold: float = 0.5) -> DetectorRecord:
    return DetectorRecord(name="n", digest="d", modalities=("image",), categories=categories, threshold=threshold)


def run(card: str = "", **detectors: DetectorRecord) -> RunRecord:
    return RunRecord(source="set", card=card, detectors=detectors or {"one": record()})


def said(sample: str, score: float | None, detector: str = "one", perturbation: str = "", **more: object) -> Predicted:
    flagged = None if score is None else score >= 0.5
    reason = "" if score is not None else "unsure"
    return to_row(sample, detector, perturbation, "", Prediction(score, flagged, reason=reason, **more))  # type: ignore[arg-type]


def value(measures: object, name: str) -> float | None:
    assert isinstance(measures, dict)
    found = measures[name]
    assert isinstance(found, Interval)
    return found.value


SAMPLES = [
    sample("w", True, "weapons", origin="real"), sample("s", True, "sexual", origin="synthetic"),
    sample("ws", True, "weapons", "sexual", origin="real"), sample("o", True, "other", origin="real"),
    sample("x", True, origin="real"), sample("c1", False, origin="real"), sample("c2", False, origin="synthetic"),
    sample("u", None),
]  # fmt: skip
ANSWERS = {"w": 0.9, "s": 0.2, "ws": 0.8, "o": 0.1, "x": 0.1, "c1": 0.3, "c2": 0.7}


def test_only_samples_of_its_kinds_count_and_harmless_ones_always() -> None:
    rows = [said(id, score) for id, score in ANSWERS.items()]
    result = evaluate(run(one=record(("weapons", "drugs"))), SAMPLES, rows, ["one"], FEW)
    (found,) = result.detectors
    assert (result.samples, result.harmful, result.unlabelled) == (7, 5, 1)
    tally = found.tally
    assert (tally.measured, tally.other_category, tally.no_category, tally.missing) == (4, 2, 1, 0)
    assert (found.overall.n, found.overall.n_harmful) == (4, 2)
    assert (value(found.overall.answered, "tpr"), value(found.overall.answered, "tnr")) == (1.0, 0.5)
    assert [(each.name, each.n, each.n_harmful) for each in found.categories] == [("weapons", 4, 2)]
    everything = evaluate(
        run(one=record(("weapons",))), SAMPLES, rows, ["one"], Options(rounds=50, all_categories=True)
    ).detectors[0]
    assert (everything.tally.measured, value(everything.overall.answered, "tpr")) == (7, 0.4)


def test_a_detector_of_every_kind_is_measured_by_kind_and_by_origin() -> None:
    rows = [said(id, score) for id, score in ANSWERS.items()]
    (found,) = evaluate(run(), SAMPLES, rows, ["one"], FEW).detectors
    assert found.tally.measured == 7
    kinds = {each.name: (each.n_harmful, value(each.answered, "tpr")) for each in found.categories}
    assert kinds == {"other": (1, 0.0), "sexual": (2, 0.5), "weapons": (2, 1.0)}
    origins = {each.name: (each.n, value(each.answered, "tpr"), value(each.answered, "fpr")) for each in found.origins}
    assert origins == {"real": (5, 0.5, 0.0), "synthetic": (2, 0.0, 1.0)}


def test_errors_and_abstentions_are_counted_and_shown_both_ways() -> None:
    samples = [sample("a", True), sample("b", True), sample("c", False), sample("d", False), sample("e", False)]
    broke = to_row("d", "one", "", "", Prediction(None, None, failed=True, reason="out of memory"))
    rows = [said("a", 0.9), said("b", None), said("c", 0.1), broke]
    (found,) = evaluate(run(), samples, rows, ["one"], FEW).detectors
    tally = found.tally
    assert (tally.measured, tally.errors, tally.abstentions, tally.missing) == (4, 1, 1, 1)
    assert tally.reasons == {"unsure": 1, "out of memory": 1}
    assert (value(found.overall.answered, "accuracy"), value(found.overall.as_wrong, "accuracy")) == (1.0, 0.5)
    assert value(found.overall.answered, "coverage") == 0.5
    assert value(found.overall.answered, "selective_risk") == 0.0
    assert "coverage" not in found.overall.as_wrong


def test_the_last_of_several_predictions_counts() -> None:
    rows = [said("a", None), said("a", 0.9), said("b", 0.2, "other")]
    (found,) = evaluate(run(), [sample("a", True)], rows, ["one"], FEW).detectors
    assert (found.tally.abstentions, value(found.overall.answered, "tpr")) == (0, 1.0)


def test_flips_under_a_perturbation() -> None:
    samples = [sample(str(n), n < 4) for n in range(6)]
    plain = [said(str(n), 0.9 if n < 3 else 0.1) for n in range(6)]
    after = {0: 0.9, 1: 0.2, 2: None, 3: 0.1, 4: 0.8}
    rows = plain + [said(str(n), score, perturbation="blur") for n, score in after.items()]
    rows.append(said("0", 0.1, perturbation="of-another-version"))
    (found,) = evaluate(run(), samples, rows, ["one"], FEW).detectors
    (blur,) = found.robustness
    assert (blur.perturbation, blur.n, blur.n_answered, blur.lost) == ("blur", 5, 4, 1)
    measured = {name: each.value for name, each in blur.measures.items()}
    assert (measured["flip_rate"], measured["to_harmless"], measured["to_harmful"]) == (0.5, 0.25, 0.25)
    assert measured["f1_before"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 0))
    assert measured["f1"] == pytest.approx(2 / (2 + 2 + 1))
    assert measured["f1_change"] == pytest.approx(0.4 - 0.8)


def test_flips_within_groups_that_differ_in_what_should_not_matter() -> None:
    samples = [
        sample("a1", True, group="a"), sample("a2", True, group="a"), sample("a3", True, group="a"),
        sample("b1", False, group="b"), sample("b2", False, group="b"),
        sample("t1", True, group="t"), sample("t2", False, group="t"),
        sample("l1", True, group="lone"), sample("n", True), sample("m", True),
    ]  # fmt: skip
    scores = {
        "a1": 0.9,
        "a2": 0.4,
        "a3": 0.8,
        "b1": 0.1,
        "b2": 0.2,
        "t1": 0.7,
        "t2": 0.2,
        "l1": 0.9,
        "n": 0.1,
        "m": 0.9,
    }
    (found,) = evaluate(run(), samples, [said(*each) for each in scores.items()], ["one"], FEW).detectors
    groups = found.groups
    assert groups is not None
    assert (groups.same_label, groups.flipped, groups.mixed_label, groups.all_right) == (2, 1, 1, 1)
    assert groups.mean_spread == pytest.approx((0.5 + 0.1) / 2)
    assert groups.flip_rate.value == 0.5
    assert groups.all_right_rate.low is not None
    assert 0 < groups.all_right_rate.low < 1  # one group proves little
    alone = evaluate(run(), samples[-3:], [said("n", 0.1)], ["one"], FEW)
    assert alone.detectors[0].groups is None


def test_false_positives_by_stimulus() -> None:
    kinds = {"exaggerated risk": [0.9, 0.8, 0.1, 0.2], "negated harm": [0.1, 0.2]}
    samples, rows = [], []
    for kind, scores in kinds.items():
        for number, score in enumerate(scores):
            id = f"{kind} {number}"
            samples.append(sample(id, False, attributes={"stimulus": kind, "number": str(hash(id)), "set": "same"}))
            rows.append(said(id, score))
    result = evaluate(run("mossbench"), samples, rows, ["one"], FEW)
    (found,) = result.detectors
    assert {each.name: value(each.answered, "fpr") for each in found.attributes["stimulus"]} == {
        "exaggerated risk": 0.5, "negated harm": 0.0,
    }  # fmt: skip
    assert "set" not in found.attributes  # one value splits nothing
    assert result.notes == ("every sample is harmless: what needs both kinds does not exist",)
    assert value(found.overall.answered, "auroc") is None


def test_two_detectors_and_their_majority() -> None:
    samples = [sample(str(n), n < 5, "weapons") for n in range(8)] + [sample("far", True, "sexual")]
    first = [said(str(n), 0.9 if n < 4 else 0.1, "one") for n in range(8)] + [said("far", 0.1, "one")]
    second = [said(str(n), 0.9 if n in (0, 5) else 0.1, "two") for n in range(7)] + [said("7", None, "two")]
    result = evaluate(run(one=record(), two=record(("weapons",))), samples, first + second, ["one", "two"], FEW)
    (pair,) = result.pairs
    assert (pair.first, pair.second, pair.n, pair.n_answered) == ("one", "two", 8, 7)
    assert (pair.only_first_right, pair.only_second_right) == (4, 0)
    assert pair.p == pytest.approx(2 * 0.5**4)
    assert pair.p_as_wrong == pytest.approx(2 * 0.5**5)
    assert result.majority is not None
    assert (result.majority.together.n, result.majority.n_all_answered) == (8, 7)
    assert [each.name for each in result.majority.alone] == ["one", "two"]
    assert value(result.majority.together.answered, "coverage") == pytest.approx(4 / 8)


def test_cost_is_per_sample_that_was_not_an_error() -> None:
    usage = Usage(questions=4, prompt_tokens=100, completion_tokens=10, generations=1)
    broke = to_row("c", "one", "", "", Prediction(None, None, failed=True, reason="x", model_s=50.0))
    rows = [
        said("a", 0.9, usage=usage, model_s=1.0, cost_usd=0.002), said("b", 0.1, model_s=3.0, cost_usd=0.001), broke,
    ]  # fmt: skip
    (found,) = evaluate(run(), [sample(each, True) for each in "abc"], rows, ["one"], FEW).detectors
    cost = found.cost
    assert (cost.mean_s, cost.median_s, cost.questions, cost.prompt_tokens) == (2.0, 2.0, 2.0, 50.0)
    assert cost.usd_per_1000 == pytest.approx(1.5)
    nothing = evaluate(run(), [sample("a", True)], [said("a", 0.5)], ["one"], FEW).detectors[0].cost
    assert (nothing.mean_s, nothing.usd_per_1000) == (None, None)


def test_the_worst_mistakes_come_first() -> None:
    samples = [sample(f"m{n}", True, labels=("knife",)) for n in range(9)] + [sample("f", False), sample("a", True)]
    rows = [said(f"m{n}", n / 20) for n in range(9)] + [said("f", 0.6), said("a", None)]
    (found,) = evaluate(run(), samples, rows, ["one"], FEW).detectors
    assert [each.sample for each in found.mistakes] == ["m0", "m1", "m2", "m3", "m4", "m5", "f"]
    assert found.mistakes[0].labels == ("knife",)


def test_published_figures_are_those_of_the_card_or_asked_for() -> None:
    rows, samples = [said("a", 0.9)], [sample("a", True)]
    images = evaluate(run("vhd11k-images"), samples, rows, ["one"], FEW)
    assert {each.method: each.average for each in images.published}["GPT-4V, long prompt"] == 0.786
    assert evaluate(run("stickers"), samples, rows, ["one"], FEW).published == ()
    asked = evaluate(run("stickers"), samples, rows, ["one"], Options(rounds=50, published="vhd11k-videos"))
    assert asked.published == PUBLISHED["vhd11k-videos"]
    assert "the published figures are about vhd11k-videos, which is not what was measured here" in asked.notes
    for figures in PUBLISHED.values():
        for each in figures:
            if each.tpr is not None and each.tnr is not None:
                assert each.average == pytest.approx((each.tpr + each.tnr) / 2, abs=0.0002), each.method


def test_kinds_without_common_names_are_explained() -> None:
    samples = [sample("a", True), sample("b", False)]
    result = evaluate(run(one=record(("weapons",))), samples, [said("a", 0.9), said("b", 0.1)], ["one"], FEW)
    assert result.detectors[0].tally.no_category == 1
    assert "no harmful sample counts for 'one'" in result.notes[0]


def test_nothing_at_all_and_json_without_nan() -> None:
    result = evaluate(run(one=record(), two=record()), [sample("a", True)], [], ["one", "two"], FEW)
    text = result.model_dump_json()
    assert "NaN" not in text
    assert BenchResult.model_validate_json(text) == result
    plain = json.loads(text, parse_constant=pytest.fail)
    assert plain["detectors"][0]["overall"]["answered"]["f1"] == {"value": None, "low": None, "high": None}
    assert not math.isnan(plain["pairs"][0]["p"])
