"""The guardrail: harm and doubt are blocked, and what was not judged is not called safe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from judge.errors import EngineError
from tests.serve.contract_app import HARMFUL, HARMLESS, UNCERTAIN, client, embedded_service, scripted

PATH = "/beta/litellm_basic_guardrail_api"
TEXT_POLICY = {"X-Constitution": "texts"}


@pytest.fixture(scope="module")
def http() -> Iterator[TestClient]:
    with client(embedded_service()) as found:
        yield found


def guarded(http: TestClient, headers: dict[str, str] | None = None, **body: object) -> dict[str, Any]:
    answer = http.post(PATH, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert (found["action"] == "BLOCKED") is bool(found["blocked_reason"])
    return found


def whole_call(**changed: object) -> dict[str, object]:
    """As the proxy sends it, with fields that are none of ours."""
    return {
        "input_type": "request",
        "litellm_call_id": "call-1",
        "litellm_trace_id": "trace-1",
        "litellm_version": "1.99.0",
        "structured_messages": [{"role": "user", "content": "hello"}],
        "tools": None,
        "tool_calls": None,
        "request_headers": {"user-agent": "[present]"},
        "request_data": {"user_api_key_hash": "88dc28", "user_api_key_user_email": "a@example.org"},
        "additional_provider_specific_params": {"constitution": "general", "threshold": 0.8},
        "texts": ["what is this?"],
        "images": [],
        **changed,
    }


def test_a_call_with_a_harmless_picture_goes_on(http: TestClient) -> None:
    found = guarded(http, **whole_call(images=[HARMLESS]))
    assert (found["action"], found["visual_judge"]["decision"]) == ("NONE", "safe")
    assert found["visual_judge"]["constitution"] == "stickers@1.0.2", "parameters of the body choose nothing"


def test_a_call_with_a_harmful_picture_is_blocked_with_its_rule(http: TestClient) -> None:
    found = guarded(http, **whole_call(images=[HARMLESS, HARMFUL], input_type="response"))
    assert found["action"] == "BLOCKED"
    assert found["blocked_reason"] == "image 2 breaks violence.weapon_threat"


def test_pictures_may_come_as_plain_base64(http: TestClient) -> None:
    found = guarded(http, images=[HARMFUL.partition(",")[2]])
    assert found["blocked_reason"] == "image 1 breaks violence.weapon_threat"


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (UNCERTAIN, "undecided"),
        ("@@", "base64"),
        ("AAAA", "not a picture"),
        ("", "empty"),
        ("https://images.example.org/a.png", "by URL are off"),
    ],
)
def test_doubt_is_blocked_unless_the_service_lets_it_pass(http: TestClient, image: str, reason: str) -> None:
    found = guarded(http, images=[HARMLESS, image])
    assert found["action"] == "BLOCKED"
    assert found["blocked_reason"].startswith("image 2 could not be judged: ")
    assert reason in found["blocked_reason"]


def test_doubt_passes_where_the_service_is_set_so_and_is_not_called_safe() -> None:
    _, service = scripted({"knife": 0.5})
    with client(service, contracts={"uncertain": "pass"}) as http:
        found = guarded(http, TEXT_POLICY, images=[HARMLESS, "@@"])
    assert (found["action"], found["visual_judge"]["decision"]) == ("NONE", "uncertain")


def test_too_many_pictures_are_doubt_and_not_an_error_that_may_be_waved_through(http: TestClient) -> None:
    found = guarded(http, images=[HARMLESS] * 100)
    assert found["action"] == "BLOCKED"
    assert "100 inputs, and at most 16" in found["blocked_reason"]


def test_text_that_no_rule_judges_is_not_called_safe(http: TestClient) -> None:
    for body in ({"texts": ["hello"]}, {"texts": ["hello"], "images": None}, {"texts": None}, {}):
        found = guarded(http, **body)
        assert (found["action"], found["visual_judge"]["decision"]) == ("NONE", None)


def test_text_that_no_rule_judges_can_be_blocked_but_an_empty_call_is_none() -> None:
    _, service = scripted({})
    with client(service, contracts={"unjudged_text": "block"}) as http:
        found = guarded(http, texts=["hello"])
        assert found["action"] == "BLOCKED"
        assert "'stickers@1.0.2' has no rule about text" in found["blocked_reason"]
        assert guarded(http, texts=["  ", ""])["action"] == "NONE"


def test_texts_are_judged_by_rules_about_text_also_beside_a_harmless_picture() -> None:
    _, service = scripted({}, {"insulted": lambda prompt: 0.9 if "rude" in prompt.messages[0].text else 0.1})
    with client(service) as http:
        kind = guarded(http, TEXT_POLICY, texts=["a kind word"])
        rude = guarded(http, TEXT_POLICY, texts=["a kind word", "a rude word"], images=[HARMLESS])
    assert (kind["action"], kind["visual_judge"]["decision"]) == ("NONE", "safe")
    assert rude["blocked_reason"] == "text 1 breaks hate.insult"


def test_a_long_call_is_judged_in_pieces_and_pictures_with_its_end() -> None:
    engine, service = scripted({}, {"insulted": lambda prompt: 0.9 if "rude" in prompt.messages[0].text else 0.1})
    with client(service) as http:
        found = guarded(http, TEXT_POLICY, texts=["rude " + "x" * 9_000, "y" * 25_000, "the end"], images=[HARMLESS])
    assert found["blocked_reason"] == "text 1 breaks hate.insult"
    assert [each["input"] for each in found["visual_judge"]["findings"]] == ["image", "text", "text", "text", "text"]
    shown = {prompt.messages[0].text for call in engine.calls for prompt in call.prompts if prompt.frames}
    assert all("y the end" in text and "rude" not in text for text in shown)


def test_a_constitution_that_is_not_there_is_an_error_of_the_configuration(http: TestClient) -> None:
    answer = http.post(PATH, json={"images": [HARMLESS]}, headers={"X-Constitution": "stickrs"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "config")


def test_a_model_that_fails_is_an_error_for_the_proxy_to_fall_back_on() -> None:
    _, service = scripted({"knife": EngineError("out of memory")})
    with client(service) as http:
        answer = http.post(PATH, json={"images": [HARMLESS]}, headers=TEXT_POLICY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "engine_unavailable")


@pytest.mark.parametrize("body", [{"texts": "hello"}, {"images": [5]}, {"texts": ["x"] * 10_001}, []])
def test_what_is_no_call_is_refused(http: TestClient, body: object) -> None:
    answer = http.post(PATH, json=body)
    assert (answer.status_code, answer.json()["error"]["type"]) == (422, "invalid_request_error")
