"""What is listed without loading a detector is what the loaded one says."""

from __future__ import annotations

import pytest

from judge.bench.detectors.build import build_detector, detector_names, parse_detector
from judge.bench.detectors.catalogue import CATALOGUE

RUN_HERE = {
    "nudenet": "nudenet",
    "openai-moderation": "openai-moderation,base_url=http://127.0.0.1:1/v1",
    "ours-fast": "ours-fast",
    "ours-full": "ours-full",
    "ours-policy-direct": "ours-policy-direct",
}


def test_every_name_is_listed() -> None:
    assert tuple(sorted(CATALOGUE)) == detector_names()


@pytest.mark.parametrize("name", RUN_HERE)
def test_the_list_is_right(name: str) -> None:
    if name == "nudenet":
        pytest.importorskip("nudenet")
    listed, info = CATALOGUE[name], build_detector(parse_detector(RUN_HERE[name])).info
    assert info.modalities == set(listed.modalities)
    assert info.categories == set(listed.categories() or ())
    assert listed.threshold in (None, info.threshold)
