"""Published accuracies on VHD11K, as reference lines.

Source: T2Vs Meet VLMs (arXiv 2409.19734), accuracy on harmful and on unharmful media, and their mean.
"""

from __future__ import annotations

from collections.abc import Mapping

from judge.bench.results import Published

SOURCE = "T2Vs Meet VLMs, arXiv 2409.19734"


def _rated(method: str, harmful: float, unharmful: float, average: float) -> Published:
    return Published(
        method=method, tpr=round(harmful / 100, 4), tnr=round(unharmful / 100, 4), average=round(average / 100, 4)
    )


def _mean(method: str, average: float) -> Published:
    return Published(method=method, average=round(average / 100, 4))


PUBLISHED: Mapping[str, tuple[Published, ...]] = {
    "vhd11k-images": (
        _rated("Q16", 11.40, 98.76, 55.08),
        _rated("HOD (YOLOv5)", 43.72, 74.90, 59.31),
        _rated("NudeNet", 2.70, 99.16, 50.93),
        _rated("Hive AI", 52.38, 82.72, 67.55),
        _mean("InstructBLIP, short prompt", 66.66),
        _mean("InstructBLIP, long prompt", 61.84),
        _mean("CogVLM, short prompt", 54.85),
        _mean("CogVLM, long prompt", 50.29),
        _mean("LLaVA-NeXT, short prompt", 52.45),
        _mean("LLaVA-NeXT, long prompt", 58.67),
        _mean("GPT-4V, short prompt", 64.36),
        _mean("GPT-4V, long prompt", 78.60),
    ),
    "vhd11k-videos": (
        _rated("Q16", 38.00, 85.20, 61.60),
        _rated("HOD (YOLOv5)", 69.4, 43.6, 56.5),
        _rated("NudeNet", 5.20, 96.40, 50.80),
        _rated("Hive AI", 49.80, 84.80, 67.30),
        _mean("InstructBLIP, short prompt", 67.30),
        _mean("InstructBLIP, long prompt", 50.00),
        _mean("CogVLM, short prompt", 57.30),
        _mean("CogVLM, long prompt", 52.20),
        _mean("LLaVA-NeXT, short prompt", 55.20),
        _mean("LLaVA-NeXT, long prompt", 60.90),
        _mean("GPT-4V, short prompt", 71.10),
        _mean("GPT-4V, long prompt", 79.60),
    ),
}
"""By dataset card."""
