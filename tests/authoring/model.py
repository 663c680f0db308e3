"""A stand-in for a model that can author: it recognises prompts by their template and answers from a table of tasks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

from judge.authoring import render
from judge.engines.base import Capabilities
from judge.engines.scripted import ScriptedEngine
from judge.types import Prompt

NAMES = {render.template_digest(name): name for name in render.TEMPLATES}
Answerer = Callable[[Prompt], str]


def kind(prompt: Prompt) -> str:
    """Which template a prompt was made of; a repetition counts as its first."""
    return NAMES[prompt.template_digest]


def text(prompt: Prompt) -> str:
    return prompt.messages[-1].text


def field(prompt: Prompt, name: str) -> str:
    """The last JSON string behind `name: ` at the start of a line."""
    found: str = json.loads(re.findall(rf"^{name}: (\".*\")$", text(prompt), flags=re.MULTILINE)[-1])
    return found


def facts(prompt: Prompt) -> dict[str, bool]:
    """What a case prompt says of its picture: statement -> whether it is so."""
    lines = re.findall(r"^- This is (so|not so): (\".*\")$", text(prompt), flags=re.MULTILINE)
    return {json.loads(statement): word == "so" for word, statement in lines}


def scripted(answers: Mapping[str, Answerer | str]) -> ScriptedEngine:
    """An engine that answers by template name."""

    def answer(prompt: Prompt) -> str:
        found = answers[kind(prompt)]
        return found if isinstance(found, str) else found(prompt)

    free = Capabilities(max_frames=64)  # without a schema all kinds of questions go in one call
    return ScriptedEngine(default_generation=answer, capabilities=free)


def asked(engine: ScriptedEngine) -> list[dict[str, int]]:
    """Per call, how many prompts of each template it had."""
    counts: list[dict[str, int]] = []
    for call in engine.calls:
        names = [kind(prompt) for prompt in call.prompts]
        counts.append({name: names.count(name) for name in dict.fromkeys(names)})
    return counts
