"""A motion, and models that play the roles of a debate from a script."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from judge.config import DebateSettings, Thresholds
from judge.engines.base import Capabilities, Engine, ModelInfo
from judge.engines.scripted import Answer, ScriptedEngine, Written
from judge.prompts.debate import Subject
from judge.stages.cast import Cast, Motion
from judge.stages.debate import hold_debates
from judge.types import (
    Debate,
    Frame,
    Prompt,
)

KNIFE = "A knife is visible."
PRO, CON, YES = "The blade is long.", "It is a plain spoon.", "Yes, a blade."


def frame(gray: int = 0) -> Frame:
    return Frame(gray, 0.0, np.full((8, 8, 3), gray, dtype=np.uint8))


def motion(statement: str = KNIFE, picture: Frame | None = None) -> Motion:
    return Motion(Subject("precondition", (statement,)), (picture or frame(),))


def brightness(prompt: Prompt) -> float:
    return float(prompt.frames[-1].image[0, 0, 0]) / 255.0


def debater(
    reading: float | Answer | Exception | Callable[[Prompt], float | Answer] = 0.9,
    *,
    affirmative: Written = PRO,
    negative: Written = CON,
    judge: Written = YES,
    critic: Written = "The blade is there.",
    name: str = "pen",
    capabilities: Capabilities | None = None,
) -> ScriptedEngine:
    said = {"affirmative": affirmative, "negative": negative, "judge": judge, "critic": critic}
    return ScriptedEngine(
        default=reading,
        generations={f"You are the {role}.": text for role, text in said.items()},
        info=ModelInfo(name, f"digest of {name}"),
        capabilities=capabilities,
    )


def rising(*readings: float | Answer) -> Callable[[Prompt], float | Answer]:
    """The judge's reading by the number of turns that it has heard of both sides."""
    return lambda prompt: readings[prompt.messages[0].text.count("\nAffirmative: ") - 1]


async def hold(engine: Engine, *motions: Motion, **settings: object) -> list[tuple[Debate, ...]]:
    chosen = DebateSettings.model_validate(settings)
    return await hold_debates(Cast(engine), motions or (motion(),), chosen, Thresholds())


async def hold_one(engine: Engine, **settings: object) -> Debate:
    ((debate,),) = await hold(engine, **settings)
    return debate


def turns(debate: Debate) -> list[tuple[str, int, str, float | None]]:
    return [(turn.speaker, turn.round, turn.text, turn.probability) for turn in debate.turns]


def calls(engine: ScriptedEngine) -> list[tuple[str, int]]:
    return [(call.method, len(call.prompts)) for call in engine.calls]


def words(prompt: Prompt) -> int:
    return len(prompt.messages[0].text.split())
