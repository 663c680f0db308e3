"""The page's answers without a browser: what is served, what is not, and that a hostile verdict is only text."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from fastapi import Request
from fastapi.testclient import TestClient

from judge.client.wire import JudgeResult
from judge.config import JudgeConfig
from judge.engines.scripted import ScriptedEngine
from judge.errors import EngineError
from judge.types import InputError, Readings, Region, ScoreRow
from serve.backend import ModelCard
from serve.context import EVERYBODY, Caller, Context, OpenGate
from serve.gateway import create_gateway
from serve.problems import ApiError
from serve.routes.page import POLICY, SAMPLES, stage_switches
from serve.service import JudgeService
from serve.settings import Scope, ServeSettings
from tests.report.making import HOSTILE, debate, evidence, row, rule, segment, turn, video_row, vote

SAFE_TAGS = {
    "b", "bdi", "blockquote", "code", "dd", "details", "div", "dl", "dt", "h4", "i", "img", "li", "line", "g", "ol",
    "p", "path", "rect", "span", "summary", "svg", "text", "title", "tspan", "ul", "button",
}  # fmt: skip


class OneKey(OpenGate):
    """Lets in who has the key, as the contract of `Gate` says."""

    def require(self, scope: Scope) -> Callable[[Request], object]:  # type: ignore[override]
        async def known(request: Request) -> Caller:
            if request.headers.get("Authorization") != "Bearer sesame":
                raise ApiError(401, "invalid_api_key", "the API key is missing or unknown", hint="send another key")
            return EVERYBODY

        return known


class Silent(JudgeService):
    """Its model does not answer."""

    async def models(self) -> tuple[ModelCard, ...]:
        raise EngineError("the model is gone")


def client(settings: dict[str, object] | None = None, backend: JudgeService | None = None) -> TestClient:
    served = backend or JudgeService(ScriptedEngine({}, default=0.1), JudgeConfig())
    return TestClient(create_gateway(Context(ServeSettings.model_validate(settings or {}), served)))


def result(shown: ScoreRow, **more: object) -> JudgeResult:
    fields = {
        "id": "1", "input": shown.input, "decision": shown.decision, "flagged": shown.flagged,
        "score": shown.verdict.score if shown.verdict else None, "verdict": shown.verdict, "error": shown.error,
    }  # fmt: skip
    return JudgeResult.model_validate(fields | more)


def drawn(shown: JudgeResult) -> str:
    answer = client().post("/page/verdict", json=shown.model_dump(mode="json"))
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Security-Policy"] == POLICY
    return answer.text


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def hostile() -> JudgeResult:
    """Every text of a model, a file and a stranger is hostile."""
    talk = debate(turn("affirmative", 1, HOSTILE, model=HOSTILE), subject=HOSTILE, answer=HOSTILE, reason=HOSTILE)
    item = evidence(
        statement=HOSTILE, rationale=HOSTILE, reason=HOSTILE, precondition_id=HOSTILE, debates=(talk, vote()),
        regions=(Region(left=0.1, top=0.1, right=0.5, bottom=0.5, label=HOSTILE),),
        readings=Readings(observed=0.5, mass=1.0, references={HOSTILE: 0.5}),
    )  # fmt: skip
    decided = rule(HOSTILE, item, expression=HOSTILE, reason=HOSTILE)
    shown = video_row(
        rules=(decided,), segments=(segment(HOSTILE, 0, 100, 50, source=HOSTILE),), notices=(HOSTILE,), reason=HOSTILE,
        constitution=HOSTILE, model=HOSTILE, category_scores={HOSTILE: 0.5}, timings_ms={HOSTILE: 1.0},
    )  # fmt: skip
    return result(shown, input=HOSTILE)


def test_every_text_of_a_verdict_is_shown_as_text() -> None:
    text = drawn(hostile())
    found = Elements(text)
    assert found.tags <= SAFE_TAGS
    assert not {name for name in found.attributes if name.startswith("on") or name in ("style", "srcdoc", "href")}
    assert "alert(1)" in "".join(found.words)
    assert "\u202e" not in text
    assert "\x1b" not in text


def test_an_error_is_no_verdict_and_says_what_helps() -> None:
    error = InputError(code="media", message="<b>not a picture</b>", hint="send a PNG")
    text = drawn(result(ScoreRow(input="a", decision="uncertain", flagged=None, error=error)))
    words = " ".join("".join(Elements(text).words).split())
    assert words == "no verdict <b>not a picture</b> (send a PNG) Not judged means not known: never safe. Code: media"


def test_readings_are_shown_with_everything_that_was_read() -> None:
    item = evidence(readings=Readings(observed=0.55, mass=0.99, prior=0.2, occluded=0.11, references={"voted": 0.93}))
    words = " ".join(
        "".join(Elements(drawn(result(row(rule("violence.knife", item)))).replace("<", " <")).words).split()
    )
    for part in ("A knife is held.", "debate: satisfied", "image 0.55, label mass 0.99", "text only 0.20",
                 "region removed 0.11", "voted 0.93", "settled 0.93", "constitution c", "thresholds t"):  # fmt: skip
        assert part in words


def test_rules_that_no_slow_stage_looked_at_and_are_not_violated_stand_apart() -> None:
    voted = rule("d", evidence(stage="vote"), outcome="not_violated")
    rules = (rule("a", outcome="not_violated"), rule("b", outcome="abstained"), rule("c"), voted)
    text = drawn(result(row(*rules)))
    before, _, after = text.partition("1 other rule not violated")
    assert [re.findall(r'data-key="([abcd])"', part) for part in (before, after)] == [["b", "c", "d"], ["a"]]


def test_what_is_no_result_is_refused_in_the_services_words() -> None:
    answer = client().post("/page/verdict", json={"verdict": {}})
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "invalid_request"


def test_the_page_can_be_removed() -> None:
    removed = client({"http": {"page": False}})
    for path in ("/", "/page/main.js", "/page/style.css", "/page/samples/clip"):
        assert removed.get(path).status_code == 404
    assert removed.post("/page/verdict", json={}).status_code == 404


def test_every_file_that_the_page_names_is_served_under_the_same_policy() -> None:
    page = client()
    text = page.get("/").text
    named = re.findall(r'(?:href|src)="(page/[^"]+)"', text)
    assert {"page/style.css", "page/main.js", "page/icon.svg"} <= set(named)
    imported = re.findall(r'from "\./([\w.]+)"', page.get("/page/main.js").text)
    assert len(imported) == 2
    for path in ["", *named, *(f"page/{name}" for name in imported)]:
        answer = page.get(f"/{path}")
        assert answer.status_code == 200
        assert answer.headers["Content-Security-Policy"] == POLICY
    assert "<style" not in text
    assert not re.search(r"<script(?! type=\"module\" src=)|\sstyle=|\son\w+=|https?://", text)


@pytest.mark.parametrize(
    "path", ["/page/__init__.py", "/page/page.html.jinja", "/page/..%2froutes%2fpage.py", "/page/x"]
)
def test_nothing_else_is_served(path: str) -> None:
    assert client().get(path).status_code == 404


def test_the_page_is_no_part_of_the_public_api() -> None:
    paths = client().get("/openapi.json").json()["paths"]
    assert "/v1/judge" in paths
    assert not [path for path in paths if path == "/" or path.startswith("/page")]


def test_drawing_needs_a_key_where_judging_does() -> None:
    backend = JudgeService(ScriptedEngine({}, default=0.1), JudgeConfig())
    page = TestClient(create_gateway(Context(ServeSettings(), backend, gate=OneKey())))
    body = result(row()).model_dump(mode="json")
    assert page.post("/page/verdict", json=body).status_code == 401
    assert page.post("/page/verdict", json=body, headers={"Authorization": "Bearer sesame"}).status_code == 200
    assert page.get("/").status_code == 200


@pytest.mark.parametrize(("mode", "asks"), [("keys", True), ("open", False)])
def test_a_key_is_asked_for_where_the_service_asks_for_keys(mode: str, asks: bool) -> None:
    assert ('id="key"' in client({"auth": {"mode": mode}}).get("/").text) is asks


def test_samples_are_for_the_embedded_model_only() -> None:
    other = client()
    assert "data-sample" not in other.get("/").text
    assert other.get(f"/page/samples/{SAMPLES[0].key}").status_code == 404


def test_the_page_stays_while_the_model_does_not_answer() -> None:
    answer = client(backend=Silent(ScriptedEngine({}, default=0.1), JudgeConfig())).get("/")
    assert answer.status_code == 200
    assert "The model does not answer now." in answer.text


def test_the_choice_begins_as_the_settings_have_it() -> None:
    text = client({"constitution": "vhd11k@1.0.1"}).get("/").text
    assert re.findall(r'value="([^"]+)" selected', text) == ["vhd11k@1.0.1"]
    cascade = JudgeConfig.model_validate(
        {"cascade": {"debate": {"enabled": True, "orders": "both"}, "region": {"localizer": "owlv2"}}}
    ).cascade
    assert [(each.field, each.on, each.checked) for each in stage_switches(cascade)] == [
        ("region", '"owlv2"', True), ("reason", "true", False), ("vote", "true", False), ("debate", '"both"', True),
    ]  # fmt: skip
