"""One of several detectors is enough."""

from __future__ import annotations

import pytest

from judge.bench.detectors.base import Detector, DetectorSettings, Prediction
from judge.bench.detectors.build import build_detector, parse_detector
from judge.bench.detectors.i2p import I2P
from judge.errors import ConfigError
from judge.types import Usage
from tests.bench.detectors.fixed import FixedDetector
from tests.bench.detectors.media import FACES, demo
from tests.contracts.detectors import sound

YES = Prediction(0.8, True, {"sexual": 0.8})
NO = Prediction(0.1, False, {"sexual": 0.1})
DOUBT = Prediction(0.4, None, reason="unsure")
BROKEN = Prediction(None, None, reason="broke", failed=True)


async def either(first: Prediction, second: Prediction, *thresholds: float) -> Prediction:
    one, two = thresholds or (0.5, 0.5)
    detector = I2P([FixedDetector([first], one, "a"), FixedDetector([second], two, "b")])
    (found,) = await detector.detect(demo("harmless-1"))
    assert sound(found)
    return found


@pytest.mark.parametrize(
    ("first", "second", "flagged", "score", "failed"),
    [
        (YES, YES, True, 0.8, False),
        (YES, NO, True, 0.8, False),
        (NO, YES, True, 0.8, False),
        (NO, NO, False, 0.1, False),
        (YES, DOUBT, True, 0.8, False),
        (BROKEN, YES, True, 0.8, False),
        (NO, DOUBT, None, 0.4, False),
        (NO, BROKEN, None, None, True),
        (BROKEN, NO, None, None, True),
        (DOUBT, BROKEN, None, None, True),
    ],
)
async def test_a_part_that_flags_is_enough_and_silence_is_never_no(
    first: Prediction, second: Prediction, flagged: bool | None, score: float | None, failed: bool
) -> None:
    found = await either(first, second)
    assert (found.flagged, found.failed) == (flagged, failed)
    assert found.score == (None if score is None else pytest.approx(score))
    assert bool(found.reason) == (flagged is None)


async def test_who_was_silent_is_told() -> None:
    assert (await either(DOUBT, BROKEN)).reason == "a: unsure; b: broke"


@pytest.mark.parametrize(
    ("score", "threshold", "laid_out"),
    [
        (0.0, 0.3, 0.0),
        (0.15, 0.3, 0.25),
        (0.3, 0.3, 0.5),
        (0.65, 0.3, 0.75),
        (1.0, 0.3, 1.0),
        (1.0, 1.0, 1.0),
        (0.0, 0.0, 0.5),
    ],
)
async def test_scores_are_laid_out_so_that_every_threshold_is_one_half(
    score: float, threshold: float, laid_out: float
) -> None:
    part = Prediction(score, score >= threshold)
    found = await either(part, Prediction(0.0, False), threshold, 0.5)
    assert found.score == pytest.approx(laid_out)
    assert found.flagged == (found.score is not None and found.score >= 0.5)


async def test_costs_and_kinds_of_both_are_told() -> None:
    first = Prediction(0.6, True, {"sexual": 0.6}, usage=Usage(questions=1), model_s=1.0, cost_usd=0.25)
    second = Prediction(0.3, False, {"sexual": 0.7, "hate": 0.1}, usage=Usage(questions=2), model_s=2.0)
    found = await either(first, second)
    assert (found.usage, found.model_s, found.cost_usd) == (Usage(questions=3), 3.0, 0.25)
    assert dict(found.category_scores) == {"sexual": 0.7, "hate": 0.1}


async def test_it_closes_its_parts() -> None:
    made = [FixedDetector([NO], name="a"), FixedDetector([NO], name="b")]
    detector = I2P(made)
    await detector.close()
    assert [each.closed for each in made] == [1, 1]


def test_its_name_and_digest_are_of_its_parts() -> None:
    made: list[Detector] = [FixedDetector([NO], name="a"), FixedDetector([NO], name="b")]
    info = I2P(made).info
    assert info.name == "i2p(a or b)"
    assert info.categories == {"sexual"}
    assert I2P([made[1], made[0]]).info.digest != info.digest


async def test_two_profiles_of_nudenet_are_one_rule() -> None:
    pytest.importorskip("nudenet")
    parts = '["nudenet,classes=[FACE_FEMALE],threshold=0.6", {name: nudenet, options: {classes: [FEET_COVERED]}}]'
    detector = build_detector(parse_detector(f"i2p,parts={parts},label=faces or feet"))
    assert detector.info.name == "faces or feet"
    found = await detector.detect(demo(*FACES, "harmless-1"))
    assert [each.flagged for each in found] == [True, False, False, False]
    await detector.close()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"threshold": 0.4}, "no threshold of its own"),
        ({"options": {"parts": ["nudenet"]}}, "option parts"),
        ({"options": {"parts": ["nudenet", "i2p"]}}, "cannot be a part of itself"),
        ({"options": {"parts": ["nudenet", "q17"]}}, "unknown detector 'q17'"),
        ({"options": {"parts": ["nudenet", {"name": "nudenet", "treshold": 1}]}}, "there is no such setting"),
        ({"options": {"parts": ["nudenet", {}]}}, "name"),
        ({"options": {"parts": ["nudenet", "nudenet,classes=7"]}}, "has no class '7'"),
        ({"model": "a"}, "no use for 'model'"),
    ],
)
def test_wrong_settings_are_told(settings: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError) as error:
        build_detector(DetectorSettings.model_validate({"name": "i2p", **settings}))
    assert told in str(error.value)
