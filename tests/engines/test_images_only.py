"""Families that take videos too are loaded for pictures where torchvision is missing, and only there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoProcessor, Idefics3Processor, Qwen3VLProcessor
from transformers.utils.import_utils import is_torchvision_available

from judge.engines import images_only as module
from judge.engines.images_only import images_only
from judge.engines.loading import find_model, load_processor
from judge.errors import ConfigError

VIDEO_FAMILIES = ("qwen2_5_vl", "qwen3_vl", "internvl")
OFFLINE = {"local_files_only": True}


@pytest.mark.skipif(is_torchvision_available(), reason="torchvision is here: the whole processor loads")
@pytest.mark.parametrize("name", VIDEO_FAMILIES)
def test_a_family_with_videos_loads_for_pictures(model_folder: Callable[[str], Path], name: str) -> None:
    folder = model_folder(name)
    with pytest.raises(Exception, match=r"(?i)torchvision"):
        AutoProcessor.from_pretrained(folder)
    source = find_model(str(folder), revision=None, local_files_only=True)
    processor = load_processor(source, trust_remote_code=False)
    assert not hasattr(processor, "video_processor")
    assert processor.chat_template


def test_a_named_class_is_stripped_too() -> None:
    found = images_only(Qwen3VLProcessor, "", OFFLINE)
    assert found.get_attributes() == ["image_processor", "tokenizer"]
    assert issubclass(found, Qwen3VLProcessor)
    assert Qwen3VLProcessor.get_attributes() == ["image_processor", "tokenizer", "video_processor"]
    assert images_only(found, "", OFFLINE) is None


def test_nothing_is_left_out_where_it_would_not_help(
    model_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert images_only(AutoProcessor, str(model_folder("idefics3")), OFFLINE) is None
    assert images_only(Idefics3Processor, "", OFFLINE) is None
    assert images_only(AutoProcessor, str(tmp_path), OFFLINE) is None
    monkeypatch.setattr(module, "is_torchvision_available", lambda: True)
    assert images_only(AutoProcessor, str(model_folder("qwen3_vl")), OFFLINE) is None


def test_a_family_with_videos_that_lacks_a_file_says_which(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((model_folder("qwen3_vl") / "config.json").read_text())
    source = find_model(str(tmp_path), revision=None, local_files_only=True)
    with pytest.raises(ConfigError, match=r"cannot be loaded: OSError: .*image processor"):
        load_processor(source, trust_remote_code=False)
