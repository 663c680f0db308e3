"""The words that options of the command line take; what they mean is `StageChoice`."""

from __future__ import annotations

from enum import StrEnum


class RegionLocalizer(StrEnum):
    """Who finds the region; see `RegionSettings.localizer`."""

    off = "off"
    occlusion = "occlusion"
    owlv2 = "owlv2"


class DebateOrders(StrEnum):
    """Whether to debate what is still open, and in which speaking orders."""

    off = "off"
    one = "one"
    both = "both"


class Sampling(StrEnum):
    """See `SamplingSettings.strategy`."""

    adaptive = "adaptive"
    uniform = "uniform"
    fps = "fps"
    every = "every"
    keyframes = "keyframes"
    shots = "shots"
