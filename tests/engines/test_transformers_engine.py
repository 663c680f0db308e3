"""What is special to the transformers engine; the common contract is tested in tests/contracts."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub.errors import RepositoryNotFoundError
from safetensors.torch import load_file, save_file

from judge.engines import scoring
from judge.engines.base import Engine
from judge.engines.transformers import TransformersEngine
from judge.errors import ConfigError, EngineError
from judge.types import Domain, Frame, Message, Prompt
from tests.contracts.tiny_models import CORPUS, build_gemma3
from tests.contracts.tiny_tiled_models import TILED_BUILDERS

FRAME = Frame(0, 0.0, np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8))


def ask(question: str, *frames: Frame) -> Prompt:
    return Prompt((Message("user", question),), frames)


@pytest.fixture
def folder(model_folder: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy of the tiny Idefics3 that a test may spoil."""
    return Path(shutil.copytree(model_folder("idefics3"), tmp_path / "copy"))


@pytest.fixture
def engine(load_engine: Callable[[str], Engine]) -> TransformersEngine:
    found = load_engine("idefics3")
    assert isinstance(found, TransformersEngine)
    return found


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


# --- loading ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "ways"),
    [
        ("idefics3", ("packed", "packed")),
        ("llava", ("packed", "packed")),
        ("llava_sliding", ("packed", "packed")),  # with the masks of its windows
        ("gemma3", ("packed", "packed")),  # the image's own mask is the library's; what follows it is causal
        ("llava_bidirectional", (None, None)),
        ("paligemma", (None, None)),
        *((name, ("packed", "packed")) for name in TILED_BUILDERS),
    ],
)
def test_the_probe_knows_which_models_can_share_a_prefix(
    load_engine: Callable[[str], Engine], name: str, ways: tuple[str | None, str | None]
) -> None:
    engine = load_engine(name)
    assert isinstance(engine, TransformersEngine)
    assert engine._scorer is not None
    assert (engine._scorer.frames_way, engine._scorer.text_way) == ways


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_model_that_cannot_share_says_so(
    model_folder: Callable[[str], Path], caplog: pytest.LogCaptureFixture, dtype: str
) -> None:
    with caplog.at_level(logging.WARNING, logger="judge"):
        TransformersEngine(str(model_folder("llava_bidirectional")), device="cpu", dtype=dtype)
    assert [record.getMessage() for record in caplog.records] == [
        f"model 'llava_bidirectional': questions {kind} frames are asked one by one, slowly (its tokens see later ones)"
        for kind in ("with", "without")
    ]


async def test_a_shared_path_that_breaks_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = await TransformersEngine(str(folder), device="cpu").choose([ask("Is there a dog?", FRAME)])

    def broken(*_args: object, **_kwargs: object) -> None:
        raise NotImplementedError("this cache cannot be copied")

    monkeypatch.setattr(scoring, "score_groups", broken)
    engine = TransformersEngine(str(folder), device="cpu")
    (found,) = await engine.choose([ask("Is there a dog?", FRAME)])
    assert found.mass == pytest.approx(expected[0].mass, abs=1e-5)
    assert found.probabilities == pytest.approx(expected[0].probabilities, abs=1e-5)


def test_the_card_gives_name_domain_and_frames(folder: Path) -> None:
    domain = {"statement": "It is made of emoji.", "description": "sticker scenes", "min_probability": 0.6, "hint": "-"}
    card = {"name": "tiny", "domain": domain, "max_frames": 2}
    (folder / "visual_judge.json").write_text(json.dumps(card))
    engine = TransformersEngine(str(folder), device="cpu")
    assert engine.info.name == "tiny"
    assert engine.info.domain == Domain("It is made of emoji.", "sticker scenes", 0.6, "-")
    assert engine.capabilities.max_frames == 2


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
async def test_half_precision_agrees_with_single(
    engine: TransformersEngine, model_folder: Callable[[str], Path], dtype: str
) -> None:
    prompts = [ask("Is there a dog?", FRAME), ask("Is there a cat next to a house?", FRAME), ask("A dog?")]
    half = TransformersEngine(str(model_folder("idefics3")), device="cpu", dtype=dtype)
    pairs = zip(await half.choose(prompts), await engine.choose(prompts), strict=True)
    for found, expected in pairs:
        assert found.probabilities["Yes"] == pytest.approx(expected.probabilities["Yes"], abs=0.05)


@pytest.mark.parametrize("name", ["./no/such/folder", "/no/such/folder", "a/b/c", "no such model", ""])
def test_a_missing_folder(name: str) -> None:
    with pytest.raises(ConfigError, match="no such folder, and not a Hugging Face id either"):
        TransformersEngine(name)


def test_an_id_that_is_not_here_while_offline() -> None:
    with pytest.raises(ConfigError, match="model 'nobody/nothing': no such folder, and the hub cannot be reached"):
        TransformersEngine("nobody/nothing", local_files_only=True)


def test_without_a_network_only_downloaded_files_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def unreachable(_self: object, model_id: str, **_options: object) -> None:
        asked.append(model_id)
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", unreachable)
    with pytest.raises(ConfigError, match="the hub cannot be reached for it"):
        TransformersEngine("nobody/nothing")
    assert asked == ["nobody/nothing"]


def test_what_the_hub_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: object, model_id: str, **_options: object) -> None:
        response: Any = SimpleNamespace(headers={}, request=None)
        raise RepositoryNotFoundError(f"404: {model_id}", response=response)

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", refuse)
    with pytest.raises(ConfigError, match="the hub does not have or give it: 404: nobody/nothing"):
        TransformersEngine("nobody/nothing")


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be loaded"):
        TransformersEngine(str(tmp_path))


def test_a_language_model_without_eyes(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config["text_config"] | {"architectures": ["LlamaForCausalLM"]}))
    with pytest.raises(ConfigError, match="cannot be loaded: ValueError"):
        TransformersEngine(str(folder))


def test_missing_weights_are_not_made_up(folder: Path) -> None:
    change_weights(folder, lambda weights: weights.pop("model.connector.modality_projection.proj.weight"))
    with pytest.raises(ConfigError, match=r"lacks 1 weights, 'model\.connector\.modality_projection\.proj\.weight'"):
        TransformersEngine(str(folder))


def test_a_truncated_weight_file(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ConfigError, match="cannot be loaded"):
        TransformersEngine(str(folder))


def test_a_model_that_returns_nan_does_not_start(folder: Path) -> None:
    change_weights(folder, lambda weights: weights["lm_head.weight"].fill_(torch.nan))
    with pytest.raises(EngineError, match="no usable probabilities"):
        TransformersEngine(str(folder))


def test_a_tokenizer_without_answers_does_not_start(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["merges"] = []
    kept = [word for word in tokenizer["model"]["vocab"] if len(word) > 1 and word[-2:].lower() not in ("es", "no")]
    tokenizer["model"]["vocab"] = {word: tokenizer["model"]["vocab"][word] for word in kept}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(EngineError, match="has no token that answers 'Yes'"):
        TransformersEngine(str(folder))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"dtype": "float7"}, "dtype 'float7' is not known"),
        ({"device": "gpu"}, "device 'gpu' does not exist"),
        ({"device": "cuda:99"}, "device 'cuda:99': no such GPU here"),
    ],
)
def test_impossible_places(folder: Path, option: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TransformersEngine(str(folder), **option)


def test_words_behind_an_image_that_merge_with_the_text_are_not_cut_off(tmp_path: Path) -> None:
    """Gemma 3's processor puts two newlines there; three may be another token."""
    folder = build_gemma3(tmp_path / "gemma3", (*CORPUS, "a\n\nb " * 9, "a\n\n\nb " * 9))
    engine = TransformersEngine(str(folder), device="cpu")
    apart, merged = ask("A dog?", FRAME), ask("\nIs it?", FRAME)
    group = engine._encoder.encode_group([apart, ask("Is it?", FRAME)])
    assert group is not None
    assert [group.head + tail for tail in group.tails] == [
        tuple(engine._encoder.encode(prompt)["input_ids"][0].tolist()) for prompt in (apart, ask("Is it?", FRAME))
    ]
    assert engine._encoder.encode_group([apart, merged]) is None
    assert engine._encoder.encode_group([merged, apart]) is None


# --- asking -------------------------------------------------------------------------------------------------


async def test_nan_behind_one_image_is_an_error(folder: Path) -> None:
    engine = TransformersEngine(str(folder), device="cpu")
    model: Any = engine._loaded.model if engine._loaded else None
    with torch.no_grad():
        model.lm_head.weight.fill_(torch.nan)
    with pytest.raises(EngineError, match="no usable probabilities"):
        await engine.choose([ask("Is there a dog?", FRAME)])


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), r"ran out of memory \(lower batch_size\)"),
        (RuntimeError("device-side assert"), "failed: RuntimeError: device-side assert"),
    ],
)
async def test_what_breaks_inside_is_chained(folder: Path, raised: Exception, message: str) -> None:
    engine = TransformersEngine(str(folder), device="cpu")
    model: Any = engine._loaded.model if engine._loaded else None

    def fail(*_args: object) -> None:
        raise raised

    hook = model.lm_head.register_forward_pre_hook(fail)
    with pytest.raises(EngineError, match=message) as caught:
        await engine.choose([ask("Is there a dog?", FRAME)])
    assert caught.value.__cause__ is raised
    with pytest.raises(EngineError, match=message):
        await engine.generate([ask("Is there a dog?", FRAME)], max_tokens=2)
    hook.remove()
    assert len(await engine.choose([ask("Is there a dog?", FRAME)])) == 1


@pytest.mark.parametrize("frames", [(), (FRAME,)], ids=["text", "image"])
async def test_an_image_placeholder_in_the_words_is_refused(
    engine: TransformersEngine, frames: tuple[Frame, ...]
) -> None:
    with pytest.raises(EngineError):
        await engine.choose([ask("Is there a dog?", *frames), ask("Is there an <image>?", *frames)])


async def test_a_prompt_beyond_the_model_is_refused(engine: TransformersEngine) -> None:
    for frames in [(), (FRAME,)]:
        with pytest.raises(EngineError, match=r"a prompt of \d+ tokens; model 'idefics3' takes 512"):
            await engine.choose([ask("a dog " * 600, *frames)])
    with pytest.raises(EngineError, match=r"a prompt of \d+ tokens"):
        await engine.generate([ask("a dog", FRAME)], max_tokens=600)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), dtype=np.uint8),
        np.zeros((4, 4, 4), dtype=np.uint8),
        np.zeros((0, 4, 3), dtype=np.uint8),
        np.zeros((4, 4, 3), dtype=np.float32),
    ],
    ids=["gray", "alpha", "empty", "float"],
)
async def test_a_frame_of_another_form_is_refused(engine: TransformersEngine, image: Any) -> None:
    with pytest.raises(EngineError, match="not uint8"):
        await engine.choose([ask("Is there a dog?", Frame(3, 0.0, image))])


async def test_other_choices_than_yes_and_no(engine: TransformersEngine) -> None:
    (answer,) = await engine.choose([ask("Dog or cat?", FRAME)], ("person", "bottle", "house"))
    assert list(answer.probabilities) == ["person", "bottle", "house"]
    assert sum(answer.probabilities.values()) == pytest.approx(1.0)


async def test_batch_size_changes_nothing_but_the_batches(model_folder: Callable[[str], Path]) -> None:
    frames = [Frame(0, 0.0, np.full((20, 20, 3), shade, dtype=np.uint8)) for shade in (0, 90, 255)]
    prompts = [ask(f"Is there a {thing}?", frame) for frame in frames for thing in ("dog", "bottle of wine", "cat")]
    engines = [TransformersEngine(str(model_folder("idefics3")), device="cpu", batch_size=size) for size in (1, 2, 64)]
    one, two, many = [await engine.choose(prompts) for engine in engines]
    for other in (two, many):
        assert [a.probabilities["Yes"] for a in other] == pytest.approx([a.probabilities["Yes"] for a in one], abs=1e-4)


async def test_generation_ends_at_the_end_token(folder: Path) -> None:
    engine = TransformersEngine(str(folder), device="cpu")
    prompt = ask("Is there a dog?", FRAME)
    assert engine._loaded is not None
    model: Any = engine._loaded.model
    inputs = engine._encoder.encode(prompt)
    with torch.inference_mode():
        model.generation_config.eos_token_id = int(model(**inputs).logits[0, -1].argmax())
    (found,) = await engine.generate([prompt], max_tokens=5)
    assert (found.finish_reason, found.completion_tokens) == ("stop", 1)
    assert found.prompt_tokens == inputs["input_ids"].shape[1]


async def test_without_llguidance_a_schema_is_refused_and_all_else_works(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    monkeypatch.setitem(sys.modules, "llguidance.hf", None)
    caplog.set_level(logging.INFO)
    engine = TransformersEngine(str(folder), device="cpu")
    assert not engine.capabilities.structured
    assert "model 'copy' does not write under JSON schemas: the package 'llguidance" in caplog.text
    with pytest.raises(EngineError, match="model 'copy' cannot be held to a JSON schema"):
        await engine.generate([ask("Is there a dog?", FRAME)], max_tokens=5, json_schema={"type": "object"})
    assert (await engine.generate([ask("Is there a dog?", FRAME)], max_tokens=1))[0].completion_tokens == 1


async def test_a_closed_engine_refuses(folder: Path) -> None:
    engine = TransformersEngine(str(folder), device="cpu")
    await engine.close()
    await engine.close()
    with pytest.raises(EngineError, match="'copy' is closed"):
        await engine.choose([ask("Is there a dog?", FRAME)])
