"""Options that switch stages of the cascade on and off, and say how videos are sampled."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from judge.config import Cascade, JudgeConfig, SamplingName, VideoSettings


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


@dataclass(frozen=True, slots=True)
class StageOptions:
    """What was given on the command line; None = as the settings have it."""

    region: RegionLocalizer | None = None
    reason: bool | None = None
    vote: bool | None = None
    debate: DebateOrders | None = None
    sampling: Sampling | None = None
    frames: int | None = None

    def over(self, settings: JudgeConfig) -> JudgeConfig:
        """The settings with these options laid over them."""
        return settings.model_copy(
            update={"cascade": self._cascade(settings.cascade), "video": self._video(settings.video)}
        )

    def _cascade(self, cascade: Cascade) -> Cascade:
        changed: dict[str, object] = {}
        if self.region is not None:
            changed["region"] = cascade.region.model_copy(update={"localizer": self.region.value})
        if self.reason is not None:
            changed["reasoning"] = cascade.reasoning.model_copy(update={"enabled": self.reason})
        if self.vote is not None:
            changed["vote"] = cascade.vote.model_copy(update={"enabled": self.vote})
        if self.debate is DebateOrders.off:
            changed["debate"] = cascade.debate.model_copy(update={"enabled": False})
        elif self.debate is not None:
            orders = "both" if self.debate is DebateOrders.both else _one_order(cascade.debate.orders)
            changed["debate"] = cascade.debate.model_copy(update={"enabled": True, "orders": orders})
        return cascade.model_copy(update=changed)

    def _video(self, video: VideoSettings) -> VideoSettings:
        changed: dict[str, object] = {}
        if self.sampling is not None:
            strategy: SamplingName = self.sampling.value
            changed["strategy"] = strategy
        if self.frames is not None:
            changed |= {"max_frames": self.frames, "frames": self.frames}
        return video.model_copy(update={"sampling": video.sampling.model_copy(update=changed)})


def _one_order(orders: str) -> str:
    return "affirmative_first" if orders == "both" else orders
