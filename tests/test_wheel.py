"""A wheel built from this checkout works on its own, outside the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from judge import assets
from judge.profiles import load_profiles
from judge.prompts.render import templates_digest

ROOT = Path(__file__).resolve().parents[1]
PROBE = """
import json, pathlib, judge
from judge import assets
from judge.constitution import load_constitution
from judge.profiles import load_profiles
from judge.prompts.render import templates_digest
print(json.dumps({
    "package": judge.__file__,
    "constitutions": {name: str(assets.constitution_path(name)) for name in assets.constitution_names()},
    "digests": [load_constitution(assets.constitution_path(name)).digest for name in assets.constitution_names()],
    "cards": {name: str(assets.card_path(name)) for name in assets.card_names()},
    "models": {name: str(assets.model_path(name)) for name in assets.model_names()},
    "samples": str(assets.sample_media_path()),
    "profiles": list(load_profiles()),
    "templates": templates_digest(),
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel alone; its dependencies are borrowed from this one, the checkout is not."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True, text=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    # A path in a .pth file is searched, but the .pth files in it (this checkout's editable install) are not read.
    (site_packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder


@pytest.mark.slow
def test_an_installed_wheel_finds_its_data_by_name(installed: Path, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    command = [str(installed / "bin" / "python"), "-c", PROBE]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    for path in (found["package"], found["samples"], *found["constitutions"].values(), *found["models"].values()):
        assert Path(path).is_relative_to(installed)
        assert Path(path).exists()
    assert tuple(found["constitutions"]) == assets.constitution_names()
    assert tuple(found["cards"]) == assets.card_names()
    assert tuple(found["models"]) == assets.model_names() == ("stickers-vlm",)
    assert found["profiles"] == list(load_profiles())
    assert found["templates"] == templates_digest()


@pytest.mark.slow
def test_the_console_script_works_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    command = [str(installed / "bin" / "judge"), "constitutions"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    for name in assets.constitution_names():
        assert name in done.stdout


@pytest.mark.slow
def test_the_wheel_holds_everything_that_is_read_at_run_time(wheel: Path) -> None:
    """Data files of the packages are in it one by one, so that a new one cannot be forgotten."""
    packed = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in ("judge", "serve")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    for kind in ("constitutions", "datasets"):
        expected |= {f"judge/_data/{kind}/{path.name}" for path in (ROOT / kind).iterdir()}
    assert expected <= packed
    foreign = [name for name in packed - expected if ".dist-info/" not in name]
    assert foreign == []
