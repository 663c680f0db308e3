"""Q16: the published formula on a tiny CLIP model, and every way its learned vectors can come or be wrong."""

from __future__ import annotations

import math
import pickle
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from transformers import CLIPModel

from judge.bench.detectors.base import DetectorSettings
from judge.bench.detectors.q16 import Q16
from judge.errors import ConfigError
from tests.bench.detectors.pictures import animation, picture, text
from tests.bench.detectors.plain_clip import unit_vector
from tests.bench.detectors.tiny_checkpoints import DIMENSIONS, tiny_falconsai, tiny_q16

PICTURES = [picture(seed) for seed in range(5)]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> DetectorSettings:
    return tiny_q16(tmp_path_factory.mktemp("q16"))


@pytest.fixture(scope="module")
def detector(settings: DetectorSettings) -> Q16:
    return Q16.from_settings(settings)


def prompts_of(settings: DetectorSettings) -> np.ndarray:
    return np.load(str(settings.options["prompts"]))


def with_prompts(settings: DetectorSettings, path: Path) -> DetectorSettings:
    return settings.model_copy(update={"options": {"prompts": str(path)}})


def plain_score(clip: CLIPModel, prompts: np.ndarray, media: object) -> float:
    rows = prompts.astype(np.float64) / np.linalg.norm(prompts.astype(np.float64), axis=1, keepdims=True)
    appropriate, inappropriate = 100.0 * rows @ unit_vector(clip, media)  # type: ignore[arg-type]
    return 1.0 / (1.0 + math.exp(min(appropriate - inappropriate, 700.0)))


async def test_scores_are_the_published_formula(detector: Q16, settings: DetectorSettings) -> None:
    clip = CLIPModel.from_pretrained(settings.model)
    wanted = [plain_score(clip, prompts_of(settings), media) for media in PICTURES]
    found = await detector.detect(PICTURES)
    assert [each.score for each in found] == pytest.approx(wanted, abs=1e-3)
    assert [each.flagged for each in found] == [value >= 0.5 for value in wanted]
    assert max(wanted) - min(wanted) > 0.05
    assert all(each.category_scores == {} for each in found)
    assert detector.info.categories is None


async def test_the_second_row_is_the_inappropriate_one(
    detector: Q16, settings: DetectorSettings, tmp_path: Path
) -> None:
    np.save(tmp_path / "swapped.npy", prompts_of(settings)[::-1])
    swapped = Q16.from_settings(with_prompts(settings, tmp_path / "swapped.npy"))
    found = zip(await detector.detect(PICTURES), await swapped.detect(PICTURES), strict=True)
    assert [a.score + b.score for a, b in found] == pytest.approx([1.0] * 5)  # type: ignore[operator]


async def test_a_batch_is_its_pictures_one_by_one(settings: DetectorSettings) -> None:
    detector = Q16.from_settings(settings.model_copy(update={"batch": 2}))
    together = await detector.detect([*PICTURES, text(), animation(0, 1)])
    alone = [(await detector.detect([media]))[0] for media in [*PICTURES, text(), animation(0, 1)]]
    # A logit is a cosine times 100: the last digits of the cosine show.
    assert [each.score for each in together[:5]] == pytest.approx([each.score for each in alone[:5]], abs=1e-4)
    assert together[5] == alone[5]
    assert together[6].score == pytest.approx(max(together[0].score or 0.0, together[1].score or 0.0), abs=1e-4)
    assert await detector.detect([]) == []


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_published_pickles_of_arrays_are_read(
    settings: DetectorSettings, tmp_path: Path, protocol: int, kind: str
) -> None:
    prompts = prompts_of(settings).astype(kind)
    path = tmp_path / "prompts.p"
    path.write_bytes(pickle.dumps(prompts, protocol=protocol))
    detector = Q16.from_settings(with_prompts(settings, path))
    unit = prompts.astype(np.float32) / np.linalg.norm(prompts.astype(np.float32), axis=1, keepdims=True)
    assert detector._prompts.numpy() == pytest.approx(unit, abs=1e-3 if kind == "float16" else 1e-6)


def test_pickles_of_lists_and_safetensors_are_read(settings: DetectorSettings, tmp_path: Path) -> None:
    prompts = prompts_of(settings)
    (tmp_path / "prompts.pkl").write_bytes(pickle.dumps(prompts.tolist()))
    save_file({"prompts": prompts}, tmp_path / "prompts.safetensors")
    for name in ("prompts.pkl", "prompts.safetensors"):
        detector = Q16.from_settings(with_prompts(settings, tmp_path / name))
        assert detector._prompts.numpy() == pytest.approx(Q16.from_settings(settings)._prompts.numpy(), abs=1e-6)


class Hostile:
    def __init__(self, call: object, *args: object) -> None:
        self.reduced = (call, args)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.reduced  # type: ignore[return-value]


@pytest.mark.parametrize("how", ["shell", "eval", "array of objects", "numpy load"])
def test_a_pickle_that_runs_code_does_not(settings: DetectorSettings, tmp_path: Path, how: str) -> None:
    mark = tmp_path / "ran"
    bad = {
        "shell": Hostile(subprocess.call, ["touch", str(mark)]),
        "eval": Hostile(eval, f"open({str(mark)!r}, 'w').close()"),
        "array of objects": np.array([[Hostile(subprocess.call, ["touch", str(mark)])]], dtype=object),
        "numpy load": Hostile(np.save, str(mark), np.zeros(3)),
    }[how]
    path = tmp_path / "prompts.p"
    path.write_bytes(pickle.dumps(bad))
    with pytest.raises(ConfigError, match="cannot be read"):
        Q16.from_settings(with_prompts(settings, path))
    assert list(tmp_path.iterdir()) == [path]


def test_reading_a_pickle_changes_no_number_type(settings: DetectorSettings, tmp_path: Path) -> None:
    path = tmp_path / "prompts.p"
    path.write_bytes(pickle.dumps(prompts_of(settings).astype(">f4")))
    detector = Q16.from_settings(with_prompts(settings, path))
    assert detector._prompts.numpy() == pytest.approx(Q16.from_settings(settings)._prompts.numpy(), abs=1e-6)
    assert np.dtype("f4").isnative


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((2, DIMENSIONS + 1), np.float32), f"needs prompts of 2 x {DIMENSIONS} numbers"),
        (np.ones((3, DIMENSIONS), np.float32), f"needs prompts of 2 x {DIMENSIONS} numbers"),
        (np.zeros((2, DIMENSIONS), np.float32), "each row with a direction"),
        (np.full((2, DIMENSIONS), np.nan, np.float32), "rows of finite numbers"),
        (np.ones((2, DIMENSIONS), np.int64), "rows of finite numbers"),
        (np.ones(DIMENSIONS, np.float32), "rows of finite numbers"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(
    settings: DetectorSettings, tmp_path: Path, array: np.ndarray, message: str
) -> None:
    np.save(tmp_path / "prompts.npy", array)
    with pytest.raises(ConfigError) as error:
        Q16.from_settings(with_prompts(settings, tmp_path / "prompts.npy"))
    assert message in str(error.value)


def test_files_that_hold_no_vectors_are_refused(settings: DetectorSettings, tmp_path: Path) -> None:
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "empty.p").write_bytes(b"")
    (tmp_path / "words.npy").write_bytes(b"hello")
    (tmp_path / "words.txt").write_bytes(b"hello")
    (tmp_path / "huge.p").write_bytes(b"\0" * ((1 << 24) + 1))
    np.save(tmp_path / "objects.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    save_file({"a": np.ones((2, 3), np.float32), "b": np.ones((2, 3), np.float32)}, tmp_path / "two.safetensors")
    for path in [*sorted(tmp_path.iterdir()), tmp_path / "missing.npy", tmp_path]:
        with pytest.raises(ConfigError):
            Q16.from_settings(with_prompts(settings, path))


def test_options_are_checked(settings: DetectorSettings) -> None:
    for options, message in [
        ({}, "option prompts"),
        ({"prompts": 3}, "option prompts"),
        ({**settings.options, "promts": "x"}, "has no option 'promts'"),
    ]:
        with pytest.raises(ConfigError) as error:
            Q16.from_settings(settings.model_copy(update={"options": options}))
        assert message in str(error.value)


def test_a_model_that_is_no_clip_is_refused(settings: DetectorSettings, tmp_path: Path) -> None:
    other = tiny_falconsai(tmp_path)
    with pytest.raises(ConfigError, match="not a CLIP model"):
        Q16.from_settings(settings.model_copy(update={"model": other.model}))


def test_the_digest_covers_the_vectors(detector: Q16, settings: DetectorSettings, tmp_path: Path) -> None:
    path = Path(str(settings.options["prompts"]))
    before = path.read_bytes()
    try:
        np.save(path, prompts_of(settings) + np.float32(1e-3))
        assert Q16.from_settings(settings).info.digest != detector.info.digest
    finally:
        path.write_bytes(before)
    assert Q16.from_settings(settings).info.digest == detector.info.digest


def test_the_digest_is_about_contents_not_places(detector: Q16, settings: DetectorSettings, tmp_path: Path) -> None:
    """The same weights and vectors elsewhere, in other batches, with the defaults spelled out."""
    shutil.copytree(settings.model, tmp_path / "copy")
    update = {
        "model": str(tmp_path / "copy"), "batch": 3, "threshold": 0.5, "label": "mine",
        "options": {"prompts": str(tmp_path / "copy" / "prompts.npy"), "max_frames": 8},
    }  # fmt: skip
    again = Q16.from_settings(settings.model_copy(update=update)).info
    assert (again.digest, again.name) == (detector.info.digest, "mine")


async def test_a_vector_without_direction_is_no_score(settings: DetectorSettings) -> None:
    detector = Q16.from_settings(settings)
    network = detector._checkpoint.network  # type: ignore[union-attr]
    with torch.no_grad():
        network.visual_projection.weight.zero_()
    (found,) = await detector.detect(PICTURES[:1])
    assert (found.score, found.flagged, found.failed) == (None, None, True)
