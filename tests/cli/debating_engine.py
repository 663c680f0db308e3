"""A scripted engine that looks at how light a picture is, by the name `debating` in a configuration.

Model `learns`: light is harmful, and dark too once an example says so. `never`: light only. `unsure`: it reads 0.5.
`refuses`: its judge will not answer. `broken`: it fails beside pictures of gray level 66.
"""

from __future__ import annotations

from typing import ClassVar

from judge.config import EngineConfig
from judge.engines.build import ENGINES
from judge.engines.scripted import ScriptedEngine
from judge.errors import EngineError
from judge.types import Frame, Prompt

LIGHT, DARK, HARMLESS, BREAKS = 220, 20, 110, 66


class DebatingEngine(ScriptedEngine):
    """Keeps the engines that were built, for tests to look into."""

    built: ClassVar[list[DebatingEngine]] = []

    @classmethod
    def from_config(cls, config: EngineConfig) -> DebatingEngine:
        def harmful(prompt: Prompt) -> bool:
            question, examples = gray(prompt.frames[-1]), [gray(frame) for frame in prompt.frames[:-1]]
            if config.model == "broken" and question == BREAKS:
                raise EngineError("the card fell out")
            return question == LIGHT or (config.model == "learns" and question == DARK and DARK in examples)

        def probability(prompt: Prompt) -> float:
            return 0.5 if config.model == "unsure" else 0.97 if harmful(prompt) else 0.03

        def ruling(prompt: Prompt) -> str:
            if config.model == "refuses":
                return "I'm sorry, but I can't assist with that request."
            return "Yes, weapons." if harmful(prompt) else "No, a gray field."

        engine = cls(
            default=probability,
            generations={"You are the judge": ruling, "You are the critic": "It holds, =1+1."},
            default_generation=lambda prompt: f'It is gray level {gray(prompt.frames[-1])},\n"plainly".',
        )
        cls.built.append(engine)
        return engine


def gray(frame: Frame) -> int:
    return int(frame.image.mean())


ENGINES.register("debating", f"{__name__}:DebatingEngine")
