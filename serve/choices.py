"""What callers may choose of the stages: nothing that makes the service load a model, or takes more memory than it has
planned for."""

from __future__ import annotations

from judge.config import JudgeConfig, StageChoice
from serve.problems import ApiError


def check_stages(stages: StageChoice, config: JudgeConfig) -> None:
    """Refuse a choice that goes beyond the service's settings.

    Raises:
        ApiError: 422.
    """
    if stages.region == "owlv2" and config.cascade.region.localizer != "owlv2":
        raise ApiError(
            422, "stage_not_available", "the localizer 'owlv2' is not loaded here", param="stages.region",
            hint="choose 'occlusion', which needs no model of its own",
        )  # fmt: skip
    most = config.video.sampling.max_frames
    if stages.frames is not None and stages.frames > most:
        message = f"{stages.frames:,} frames are more than the {most:,} judged of one video here"
        raise ApiError(422, "too_many_frames", message, param="stages.frames")
