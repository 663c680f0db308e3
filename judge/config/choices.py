"""What a caller may choose anew for each call: stages of the cascade, and how videos are sampled."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from judge.config.base import Settings
from judge.config.cascade import Cascade
from judge.config.judge import JudgeConfig
from judge.config.video import SamplingName, VideoSettings


class StageChoice(Settings):
    """Laid over the settings; null = as the settings have it."""

    region: Literal["off", "occlusion", "owlv2"] | None = None
    """Region test of what is undecided; who finds the region."""
    reason: bool | None = None
    """Reason step by step about what is undecided."""
    vote: bool | None = None
    """Vote on what is still undecided."""
    debate: Literal["off", "one", "both"] | None = None
    """Debate what is still undecided, in one speaking order or in both."""
    sampling: SamplingName | None = None
    """Which frames of a video are judged."""
    frames: Annotated[int, Field(ge=1)] | None = None
    """Most frames judged of one video."""

    def over(self, settings: JudgeConfig) -> JudgeConfig:
        """The settings with this choice laid over them."""
        return settings.model_copy(
            update={"cascade": self._cascade(settings.cascade), "video": self._video(settings.video)}
        )

    def _cascade(self, cascade: Cascade) -> Cascade:
        changed: dict[str, object] = {}
        if self.region is not None:
            changed["region"] = cascade.region.model_copy(update={"localizer": self.region})
        if self.reason is not None:
            changed["reasoning"] = cascade.reasoning.model_copy(update={"enabled": self.reason})
        if self.vote is not None:
            changed["vote"] = cascade.vote.model_copy(update={"enabled": self.vote})
        if self.debate == "off":
            changed["debate"] = cascade.debate.model_copy(update={"enabled": False})
        elif self.debate is not None:
            orders = "both" if self.debate == "both" else _one_order(cascade.debate.orders)
            changed["debate"] = cascade.debate.model_copy(update={"enabled": True, "orders": orders})
        return cascade.model_copy(update=changed)

    def _video(self, video: VideoSettings) -> VideoSettings:
        changed: dict[str, object] = {}
        if self.sampling is not None:
            changed["strategy"] = self.sampling
        if self.frames is not None:
            changed |= {"max_frames": self.frames, "frames": self.frames}
        return video.model_copy(update={"sampling": video.sampling.model_copy(update=changed)})


def _one_order(orders: str) -> str:
    return "affirmative_first" if orders == "both" else orders
