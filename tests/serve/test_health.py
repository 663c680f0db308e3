"""`/healthz`, `/readyz` and `/v1/models`."""

from __future__ import annotations

import asyncio

import pytest

from judge.engines.scripted import ScriptedEngine
from judge.errors import EngineError
from serve.routes import health

from .gateways import HangingBackend, RaisingBackend, client, embedded_service, scripted_service


async def test_ready_asks_the_model_but_not_for_everybody_anew() -> None:
    engine = ScriptedEngine(default=0.5)
    async with client(scripted_service(engine)) as http:
        answers = await asyncio.gather(*(http.get("/readyz") for _ in range(20)))
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, '{"status":"ok"}')}
    assert len(engine.calls) == 1


async def test_ready_asks_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[float | Exception] = [0.5, EngineError("died"), 0.5]

    def next_answer(prompt: object) -> float:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(health, "_KEPT_S", 0.0)
    async with client(scripted_service(ScriptedEngine(default=next_answer))) as http:
        statuses = [(await http.get("/readyz")).status_code for _ in range(3)]
    assert statuses == [200, 503, 200]


@pytest.mark.parametrize("error", [EngineError("secret"), ZeroDivisionError("secret")])
async def test_a_model_that_does_not_answer_is_not_ready_but_alive(error: Exception) -> None:
    async with client(RaisingBackend(error)) as http:
        ready, alive = await http.get("/readyz"), await http.get("/healthz")
    assert (ready.status_code, ready.json()["error"]["code"]) == (503, "engine_unavailable")
    assert ready.headers["Retry-After"] == "1"
    assert "secret" not in ready.text
    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})


async def test_a_model_that_hangs_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_PATIENCE_S", 0.01)
    async with client(HangingBackend()) as http:
        answer = await http.get("/readyz")
    assert answer.status_code == 503


async def test_models() -> None:
    async with client(embedded_service()) as http:
        answer = await http.get("/v1/models")
    (model,) = answer.json()["data"]
    assert len(model.pop("digest")) == 64
    assert model == {
        "id": "stickers-vlm", "object": "model", "owned_by": "visual-judge", "role": "judge",
        "runtime": "transformers/float32/cpu", "domain": "scenes composed of emoji stickers, not photographs",
        "capabilities": ["choice_probabilities", "generation", "images", "structured"],
    }  # fmt: skip
