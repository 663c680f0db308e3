"""Where the weights come from: the hub's cache without a network, old weight files, missing packages, light imports."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from judge.bench.detectors.sd_safety_checker import SdSafetyChecker
from judge.errors import ConfigError
from tests.bench.detectors.pictures import picture
from tests.bench.detectors.tiny_checkpoints import (
    tiny_falconsai,
    tiny_laion,
    tiny_q16,
    tiny_sd_safety_checker,
    tiny_shieldgemma,
)

ROOT = Path(__file__).resolve().parents[3]
MODULES = ("q16", "sd_safety_checker", "image_classifier", "laion", "shieldgemma", "guard")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False)


def in_cache(cache: Path, repository: str, folder: Path) -> None:
    """As the hub's library lays out what it has downloaded."""
    base = cache / f"models--{repository.replace('/', '--')}"
    shutil.copytree(folder, base / "snapshots" / COMMIT)
    (base / "refs").mkdir()
    (base / "refs" / "main").write_text(COMMIT)


def test_importing_detectors_loads_no_model_library() -> None:
    imports = "; ".join(f"import judge.bench.detectors.{name}" for name in MODULES)
    done = run(
        f"import json, sys; {imports}; print(json.dumps(sorted({{'torch', 'transformers'}} & set(sys.modules))))"
    )
    assert json.loads(done.stdout) == [], done.stderr


def test_the_published_models_are_found_in_the_hub_s_cache_without_a_network(tmp_path: Path) -> None:
    """Every default model once; without it in the cache, the error names the way out."""
    for name, repository, make in [
        ("falconsai", "Falconsai/nsfw_image_detection", tiny_falconsai),
        ("clip", "openai/clip-vit-large-patch14", tiny_q16),
        ("laion", "", tiny_laion),
        ("checker", "CompVis/stable-diffusion-safety-checker", tiny_sd_safety_checker),
        ("shieldgemma", "google/shieldgemma-2-4b-it", tiny_shieldgemma),
    ]:
        (tmp_path / name).mkdir()
        make(tmp_path / name)
        if repository:
            in_cache(tmp_path / "cache", repository, tmp_path / name)
    code = f"""
import asyncio, json, shutil
from judge.bench.detectors.base import DetectorSettings
from judge.bench.detectors.image_classifier import Falconsai
from judge.bench.detectors.laion import LaionHead
from judge.bench.detectors.q16 import Q16
from judge.bench.detectors.sd_safety_checker import SdSafetyChecker
from judge.bench.detectors.shieldgemma import ShieldGemma2
from judge.errors import ConfigError
from tests.bench.detectors.pictures import picture
found = {{}}
def look(kind, **options):
    settings = DetectorSettings(name=kind.__name__, device="cpu", options=options)
    detector = kind.from_settings(settings)
    (said,) = asyncio.run(detector.detect([picture(1)]))
    found[kind.__name__] = (detector.info.name, said.score is not None)
look(Falconsai); look(SdSafetyChecker); look(ShieldGemma2)
look(Q16, prompts={str(tmp_path / "clip" / "prompts.npy")!r})
look(LaionHead, head={str(tmp_path / "laion" / "head.safetensors")!r})
shutil.rmtree({str(tmp_path / "cache")!r})
try:
    look(Falconsai)
except ConfigError as error:
    found["error"] = str(error)
print(json.dumps(found))
"""
    done = run(code, HF_HUB_CACHE=str(tmp_path / "cache"), HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert "the hub cannot be reached" in found["error"]
    assert "download the model and name its folder" in found.pop("error")
    assert found == {
        "Falconsai": ["Falconsai(Falconsai/nsfw_image_detection, 0.5)", True],
        "SdSafetyChecker": ["SdSafetyChecker(CompVis/stable-diffusion-safety-checker, 0.5)", True],
        "ShieldGemma2": ["ShieldGemma2(google/shieldgemma-2-4b-it, 0.5)", True],
        "Q16": ["Q16(openai/clip-vit-large-patch14, 0.5)", True],
        "LaionHead": ["LaionHead(openai/clip-vit-large-patch14, 0.5)", True],
    }


def test_a_missing_package_is_named_with_the_extra_that_brings_it(tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules["torch"] = None
from judge.bench.detectors.base import DetectorSettings
from judge.bench.detectors import guard, image_classifier, laion, q16, sd_safety_checker, shieldgemma
from judge.errors import ConfigError
import numpy
numpy.save({str(tmp_path / "prompts.npy")!r}, numpy.ones((2, 3)))
kinds = [image_classifier.Falconsai, laion.LaionHead, q16.Q16, sd_safety_checker.SdSafetyChecker]
kinds += [shieldgemma.ShieldGemma2, guard.LlavaGuard]
options = {{q16.Q16: {{"prompts": {str(tmp_path / "prompts.npy")!r}}}, laion.LaionHead: {{"head": "head.pth"}}}}
for kind in kinds:
    try:
        kind.from_settings(DetectorSettings(name="x", options=options.get(kind, {{}})))
    except ConfigError as error:
        assert "torch" in str(error) and ("visual-judge[transformers]" in str(error) or "extra" in str(error)), error
    else:
        raise AssertionError(kind)
"""
    done = run(code)
    assert done.returncode == 0, done.stderr


async def test_weights_in_the_older_file_are_read(tmp_path: Path) -> None:
    settings = tiny_sd_safety_checker(tmp_path)
    media = [picture(seed) for seed in range(3)]
    wanted = await SdSafetyChecker.from_settings(settings).detect(media)
    tensors = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    found = await SdSafetyChecker.from_settings(settings).detect(media)
    assert [each.score for each in found] == [each.score for each in wanted]


class Hostile:
    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (open, (self.path, "w"))


def test_weights_that_run_code_do_not(tmp_path: Path) -> None:
    settings = tiny_sd_safety_checker(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({"concept_embeds": Hostile(tmp_path / "ran")}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ConfigError):
        SdSafetyChecker.from_settings(settings)
    assert not (tmp_path / "ran").exists()
