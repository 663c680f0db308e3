"""CLIP, SigLIP and OWLv2 as tiny models with random weights: what they say means nothing, its form does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    CLIPTokenizer,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessorPil,
    Owlv2Processor,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    SiglipProcessor,
)

from judge.engines.clip import ClipEmbedder
from judge.engines.owlv2 import Owlv2Detector, _region
from judge.errors import ConfigError, EngineError
from judge.stages.build import DETECTORS, EMBEDDERS
from judge.types import Frame, Region
from tests.contracts.tiny_models import metaspace_tokenizer

TEXT = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION = {**TEXT, "image_size": 32, "patch_size": 8}


def clip_tokenizer() -> CLIPTokenizer:
    letters = [chr(n) for n in range(97, 123)]
    words = [*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: n for n, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=16)


def build_clip(folder: Path) -> Path:
    tokenizer = clip_tokenizer()
    text = {**TEXT, "vocab_size": len(tokenizer), "max_position_embeddings": 16, "eos_token_id": 53, "bos_token_id": 52}
    torch.manual_seed(0)
    CLIPModel(CLIPConfig(text_config=text, vision_config=VISION, projection_dim=24)).save_pretrained(folder)
    images = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(images, tokenizer).save_pretrained(folder)
    return folder


def build_siglip(folder: Path) -> Path:
    tokenizer = metaspace_tokenizer()
    tokenizer.model_max_length = 24
    text = {**TEXT, "vocab_size": len(tokenizer), "max_position_embeddings": 24, "pad_token_id": 0}
    torch.manual_seed(0)
    SiglipModel(SiglipConfig(text_config=text, vision_config=VISION)).save_pretrained(folder)
    SiglipProcessor(SiglipImageProcessorPil(size={"height": 32, "width": 32}), tokenizer).save_pretrained(folder)
    return folder


def build_owlv2(folder: Path) -> Path:
    tokenizer = clip_tokenizer()
    text = {**TEXT, "vocab_size": len(tokenizer), "max_position_embeddings": 16, "eos_token_id": 53, "bos_token_id": 52}
    torch.manual_seed(0)
    config = Owlv2Config(text_config=text, vision_config=VISION, projection_dim=32)
    model = Owlv2ForObjectDetection(config)
    with torch.no_grad():
        model.box_head.dense2.weight.mul_(0.01)  # or every box flies off the picture
    model.save_pretrained(folder)
    Owlv2Processor(Owlv2ImageProcessorPil(size={"height": 32, "width": 32}), tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=[build_clip, build_siglip], ids=["clip", "siglip"])
def embedder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ClipEmbedder:
    build: Callable[[Path], Path] = request.param
    return ClipEmbedder(str(build(tmp_path_factory.mktemp("encoder"))), local_files_only=True)


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Owlv2Detector:
    return Owlv2Detector(str(build_owlv2(tmp_path_factory.mktemp("detector"))), local_files_only=True)


def frame(seed: int, height_px: int = 40, width_px: int = 60) -> Frame:
    return Frame(0, 0.0, np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8))


def test_rows_are_unit_vectors_in_order_and_do_not_depend_on_the_batch(embedder: ClipEmbedder) -> None:
    frames = [frame(n, 30 + n, 50) for n in range(35)]  # more than one batch
    texts = ["a dog", "a knife touches a person and so on, longer than the encoder reads " * 3, "a dog"]
    images, words = asyncio.run(embedder.embed_frames(frames)), asyncio.run(embedder.embed_texts(texts))
    assert images.shape[1] == words.shape[1]
    assert np.linalg.norm(images, axis=1) == pytest.approx(np.ones(35), abs=1e-5)
    assert np.linalg.norm(words, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert words[0] == pytest.approx(words[2], abs=1e-5)
    assert np.abs(words[0] - words[1]).max() > 1e-3
    assert asyncio.run(embedder.embed_frames(frames[34:]))[0] == pytest.approx(images[34], abs=1e-5)
    assert asyncio.run(embedder.embed_texts(texts[:1]))[0] == pytest.approx(words[0], abs=1e-5)


def test_nothing_in_nothing_out(embedder: ClipEmbedder) -> None:
    assert len(asyncio.run(embedder.embed_frames([]))) == 0
    assert len(asyncio.run(embedder.embed_texts([]))) == 0


def test_a_vector_that_is_no_number_is_an_error(tmp_path: Path) -> None:
    broken = ClipEmbedder(str(build_clip(tmp_path / "clip")), local_files_only=True)
    with torch.no_grad():
        broken._network.text_projection.weight.fill_(float("nan"))
    with pytest.raises(EngineError, match="no number"):
        asyncio.run(broken.embed_texts(["a dog"]))


def test_boxes_lie_inside_the_frame_surest_first_and_are_named(detector: Owlv2Detector) -> None:
    frames, names = [frame(1), frame(2, 80, 30), frame(3)], [["knife", "hand", "knife"], ["dog"], []]
    found = asyncio.run(detector.detect(frames, names, min_score=0.0))
    assert [{region.label for region in regions} <= set(wanted) for regions, wanted in zip(found, names, strict=True)]
    assert [bool(regions) for regions in found] == [True, True, False]
    for regions in found:
        assert [region.score for region in regions] == sorted((r.score for r in regions), reverse=True)
        assert all(region.left < region.right and region.top < region.bottom for region in regions)
    surest = found[0][0].score
    assert asyncio.run(detector.detect(frames[:1], names[:1], min_score=min(1.0, surest + 1e-6))) == [()]


@pytest.mark.parametrize(
    ("box", "region"),
    [
        ((10.0, 5.0, 20.0, 15.0), Region(left=0.1, top=0.1, right=0.2, bottom=0.3, label="x", score=0.5)),
        ((-10.0, -5.0, 200.0, 15.0), Region(left=0.0, top=0.0, right=1.0, bottom=0.3, label="x", score=0.5)),
        ((10.0, 60.0, 20.0, 90.0), None),  # in the padding under a wide frame
        ((20.0, 5.0, 20.0, 15.0), None),
    ],
)
def test_boxes_are_cut_at_the_frame(box: tuple[float, ...], region: Region | None) -> None:
    assert _region(box, "x", 0.5, 100, 50) == region


def test_models_are_named_by_their_kind_and_digest(detector: Owlv2Detector, tmp_path: Path) -> None:
    assert EMBEDDERS.names() == ("clip", "siglip")
    assert len(detector.info.digest) == 64
    loaded = EMBEDDERS.load("clip").load(str(build_clip(tmp_path / "clip")), "cpu")
    assert loaded.info.name == "clip"


def test_a_folder_of_another_kind_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ConfigError, match="cannot be loaded"):
        DETECTORS.load("owlv2").load(str(tmp_path), "cpu")
