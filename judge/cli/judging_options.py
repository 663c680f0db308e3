"""Options that every command has which judges: where they come from and what is asked, the same words everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional, get_args

import typer

from judge.cli.stages import DebateOrders, RegionLocalizer, Sampling
from judge.config import EngineConfig, Preset, StageChoice
from judge.engines.build import ENGINES

EMBEDDED_NOTE = (
    "note: no --model given: the embedded model answers; it judges scenes of emoji stickers only, never photographs"
)

ConstitutionName = Annotated[str, typer.Option(help="Built-in name or YAML file.")]
EngineName = Annotated[Optional[str], typer.Option(help=f"One of {', '.join(ENGINES.names())}.")]  # noqa: UP045
ModelName = Annotated[Optional[str], typer.Option(help="Name (see `judge models`), folder, or Hugging Face id.")]  # noqa: UP045
ConfigFile = Annotated[Optional[Path], typer.Option(help="YAML with every setting.")]  # noqa: UP045
PresetName = Annotated[Optional[str], typer.Option(help=f"One of {', '.join(get_args(Preset))}.")]  # noqa: UP045
RegionChoice = Annotated[Optional[RegionLocalizer], typer.Option(help="Region test of what is undecided.")]  # noqa: UP045
ReasonChoice = Annotated[Optional[bool], typer.Option(help="Reason step by step about what is undecided.")]  # noqa: UP045
VoteChoice = Annotated[Optional[bool], typer.Option(help="Vote on what is still undecided.")]  # noqa: UP045
DebateChoice = Annotated[Optional[DebateOrders], typer.Option(help="Debate what is still undecided.")]  # noqa: UP045
SamplingChoice = Annotated[Optional[Sampling], typer.Option(help="Which frames of a video are judged.")]  # noqa: UP045
FramesChoice = Annotated[Optional[int], typer.Option(min=1, help="Most frames judged of one video.")]  # noqa: UP045
DeviceName = Annotated[Optional[str], typer.Option(help="auto, cpu, cuda, cuda:0...")]  # noqa: UP045
DtypeName = Annotated[Optional[str], typer.Option(help="auto, float32, bfloat16, float16.")]  # noqa: UP045


def stage_choice(
    *,
    region: RegionLocalizer | None,
    reason: bool | None,
    vote: bool | None,
    debate: DebateOrders | None,
    sampling: Sampling | None,
    frames: int | None,
) -> StageChoice:
    """What the options say of the stages; None changes nothing."""
    return StageChoice(
        region=region and region.value, reason=reason, vote=vote, debate=debate and debate.value,
        sampling=sampling and sampling.value, frames=frames,
    )  # fmt: skip


def is_embedded(engine: EngineConfig) -> bool:
    """Whether nobody chose an engine or a model."""
    default = EngineConfig()
    return (engine.name, engine.model) == (default.name, default.model)
