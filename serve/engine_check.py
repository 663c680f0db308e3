"""Does a model answer at all? Not: does it answer well (`judge.canary`)."""

from __future__ import annotations

from judge.engines.base import Engine
from judge.errors import EngineError
from judge.media.views import blank_frame
from judge.prompts.render import precondition_prompt


async def check_engine(engine: Engine) -> None:
    """Ask one small question. Raises `EngineError` if there is no answer to it."""
    (answer,) = await engine.choose([precondition_prompt("A picture is shown.", (blank_frame(),))])
    if not 0.0 <= answer.mass <= 1.0:
        raise EngineError(f"model '{engine.info.name}' does not answer with probabilities")
