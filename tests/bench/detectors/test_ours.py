"""Our own judge as a detector: the verdict's decision, its score, and what neither is allowed to hide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from judge.assets import constitution_path
from judge.bench.detectors.base import DetectorSettings, Prediction
from judge.bench.detectors.build import build_detector, parse_detector
from judge.bench.detectors.ours import Fast, Full, Parts, PolicyDirect
from judge.config import JudgeConfig, SamplingSettings, Thresholds, VideoSettings
from judge.constitution import Constitution, load_constitution, parse_constitution
from judge.engines.base import ModelInfo
from judge.engines.scripted import Answer, Scripted, ScriptedEngine
from judge.errors import ConfigError, EngineError
from judge.pipeline import Judge
from judge.types import Media, Prompt
from tests.bench.detectors.media import HARMFUL, HARMLESS, UNCERTAIN, clips, demo, load, photo
from tests.contracts.detectors import Subject, sound, words
from tests.serve.contract_app import TEXTS

INFO = ModelInfo("pen", "digest-of-pen", runtime="scripted")


def parts(
    answers: dict[str, Scripted], threshold: float | None = None, policy: Constitution | None = None
) -> tuple[Parts, ScriptedEngine]:
    """A model that answers from a table; what is not in it is false."""
    engine = ScriptedEngine(answers, text_only={}, default=0.0, info=INFO)
    config = JudgeConfig(thresholds=Thresholds(preset="none"), concurrency=8)
    settings = DetectorSettings(name="ours-fast", threshold=threshold)
    return Parts(settings, policy or parse_constitution(TEXTS, source="texts"), config, engine, {}, []), engine


async def one(detector: Fast | PolicyDirect, media: Media | None = None) -> Prediction:
    (found,) = await detector.detect([media or demo("harmless-1")[0]])
    assert sound(found)
    return found


# --- the embedded model ---------------------------------------------------------------------------------------------


async def test_fast_says_what_the_judge_says(ours_fast: Subject) -> None:
    media = [*demo(*HARMFUL, *HARMLESS, UNCERTAIN), photo()]
    detector = ours_fast.detector
    assert isinstance(detector, Fast)
    judge = Judge(detector.parts.engine, load_constitution(constitution_path("stickers")), JudgeConfig())
    verdicts = await judge.judge(media)
    found = await detector.detect(media)
    assert [each.flagged for each in found] == [True, True, False, False, None, None]
    assert [(each.score, each.flagged, each.reason) for each in found] == [
        (pytest.approx(verdict.score, abs=1e-5), verdict.flagged, verdict.reason) for verdict in verdicts
    ]
    assert found[0].category_scores["violence"] == found[0].score
    assert all(each.usage.questions > 0 and each.model_s > 0 for each in found)
    assert "outside the model's domain" in found[5].reason


async def test_detectors_with_equal_settings_share_one_engine_until_the_last_is_closed() -> None:
    first, second = (
        build_detector(parse_detector(text)) for text in ("ours-fast,device=cpu", "ours-policy-direct,device=cpu")
    )
    other = build_detector(parse_detector("ours-fast"))
    assert first.parts.engine is second.parts.engine  # type: ignore[attr-defined]
    assert first.parts.engine is not other.parts.engine  # type: ignore[attr-defined]
    await first.close()
    await first.close()
    (said,) = await second.detect(demo(HARMFUL[0]))
    assert said.score is not None
    await second.close()
    await other.close()
    again = build_detector(parse_detector("ours-fast,device=cpu"))
    assert again.parts.engine is not first.parts.engine  # type: ignore[attr-defined]
    await again.close()


async def test_a_threshold_decides_what_was_uncertain_but_not_what_cannot_be_relied_on() -> None:
    detector = build_detector(parse_detector("ours-fast,threshold=0.5"))
    doubtful, foreign, harmless = await detector.detect([*demo(UNCERTAIN), photo(), *demo(HARMLESS[0])])
    assert doubtful.score is not None
    assert doubtful.score > 0.5
    assert (doubtful.flagged, doubtful.reason) == (True, "")
    assert (foreign.flagged, foreign.failed) == (None, False)
    assert "outside the model's domain" in foreign.reason
    assert harmless.flagged is False
    await detector.close()


async def test_the_whole_cascade_settles_what_fast_leaves_open(ours_full: Subject) -> None:
    assert ours_full.detector.info.name == "ours-full(stickers-vlm, stickers)"
    (found,) = await ours_full.detector.detect(demo(UNCERTAIN))
    assert found.flagged is not None
    assert found.usage.generations > 0


async def test_videos_are_judged_as_the_judge_does(ours_fast: Subject, ours_policy_direct: Subject) -> None:
    for subject in (ours_fast, ours_policy_direct):
        video = load(clips()[0])
        assert video.video is not None
        (picture,) = demo(HARMFUL[0])
        try:
            first, film = await subject.detector.detect([picture, video])
        finally:
            video.video.close()
        assert first.flagged is True
        assert sound(film)
        assert not film.failed
        assert film.score is not None


async def test_a_video_that_cannot_be_read_is_a_failure(ours_fast: Subject, ours_policy_direct: Subject) -> None:
    for subject in (ours_fast, ours_policy_direct):
        video = load(clips()[0])
        assert video.video is not None
        video.video.close()
        broken, fine = await subject.detector.detect([video, *demo(HARMFUL[0])])
        assert sound(broken)
        assert (broken.failed, broken.score, broken.flagged) == (True, None, None)
        assert fine.flagged is True


async def test_scores_along_a_video_are_the_highest_of_a_rule_as_it_was_read(ours_fast: Subject) -> None:
    detector = ours_fast.detector
    assert isinstance(detector, Fast)
    judge = Judge(detector.parts.engine, load_constitution(constitution_path("stickers")), JudgeConfig())
    for path in clips()[:2]:
        opened = [load(path) for _ in range(2)]
        (said,), (verdict,) = await detector.detect(opened[:1]), await judge.judge(opened[1:])
        times_ms = verdict.timelines[0].timestamps_ms
        columns = zip(*(timeline.scores for timeline in verdict.timelines), strict=True)
        assert said.moments == tuple(
            (time_ms / 1000, pytest.approx(max(scores), abs=1e-5))
            for time_ms, scores in zip(times_ms, columns, strict=True)
        )
        assert len(said.moments) > 2
        for each in opened:
            assert each.video is not None
            each.video.close()
    assert [each.moments for each in await detector.detect(demo(HARMFUL[0]))] == [()]


async def test_the_baseline_scores_each_frame_that_it_asks_about(ours_policy_direct: Subject) -> None:
    video = load(clips()[0])
    assert video.video is not None
    with closing(video.video):
        (said,) = await ours_policy_direct.detector.detect([video])
    assert len(said.moments) == said.usage.questions > 2
    assert max(score for _, score in said.moments) == said.score
    assert sorted(said.moments) == list(said.moments)
    assert [each.moments for each in await ours_policy_direct.detector.detect(demo(HARMFUL[0]))] == [()]


# --- logic ----------------------------------------------------------------------------------------------------------


async def test_a_question_without_an_answer_is_an_abstention_whatever_the_threshold() -> None:
    for threshold in (None, 0.0, 1.0):
        made, _ = parts({"knife": Answer(0.9, mass=0.0)}, threshold)
        found = await one(Fast(made))
        assert (found.flagged, found.failed) == (None, False)
        assert found.reason


async def test_a_model_that_fails_is_a_failure_without_a_score() -> None:
    for detector in (Fast(parts({"knife": EngineError("out of memory")})[0]), PolicyDirect(_breaking())):
        found = await one(detector)
        assert (found.failed, found.score, found.flagged) == (True, None, None)
        assert "out of memory" in found.reason


def on_frame(wanted: int, answer: float | Answer | EngineError, otherwise: float) -> Callable[[Prompt], float | Answer]:
    """What a model says of the frame with this index, and of all others."""

    def said(prompt: Prompt) -> float | Answer:
        if prompt.frames[0].index != wanted:
            return otherwise
        if isinstance(answer, EngineError):
            raise answer
        return answer

    return said


FILMS = """
schema_version: 1
name: films
version: "1"
categories: {harm: {title: Harm}}
preconditions:
  knife: {statement: A knife is visible.}
  blood: {statement: Blood is visible.}
rules:
  a: {category: harm, severity: high, text: No knives., statement: A knife is visible., violated_when: knife}
  b: {category: harm, severity: high, text: No blood., statement: Blood is visible., violated_when: blood}
"""


async def along(detector: Fast | PolicyDirect) -> Prediction:
    """Of a clip of which every frame is judged that the strategy wants."""
    video = load(clips()[0])
    assert video.video is not None
    with closing(video.video):
        return await one(detector, video)


async def test_an_undecided_frame_keeps_its_score_and_one_without_an_answer_has_none() -> None:
    policy = parse_constitution(FILMS, source="films")
    calm = (await along(Fast(every_frame(parts({"knife": 0.1, "Blood": 0.2}, policy=policy)[0])))).moments
    assert {score for _, score in calm} == {0.2}
    place = 2
    for answer, expected in ((0.5, 0.5), (0.9, 0.9), (Answer(0.9, mass=0.0), None)):
        made, _ = parts({"knife": on_frame(place, answer, 0.1), "Blood": 0.2}, policy=policy)
        said = await along(Fast(every_frame(made)))
        scores = [score for _, score in said.moments]
        if expected is None:
            assert said.moments == (*calm[:place], *calm[place + 1 :])
            assert said.flagged is None
        else:
            assert scores == [0.2] * place + [expected] + [0.2] * (len(calm) - place - 1)


async def test_a_frame_about_which_the_baseline_hardly_answers_has_no_score() -> None:
    policy = parse_constitution(FILMS, source="films")
    made, _ = parts({"": on_frame(2, Answer(0.9, mass=0.01), 0.3)}, policy=policy)
    said = await along(PolicyDirect(every_frame(made)))
    assert said.flagged is None
    assert {score for _, score in said.moments} == {0.3}
    assert len(said.moments) == said.usage.questions - 1


def every_frame(made: Parts) -> Parts:
    """As `made`, looking at every frame of a video, and taking none for another."""
    sampling = SamplingSettings(strategy="fps", rate_hz=10.0, max_frames=128, same_below=0.0)
    return replace(made, config=made.config.model_copy(update={"video": VideoSettings(sampling=sampling)}))


def _breaking() -> Parts:
    def answer(prompt: Prompt) -> float:
        raise EngineError("out of memory")

    return parts({"": answer})[0]


async def test_one_failure_of_the_baseline_spoils_no_other() -> None:
    pictures = demo("harmless-1", "harmless-2", "harmless-3")
    bad = pictures[1].frames[0].image

    def answer(prompt: Prompt) -> float:
        if prompt.frames[0].image is bad:
            raise EngineError("out of memory")
        return 0.7

    found = await PolicyDirect(parts({"": answer})[0]).detect(pictures)
    assert [each.failed for each in found] == [False, True, False]
    assert [each.score for each in found] == [0.7, None, 0.7]


async def test_a_baseline_that_hardly_answers_abstains_with_its_score() -> None:
    found = await one(PolicyDirect(parts({"": Answer(0.9, mass=0.01)})[0]))
    assert (found.flagged, found.failed, found.score) == (None, False, 0.9)
    assert found.reason


@pytest.mark.parametrize(("threshold", "flagged"), [(None, True), (0.6, True), (0.61, False)])
async def test_the_baseline_asks_once_about_every_rule_for_pictures(threshold: float | None, flagged: bool) -> None:
    made, engine = parts({"": 0.6}, threshold)
    found = await one(PolicyDirect(made))
    assert (found.score, found.flagged, found.usage.questions) == (0.6, flagged, 1)
    (prompt,) = engine.calls[0].prompts
    asked = "\n".join(message.text for message in prompt.messages)
    assert all(rule.statement in asked for rule in made.policy.rules)


async def test_text_is_judged_where_rules_and_model_are_about_it() -> None:
    made, _ = parts({"insulted": 0.9})
    assert Fast(made).info.modalities == {"image", "text"}
    assert Fast(made).info.reads_text
    assert PolicyDirect(made).info.modalities == {"image"}
    found = await one(PolicyDirect(made), words())
    assert (found.flagged, found.failed) == (None, False)
    assert "text" in found.reason


async def test_words_posted_with_a_picture_are_read_if_the_model_reads() -> None:
    made, _ = parts({"insulted": lambda prompt: 0.9 if "some words" in prompt.messages[0].text else 0.0})
    (picture,) = demo("harmless-1")
    assert (await one(Fast(made), picture)).flagged is False
    assert (await one(Fast(made), replace(picture, text="some words"))).flagged is True


# --- settings -------------------------------------------------------------------------------------------------------


def engine_of(line: str) -> tuple[Fast, Sequence[str]]:
    found = build_detector(parse_detector(line))
    assert isinstance(found, Full)
    return found, list(found.stages)


@pytest.mark.parametrize(
    ("options", "stages"),
    [
        ("", ["fast", "the region test", "chain of thought"]),
        (",reason=false", ["fast", "the region test"]),
        (",region=off,vote=true,debate=one", ["fast", "chain of thought", "vote", "debate"]),
    ],
)
def test_stages_are_chosen_by_options(options: str, stages: list[str]) -> None:
    assert engine_of(f"ours-full{options}")[1] == stages


def test_a_configuration_file_says_everything_that_options_do_not(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("concurrency: 3\ncascade: {reasoning: {enabled: true}}\nthresholds: {preset: none, accept: 0.9}\n")
    full, stages = engine_of(f"ours-full,config={file}")
    assert stages == ["fast", "chain of thought"]
    assert (full.parts.config.concurrency, full.info.threshold) == (3, 0.9)
    fast = build_detector(parse_detector(f"ours-fast,config={file},batch=5"))
    assert isinstance(fast, Fast)
    assert fast.info.name == "ours-fast(stickers-vlm, stickers)"
    assert fast.parts.config.concurrency == 5


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("ours-fast,region=occlusion", "has no option 'region'"),
        ("ours-fast,constitution=stikers", "did you mean 'stickers'"),
        ("ours-full,region=everywhere", "option region"),
        ("ours-fast,preset=mild", "option preset"),
        ("ours-fast,config=/no/such.yaml", "cannot be read"),
        ("ours-fast,model=/no/such/folder", "/no/such/folder"),
        ("ours-fast,engine=no-such", "unknown engine 'no-such'"),
        ("ours-fast,base_url=ftp://a", "base_url"),
        ("ours-fast,api_key_env=sk-1234-secret", "api_key_env"),
    ],
)
def test_wrong_settings_are_told(line: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        build_detector(parse_detector(line))
    assert told in str(error.value)
    assert "sk-1234" not in str(error.value)


def test_a_broken_constitution_is_told(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nrules: {}\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml"):
        build_detector(parse_detector(f"ours-fast,constitution={file}"))
