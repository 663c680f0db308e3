"""Who plays which role in a debate, and what is debated."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

from judge.config import DebateRole, DebateSettings
from judge.engines.base import Capabilities, Engine
from judge.engines.build import check_capabilities
from judge.errors import ConfigError
from judge.prompts.debate import JudgedExample, Subject
from judge.types import Frame, Media


@dataclass(frozen=True, slots=True)
class Cast:
    """The players. Roles without an engine of their own are played by `engine`."""

    engine: Engine
    panel: Mapping[DebateRole, Engine] = field(default_factory=dict)

    def player(self, role: DebateRole) -> Engine:
        return self.panel.get(role, self.engine)

    def name(self, role: DebateRole) -> str:
        """Of the model that plays the role; empty if that is `engine`."""
        player = self.player(role)
        return "" if player is self.engine else player.info.name

    def text_for(self, role: DebateRole, media: Media | None) -> str:
        """What was posted with the media, for a player that reads it; else empty."""
        return media.text if media is not None and self.player(role).info.reads_text else ""

    @property
    def digest(self) -> str:
        """sha256 (hex) of the other models and their roles; empty if there are none."""
        others = sorted(f"{role}={engine.info.digest}" for role, engine in self.panel.items())
        return hashlib.sha256(" ".join(others).encode()).hexdigest() if others else ""


@dataclass(frozen=True, slots=True)
class Motion:
    """One thing to be debated.

    Attributes:
        subject: What is argued about.
        frames: What everybody sees.
        examples: Media judged before, for the roles that may see them.
        media: Whose token budget is spent; None = that of the motions with the same frames.
    """

    subject: Subject
    frames: tuple[Frame, ...]
    examples: tuple[JudgedExample, ...] = ()
    media: Media | None = None


def sees_examples(role: DebateRole, settings: DebateSettings) -> bool:
    return settings.examples_for == "everybody" or (settings.examples_for == "judge" and role == "judge")


def check_cast(
    cast: Cast, settings: DebateSettings, *, examples: Sequence[JudgedExample] = (), frames: int = 1
) -> None:
    """Fail at start-up instead of in the first debate.

    Args:
        cast: The players.
        settings: Which roles there are, and who sees examples.
        examples: What a prompt may hold at most.
        frames: Most frames in question.

    Raises:
        ConfigError: A model cannot play its role: it does not write, gives no probabilities, was trained to be asked
            in one format only, or takes too few pictures at once for the examples.
    """
    shown = sum(len(example.frames) for example in examples[: settings.max_examples])
    for role in get_args(DebateRole):
        if role == "critic" and not settings.critic:
            continue
        player = cast.player(role)
        check_writer(player, "a debate")
        needed = frames + (shown if sees_examples(role, settings) else 0)
        if needed > player.capabilities.max_frames:
            raise ConfigError(
                f"model '{player.info.name}' takes {player.capabilities.max_frames} pictures at once, "
                f"and the {role} of a debate is shown {needed}, {needed - frames} of them in examples",
                hint="set cascade.debate.max_examples lower or examples_for to nobody, or choose another model",
            )
        if role == "judge":
            check_capabilities(player, replace(_WRITES, choice_probabilities=True))


def check_writer(engine: Engine, purpose: str) -> None:
    """Refuse an engine that cannot argue in words.

    Raises:
        ConfigError: It does not write, or knows one format of questions only.
    """
    if engine.info.question_format is not None:
        raise ConfigError(
            f"model '{engine.info.name}' is asked in the format of its training, which has no room for {purpose}",
            hint="switch that stage off, or choose a model that is no guard model",
        )
    check_capabilities(engine, _WRITES)


_WRITES = Capabilities(choice_probabilities=False, generation=True, text_only=False)
