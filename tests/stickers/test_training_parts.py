"""Parts of the recipe: dense labels, crowded scenes, the optimiser, starting weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from judge.stickers import precision
from judge.stickers.atlas import variants
from judge.stickers.dense import BACKGROUND, CELLS, LABELS, dense_labels, label_words, no_labels
from judge.stickers.muon import Muon, orthogonalized
from judge.stickers.network import PATCH_PX, VISION_WIDTH, build_model, see, train_tokenizer
from judge.stickers.sampling import draw_crowd, held_out_pair
from judge.stickers.scene import CANVAS_PX, Background, Scene, Sticker
from judge.stickers.streams import DenseStream, tokenizer_texts
from judge.stickers.vocabulary import HELD_OUT_STYLE


def _scene(*stickers: tuple[str, int, int]) -> Scene:
    placed = tuple(
        Sticker(concept=name, variant=variants("noto", name)[0], x=x, y=y, size_px=40) for name, x, y in stickers
    )
    return Scene(style="noto", background=Background(kind="flat", seed=1), stickers=placed)


def test_cells_tell_what_is_there_and_what_it_touches() -> None:
    labels = dense_labels(_scene(("bomb", 10, 10), ("house", 30, 12), ("cat", 100, 100)))
    bomb, house, cat = (LABELS.index(name) for name in ("bomb", "house", "cat"))
    assert labels.shares.shape == (CELLS * CELLS, BACKGROUND + 1)
    np.testing.assert_allclose(labels.shares.sum(1), 1, atol=1e-5)
    at_bomb, at_cat = labels.shares[:, bomb].argmax(), labels.shares[:, cat].argmax()
    assert (labels.contacts[at_bomb, house], labels.contacts[at_bomb, len(LABELS) + house]) == (1, 1)
    assert labels.contacts[at_cat].sum() == 0
    assert labels.shares[CELLS * CELLS - CELLS, BACKGROUND] == 1
    assert not labels.covered[CELLS * CELLS - CELLS]


def test_an_empty_picture_is_background_everywhere() -> None:
    for labels in (no_labels(), dense_labels(_scene())):
        assert labels.shares[:, BACKGROUND].tolist() == [1.0] * CELLS * CELLS
        assert not labels.covered.any()


def test_cells_are_the_patches_of_the_encoder() -> None:
    assert CELLS * PATCH_PX == CANVAS_PX


@pytest.mark.parametrize(("label", "words"), [("dagger", {"dagger", "weapon", "blade"}), ("KILL", {"sign", "hateful"})])
def test_labels_are_called_by_their_nouns_and_classes(label: str, words: set[str]) -> None:
    assert words <= set(label_words(LABELS.index(label)))


def test_crowds_are_full_and_hold_no_forbidden_pair_and_no_held_out_style() -> None:
    rng = np.random.default_rng(3)
    scenes = [draw_crowd(rng) for _ in range(40)]
    assert 6 <= np.mean([len(s.stickers) for s in scenes]) <= 9
    for scene in scenes:
        names = [s.concept for s in scene.stickers]
        assert scene.style != HELD_OUT_STYLE
        assert not any(held_out_pair(a, b) for n, a in enumerate(names) for b in names[:n])


def test_the_encoder_stream_pairs_every_picture_with_its_labels() -> None:
    batch = next(iter(DenseStream(1, 6)))
    assert batch.pixels.shape == (6, CANVAS_PX, CANVAS_PX, 3)
    assert batch.shares.shape[:2] == batch.covered.shape == (6, CELLS * CELLS)


@pytest.mark.parametrize("shape", [(2, 12, 12), (1, 6, 20), (3, 20, 6)])
def test_orthogonalized_matrices_keep_directions_and_level_their_lengths(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(shape)
    found = orthogonalized(matrices)
    lengths = torch.linalg.svdvals(found)
    assert 0.5 < lengths.min() <= lengths.max() < 1.3
    assert ((found * matrices).sum((1, 2)) > 0).all()


def test_muon_goes_downhill_and_leaves_weights_without_gradient_alone() -> None:
    torch.manual_seed(0)
    weight, idle = torch.nn.Parameter(torch.zeros(8, 6)), torch.nn.Parameter(torch.ones(8, 6))
    goal = torch.randn(8, 6)
    optimizer = Muon([weight, idle], lr=0.05)
    losses = []
    for _ in range(80):
        loss = (weight - goal).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    assert torch.equal(idle, torch.ones(8, 6))


def test_fresh_weights_tell_pictures_apart() -> None:
    torch.manual_seed(0)
    model = build_model(train_tokenizer(tokenizer_texts(0, scenes=20))).eval()
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 144, 144, 3), dtype=np.uint8))
    with torch.inference_mode():
        seen = see(model, pixels)
    assert seen.features.shape == (2, CELLS * CELLS, VISION_WIDTH)
    assert (seen.features[0] - seen.features[1]).abs().mean() > 0.1


@pytest.mark.parametrize(("half_s", "chosen"), [(0.5, torch.bfloat16), (0.9, torch.float32), (8.0, torch.float32)])
def test_the_faster_number_type_trains(monkeypatch: pytest.MonkeyPatch, half_s: float, chosen: torch.dtype) -> None:
    timed = {torch.float32: 1.0, torch.bfloat16: half_s}
    monkeypatch.setattr(precision, "_seconds", timed.__getitem__)
    assert precision.fastest_dtype(torch.device("cpu")) == chosen
    assert precision.fastest_dtype(torch.device("cuda")) == torch.bfloat16
