from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

import judge
from judge.config import JudgeConfig, Thresholds
from judge.constitution import Constitution, parse_constitution
from judge.engines.base import Capabilities, ModelInfo
from judge.engines.scripted import Answer, ScriptedEngine
from judge.errors import ConfigError, EngineError
from judge.pipeline import Judge
from judge.prompts.render import templates_digest
from judge.stages.escalation import Limits, OpenQuestion, Settlement
from judge.stages.fitted import NO_GUARANTEE
from judge.stages.prior_store import PriorStore
from judge.types import Domain, Frame, Media, MediaKind, Prompt, Usage, Versions

CONSTITUTION: Constitution = parse_constitution(
    """
name: small
version: "2"
categories:
  harm: {title: Harm}
  vice: {title: Vice}
preconditions:
  knife: {statement: A knife is visible.}
  person: {statement: A person is visible.}
  wine: {statement: Wine is visible.}
rules:
  threat:
    category: harm
    severity: high
    text: No threats.
    statement: A knife is near a person.
    violated_when: knife and person
  drunk:
    category: vice
    severity: low
    text: No drinking.
    statement: A person drinks.
    violated_when: wine and person
    modalities: [image]
""",
    source="small",
)
DOMAIN = Domain("The picture is a drawing.", "drawings", hint="choose another model")
OUTSIDE = "outside the model's domain (drawings); choose another model"
INFO = ModelInfo("pen", "digest-of-pen", DOMAIN)
DIRECT = JudgeConfig(thresholds=Thresholds(preset="none"))


def media(*grays: int, kind: MediaKind = "image", name: str = "m") -> Media:
    """One frame per gray value; scripted answers may look at it."""
    frames = tuple(
        Frame(index, index / 10, np.full((2, 2, 3), gray, dtype=np.uint8)) for index, gray in enumerate(grays)
    )
    return Media(id=name, kind=kind, frames=frames, duration_s=len(grays) / 10)


def brightness(prompt: Prompt) -> float:
    return float(prompt.frames[0].image[0, 0, 0]) / 255.0


def failing_at(gray: int) -> Callable[[Prompt], float]:
    def answer(prompt: Prompt) -> float:
        if prompt.frames[0].image[0, 0, 0] == gray:
            raise EngineError("out of memory", hint="use smaller batches")
        return 0.0

    return answer


def build(engine: ScriptedEngine, config: JudgeConfig = DIRECT) -> Judge:
    return Judge(engine, CONSTITUTION, config, priors=PriorStore())


async def test_an_unsafe_picture_gets_a_whole_verdict() -> None:
    engine = ScriptedEngine({"knife": 0.9, "person": 1.0, "Wine": 0.1}, info=ModelInfo("pen", "digest-of-pen"))
    (verdict,) = await build(engine).judge([media(0, name="abc")])
    assert verdict.timings_ms.keys() == {"ask", "decide"}
    threat, drunk = verdict.rules
    assert verdict.model_dump(exclude={"rules", "timings_ms"}) == {
        "media_id": "abc",
        "media_kind": "image",
        "n_frames": 1,
        "duration_ms": None,
        "segments": (),
        "timelines": (),
        "constitution": "small@2",
        "decision": "unsafe",
        "flagged": True,
        "score": 0.9,
        "calibrated_score": None,
        "guarantee": None,
        "category_scores": {"harm": 0.9, "vice": 0.1},
        "model": "pen",
        "notices": (NO_GUARANTEE,),
        "reason": "",
        "versions": Versions(
            package=judge.__version__,
            model="digest-of-pen",
            constitution=CONSTITUTION.digest,
            templates=templates_digest(),
            thresholds=DIRECT.thresholds.digest,
            cascade=DIRECT.cascade.digest,
        ).model_dump(),
        "usage": Usage(
            questions=3, prompt_tokens=sum(len(p.messages[0].text.split()) for p in engine.calls[0].prompts)
        ).model_dump(),
    }
    assert (threat.rule_id, threat.outcome, threat.stage) == ("threat", "violated", "token_probability")
    assert (drunk.rule_id, drunk.outcome, drunk.stage) == ("drunk", "not_violated", "token_probability")
    assert [item.precondition_id for item in threat.evidence] == ["knife", "person"]


async def test_a_shared_precondition_is_asked_once_per_frame() -> None:
    engine = ScriptedEngine(default=0.0)
    await build(engine).judge([media(0)])
    (call,) = engine.calls
    asked = [prompt.messages[0].text.rsplit("Statement: ")[-1] for prompt in call.prompts]
    assert asked == ["A knife is visible.", "A person is visible.", "Wine is visible."]


async def test_safe_only_if_every_rule_is_settled() -> None:
    sure = ScriptedEngine({"knife": 0.1, "person": 1.0, "Wine": 0.0})
    unsure = ScriptedEngine({"knife": 0.1, "person": 1.0, "Wine": 0.5})
    (safe,) = await build(sure).judge([media(0)])
    (uncertain,) = await build(unsure).judge([media(0)])
    assert (safe.decision, safe.flagged, safe.reason) == ("safe", False, "")
    assert (uncertain.decision, uncertain.flagged) == ("uncertain", None)
    assert uncertain.reason == "drunk is undecided: wine: probability 0.50 lies between 0.20 and 0.80"


async def test_an_open_precondition_that_cannot_change_the_outcome_does_no_harm() -> None:
    engine = ScriptedEngine({"knife": 0.0, "person": 0.5, "Wine": 0.0})
    (verdict,) = await build(engine).judge([media(0)])
    assert verdict.decision == "safe"


async def test_low_label_mass_is_uncertain_although_the_answer_is_no() -> None:
    engine = ScriptedEngine(default=Answer(0.0, mass=0.1))
    (verdict,) = await build(engine).judge([media(0)])
    assert (verdict.decision, verdict.flagged) == ("uncertain", None)
    assert [rule.outcome for rule in verdict.rules] == ["abstained", "abstained"]


async def test_out_of_domain_every_rule_abstains_although_its_readings_are_sure() -> None:
    engine = ScriptedEngine({"drawing": brightness}, default=0.0, info=INFO)
    photo, drawing = await build(engine).judge([media(25), media(255)])
    assert (photo.decision, photo.flagged, photo.reason) == ("uncertain", None, OUTSIDE)
    assert [(rule.outcome, rule.stage, rule.reason) for rule in photo.rules] == [("abstained", "none", OUTSIDE)] * 2
    assert [item.probability for item in photo.rules[0].evidence] == [0.0, 0.0]
    assert photo.notices == (
        NO_GUARANTEE,
        "pen judges only its domain: drawings",
        "domain check: probability 0.10 of 'The picture is a drawing.', 0.50 is needed",
    )
    assert drawing.decision == "safe"
    assert drawing.notices == (NO_GUARANTEE, "pen judges only its domain: drawings")
    assert len(engine.calls) == 1


async def test_out_of_domain_is_never_unsafe_either() -> None:
    engine = ScriptedEngine({"drawing": 0.1}, default=1.0, info=INFO)
    (verdict,) = await build(engine).judge([media(0)])
    assert (verdict.decision, verdict.flagged) == ("uncertain", None)


@pytest.mark.parametrize("answer", [Answer(1.0, mass=0.1), Answer(float("nan"))])
async def test_a_domain_question_without_answer_abstains(answer: Answer) -> None:
    engine = ScriptedEngine({"drawing": answer}, default=0.0, info=INFO)
    (verdict,) = await build(engine).judge([media(0)])
    assert verdict.decision == "uncertain"
    assert verdict.reason == "the model did not say whether this is in its domain (drawings); choose another model"


async def test_the_domain_is_read_as_observed_whatever_the_preset() -> None:
    engine = ScriptedEngine({"drawing": 0.6}, text_only={"drawing": 0.99}, default=0.0, info=INFO)
    (verdict,) = await build(engine, JudgeConfig()).judge([media(0)])
    assert verdict.decision == "safe"


async def test_one_frame_that_violates_makes_the_animation_unsafe() -> None:
    engine = ScriptedEngine({"knife": brightness, "person": 1.0})
    (verdict,) = await build(engine).judge([media(0, 255, 0, kind="video")])
    (threat,) = verdict.rules
    assert (verdict.decision, threat.outcome, threat.frame_index) == ("unsafe", "violated", 1)
    assert [item.frame_indices for item in threat.evidence] == [(1,), (1,)]
    assert verdict.usage.questions == 6


async def test_one_frame_that_is_open_makes_a_calm_animation_uncertain() -> None:
    engine = ScriptedEngine({"knife": brightness, "person": 1.0})
    (verdict,) = await build(engine).judge([media(0, 128, 0, kind="video")])
    assert verdict.decision == "uncertain"
    assert (verdict.rules[0].outcome, verdict.rules[0].frame_index) == ("abstained", 1)


async def test_one_frame_outside_the_domain_keeps_an_animation_from_being_safe() -> None:
    engine = ScriptedEngine({"drawing": brightness}, default=0.0, info=INFO)
    (verdict,) = await build(engine).judge([media(255, 0, kind="video")])
    undecided = f"undecided on 1 of 2 frames, first at 0.1 s: {OUTSIDE}"
    assert (verdict.decision, verdict.reason) == ("uncertain", f"threat is undecided: {undecided}")


@pytest.mark.parametrize(
    ("max_frames", "n_frames", "judged"),
    [(8, 8, list(range(8))), (3, 9, [0, 4, 8]), (4, 100, [0, 33, 66, 99]), (2, 3, [0, 2]), (1, 5, [0])],
)
async def test_frames_are_sampled_evenly_and_the_verdict_says_so(
    max_frames: int, n_frames: int, judged: list[int]
) -> None:
    engine = ScriptedEngine(default=0.0)
    config = DIRECT.model_copy(update={"max_frames": max_frames})
    (verdict,) = await build(engine, config).judge([media(*[0] * n_frames, kind="video")])
    asked = dict.fromkeys(prompt.frames[0].index for prompt in engine.calls[0].prompts)
    assert list(asked) == judged
    sampled = (f"{max_frames} of {n_frames} frames were judged, spread evenly",) if len(judged) < n_frames else ()
    assert verdict.notices == (NO_GUARANTEE, *sampled)


async def test_rules_for_another_kind_of_media_are_not_asked() -> None:
    engine = ScriptedEngine({"Wine": 1.0, "person": 1.0, "knife": 0.0})
    (verdict,) = await build(engine).judge([media(0, kind="video")])
    assert [rule.rule_id for rule in verdict.rules] == ["threat"]
    assert (verdict.decision, verdict.usage.questions) == ("safe", 2)


async def test_without_a_rule_that_applies_the_verdict_is_uncertain_not_safe() -> None:
    rules = tuple(rule.model_copy(update={"modalities": ("image",)}) for rule in CONSTITUTION.rules)
    for_images = CONSTITUTION.model_copy(update={"rules": rules})
    engine = ScriptedEngine(info=INFO)
    (verdict,) = await Judge(engine, for_images, DIRECT, priors=PriorStore()).judge([media(0, kind="video")])
    assert (verdict.decision, verdict.flagged, verdict.rules) == ("uncertain", None, ())
    assert verdict.reason == "no rule of the constitution applies to this media"
    assert engine.calls == []


async def test_media_without_frames_is_uncertain_not_safe() -> None:
    (verdict,) = await build(ScriptedEngine(info=INFO)).judge([media()])
    assert (verdict.decision, verdict.flagged, verdict.reason) == ("uncertain", None, "the media has no frames")


async def test_one_media_that_fails_spoils_no_other_and_is_abstained_with_the_reason() -> None:
    engine = ScriptedEngine({"knife": failing_at(13)}, default=0.0)
    first, broken, last = await build(engine).judge(
        [media(0, name="first"), media(13, name="broken"), media(1, name="last")]
    )
    assert [(each.media_id, each.decision) for each in (first, last)] == [("first", "safe"), ("last", "safe")]
    assert (broken.media_id, broken.decision, broken.flagged) == ("broken", "uncertain", None)
    assert broken.reason == "the engine failed: out of memory (use smaller batches)"
    assert [rule.outcome for rule in broken.rules] == ["abstained", "abstained"]
    assert broken.usage == Usage()
    assert [len(call.prompts) for call in engine.calls] == [9, 3, 3, 3]


async def test_batches_hold_as_many_media_as_configured_and_keep_the_order() -> None:
    engine = ScriptedEngine({"knife": brightness}, default=1.0)
    config = DIRECT.model_copy(update={"concurrency": 2})
    verdicts = await build(engine, config).judge([media(gray, name=str(gray)) for gray in (0, 255, 0)])
    assert [len(call.prompts) for call in engine.calls] == [6, 3]
    assert [(each.media_id, each.rules[0].outcome) for each in verdicts] == [
        ("0", "not_violated"),
        ("255", "violated"),
        ("0", "not_violated"),
    ]


async def test_no_media_gives_no_verdict() -> None:
    assert await build(ScriptedEngine()).judge([]) == []


async def test_the_same_input_gives_the_same_verdict_whatever_is_cached_and_batched(tmp_path: Path) -> None:
    config = JudgeConfig(cache_dir=tmp_path)
    alone, again = (Judge(ScriptedEngine(default=0.3, info=INFO), CONSTITUTION, config) for _ in range(2))
    (first,) = await alone.judge([media(0)])
    second, _ = await again.judge([media(0), media(1)])
    assert first.model_dump(exclude={"timings_ms"}) == second.model_dump(exclude={"timings_ms"})
    assert len(list((tmp_path / "priors").iterdir())) == 4


async def test_the_cache_can_be_switched_off(tmp_path: Path) -> None:
    config = JudgeConfig(cache=False, cache_dir=tmp_path)
    await Judge(ScriptedEngine(default=0.3), CONSTITUTION, config).judge([media(0)])
    assert list(tmp_path.iterdir()) == []


async def test_a_cache_that_cannot_be_written_is_logged_and_the_verdict_stands(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    engine = ScriptedEngine(default=0.0, text_only={}, info=ModelInfo("pen", "digest"))
    judge_ = Judge(engine, CONSTITUTION, JudgeConfig(cache_dir=tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        (verdict,) = await judge_.judge([media(0)])
    assert verdict.decision == "safe"
    assert "priors are kept in memory only" in caplog.text


@pytest.mark.parametrize(
    ("capabilities", "preset", "missing"),
    [
        (Capabilities(choice_probabilities=False), "none", "choice_probabilities (False < True)"),
        (Capabilities(images=False), "none", "images (False < True)"),
        (Capabilities(max_frames=0), "none", "max_frames (0 < 1)"),
        (Capabilities(text_only=False), "clue", "text_only (False < True)"),
        (Capabilities(text_only=False), "log_odds", "text_only (False < True)"),
    ],
)
def test_an_engine_that_cannot_serve_fails_when_the_judge_is_built(
    capabilities: Capabilities, preset: str, missing: str
) -> None:
    engine = ScriptedEngine(capabilities=capabilities, info=INFO)
    config = JudgeConfig(thresholds=Thresholds.model_validate({"preset": preset}))
    with pytest.raises(ConfigError) as caught:
        Judge(engine, CONSTITUTION, config)
    assert caught.value.message == f"model 'pen' cannot do what this pipeline needs: {missing}"
    assert engine.calls == []


def test_an_engine_without_text_only_prompts_serves_a_preset_without_prior() -> None:
    engine = ScriptedEngine(capabilities=Capabilities(text_only=False))
    assert isinstance(build(engine, DIRECT), Judge)


async def test_refining_ends_with_the_verdict_of_judging_and_tells_each_change_once() -> None:
    class Denying:
        """Rejects whatever is open."""

        name, model_digest, limits = "vote", "", Limits()
        one_at_a_time, tests_satisfied, takes_clips = False, False, False

        async def settle(self, questions: Sequence[OpenQuestion]) -> list[Settlement]:
            rejected: dict[str, object] = {"stage": "vote", "outcome": "rejected"}
            return [Settlement(each.evidence.model_copy(update=rejected), Usage()) for each in questions]

    engine = ScriptedEngine({"knife": 0.5, "person": 0.9, "Wine": 0.1})
    judge = Judge(engine, CONSTITUTION, DIRECT, priors=PriorStore(), stages=[Denying(), Denying()])
    told = [verdict async for verdict in judge.refine(media(1))]
    (final,) = await judge.judge([media(1)])
    assert [verdict.decision for verdict in told] == ["uncertain", "safe"]
    assert told[-1].model_copy(update={"timings_ms": {}}) == final.model_copy(update={"timings_ms": {}})
