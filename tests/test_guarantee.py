"""Fitted thresholds in the pipeline: what they settle, what they promise, and when they are refused or say nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from pydantic import ValidationError

from judge.config import (
    Calibrated,
    CalibratedSide,
    CalibratedStage,
    JudgeConfig,
    LabelledData,
    ScoreMap,
    Thresholds,
)  # fmt: skip
from judge.constitution import parse_constitution
from judge.engines.base import ModelInfo
from judge.engines.scripted import Answer, ScriptedEngine
from judge.errors import ConfigError, EngineError
from judge.guarantee import guarantee_in_words, mapped
from judge.pipeline import Judge
from judge.score_map import fit_map, isotonic_knots, platt
from judge.stages.escalation import Limits, OpenQuestion, Settlement
from judge.stages.fitted import NO_GUARANTEE, NOT_COVERED
from judge.stages.prior_store import PriorStore
from judge.types import Domain, Frame, Media, Prompt, Usage

CONSTITUTION = parse_constitution(
    """
name: one
version: "1"
categories: {harm: {title: Harm}}
preconditions:
  knife: {statement: A knife is visible.}
rules:
  threat:
    category: harm
    severity: high
    text: No knives.
    statement: A knife is visible.
    violated_when: knife
""",
    source="one",
)
PLAIN = JudgeConfig(thresholds=Thresholds(preset="none", accept=0.8, reject=0.2))


def side(threshold: float) -> CalibratedSide:
    return CalibratedSide(threshold=threshold, n_tested=100, n_wrong=1, upper_bound=0.05)


def picture(gray: int, **fields: object) -> Media:
    frame = Frame(0, 0.0, np.full((2, 2, 3), gray, dtype=np.uint8))
    return Media(f"gray-{gray}", "image", (frame,), 0.0, **fields)  # type: ignore[arg-type]


def brightness(prompt: Prompt) -> Answer:
    """P(Yes) is the gray value over 255."""
    if not prompt.frames:
        return Answer(0.5)
    value = int(prompt.frames[0].image[0, 0, 0])
    if value == 13:
        raise EngineError("the model broke")
    return Answer(value / 255, 0.1 if value == 14 else 1.0)


def engine(domain: Domain | None = None) -> ScriptedEngine:
    return ScriptedEngine(default=brightness, info=ModelInfo("lamp", "digest-of-lamp", domain))


class Doubler:
    """A slow stage that doubles what it reads, and counts what it is given."""

    name = "doubler"
    model_digest = ""
    one_at_a_time = False
    tests_satisfied = False
    takes_clips = False
    limits = Limits()

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def settle(self, questions: Sequence[OpenQuestion]) -> list[Settlement]:
        self.asked += [question.media.id for question in questions]
        return [Settlement(self._doubled(question), Usage(generations=1)) for question in questions]

    def _doubled(self, question: OpenQuestion):  # type: ignore[no-untyped-def]
        probability = min(1.0, question.evidence.probability * 2)
        return question.evidence.model_copy(update={"probability": probability, "stage": "chain_of_thought"})


def judge_with(
    stages: Sequence[CalibratedStage], slow: Doubler | None = None, domain: Domain | None = None, **fields: object
) -> Judge:
    asked = [slow] if slow else []
    lamp = engine(domain)
    plain = Judge(lamp, CONSTITUTION, PLAIN, priors=PriorStore(None), stages=asked)
    calibrated = Calibrated(
        max_error=0.1, confidence=0.9, stages=tuple(stages), made_with=plain.made_with,
        data=LabelledData(name="lamps", digest="d", n=200, n_harmful=100), **fields,  # type: ignore[arg-type]
    )  # fmt: skip
    config = PLAIN.model_copy(update={"calibrated": calibrated})
    return Judge(lamp, CONSTITUTION, config, priors=PriorStore(None), stages=asked)


async def test_scores_beyond_a_threshold_are_settled_with_a_promise_and_others_are_not() -> None:
    judge = judge_with([CalibratedStage(stage="fast", unsafe=side(0.6), safe=side(0.1))])
    high, middle, low = await judge.judge([picture(160), picture(130), picture(20)])
    assert [each.decision for each in (high, middle, low)] == ["unsafe", "uncertain", "safe"]
    assert [each.flagged for each in (high, middle, low)] == [True, None, False]
    assert high.guarantee is not None
    assert high.guarantee.model_dump() == {
        "side": "unsafe", "stage": "fast", "threshold": 0.6, "max_error": 0.1, "confidence": 0.9, "upper_bound": 0.05,
        "n_tested": 100, "data": "lamps",
    }  # fmt: skip
    assert high.rules[0].outcome == "abstained"  # what the rules say stays as it is
    assert (middle.guarantee, middle.flagged) == (None, None)
    assert middle.reason == (
        "the score 0.510 settles nothing with the promised certainty "
        "(scores up to 0.100 are safe, from 0.600 are unsafe)"
    )
    assert NO_GUARANTEE not in high.notices
    assert "at most 10% of what a stage calls unsafe" in high.notices[0]
    assert high.versions.calibrated == middle.versions.calibrated != ""


async def test_what_the_rules_decide_is_uncertain_without_a_threshold_that_says_so() -> None:
    judge = judge_with([CalibratedStage(stage="fast", unsafe=side(0.999))])
    (verdict,) = await judge.judge([picture(240)])
    assert verdict.rules[0].outcome == "violated"
    assert (verdict.decision, verdict.flagged, verdict.guarantee) == ("uncertain", None, None)
    assert "(none are safe, from 0.999 are unsafe)" in verdict.reason


async def test_slow_stages_see_only_what_is_not_settled() -> None:
    slow = Doubler()
    stages = [
        CalibratedStage(stage="fast", unsafe=side(0.6), safe=side(0.3)),
        CalibratedStage(stage="doubler", unsafe=side(0.7)),
    ]
    verdicts = await judge_with(stages, slow).judge([picture(160), picture(100), picture(70)])
    assert slow.asked == ["gray-100"]
    assert [each.decision for each in verdicts] == ["unsafe", "unsafe", "safe"]
    assert [each.guarantee.stage for each in verdicts if each.guarantee] == ["fast", "doubler", "fast"]


async def test_scores_by_stage_are_those_that_thresholds_are_compared_with() -> None:
    slow = Doubler()
    judge = Judge(engine(), CONSTITUTION, PLAIN, priors=PriorStore(None), stages=[slow])
    assert judge.stages == ("fast", "doubler")
    (staged,) = await judge.judge_by_stage([picture(102)])
    assert staged.scores == (pytest.approx(0.4), pytest.approx(0.8))
    assert staged.verdict.score == pytest.approx(0.8)


async def test_a_failure_is_never_settled() -> None:
    judge = judge_with([CalibratedStage(stage="fast", unsafe=side(0.4), safe=side(0.3))])
    (verdict,) = await judge.judge([picture(13)])
    assert (verdict.decision, verdict.flagged, verdict.guarantee) == ("uncertain", None, None)
    assert "the engine failed" in verdict.reason
    (staged,) = await judge.judge_by_stage([picture(13)])
    assert staged.scores == (None,)


async def test_media_outside_the_models_domain_are_never_settled() -> None:
    judge = judge_with(
        [CalibratedStage(stage="fast", unsafe=side(0.9), safe=side(0.3))], domain=Domain("It is a lamp.", "lamps")
    )
    (verdict,) = await judge.judge([picture(20)])
    assert (verdict.decision, verdict.guarantee) == ("uncertain", None)
    assert "outside the model's domain" in verdict.reason
    assert verdict.calibrated_score is None


@pytest.mark.parametrize("other", [
    {"text": "a caption"}, {"kind": "video", "duration_s": 1.0},
], ids=["words", "animation"])  # fmt: skip
async def test_other_media_are_decided_by_the_rules_and_nothing_is_promised(other: dict[str, object]) -> None:
    judge = judge_with([CalibratedStage(stage="fast", safe=side(0.99))])
    frame = Frame(0, 0.0, np.full((2, 2, 3), 240, dtype=np.uint8))
    fields = {"id": "x", "kind": "image", "frames": (frame,), "duration_s": 0.0, **other}
    (verdict,) = await judge.judge([Media(**fields)])  # type: ignore[arg-type]
    assert (verdict.decision, verdict.guarantee) == ("unsafe", None)
    assert verdict.notices[0] == NOT_COVERED


async def test_a_verdict_that_the_rules_decided_names_no_fitted_thresholds() -> None:
    judge = judge_with([CalibratedStage(stage="fast", safe=side(0.99))])
    frame = Frame(0, 0.0, np.full((2, 2, 3), 240, dtype=np.uint8))
    picture, words = Media("a", "image", (frame,), 0.0), Media("b", "image", (frame,), 0.0, text="a caption")
    covered, other = await judge.judge([picture, words])
    assert covered.versions.calibrated != ""
    assert other.versions.calibrated == ""


async def test_the_promise_in_words_names_stage_threshold_and_test() -> None:
    judge = judge_with([CalibratedStage(stage="fast", unsafe=side(0.9), safe=side(0.3))])
    high, low = await judge.judge([picture(255), picture(20)])
    assert high.guarantee is not None
    assert low.guarantee is not None
    words = guarantee_in_words(high.guarantee)
    assert words.startswith("settled at fast, where scores from 0.900 are unsafe: at most 10% of these are wrong")
    assert "on 100 labelled media of " in words
    assert "scores up to 0.300 are safe" in guarantee_in_words(low.guarantee)


async def test_maps_tell_shares_beside_scores() -> None:
    half = ScoreMap(method="isotonic", n=50, knots=((0.0, 0.0), (1.0, 0.5)))
    judge = judge_with(
        [CalibratedStage(stage="fast")], score_map=half, rule_maps={"threat": half}, precondition_maps={"knife": half}
    )
    (verdict,) = await judge.judge([picture(102)])
    assert verdict.score == pytest.approx(0.4)
    assert verdict.calibrated_score == pytest.approx(0.2)
    assert verdict.rules[0].calibrated_score == pytest.approx(0.2)
    assert verdict.rules[0].evidence[0].calibrated_probability == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"thresholds": Thresholds(preset="none", accept=0.9)}, "another thresholds"),
        ({"cascade": PLAIN.cascade.model_copy(update={"holistic_weight": 0.5})}, "another cascade"),
    ],
)
def test_other_settings_refuse_the_thresholds(change: dict[str, object], named: str) -> None:
    fitted = judge_with([CalibratedStage(stage="fast")])._config.calibrated
    config = PLAIN.model_copy(update={"calibrated": fitted, **change})
    with pytest.raises(ConfigError, match=named):
        Judge(engine(), CONSTITUTION, config, priors=PriorStore(None), stages=[])


def test_another_model_policy_or_stage_refuses_them() -> None:
    fitted = judge_with([CalibratedStage(stage="fast")])._config.calibrated
    config = PLAIN.model_copy(update={"calibrated": fitted})
    other = ScriptedEngine(default=brightness, info=ModelInfo("lamp", "another digest"))
    with pytest.raises(ConfigError, match="another model"):
        Judge(other, CONSTITUTION, config, priors=PriorStore(None), stages=[])
    with pytest.raises(ConfigError, match="another stages"):
        Judge(engine(), CONSTITUTION, config, priors=PriorStore(None), stages=[Doubler()])
    with pytest.raises(ConfigError, match="another constitution"):
        Judge(engine(), parse_constitution(_as_version_2(), source="two"), config, priors=PriorStore(None), stages=[])


def _as_version_2() -> str:
    return """
name: one
version: "2"
categories: {harm: {title: Harm}}
preconditions: {knife: {statement: A sharp knife is visible.}}
rules:
  threat: {category: harm, severity: high, text: No knives., statement: A knife is visible., violated_when: knife}
"""


def test_thresholds_that_cross_and_maps_that_fall_are_no_settings() -> None:
    with pytest.raises(ValidationError, match="must lie below"):
        CalibratedStage(stage="fast", unsafe=side(0.3), safe=side(0.3))
    with pytest.raises(ValidationError, match="must ascend"):
        ScoreMap(method="isotonic", n=3, knots=((0.0, 0.5), (1.0, 0.2)))
    with pytest.raises(ValidationError, match="needs knots"):
        ScoreMap(method="isotonic", n=3)


def test_isotonic_steps_by_hand() -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.4])
    harmful = np.array([False, True, False, True, False])
    assert isotonic_knots(scores, harmful) == ((0.1, 0.0), (0.2, 0.5), (0.4, 0.5))


def test_platt_finds_the_curve_that_labels_were_drawn_from() -> None:
    rng = np.random.default_rng(5)
    z = rng.normal(0, 2, 20_000)
    labels = rng.random(z.size) < 1 / (1 + np.exp(-(0.5 * z - 1)))
    slope, intercept = platt(1 / (1 + np.exp(-z)), labels)
    assert (slope, intercept) == (pytest.approx(0.5, abs=0.03), pytest.approx(-1, abs=0.06))


def test_a_map_never_falls_even_if_the_judge_has_it_backwards() -> None:
    scores = np.array([0.9] * 30 + [0.1] * 30)
    harmful = np.array([False] * 30 + [True] * 30)
    found = fit_map(scores, harmful)
    assert found is not None
    assert mapped(found, 0.9) == pytest.approx(mapped(found, 0.1)) == pytest.approx(0.5, abs=0.01)


def test_separable_labels_give_a_finite_map_and_few_labels_none() -> None:
    scores = np.array([0.99] * 25 + [0.01] * 25)
    found = fit_map(scores, np.array([True] * 25 + [False] * 25))
    assert found is not None
    assert 0.9 < (mapped(found, 0.99) or 0) < 1
    assert fit_map(scores[:40], np.array([True] * 25 + [False] * 15)) is None
    assert fit_map(np.array([]), np.array([], dtype=bool)) is None


def test_many_labels_give_an_isotonic_map() -> None:
    scores = np.linspace(0, 1, 1000)
    found = fit_map(scores, scores > 0.5)
    assert found is not None
    assert found.method == "isotonic"
    assert (mapped(found, 0.2), mapped(found, 0.8)) == (0.0, 1.0)
