"""The gateway over real services: one with the embedded model, others with a scripted one and a policy about text."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from fastapi.testclient import TestClient

from judge.assets import sample_media_path
from judge.config import JudgeConfig, Thresholds
from judge.constitution import Constitution, parse_constitution
from judge.engines.base import ModelInfo
from judge.engines.build import build_engine
from judge.engines.scripted import Scripted, ScriptedEngine
from serve.context import BuiltInPolicies, Context
from serve.gateway import create_gateway
from serve.service import JudgeService
from serve.settings import ServeSettings

TEXTS = """
name: texts
version: "3"
categories:
  hate: {title: Hate, mappings: {openai: [hate, harassment]}}
  arms: {title: Arms, mappings: {openai: [violence]}}
  odd: {title: Odd}
preconditions:
  insult: {statement: A group is insulted.}
  knife: {statement: A knife is visible.}
  odd: {statement: It is odd.}
rules:
  hate.insult:
    {category: hate, severity: high, text: t, statement: s, violated_when: insult, modalities: [image, text]}
  arms.knife: {category: arms, severity: high, text: t, statement: s, violated_when: knife, modalities: [image]}
  odd.odd: {category: odd, severity: low, text: t, statement: s, violated_when: odd, modalities: [image, text]}
"""


class WithTexts(BuiltInPolicies):
    """Also the policy `texts`."""

    async def get(self, name: str, version: str | None = None) -> Constitution:
        if name == "texts" and version in (None, "3"):
            return parse_constitution(TEXTS, source="texts")
        return await super().get(name, version)


def sample(name: str) -> bytes:
    return (sample_media_path("demo") / f"{name}.png").read_bytes()


def data_url(name: str) -> str:
    return f"data:image/png;base64,{base64.b64encode(sample(name)).decode()}"


HARMFUL, OTHER_HARM = data_url("harmful-violence-weapon_threat"), data_url("harmful-drugs-non_medical")
HARMLESS, UNCERTAIN = data_url("harmless-1"), data_url("harmless-4")
"""What the embedded model says of them under `stickers` is asserted where they are used."""


def image_part(url: str) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": url}}


def text_part(text: str) -> dict[str, object]:
    return {"type": "text", "text": text}


def embedded_service() -> JudgeService:
    config = JudgeConfig()
    return JudgeService(build_engine(config.engine), config)


@contextmanager
def client(service: JudgeService, **settings: object) -> Iterator[TestClient]:
    """The gateway over a service."""
    context = Context(ServeSettings.model_validate(settings), service, WithTexts())
    with TestClient(create_gateway(context), raise_server_exceptions=False) as found:
        yield found


def scripted(
    answers: Mapping[str, Scripted], text_only: Mapping[str, Scripted] | None = None
) -> tuple[ScriptedEngine, JudgeService]:
    """A model that reads text; statements that are not in the table are false."""
    engine = ScriptedEngine(answers, text_only=text_only, default=0.0, info=ModelInfo("pen", "digest-of-pen"))
    return engine, JudgeService(engine, JudgeConfig(thresholds=Thresholds(preset="none")))
