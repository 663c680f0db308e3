"""Lines that name a detector: what they say, and what is told of those that say nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from judge.bench.detectors.base import DetectorSettings
from judge.bench.detectors.build import build_detector, detector_names, parse_detector
from judge.bench.detectors.options import read_options
from judge.config import Settings
from judge.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]


class Some(Settings):
    classes: int = 5


def test_names_are_sorted_and_can_be_said_without_more() -> None:
    names = detector_names()
    assert names == tuple(sorted(names))
    assert {"ours-fast", "ours-full", "ours-policy-direct", "nudenet", "openai-moderation", "i2p", "q16"} <= set(names)
    assert [parse_detector(name) for name in names] == [DetectorSettings(name=name) for name in names]


def test_fields_are_settings_and_the_rest_are_options() -> None:
    line = "nudenet,threshold=0.6,batch=4,label=NudeNet, strict,classes=[A, B],version=v3,deep={a: 1}"
    assert parse_detector(line) == DetectorSettings(
        name="nudenet", threshold=0.6, batch=4, label="NudeNet, strict",
        options={"classes": ["A", "B"], "version": "v3", "deep": {"a": 1}},
    )  # fmt: skip


def test_texts_stay_as_they_are_written() -> None:
    found = parse_detector(
        "openai-moderation,model=007,base_url=http://127.0.0.1:8000/v1,api_key_env=KEY,device=cuda:0"
    )
    assert (found.model, found.base_url, found.device) == ("007", "http://127.0.0.1:8000/v1", "cuda:0")


def test_words_that_yaml_takes_for_booleans_and_dates_stay_words() -> None:
    options = parse_detector("ours-full,region=off,reason=false,a=no,b=2026-01-01,c=null,d=On").options
    assert options == {"region": "off", "reason": False, "a": "no", "b": "2026-01-01", "c": None, "d": "On"}


def test_commas_within_brackets_part_nothing() -> None:
    found = parse_detector('i2p,parts=["q16,model=weights", {name: nudenet, threshold: 0.6}],label=a]b,batch=2')
    assert found.options == {"parts": ["q16,model=weights", {"name": "nudenet", "threshold": 0.6}]}
    assert (found.label, found.batch) == ("a]b", 2)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("nudnet", "unknown detector 'nudnet' (did you mean 'nudenet'?)"),
        ("", "unknown detector ''"),
        ("x" * 10_000, "unknown detector 'xxx"),
        ("../nudenet", "unknown detector '../nudenet'"),
        ("nudenet,", "'' is not of the form key=value"),
        ("nudenet,0.5", "'0.5' is not of the form key=value"),
        ("nudenet,threshold=0.5,threshold=0.6", "'threshold' is given twice"),
        ("nudenet,a=1,a=1", "'a' is given twice"),
        ("nudenet,name=q16", "'name' cannot be set here"),
        ("nudenet,options={a: 1}", "give every option by its own name"),
        ("nudenet,threshold=2", "threshold: Input should be less than or equal to 1"),
        ("nudenet,threshold=high", "threshold: "),
        ("nudenet,batch=0", "batch: "),
        ("nudenet,classes=[A", "the value of 'classes' is not YAML"),
        ("nudenet,classes=!!python/name:os.system", "the value of 'classes' is not YAML"),
        ("nudenet,classes=!!set {A}", "options.classes"),
        ("nudenet,classes=" + "[" * 5_000, "the value of 'classes' is not YAML"),
    ],
)
def test_what_cannot_be_read_is_told(line: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_detector(line)
    assert told in str(error.value)


def test_a_name_in_settings_of_one_own_is_checked_as_well() -> None:
    with pytest.raises(ConfigError, match="unknown detector 'nudnet'"):
        build_detector(DetectorSettings(name="nudnet"))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (DetectorSettings(name="n", options={"clases": 1}), "has no option 'clases' (did you mean 'classes'?)"),
        (DetectorSettings(name="n", options={"treshold": 1}), "has no option 'treshold' (did you mean 'threshold'?)"),
        (DetectorSettings(name="n", options={"classes": "many"}), "option classes: "),
        (DetectorSettings(name="n", base_url="http://a"), "has no use for 'base_url'"),
        (DetectorSettings(name="n", device="cuda"), "has no use for 'device'"),
    ],
)
def test_options_that_do_nothing_are_errors(settings: DetectorSettings, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_options(Some, settings, uses=("model",))
    assert told in str(error.value)


def test_options_that_are_known_are_read() -> None:
    settings = DetectorSettings(name="n", model="weights", options={"classes": 9})
    assert read_options(Some, settings, uses=("model",)) == Some(classes=9)


def test_naming_loads_no_detector() -> None:
    code = (
        "import sys; from judge.bench.detectors.build import *; [parse_detector(n) for n in detector_names()];"
        "print([m for m in ('torch', 'transformers', 'nudenet', 'cv2', 'onnxruntime') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
