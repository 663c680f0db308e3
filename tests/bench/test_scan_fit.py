"""Thresholds and their measures on similarities made by hand."""

from __future__ import annotations

import pytest

from judge.bench.scan_fit import ScanFit, check_enough
from judge.bench.scan_table import compare, in_words, notes, to_json
from judge.bench.scanned import ScannedPicture
from judge.binomial import lower_bound
from judge.config import RelevanceSettings
from judge.constitution import parse_constitution
from judge.errors import ConfigError

POLICY = parse_constitution(
    """
name: small
version: "1"
categories: {harm: {title: Harm}}
preconditions:
  knife: {statement: knife}
  food: {statement: food}
  wine: {statement: wine}
  fire: {statement: fire}
rules:
  threat: {category: harm, severity: medium, text: t, statement: s, violated_when: knife and not food}
  drunk: {category: harm, severity: low, text: t, statement: s, violated_when: wine or food}
  burning: {category: harm, severity: critical, text: t, statement: s, violated_when: fire}
""",
    source="small",
)


def picture(threat: float, drunk: float, burning: float, *violated: str) -> ScannedPicture:
    return ScannedPicture(frozenset(violated), ({"threat": threat, "drunk": drunk, "burning": burning},))


def fit_of(pictures: list[ScannedPicture], *, confidence: float = 0.75, always: bool = True) -> ScanFit:
    settings = RelevanceSettings() if always else RelevanceSettings(always_ask=())
    return ScanFit(POLICY, POLICY.rules, pictures, settings, confidence=confidence)


def test_the_threshold_is_the_highest_that_the_bound_allows() -> None:
    """Violated pairs lie at 0.01, 0.02... 0.10: with 75 % confidence 7 of 10 show at least 0.5, 6 of 10 do not."""
    pictures = [picture(n / 100, -0.5, 0.9, "threat") for n in range(1, 11)]
    fit = fit_of(pictures)
    fitted = fit.fit(0.5)
    assert fitted.threshold == pytest.approx(0.04)  # the seventh highest of ten
    found = fit.measure(fitted.threshold)
    assert (found.kept, found.violated, found.recall) == (7, 10, 0.7)
    assert found.recall_low == pytest.approx(lower_bound(7, 10, 0.75))
    assert found.recall_low >= 0.5 > fit.measure(0.0401).recall_low


def test_thresholds_are_cut_down_so_that_noise_drops_nothing() -> None:
    fit = fit_of([picture(0.123456, 0.0, 0.0, "threat"), picture(0.123499, 0.0, 0.0, "threat")])
    assert fit.fit(0.5).threshold == 0.1234
    assert fit_of([picture(-0.00001, 0.0, 0.0, "threat")] * 2).fit(0.5).threshold == -0.0001
    assert fit_of([picture(-1.0000001, 0.0, 0.0, "threat")] * 2).fit(0.5).threshold == -1.0


def test_what_is_dropped_and_what_is_saved() -> None:
    """`threat` and `drunk` share a question, and the critical rule is asked however far it is."""
    pictures = [picture(0.3, 0.1, -0.9), picture(0.1, 0.3, -0.9, "burning"), picture(0.1, 0.1, -0.9, "drunk")]
    found = fit_of(pictures).measure(0.2)
    assert found.dropped == pytest.approx(4 / 9)
    assert found.questions == pytest.approx((3 + 3 + 1) / 3)  # knife food fire; wine food fire; fire
    assert (found.kept, found.violated) == (0, 1)
    assert fit_of(pictures).always_asked == 1
    open_to_all = fit_of(pictures, always=False)
    assert open_to_all.always_asked == 0
    assert open_to_all.measure(0.2).dropped == pytest.approx(7 / 9)
    assert fit_of(pictures).measure(-1.0).questions == 4


def test_an_animation_keeps_a_rule_if_one_frame_does() -> None:
    near, far = ({"threat": value, "drunk": 0.0, "burning": 0.0} for value in (0.5, 0.1))
    fit = fit_of([ScannedPicture(frozenset({"threat"}), (far, near, far))])
    found = fit.measure(0.3)
    assert (found.kept, found.violated) == (1, 1)
    assert found.dropped == pytest.approx(5 / 9)
    assert found.questions == 1 + 3 + 1


@pytest.mark.parametrize(("violated", "needed"), [(298, None), (299, 299)])
def test_too_few_violated_rules_are_refused(violated: int, needed: int | None) -> None:
    if needed:
        check_enough(violated, 0, 0.99, 0.95)
        return
    with pytest.raises(ConfigError) as caught:
        check_enough(violated, 7, 0.99, 0.95)
    assert str(caught.value) == (
        "a recall of 0.99 with 95% confidence needs at least 299 violated rules that the scan may drop, and the labels "
        "have 298 (7 more are of severities that it never drops) (label more pictures, or lower the recall: 298 "
        "support at most 0.989)"
    )


def test_no_violated_rule_at_all_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="needs at least 2 violated rules that the scan may drop, and the labels have 0"
    ):
        fit_of([picture(0.1, 0.1, 0.1, "burning")]).fit(0.5)


def test_the_comparison_says_what_it_rests_on() -> None:
    fit = fit_of([picture(0.3, 0.1, -0.9, "threat"), picture(0.25, 0.1, 0.0, "threat", "burning")])
    found = compare(fit, fit.fit(0.5), target=0.5, left_out={"a.png": "no picture"})
    assert in_words(found) == (
        "keeps 2 of 2 violated rules, at least 0.5000 of all with 75% confidence; drops 33.3% of the rules"
    )
    assert "Not counted: 1 violated rules of severity high, critical, always asked." in notes(found)
    assert "Left out: 1 pictures." in notes(found)
    shown = to_json(found)
    assert (shown["threshold"], shown["pictures"], shown["left_out"]) == (0.25, 2, {"a.png": "no picture"})
    assert {name: scan["questions_saved"] for name, scan in shown["scans"].items()} == {  # type: ignore[union-attr, index, call-overload]
        "fitted": 1.0,
        "published": 1.0,
        "no scan": 0.0,
    }
