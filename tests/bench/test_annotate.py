"""What the annotator asks about frames, videos and domains; the commands' own tests go through it for the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from judge.bench.annotate import Annotator, Asked, MediaAnnotation
from judge.config import Cascade, DebateSettings, JudgeConfig
from judge.constitution import parse_constitution
from judge.engines.base import Capabilities, ModelInfo
from judge.engines.scripted import Answer, ScriptedEngine
from judge.errors import ConfigError, MediaError
from judge.prompts.debate import JudgedExample
from judge.stages.cast import Cast
from judge.types import Domain, Frame, Media, Thumbnails, VideoInfo

POLICY = parse_constitution(
    """
name: small
version: "1"
categories: {harm: {title: Harm}}
preconditions: {light: {statement: It is light.}, fall: {statement: A person falls.}}
rules:
  bright: {category: harm, severity: low, text: t, statement: It is bright., violated_when: light, modalities: [image]}
  falls: {category: harm, severity: low, text: t, statement: Someone falls., violated_when: fall, modalities: [video]}
""",
    source="small",
)
CONFIG = JudgeConfig(cascade=Cascade(debate=DebateSettings(subject="policy", rounds=1)))
EXAMPLE = JudgedExample((Frame(0, 0.0, np.zeros((2, 2, 3), np.uint8)),), "No, nothing.")


class Clip:
    """A video of so many frames; the last of them may be damaged."""

    def __init__(self, count: int, *, damaged: bool = False) -> None:
        self._damaged = damaged
        self.info = VideoInfo(tuple(0.1 * place for place in range(count)), (0,), 0.1 * count, 2, 2)

    def read(self, indices: Sequence[int]) -> list[Frame]:
        if self._damaged:
            raise MediaError("frame 9 at 0.9 s cannot be decoded")
        return [Frame(place, 0.1 * place, np.full((2, 2, 3), place, np.uint8)) for place in sorted(indices)]

    def thumbnails(self, indices: Sequence[int]) -> Thumbnails:
        raise NotImplementedError

    def close(self) -> None:
        return None


def still(level: int = 0, name: str = "still") -> Media:
    return Media(name, "image", (Frame(0, 0.0, np.full((2, 2, 3), level, np.uint8)),), 0.0)


def engine(**more: object) -> ScriptedEngine:
    answers = {"You are the judge": "Yes, harm."}
    return ScriptedEngine(default=0.9, generations=answers, default_generation="It is seen.", **more)  # type: ignore[arg-type]


def annotate(player: ScriptedEngine, *media: Media, config: JudgeConfig = CONFIG) -> list[MediaAnnotation]:
    annotator = Annotator(Cast(player), POLICY, config)
    return asyncio.run(annotator.annotate([Asked(each.id, each) for each in media]))


def test_a_video_is_five_numbered_frames_and_has_the_rules_of_videos() -> None:
    player = engine()
    clip = Media("clip", "video", (), 1.0, video=Clip(9))
    found = annotate(player, clip, still())
    assert [each.decision for each in found] == ["yes", "yes"]
    of_clip, of_still = player.calls[0].prompts
    assert [frame.index for frame in of_clip.frames] == [0, 2, 4, 6, 8]
    assert of_clip.layout.frame_labels == tuple(f"Frame {number}:" for number in range(1, 6))
    assert "1. Someone falls." in of_clip.messages[-1].text
    assert "bright" not in of_clip.messages[-1].text
    assert "1. It is bright." in of_still.messages[-1].text


@pytest.mark.parametrize(
    ("media", "words"),
    [
        (Media("damaged", "video", (), 1.0, video=Clip(9, damaged=True)), "cannot be decoded"),
        (Media("empty", "video", (), 0.0), "has no frames"),
    ],
)
def test_media_without_frames_is_an_error_and_spoils_nothing(media: Media, words: str) -> None:
    broken, sound = annotate(engine(), media, still())
    assert broken.error is not None
    assert (broken.decision, sound.decision) == ("error", "yes")
    assert words in broken.error.message


def test_more_frames_than_the_model_takes_are_an_error_of_their_media() -> None:
    player = engine(capabilities=Capabilities(max_frames=2))
    clip, sound = annotate(player, Media("clip", "video", (), 1.0, video=Clip(9)), still())
    assert (clip.decision, sound.decision) == ("error", "yes")
    assert clip.error is not None
    assert "takes 2 pictures at once" in clip.error.message


def test_media_no_rule_is_about_is_an_error() -> None:
    policy = POLICY.model_copy(update={"rules": POLICY.rules[1:]})
    (found,) = asyncio.run(Annotator(Cast(engine()), policy, CONFIG).annotate([Asked("a", still())]))
    assert found.error is not None
    assert found.error.message == "'a': no rule of 'small' is about images"


@pytest.mark.parametrize(
    ("reading", "decision", "reason"),
    [
        (Answer(0.9), "yes", ""),
        (Answer(0.1), "none", "outside the model's domain (drawings)"),
        (Answer(0.9, mass=0.0), "none", "the model did not say whether this is in its domain (drawings)"),
    ],
)
def test_what_is_outside_the_domain_is_not_debated(reading: Answer, decision: str, reason: str) -> None:
    domain = Domain("It is a drawing.", "drawings")
    player = ScriptedEngine(
        {"It is a drawing.": reading},
        default=0.9,
        default_generation="Yes, harm.",
        info=ModelInfo("drawer", "digest", domain=domain),
    )
    (found,) = annotate(player, still())
    assert (found.decision, found.reason) == (decision, reason)
    assert (len(found.debates) == 1) == (decision == "yes")


def test_examples_beyond_what_the_model_takes_are_refused_at_the_start() -> None:
    player = engine(capabilities=Capabilities(max_frames=2))
    with pytest.raises(ConfigError, match="takes 2 pictures at once, and the judge of a debate is shown 3"):
        Annotator(Cast(player), POLICY, CONFIG, examples=[EXAMPLE] * 2)


def test_the_name_of_an_annotator_tells_settings_examples_and_models_apart() -> None:
    both = JudgeConfig(cascade=Cascade(debate=CONFIG.cascade.debate.model_copy(update={"orders": "both"})))
    makers = [
        Annotator(Cast(engine()), POLICY, CONFIG),
        Annotator(Cast(engine()), POLICY, both),
        Annotator(Cast(engine()), POLICY, CONFIG, examples=[EXAMPLE]),
        Annotator(Cast(engine()), POLICY, CONFIG, examples=[JudgedExample(EXAMPLE.frames, "Yes, harm.")]),
        Annotator(Cast(engine(info=ModelInfo("other", "digest"))), POLICY, CONFIG),
    ]
    assert len({each.name for each in makers}) == len(makers)
    assert makers[0].name == Annotator(Cast(engine()), POLICY, CONFIG).name
