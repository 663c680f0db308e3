"""LAION's head: its layers by hand, the names of its file, and files that hold something else."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import CLIPModel

from judge.bench.detectors.base import DetectorSettings
from judge.bench.detectors.laion import LaionHead
from judge.errors import ConfigError
from judge.types import Media
from tests.bench.detectors.pictures import animation, picture, text
from tests.bench.detectors.plain_clip import unit_vector
from tests.bench.detectors.tiny_checkpoints import DIMENSIONS, laion_tensors, tiny_laion

PICTURES = [picture(seed) for seed in range(6)]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> DetectorSettings:
    return tiny_laion(tmp_path_factory.mktemp("laion"))


@pytest.fixture(scope="module")
def detector(settings: DetectorSettings) -> LaionHead:
    return LaionHead.from_settings(settings)


def with_head(settings: DetectorSettings, path: Path) -> DetectorSettings:
    return settings.model_copy(update={"options": {"head": str(path)}})


def plain_score(clip: CLIPModel, tensors: dict[str, torch.Tensor], media: Media) -> float:
    held = {name: tensor.double().numpy() for name, tensor in tensors.items()}
    values = (unit_vector(clip, media) - held["norm.mean"]) / np.maximum(np.sqrt(held["norm.variance"]), 1e-7)
    last = (len(held) - 2) // 2
    for number in range(1, last + 1):
        values = held[f"linear_{number}.weight"] @ values + held[f"linear_{number}.bias"]
        values = np.maximum(values, 0.0) if number < last else values
    return float(1 / (1 + np.exp(-values[0])))


async def test_scores_are_the_layers_by_hand(detector: LaionHead, settings: DetectorSettings) -> None:
    clip = CLIPModel.from_pretrained(settings.model)
    wanted = [plain_score(clip, laion_tensors(), media) for media in PICTURES]
    found = await detector.detect(PICTURES)
    assert [each.score for each in found] == pytest.approx(wanted, abs=1e-4)
    assert [each.flagged for each in found] == [value >= 0.5 for value in wanted]
    assert max(wanted) - min(wanted) > 0.01
    assert [each.category_scores for each in found] == [{"sexual": each.score} for each in found]


async def test_three_layers_and_a_constant_input_are_read(settings: DetectorSettings, tmp_path: Path) -> None:
    """As the head for ViT-B/32 has them; Keras divides an input that never varied by 1e-7, not by 0."""
    tensors = {name: tensor for name, tensor in laion_tensors().items() if "_4" not in name and "_3" not in name}
    tensors |= {"linear_3.weight": torch.ones(1, 12) * 0.1, "linear_3.bias": torch.zeros(1)}
    tensors["norm.variance"][0] = 0.0
    tensors["linear_1.weight"][:, 0] *= 1e-7
    save_file(tensors, tmp_path / "head.safetensors")
    clip = CLIPModel.from_pretrained(settings.model)
    found = await LaionHead.from_settings(with_head(settings, tmp_path / "head.safetensors")).detect(PICTURES)
    assert [each.score for each in found] == pytest.approx(
        [plain_score(clip, tensors, media) for media in PICTURES], abs=1e-4
    )


async def test_the_published_file_is_read_as_it_is(
    detector: LaionHead, settings: DetectorSettings, tmp_path: Path
) -> None:
    torch.save(laion_tensors(), tmp_path / "head.pth")
    found = await LaionHead.from_settings(with_head(settings, tmp_path / "head.pth")).detect(PICTURES)
    assert [each.score for each in found] == [each.score for each in await detector.detect(PICTURES)]


async def test_a_batch_is_its_pictures_one_by_one(settings: DetectorSettings) -> None:
    detector = LaionHead.from_settings(settings.model_copy(update={"batch": 4}))
    media = [*PICTURES, text(), animation(2, 3)]
    together = await detector.detect(media)
    alone = [(await detector.detect([each]))[0] for each in media]
    assert [each.score for each in together[:6]] == pytest.approx([each.score for each in alone[:6]], abs=1e-5)
    assert together[6] == alone[6]
    assert together[7].score == pytest.approx(max(together[2].score or 0.0, together[3].score or 0.0), abs=1e-5)
    assert await detector.detect([]) == []


def test_heads_that_do_not_fit_are_refused(settings: DetectorSettings, tmp_path: Path) -> None:
    good = laion_tensors()
    path = tmp_path / "head.safetensors"
    for change, message in [
        (laion_tensors(DIMENSIONS + 1), f"gives {DIMENSIONS} numbers and the head takes {DIMENSIONS + 1}"),
        ({**good, "linear_4.weight": torch.ones(2, 6), "linear_4.bias": torch.ones(2)}, "do not fit each other"),
        ({**good, "linear_2.weight": torch.ones(12, 9)}, "do not fit each other"),
        ({**good, "linear_2.bias": torch.full((12,), float("nan"))}, "no number"),
        ({**good, "norm.variance": -good["norm.variance"]}, "no number"),
        ({**good, "extra": torch.ones(1)}, "extra"),
        ({name: each for name, each in good.items() if name != "norm.mean"}, "norm.mean"),
        ({"layers.0.weight": torch.ones(4, 4), "layers.0.bias": torch.ones(4)}, "wanted are norm.mean"),
    ]:
        save_file(change, path)
        with pytest.raises(ConfigError) as error:
            LaionHead.from_settings(with_head(settings, path))
        assert message in str(error.value)


class Hostile:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (open, (self.path, "w"))


def test_a_file_that_runs_code_does_not(settings: DetectorSettings, tmp_path: Path) -> None:
    path = tmp_path / "head.pth"
    for data in (pickle.dumps(Hostile(str(tmp_path / "ran")), protocol=2), b"", b"hello"):
        path.write_bytes(data)
        with pytest.raises(ConfigError, match="cannot be read"):
            LaionHead.from_settings(with_head(settings, path))
    torch.save({"norm.mean": Hostile(str(tmp_path / "ran"))}, path)
    with pytest.raises(ConfigError, match="cannot be read"):
        LaionHead.from_settings(with_head(settings, path))
    torch.save([1, 2, 3], path)
    with pytest.raises(ConfigError, match="named tensors"):
        LaionHead.from_settings(with_head(settings, path))
    assert list(tmp_path.iterdir()) == [path]


def test_options_are_checked(settings: DetectorSettings, tmp_path: Path) -> None:
    (tmp_path / "head.h5").write_bytes(b"x")
    for options, message in [
        ({}, "option head"),
        ({"head": str(tmp_path / "missing.pth")}, "no such file"),
        ({"head": str(tmp_path / "head.h5")}, "known: .safetensors, .pth"),
        ({**settings.options, "heads": "x"}, "has no option 'heads'"),
    ]:
        with pytest.raises(ConfigError) as error:
            LaionHead.from_settings(settings.model_copy(update={"options": options}))
        assert message in str(error.value)


def test_the_digest_covers_the_head(detector: LaionHead, settings: DetectorSettings) -> None:
    path = Path(str(settings.options["head"]))
    before = path.read_bytes()
    try:
        save_file({name: tensor + 1e-3 for name, tensor in laion_tensors().items()}, path)
        assert LaionHead.from_settings(settings).info.digest != detector.info.digest
    finally:
        path.write_bytes(before)
    assert LaionHead.from_settings(settings).info.digest == detector.info.digest
