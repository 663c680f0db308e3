"""`GET /`: a page to try the service in a browser. It calls `POST /v1/judge` as any other client does.

Verdicts are drawn here, with the templates of `judge.report`, not by a second renderer in the browser: what a page
shows of a verdict, and that all of it is escaped, is decided in one place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import jinja2
from fastapi import APIRouter, Depends
from fastapi.responses import FileResponse, HTMLResponse, Response

from judge import __version__
from judge.assets import model_names, sample_media_path
from judge.client.wire import JudgeResult
from judge.config import Cascade
from judge.errors import EngineError
from judge.report import debates
from judge.report.chart import WIDTH_PX
from judge.report.html import page_environment
from judge.report.moments import clock, no_segments, span
from judge.report.page import Card
from judge.types import RuleDecision, ScoreRow, Verdict
from serve.backend import ModelCard
from serve.context import Caller, Context
from serve.problems import ApiError

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of everything here: a verdict's text could run nothing even if it were markup."""
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_SLOW_STAGES = ("region_test", "chain_of_thought", "vote", "debate")
_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Sample:
    """Media to try, for the embedded model; `path` as `sample_media_path` takes it."""

    key: str
    title: str
    path: str
    policy: str

    @property
    def file_name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def is_video(self) -> bool:
        return self.path.endswith(".mp4")


SAMPLES = (
    Sample("threat", "A threat", "demo/harmful-violence-weapon_threat.png", "stickers"),
    Sample("harmless", "A harmless scene", "demo/harmless-2.png", "stickers"),
    Sample("unclear", "An unclear scene", "test-small/test/test-00005.png", "stickers"),
    Sample("clip", "A clip", "clips/demo-video/demo-video-00000.mp4", "stickers-video"),
)


@dataclass(frozen=True, slots=True)
class StageSwitch:
    """A stage that can be switched: the field of `StageChoice`, and the JSON values for on and off."""

    field: str
    title: str
    on: str
    off: str
    checked: bool


def router(context: Context) -> APIRouter:
    """Empty if the settings remove the page."""
    routes = APIRouter(include_in_schema=False)
    if not context.settings.http.page:
        return routes
    environment = page_environment("serve", "page")
    assets = _assets(environment)
    allowed = Depends(context.gate.require("judge"))

    @routes.get("/")
    async def page() -> HTMLResponse:
        models = await _models(context)
        return HTMLResponse(await _page(environment, context, models), headers=_HEADERS)

    @routes.get("/page/{name}")
    async def asset(name: str) -> Response:
        if name not in assets:
            raise ApiError(404, "not_found", "there is no such file")
        return Response(assets[name], media_type=_TYPES[name.rpartition(".")[2]], headers=_HEADERS)

    @routes.get("/page/samples/{key}")
    async def sample(key: str) -> FileResponse:
        found = next((each for each in SAMPLES if each.key == key), None)
        if found is None or not _shows_samples(await _models(context)):
            raise ApiError(404, "not_found", "there is no such sample")
        return FileResponse(sample_media_path(found.path), headers=_HEADERS)

    @routes.post("/page/verdict")
    def drawn(result: JudgeResult, caller: Caller = allowed) -> HTMLResponse:
        return HTMLResponse(render_result(environment, result), headers=_HEADERS)

    return routes


def render_result(environment: jinja2.Environment, result: JudgeResult) -> str:
    """A piece of HTML for one result; the page puts the media's pictures in."""
    verdict = result.verdict
    row = ScoreRow(
        input=result.input, decision=result.decision, flagged=result.flagged, verdict=verdict, error=result.error
    )
    rules = sorted(verdict.rules, key=lambda rule: -rule.score) if verdict else []
    return environment.get_template("verdict.html.jinja").render(
        result=result,
        card=Card(row, live=True),
        shown_rules=[rule for rule in rules if _matters(rule)],
        other_rules=[rule for rule in rules if not _matters(rule)],
        versions=_versions(verdict) if verdict else (),
        debates=debates, clock=clock, span=span, no_segments=no_segments, width=WIDTH_PX,
    )  # fmt: skip


def stage_switches(cascade: Cascade) -> tuple[StageSwitch, ...]:
    """The slow stages, each as the service's settings have it to begin with."""
    region = cascade.region.localizer
    debate = cascade.debate
    orders = "both" if debate.orders == "both" else "one"
    return (
        StageSwitch(
            "region", "Region test", f'"{"occlusion" if region == "off" else region}"', '"off"', region != "off"
        ),
        StageSwitch("reason", "Reasoning", "true", "false", cascade.reasoning.enabled),
        StageSwitch("vote", "Vote", "true", "false", cascade.vote.enabled),
        StageSwitch("debate", "Debate", f'"{orders}"', '"off"', debate.enabled),
    )


async def _page(environment: jinja2.Environment, context: Context, models: Sequence[ModelCard]) -> str:
    settings = context.settings
    name, _, version = settings.constitution.partition("@")
    policies = await context.policies.versions()
    chosen = [each for each in policies if each.name == name and (each.version == version if version else each.active)]
    return environment.get_template("page.html.jinja").render(
        models=models,
        policies=policies,
        chosen=chosen,
        stages=stage_switches(settings.judge.cascade),
        keys=settings.auth.mode == "keys",
        samples=SAMPLES if _shows_samples(models) else (),
        max_bytes=settings.http.max_media_bytes,
        version=__version__,
    )


async def _models(context: Context) -> tuple[ModelCard, ...]:
    """Empty while the model does not answer: the page says so, and stays."""
    try:
        return await context.backend.models()
    except EngineError:
        return ()


def _shows_samples(models: Sequence[ModelCard]) -> bool:
    return any(model.role == "judge" and model.name in model_names() for model in models)


def _matters(rule: RuleDecision) -> bool:
    """Whether it is to be seen at once: it is not kept, or a slow stage looked at it."""
    return rule.outcome != "not_violated" or any(item.stage in _SLOW_STAGES for item in rule.evidence)


def _versions(verdict: Verdict) -> list[tuple[str, str]]:
    named = verdict.versions.model_dump(exclude={"model"})
    return [(name, digest) for name, digest in named.items() if digest]


def _assets(environment: jinja2.Environment) -> Mapping[str, bytes]:
    """Name -> content. The style is the report's, and what this page adds."""
    folder = files("serve") / "page"
    found = {
        entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.name.rpartition(".")[2] in ("js", "svg")
    }
    styles = ("base.css.jinja", "page.css.jinja", "style.css.jinja")
    style = "\n".join(environment.get_template(name).render() for name in styles)
    return {**found, "style.css": style.encode()}
