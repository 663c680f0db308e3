"""ShieldGemma 2: which column means harm, policy by policy, on a tiny random model of its class."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import ShieldGemma2ForImageClassification, ShieldGemma2Processor
from transformers.models.shieldgemma2.processing_shieldgemma2 import DEFAULT_SHIELDGEMMA2_POLICIES

from judge.bench.detectors.base import DetectorSettings
from judge.bench.detectors.shieldgemma import ShieldGemma2
from judge.errors import ConfigError
from judge.types import Media
from tests.bench.detectors.pictures import animation, picture, pixels, text
from tests.bench.detectors.tiny_checkpoints import tiny_falconsai, tiny_shieldgemma

PICTURES = [picture(seed) for seed in range(4)]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> DetectorSettings:
    return tiny_shieldgemma(tmp_path_factory.mktemp("shieldgemma"))


@pytest.fixture(scope="module")
def detector(settings: DetectorSettings) -> ShieldGemma2:
    return ShieldGemma2.from_settings(settings)


def plain_yes(folder: str, media: Media, policy: str) -> float:
    """One picture and one policy by themselves: P(Yes) among Yes and No, from the whole vocabulary's logits."""
    processor = ShieldGemma2Processor.from_pretrained(folder)
    network = ShieldGemma2ForImageClassification.from_pretrained(folder).eval()
    inputs = processor(images=[Image.fromarray(pixels(media))], policies=[policy], return_tensors="pt")
    assert DEFAULT_SHIELDGEMMA2_POLICIES[policy] in processor.decode(inputs["input_ids"][0])
    with torch.no_grad():
        logits = network.model(**inputs).logits[0, -1].double().numpy()
    yes, no = (logits[processor.tokenizer.convert_tokens_to_ids(word)] for word in ("Yes", "No"))
    return float(np.exp(yes) / (np.exp(yes) + np.exp(no)))


async def test_scores_are_the_share_of_yes_by_policy(detector: ShieldGemma2, settings: DetectorSettings) -> None:
    found = await detector.detect(PICTURES)
    for media, each in zip(PICTURES, found, strict=True):
        wanted = {policy: plain_yes(settings.model, media, policy) for policy in DEFAULT_SHIELDGEMMA2_POLICIES}
        assert each.category_scores == {
            "sexual": pytest.approx(wanted["sexual"], abs=1e-4),
            "illegal-activity": pytest.approx(wanted["dangerous"], abs=1e-4),
            "violence": pytest.approx(wanted["violence"], abs=1e-4),
            "shocking": pytest.approx(wanted["violence"], abs=1e-4),
        }
        assert each.score == pytest.approx(max(wanted.values()), abs=1e-4)
        assert each.flagged == (max(wanted.values()) >= 0.5)
        assert np.ptp(list(wanted.values())) > 1e-3  # or the order of the policies would not show
    assert np.ptp([each.score for each in found]) > 1e-3


@pytest.mark.parametrize(("word", "wanted"), [("Yes", 1.0), ("No", 0.0)])
async def test_a_model_that_says_yes_says_harm(settings: DetectorSettings, word: str, wanted: float) -> None:
    """Against the docstring of transformers' class, which reads harm from column 1."""
    detector = ShieldGemma2.from_settings(settings)
    checkpoint = detector._checkpoint
    assert checkpoint is not None
    token = checkpoint.prepare.tokenizer.convert_tokens_to_ids(word)
    language_model = checkpoint.network.model
    plain = language_model.forward

    def insists(**inputs: object) -> object:
        output = plain(**inputs)
        output.logits[..., token] += 1000.0
        return output

    language_model.forward = insists
    (found,) = await detector.detect(PICTURES[:1])
    assert (found.score, found.flagged) == (wanted, wanted == 1.0)


async def test_a_batch_is_its_pictures_one_by_one(detector: ShieldGemma2) -> None:
    media = [*PICTURES, text(), animation(0, 1), picture(9, (64, 20))]
    together = await detector.detect(media)
    alone = [(await detector.detect([each]))[0] for each in media]
    for a, b in zip(together, alone, strict=True):
        assert a.score == (None if b.score is None else pytest.approx(b.score, abs=1e-4))
        assert (a.failed, a.reason) == (b.failed, b.reason)
    assert together[5].score == pytest.approx(max(together[0].score or 0.0, together[1].score or 0.0), abs=1e-4)
    assert await detector.detect([]) == []


async def test_policies_may_be_chosen(settings: DetectorSettings, detector: ShieldGemma2) -> None:
    chosen = settings.model_copy(update={"options": {"policies": ["violence", "sexual"]}})
    few = ShieldGemma2.from_settings(chosen)
    assert few.info.categories == {"violence", "shocking", "sexual"}
    assert few.info.digest != detector.info.digest
    (all_of_it,), (found,) = await detector.detect(PICTURES[:1]), await few.detect(PICTURES[:1])
    kept = {kind: value for kind, value in all_of_it.category_scores.items() if kind != "illegal-activity"}
    assert found.category_scores == pytest.approx(kept, abs=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"options": {"policies": []}}, "option policies"),
        ({"options": {"policies": ["hate"]}}, "option policies"),
        ({"options": {"policies": ["sexual", "sexual"]}}, "named twice"),
        ({"options": {"dtype": "int4"}}, "dtype 'int4'"),
        ({"options": {"threshold": 0.3}}, "has no option 'threshold'"),
        ({"model": "/no/such/folder"}, "no such folder"),
        ({"base_url": "http://localhost"}, "no use for 'base_url'"),
    ],
)
def test_wrong_settings_name_what_is_wrong(settings: DetectorSettings, change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        ShieldGemma2.from_settings(settings.model_copy(update=change))
    assert message in str(error.value)


def test_tokens_that_are_not_yes_and_no_are_refused(tmp_path: Path) -> None:
    """The published indices mean other words, or nothing, to another tokenizer."""
    settings = tiny_shieldgemma(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    swapped = {"yes_token_index": config["no_token_index"], "no_token_index": config["yes_token_index"]}
    path.write_text(json.dumps(config | swapped))
    with pytest.raises(ConfigError, match="for Yes stands for 'No'"):
        ShieldGemma2.from_settings(settings)
    path.write_text(json.dumps({name: value for name, value in config.items() if name not in swapped}))
    with pytest.raises(ConfigError, match="its token 10784 for Yes stands for 'nothing'"):
        ShieldGemma2.from_settings(settings)


def test_another_kind_of_model_is_refused(settings: DetectorSettings, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        ShieldGemma2.from_settings(settings.model_copy(update={"model": tiny_falconsai(tmp_path).model}))


async def test_an_answer_that_is_no_number_fails(settings: DetectorSettings) -> None:
    detector = ShieldGemma2.from_settings(settings)
    checkpoint = detector._checkpoint
    assert checkpoint is not None
    plain = checkpoint.network.forward

    def broken(**inputs: object) -> object:
        output = plain(**inputs)
        output.logits[1] = float("nan")  # the first picture's second policy
        return output

    checkpoint.network.forward = broken
    found = await detector.detect(PICTURES[:2])
    assert [each.failed for each in found] == [True, False]
    assert (found[0].score, found[0].flagged) == (None, None)
    await detector.close()
    (closed,) = await detector.detect(PICTURES[:1])
    assert (closed.failed, closed.score) == (True, None)
