"""The scan's encoder: the shipped weights, how they are found and guarded, and two steps of their training."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from judge import assets
from judge.assets import constitution_path, encoder_path, model_path, scan_paths
from judge.config import JudgeConfig, RelevanceSettings, load_config
from judge.constitution import load_constitution
from judge.engines.clip import ClipEmbedder
from judge.engines.model_folder import DIGESTS_FILE, write_digests
from judge.errors import ConfigError
from judge.metrics import auroc
from judge.stages.build import build_scan
from judge.stickers.command import main
from judge.stickers.command_encoder import policy_atoms
from judge.stickers.dual_encoder_corpus import PictureStream, StatementDraw, statement_texts
from judge.stickers.dual_encoder_network import build_dual_encoder, start_from_embedded, train_statement_tokenizer
from judge.stickers.evaluate_dual_encoder import frames_of, kept_and_dropped, ranked_auroc
from judge.stickers.sampling import draw_scene
from judge.stickers.splits import Item, PolicyTruth, draw_split
from judge.stickers.statements import Truth
from judge.stickers.truth_table import scene_table, truths

NAME = "stickers-siglip"
POLICY = load_constitution(constitution_path("stickers"))


@pytest.fixture(scope="module")
def embedder() -> ClipEmbedder:
    return ClipEmbedder.load(NAME, "cpu")


@pytest.fixture(scope="module")
def items() -> list[Item]:
    return list(draw_split("calibration", 24, PolicyTruth(POLICY), seed=5))


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the encoder that is found by its name."""
    source = encoder_path(NAME)
    assert source is not None
    folder = tmp_path / "encoder"
    shutil.copytree(source, folder)
    monkeypatch.setattr(assets, "_ENCODERS", {NAME: folder})
    return folder


def test_it_tells_true_statements_from_false_ones(embedder: ClipEmbedder, items: list[Item]) -> None:
    statements = {each.id: each.statement for each in POLICY.preconditions}
    texts = asyncio.run(embedder.embed_texts([*statements.values()]))
    similarities = asyncio.run(embedder.embed_frames(frames_of(items))) @ texts.T
    truth, scores = [], []
    for item, row in zip(items, similarities, strict=True):
        for name, near in zip(statements, row, strict=True):
            if name in item.preconditions:
                truth.append(item.preconditions[name])
                scores.append(float(near))
    assert auroc(np.array(truth), np.array(scores)) > 0.96  # 0.992 on 300 pictures
    assert np.mean(np.array(scores)[truth]) > np.mean(np.array(scores)[np.logical_not(truth)]) + 0.3


def test_the_same_picture_and_words_give_the_same_vectors_alone_and_together(
    embedder: ClipEmbedder, items: list[Item]
) -> None:
    frames, texts = frames_of(items), [each.statement for each in POLICY.preconditions]
    again = ClipEmbedder.load(NAME, "cpu")
    together = asyncio.run(embedder.embed_frames(frames))
    assert again.info.digest == embedder.info.digest
    np.testing.assert_array_equal(asyncio.run(again.embed_frames(frames)), together)
    np.testing.assert_allclose(asyncio.run(embedder.embed_frames(frames[3:4])), together[3:4], atol=1e-5)
    np.testing.assert_allclose(
        asyncio.run(embedder.embed_texts(texts[5:6])), asyncio.run(again.embed_texts(texts))[5:6], atol=1e-5
    )


def test_words_without_end_and_no_words_are_embedded_too(embedder: ClipEmbedder) -> None:
    found = asyncio.run(embedder.embed_texts(["", "weapon " * 5000, "武器 \x00 🗡"]))
    assert found.shape == (3, 192)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("name", ["scan", "scan of any rule"])
def test_the_shipped_scans_keep_what_is_violated_and_drop_the_rest(
    name: str, embedder: ClipEmbedder, items: list[Item]
) -> None:
    settings = load_config(scan_paths("stickers", "stickers-vlm")[name]).cascade.relevance
    assert (settings.embedder, settings.model) == ("siglip", NAME)
    kept, dropped = asyncio.run(kept_and_dropped(embedder, items, POLICY, settings))
    assert kept.value >= 0.9
    assert dropped.value > (0.1 if name == "scan" else 0.6)


def test_a_fitted_scan_names_the_encoder_and_policy_that_ship(embedder: ClipEmbedder) -> None:
    for path in scan_paths("stickers", "stickers-vlm").values():
        head = path.read_text(encoding="utf-8").splitlines()[0]
        assert f"stickers@{POLICY.version} (sha256 {POLICY.digest[:12]})" in head
        assert f"encoder {embedder.info.digest[:12]}" in head


def test_other_policies_and_models_have_no_shipped_scan() -> None:
    assert scan_paths("general", "stickers-vlm") == {}
    assert scan_paths("stickers", "OWNER/NAME") == {}


def test_it_is_found_by_name_and_other_names_are_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert assets.encoder_names() == (NAME,)
    assert encoder_path("openai/clip-vit-base-patch16") is None
    monkeypatch.setattr(assets, "_ENCODERS", {NAME: tmp_path})
    assert assets.encoder_names() == ()
    assert scan_paths("stickers", "stickers-vlm") == {}
    with pytest.raises(ConfigError, match=f"the weights of the embedded encoder '{NAME}' are missing here"):
        ClipEmbedder.load(NAME, "cpu")


def test_a_damaged_file_is_named(copied: Path) -> None:
    weights = copied / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1  # transformers would load it, and see something else
    weights.write_bytes(content)
    settings = RelevanceSettings(embedder="siglip", model=NAME)
    config = JudgeConfig().model_copy(
        update={"cascade": JudgeConfig().cascade.model_copy(update={"relevance": settings})}
    )
    with pytest.raises(ConfigError, match=r"'stickers-siglip': its file 'model\.safetensors' is damaged or changed"):
        build_scan(POLICY, config)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "'sha256.json' cannot be read"),
        (b"\xff{", "'sha256.json' cannot be read"),
        (b"[1]", "its file 'config.json' is damaged"),
        (b'{"gone.json": "0"}', "its file 'config.json' is damaged"),
    ],
)
def test_a_list_of_digests_that_says_nothing_is_refused(copied: Path, content: bytes | None, message: str) -> None:
    (copied / DIGESTS_FILE).unlink()
    if content is not None:
        (copied / DIGESTS_FILE).write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        ClipEmbedder.load(NAME, "cpu")


def test_a_file_that_is_gone_or_was_never_there_is_named(copied: Path) -> None:
    (copied / "tokenizer.json").rename(copied / "other.json")
    with pytest.raises(ConfigError, match=r"its file 'other\.json' is damaged or changed"):
        ClipEmbedder.load(NAME, "cpu")
    (copied / "other.json").unlink()
    with pytest.raises(ConfigError, match=r"its file 'tokenizer\.json' is missing"):
        ClipEmbedder.load(NAME, "cpu")
    write_digests(copied)  # by whoever made the folder, never on loading
    assert "tokenizer.json" not in json.loads((copied / DIGESTS_FILE).read_text())


def test_two_steps_of_training_give_a_model_that_the_scan_loads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train-encoder", str(tmp_path), "--pictures", "64", "--steps", "2", "--batch", "8", "--workers", "0"]
    threads = torch.get_num_threads()
    try:
        assert main(command) == 0
        assert "step 2: loss" in capsys.readouterr().out
        assert main(command) == 0
        assert "resumed at step 2" in capsys.readouterr().out
        assert main([*command[:5], "3", *command[6:]]) == 2
        assert "was made with another recipe" in capsys.readouterr().err
    finally:
        torch.set_num_threads(threads)
    trained = ClipEmbedder.load(str(tmp_path / "model"), "cpu")
    assert asyncio.run(trained.embed_texts(["There is a dog."])).shape == (1, 192)
    assert (tmp_path / "model" / DIGESTS_FILE).is_file()


@pytest.mark.parametrize("wrong", [("--frozen", "5"), ("--layers", "7"), ("--steps", "0"), ("--workers", "-1")])
def test_impossible_recipes_are_refused(
    wrong: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train-encoder", str(tmp_path), *wrong]) == 2
    assert "--" in capsys.readouterr().err


def test_the_picture_tower_begins_as_the_embedded_models_encoder() -> None:
    from transformers import AutoModelForImageTextToText  # noqa: PLC0415

    folder = model_path("stickers-vlm")
    assert folder is not None
    own = build_dual_encoder(train_statement_tokenizer(statement_texts(0, 500)), vision_layers=6).eval()
    start_from_embedded(own, folder)
    theirs = AutoModelForImageTextToText.from_pretrained(folder).float().eval().model.vision_model
    pixels = torch.rand(2, 3, 144, 144)
    with torch.no_grad():
        torch.testing.assert_close(
            own.vision_model(pixels).last_hidden_state, theirs(pixels).last_hidden_state, atol=1e-4, rtol=1e-4
        )


def test_ranks_give_the_same_auroc_as_pairs_ties_included() -> None:
    rng = np.random.default_rng(0)
    truth, scores = rng.random(200) < 0.3, rng.integers(0, 12, 200).astype(np.float64)
    assert ranked_auroc(truth, scores) == pytest.approx(auroc(truth, scores), abs=1e-12)
    assert np.isnan(ranked_auroc(np.ones(3, dtype=bool), np.zeros(3)))


def test_tables_say_what_scenes_say() -> None:
    rng = np.random.default_rng(1)
    scenes = [*(draw_scene(rng) for _ in range(40)), None]
    table = scene_table(scenes)
    said = StatementDraw(policy_atoms(), rng).draw(table, 300)
    assert len(said) == 324
    found = truths([atom for atom, _ in said], table)
    known = [None if scene is None else Truth(scene) for scene in scenes]
    for row, (atom, sentence) in enumerate(said):
        for column, truth in enumerate(known):
            if truth is None:
                assert (found.holds[row, column], found.decided[row, column]) == (False, True), sentence
                continue
            outcome = truth.of(atom)
            assert found.decided[row, column] == (outcome != "undecided"), sentence
            assert found.holds[row, column] == (outcome == "satisfied"), sentence


def test_training_pictures_are_the_same_for_the_same_seed_and_no_split_is_among_them(items: list[Item]) -> None:
    first, again, other = (next(iter(PictureStream(seed, 16))) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert not np.array_equal(first.pixels, other.pixels)
    seen = {pixels.tobytes() for pixels in first.pixels}
    assert not seen & {item.image.tobytes() for item in items}
