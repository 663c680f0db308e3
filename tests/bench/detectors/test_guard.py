"""Guard models as detectors: what they are asked, what their answers count for, and a real engine end to end."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from judge.assets import constitution_path
from judge.bench.detectors.base import DetectorInfo, DetectorSettings, Prediction
from judge.bench.detectors.common_names import kinds_of
from judge.bench.detectors.guard import GuardDetector, GuardOptions, LlavaGuard, Shieldstral, questions
from judge.bench.detectors.pictures import PICTURES as ONLY_PICTURES
from judge.config import EngineConfig
from judge.constitution import Constitution, load_constitution
from judge.constitution.check import TAXONOMIES
from judge.constitution.schema import Category as PolicyCategory
from judge.engines.base import Capabilities, ModelInfo
from judge.engines.build import build_engine
from judge.engines.scripted import Answer, Scripted, ScriptedEngine
from judge.errors import ConfigError, EngineError
from judge.prompts.render import policy_prompt
from judge.sources.card import Card
from judge.sources.card_file import load_card
from judge.types import Prompt, QuestionFormat
from tests.bench.detectors.pictures import animation, picture, text
from tests.bench.detectors.tiny_checkpoints import tiny_llavaguard, tiny_shieldstral

PICTURES = [picture(seed) for seed in range(3)]
STYLE = QuestionFormat("guard_llavaguard")


def policy(name: str = "unsafebench") -> Constitution:
    return load_constitution(constitution_path(name))


def guard(answers: Scripted | dict[str, Scripted], **options: object) -> tuple[GuardDetector, ScriptedEngine]:
    """LlavaGuard's format in front of a table of answers."""
    table = answers if isinstance(answers, dict) else {}
    engine = ScriptedEngine(
        table,
        default=None if isinstance(answers, dict) else answers,
        capabilities=Capabilities(generation=False, text_only=False),
        info=ModelInfo("scripted", "d", runtime="scripted", question_format=STYLE),
    )
    chosen = GuardOptions.model_validate(options)
    asked = questions(policy(), chosen.ask)
    info = DetectorInfo("guard", "digest", ONLY_PICTURES, asked[0].kinds, 0.5)
    return LlavaGuard(engine, asked, info, options=chosen, batch=4), engine


async def test_one_question_holds_the_whole_policy() -> None:
    detector, engine = guard(0.7)
    (found,) = await detector.detect(PICTURES[:1])
    assert (found.score, found.flagged, found.category_scores) == (0.7, True, {})
    assert found.usage.questions == 1
    (call,) = engine.calls
    statements = [rule.statement for rule in policy().rules if "image" in rule.modalities]
    assert call.prompts == (policy_prompt(statements, PICTURES[0].frames, STYLE),)


async def test_one_question_per_category_gives_scores_by_kind() -> None:
    rule = next(rule for rule in policy().rules if rule.category == "violence")
    detector, engine = guard({rule.statement: 0.9, "": 0.2}, ask="category")
    (found,) = await detector.detect(PICTURES[:1])
    assert found.score == 0.9
    assert found.category_scores["violence"] == 0.9
    assert found.category_scores["spam"] == 0.2
    assert len(engine.calls[0].prompts) == found.usage.questions == len(policy().categories)
    asked = [statement for each in questions(policy(), "category") for statement in each.statements]
    assert sorted(asked) == sorted(rule.statement for rule in policy().rules if "image" in rule.modalities)


async def test_a_model_that_hardly_answers_is_an_abstention_not_a_score() -> None:
    detector, _ = guard(Answer(0.99, mass=0.1))
    (found,) = await detector.detect(PICTURES[:1])
    assert (found.score, found.flagged, found.failed) == (None, None, False)
    assert "hardly answered: only 0.10" in found.reason
    assert found.usage.questions == 1
    lenient, _ = guard(Answer(0.99, mass=0.1), min_mass=0.05)
    assert (await lenient.detect(PICTURES[:1]))[0].score == 0.99


async def test_an_answer_that_is_no_number_is_a_failure() -> None:
    for answer in (Answer(math.nan), Answer(0.5, mass=math.nan), Answer(1.5)):
        detector, _ = guard(answer)
        (found,) = await detector.detect(PICTURES[:1])
        assert (found.score, found.flagged, found.failed) == (None, None, True)
        assert "no probability" in found.reason


async def test_a_picture_that_the_engine_refuses_fails_alone() -> None:
    refused = PICTURES[1].frames[0]

    def answer(prompt: Prompt) -> float:
        if prompt.frames[0] is refused:
            raise EngineError("too large")
        return 0.25

    detector, _ = guard(answer)
    found = await detector.detect([*PICTURES, text()])
    assert [each.score for each in found] == [0.25, None, 0.25, None]
    assert [each.failed for each in found] == [False, True, False, False]
    assert found[1].reason == "too large"


async def test_the_highest_frame_of_an_animation_counts() -> None:
    shown = animation(0, 1, 2)
    scores = {id(frame): score for frame, score in zip(shown.frames, (0.1, 0.8, 0.3), strict=True)}
    detector, _ = guard(lambda prompt: scores[id(prompt.frames[0])])
    (found,) = await detector.detect([shown])
    assert (found.score, found.flagged, found.usage.questions) == (0.8, True, 3)


@pytest.mark.parametrize(("kind", "tiny"), [(LlavaGuard, tiny_llavaguard), (Shieldstral, tiny_shieldstral)])
async def test_a_real_engine_end_to_end(kind: type[GuardDetector], tiny: object, tmp_path: Path) -> None:
    """The same probabilities as the engine itself gives for the prompt of the model's format."""
    settings: DetectorSettings = tiny(tmp_path)  # type: ignore[operator]
    detector = kind.from_settings(settings)
    media = [*PICTURES, text(), animation(0, 2)]
    found = await detector.detect(media)
    engine = build_engine(EngineConfig(model=settings.model, profile=kind.profile, device="cpu"))
    assert engine.info.question_format is not None
    assert engine.info.question_format.template == f"guard_{settings.name}"
    statements = ("A knife is shown.", "A shop is advertised.", "Blood is shown.")
    prompts = [policy_prompt(statements, each.frames, engine.info.question_format) for each in PICTURES]
    wanted = [answer.probabilities["Yes"] for answer in await engine.choose(prompts)]
    assert [each.score for each in found[:3]] == pytest.approx(wanted, abs=1e-4)
    assert max(wanted) - min(wanted) > 1e-4
    assert found[3].flagged is None
    assert found[4].score == pytest.approx(max(wanted[0], wanted[2]), abs=1e-4)
    alone = [(await detector.detect([each]))[0].score for each in PICTURES]
    assert alone == pytest.approx(wanted, abs=1e-4)
    assert await detector.detect([]) == []
    assert detector.info.name.startswith(f"{settings.name}(")
    assert detector.info.categories == {"violence", "shocking", "spam"}
    await detector.close()
    (closed,) = await detector.detect(PICTURES[:1])
    assert (closed.failed, closed.score) == (True, None)


def test_the_digest_covers_policy_and_options(tmp_path: Path) -> None:
    settings = tiny_llavaguard(tmp_path)

    def digest(**update: object) -> str:
        options = {**settings.options, **update}
        return LlavaGuard.from_settings(settings.model_copy(update={"options": options})).info.digest

    found = [digest(), digest(), digest(constitution="unsafebench"), digest(ask="category")]
    assert found[0] == found[1]
    assert len(set(found)) == 3
    path = Path(str(settings.options["constitution"]))
    path.write_text(path.read_text().replace("Blood is shown.", "Much blood is shown."))
    assert digest() not in found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"options": {"constitution": "unsafebnech"}}, "unsafebnech"),
        ({"options": {"ask": "rule"}}, "option ask"),
        ({"options": {"constitutions": "general"}}, "has no option 'constitutions'"),
        ({"options": {"engine": "scripted"}}, "option engine"),
        ({"model": "/no/such/folder"}, "no such folder"),
        ({"device": "abacus"}, "abacus"),
        ({"api_key_env": "KEY"}, "no base_url"),
        ({"base_url": "not an address"}, "base_url"),
    ],
)
def test_wrong_settings_name_what_is_wrong(change: dict[str, object], message: str, tmp_path: Path) -> None:
    settings = tiny_llavaguard(tmp_path).model_copy(update=change)
    with pytest.raises(ConfigError) as error:
        LlavaGuard.from_settings(settings)
    assert message in str(error.value)


def test_a_broken_policy_is_named(tmp_path: Path) -> None:
    settings = tiny_llavaguard(tmp_path)
    (tmp_path / "bad.yaml").write_text("name: [")
    options = {"constitution": str(tmp_path / "bad.yaml")}
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        LlavaGuard.from_settings(settings.model_copy(update={"options": options}))


def test_a_policy_without_rules_about_pictures_is_refused() -> None:
    only_text = policy().model_copy(
        update={"rules": tuple(rule.model_copy(update={"modalities": ("text",)}) for rule in policy().rules)}
    )
    with pytest.raises(ConfigError, match="no rule about pictures"):
        questions(only_text, "policy")


def test_common_kinds_by_hand() -> None:
    def kinds(id: str, **mappings: tuple[str, ...]) -> set[str]:
        return set(kinds_of(PolicyCategory(id=id, title="t", mappings=mappings)))

    assert kinds("weapons", llavaguard=("O6",)) == {"weapons"}
    assert kinds("arms", llavaguard=("O6",)) == {"weapons", "drugs", "alcohol-tobacco"}
    assert kinds("hate", unsafebench=("Hate", "Harassment"), openai=("hate",)) == {"hate", "harassment"}
    assert kinds("gore", openai=("violence/graphic",)) == {"shocking"}
    assert kinds("house-rules") == {"other"}
    for taxonomy, names in TAXONOMIES.items():
        for name in names:
            assert (kinds("house-rules", **{taxonomy: (name,)}) == {"other"}) == (name == "other"), name


def test_llavaguard_s_names_mean_what_the_card_of_its_data_says() -> None:
    card: Card = load_card("llavaguard")
    for name, words in card.names.items():
        if name != "NA":
            category = PolicyCategory(id="x", title="t", mappings={"llavaguard": (name,)})
            assert set(kinds_of(category)) == set(card.categories[words])


def test_a_prediction_is_never_safe_by_default() -> None:
    assert Prediction(None, None).flagged is None
