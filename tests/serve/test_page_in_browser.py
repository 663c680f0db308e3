"""The page as a person uses it: a real Chromium, a real server, the embedded model."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from judge.assets import sample_media_path
from judge.client.wire import JudgeResult
from judge.config import JudgeConfig
from judge.engines.build import build_engine
from judge.errors import EngineError
from serve.backend import Reply, Work
from serve.context import Context
from serve.gateway import create_gateway
from serve.service import JudgeService
from serve.settings import ServeSettings
from tests.serve.test_page import OneKey, hostile

pytest.importorskip("websockets", reason="the tests drive the browser over a websocket")
from tests.serve.chromium import BINARY, Tab, chromium

pytestmark = pytest.mark.skipif(BINARY is None, reason="there is no chromium here")

HARMFUL = sample_media_path("demo/harmful-violence-weapon_threat.png")
UNCLEAR = sample_media_path("test-small/test/test-00005.png")
PHOTO = sample_media_path("demo/photo-coffee.jpg")
CLIP = sample_media_path("clips/demo-video/demo-video-00000.mp4")
FINAL = "[...document.querySelectorAll('article')].every((card) => card.ariaBusy === 'false')"


class Breaking(JudgeService):
    """Its model dies after the first verdict about a file named `breaks.png`."""

    async def judge(self, work: Work) -> AsyncGenerator[Reply, None]:
        async with aclosing(super().judge(work)) as replies:
            async for reply in replies:
                yield reply
                if work.name == "breaks.png":
                    raise EngineError("the model is gone")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The page for everybody at `/`; with keys, and small files only, at `/keys/`."""
    config = JudgeConfig()
    backend = Breaking(build_engine(config.engine), config)
    everybody = create_gateway(Context(ServeSettings.model_validate({"auth": {"mode": "open"}}), backend))
    limited = ServeSettings.model_validate({"http": {"max_media_bytes": 10_000}})
    keyed = create_gateway(Context(limited, backend, gate=OneKey()))
    served = Starlette(routes=[Mount("/keys", keyed), Mount("/", everybody)])
    server = uvicorn.Server(uvicorn.Config(served, port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server has ended"
        time.sleep(0.02)
    host, port = server.servers[0].sockets[0].getsockname()
    yield f"http://{host}:{port}"
    server.should_exit = True
    thread.join(30)
    asyncio.run(backend.close())


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with chromium(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def tab(browser: str, address: str) -> Iterator[Tab]:
    """The page, opened; afterwards nothing was refused by its own policy, and nothing foreign was asked."""
    with Tab(browser) as opened:
        opened.look()
        opened.open(f"{address}/")
        yield opened
        assert [each for each in opened.console if "Content Security Policy" in each] == []
        foreign = [each["url"] for each in opened.requests if not each["url"].startswith((address, "blob:", "data:"))]
        assert foreign == []


def shown(tab: Tab, part: str, card: int = 1) -> str:
    return str(tab.run(f"document.querySelector('article:nth-child({card}) [data-part={part}]').innerText"))


def raw(tab: Tab) -> JudgeResult:
    return JudgeResult.model_validate_json(tab.run("document.querySelector('.raw pre').textContent"))


def switch_on(tab: Tab, *stages: str) -> None:
    for stage in stages:
        tab.run(f"document.querySelector('[data-stage={stage}]').click()")


def test_a_chosen_picture_gets_a_verdict(tab: Tab) -> None:
    tab.choose("#file", HARMFUL)
    tab.wait("document.querySelector('[data-kind=unsafe]') && " + FINAL)
    assert shown(tab, "name") == HARMFUL.name
    assert shown(tab, "phase") == "final"
    words = shown(tab, "verdict")
    for part in ("UNSAFE", "violence.weapon_threat", "A weapon is next to a person.", "text only", "label mass"):
        assert part in words
    assert raw(tab).decision == "unsafe"
    assert raw(tab).input == HARMFUL.name
    assert tab.run("document.getElementById('status').textContent").startswith(f"{HARMFUL.name}: unsafe")
    assert tab.run("document.querySelector('.media img').naturalWidth") > 0
    assert tab.console == []


def test_pictures_are_dropped_and_judged_one_after_another(tab: Tab) -> None:
    box = tab.run("document.getElementById('drop').getBoundingClientRect().toJSON()")
    data = {"items": [], "files": [str(HARMFUL), str(PHOTO)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        tab.call("Input.dispatchDragEvent", type=kind, x=box["x"] + 20, y=box["y"] + 20, data=data)
    tab.wait(f"document.querySelectorAll('article .verdict').length === 2 && {FINAL}")
    assert [shown(tab, "name", card) for card in (1, 2)] == [PHOTO.name, HARMFUL.name], "the last one is on top"
    kinds = tab.run("[...document.querySelectorAll('.verdict')].map((each) => each.dataset.kind)")
    assert kinds == ["uncertain", "unsafe"]
    assert not tab.run("document.getElementById('drop').classList.contains('over')")


def test_a_picture_is_pasted(tab: Tab) -> None:
    tab.run(
        """fetch('page/samples/harmless').then((r) => r.blob()).then((blob) => {
          const clipboardData = new DataTransfer();
          clipboardData.items.add(new File([blob], 'pasted.png', {type: 'image/png'}));
          document.getElementById('text').dispatchEvent(new ClipboardEvent('paste', {clipboardData, bubbles: true}));
        })"""
    )
    tab.wait(f"document.querySelector('[data-kind=safe]') && {FINAL}")
    assert shown(tab, "name") == "pasted.png"


def test_uncertain_looks_different_from_safe_without_its_colour(tab: Tab) -> None:
    tab.choose("#file", PHOTO)
    tab.wait(f"document.querySelector('[data-kind=uncertain]') && {FINAL}")
    tab.run("document.querySelector('[data-sample$=harmless]').click()")
    tab.wait(f"document.querySelector('[data-kind=safe]') && {FINAL}")
    look = """(kind) => {
      const box = document.querySelector(`[data-kind=${kind}] .outcome`);
      const badge = box.querySelector('.badge');
      return [badge.textContent, getComputedStyle(badge, '::before').content, getComputedStyle(box).borderTopStyle];
    }"""
    assert tab.run(f"({look})('safe')") == ["safe", '"\u2713\u00a0"', "none"]
    assert tab.run(f"({look})('uncertain')") == ["uncertain", '"?\u00a0"', "dashed"]


def test_a_clip_has_a_timeline_and_its_segments_seek(tab: Tab) -> None:
    tab.run("document.querySelector('[data-sample$=clip]').click()")
    tab.wait(f"document.querySelector('.timeline svg') && {FINAL}")
    assert tab.run("document.getElementById('policy').value").startswith("stickers-video@")
    assert "video 0:02.3" in shown(tab, "verdict")
    (segment,) = [each for each in raw(tab).verdict.segments if each.rule_id == "violence.weapon_threat"]
    tab.wait("document.querySelector('video').readyState >= 1")
    tab.run("document.querySelector('.segments button').click()")
    tab.wait(f"Math.abs(document.querySelector('video').currentTime - {segment.peak_ms / 1000}) < 0.01")


def test_slow_stages_refine_the_first_answer(tab: Tab) -> None:
    switch_on(tab, "region", "vote")
    tab.choose("#file", UNCLEAR)
    tab.wait(f"document.querySelector('.debate') && {FINAL}")
    steps = tab.run("[...document.querySelectorAll('[data-part=history] li')].map((each) => each.textContent)")
    assert len(steps) == 3, "the fast path, the region test, the vote"
    assert "uncertain" in steps[0]
    asked = json.loads(next(each["postData"] for each in tab.requests if each["url"].endswith("/v1/judge")))
    assert asked["stages"] == {"region": "occlusion", "reason": False, "vote": True, "debate": "off"}
    assert "voter 1" in tab.run("document.querySelector('.debate').textContent")
    box, picture = tab.run(
        """['.map .region', '.map img'].map((each) => {
          const box = document.querySelector(each).getBoundingClientRect();
          return [box.left, box.top, box.right, box.bottom];
        })"""
    )
    assert picture[0] <= box[0] < box[2] <= picture[2]
    assert picture[1] <= box[1] < box[3] <= picture[3]
    assert tab.run("document.querySelector('.map img').naturalWidth") > 0


def test_a_debate_is_a_transcript(tab: Tab) -> None:
    switch_on(tab, "debate")
    tab.choose("#file", UNCLEAR)
    tab.wait(f"document.querySelector('.turn.judge') && {FINAL}")
    said = tab.run("document.querySelector('.debate').textContent")
    for part in ("affirmative", "negative", "judge", "round 1", "tokens written"):
        assert part in said


def test_what_was_opened_stays_open_when_a_refinement_comes(tab: Tab) -> None:
    opened = tab.run(
        """import('/page/card.js').then(async ({ Card }) => {
          const card = new Card(new File(['x'], 'x.png', {type: 'image/png'}));
          document.getElementById('cards').append(card.element);
          const html = (text) => `<p>${text}</p><details data-key="a"><summary>a</summary></details>`
            + '<details data-key="b"><summary>b</summary></details>';
          card.show(html('first'), false);
          card.element.querySelector('[data-key=b]').open = true;
          card.element.querySelector('[data-key=b] summary').focus();
          card.show(html('second'), true);
          return [card.part('verdict').innerText.split('\\n')[0], document.activeElement.textContent,
            ...[...card.element.querySelectorAll('[data-key]')].map((each) => each.open)];
        })"""
    )
    assert opened == ["second", "b", False, True]


def test_hostile_names_and_texts_are_text(tab: Tab, tmp_path: Path) -> None:
    name = "<img src=x onerror=window.hit=1>\u202egnp.png"
    path = tmp_path / name
    path.write_bytes(HARMFUL.read_bytes())
    tab.run("document.getElementById('text').value = '<script>window.hit = 1</script>'")
    tab.choose("#file", path)
    tab.wait(f"document.querySelector('.verdict') && {FINAL}")
    assert shown(tab, "name") == name.replace("\u202e", "\ufffd")
    body = hostile().model_dump_json()
    tab.run(
        """Promise.all([import('/page/card.js'), import('/page/judging.js')]).then(async ([{ Card }, { draw }]) => {
          const card = new Card(new File(['x'], 'x.png', {type: 'image/png'}));
          document.getElementById('cards').append(card.element);
          card.show(await draw(BODY, ''), true);
        })""".replace("BODY", body)
    )
    assert "<script>alert(1)</script>" in tab.run("document.querySelector('article:last-child .verdict').textContent")
    assert tab.run("document.querySelectorAll('article script, article [onerror]').length") == 0
    assert tab.run("window.hit") is None


def test_a_file_that_is_no_picture_is_an_error_and_not_safe(tab: Tab, tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(b"this is no picture")
    tab.choose("#file", path)
    tab.wait(f"document.querySelector('[data-kind=error]') && {FINAL}")
    words = shown(tab, "verdict")
    assert "NO VERDICT" in words
    assert "never safe" in words
    assert re.fullmatch(r"no verdict · request [0-9a-f]{32}", shown(tab, "phase"))
    assert "cannot show the file" in shown(tab, "media")
    assert raw(tab).error is not None


def test_an_answer_that_ends_early_is_marked_incomplete(tab: Tab, tmp_path: Path) -> None:
    path = tmp_path / "breaks.png"
    path.write_bytes(HARMFUL.read_bytes())
    tab.choose("#file", path)
    tab.wait(f"document.querySelector('.verdict') && {FINAL}")
    assert shown(tab, "phase") == "incomplete"
    problem = shown(tab, "problem")
    parts = ("the model cannot answer now", "try again later", "may be incomplete", "Request ", "engine_unavailable")
    for part in parts:
        assert part in problem
    assert tab.run("document.querySelector('[data-part=verdict]').classList.contains('preliminary')")


def test_a_service_that_is_gone_is_told(tab: Tab) -> None:
    tab.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1)
    tab.choose("#file", HARMFUL)
    tab.wait(f"!document.querySelector('.problem').hidden && {FINAL}")
    assert "cannot be reached" in shown(tab, "problem")
    assert shown(tab, "phase") == "no verdict"


def test_an_answer_that_is_not_drawn_is_told_in_one_line(tab: Tab) -> None:
    tab.call("Network.setBlockedURLs", urls=["*/page/verdict"])
    tab.choose("#file", HARMFUL)
    tab.wait(f"document.querySelector('.outcome') && {FINAL}")
    assert shown(tab, "verdict").startswith("unsafe, highest rule score 1.00")
    assert "could not be drawn" in shown(tab, "verdict")
    assert raw(tab).decision == "unsafe"


def test_stopped_before_its_turn_and_judged_again(tab: Tab) -> None:
    tab.run(
        """fetch('page/samples/threat').then((r) => r.blob()).then((blob) => {
          const dataTransfer = new DataTransfer();
          for (const name of ['a.png', 'b.png']) dataTransfer.items.add(new File([blob], name, {type: 'image/png'}));
          window.dispatchEvent(new DragEvent('drop', {dataTransfer}));
          document.querySelector('article [data-act=stop]').click();
        })"""
    )
    tab.wait(f"document.querySelectorAll('.verdict').length === 1 && {FINAL}")
    assert shown(tab, "name") == "b.png"
    assert "Stopped before it was judged" in shown(tab, "problem")
    tab.run("document.querySelector('article [data-act=again]').click()")
    tab.wait(f"document.querySelectorAll('.verdict').length === 2 && {FINAL}")
    assert shown(tab, "phase") == "final"
    tab.run("document.querySelector('article [data-act=remove]').click()")
    assert tab.run("document.querySelectorAll('article').length") == 1


def test_a_key_is_sent_and_kept_nowhere(tab: Tab, address: str) -> None:
    tab.open(f"{address}/keys/")
    tab.choose("#file", HARMFUL)
    tab.wait(f"!document.querySelector('.problem').hidden && {FINAL}")
    assert "the API key is missing or unknown" in shown(tab, "problem")
    tab.run("document.getElementById('key').value = 'sesame'")
    tab.run("document.querySelector('article [data-act=again]').click()")
    tab.wait(f"document.querySelector('[data-kind=unsafe]') && {FINAL}")
    assert tab.run("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    assert not [each for each in tab.requests if "sesame" in each["url"] + each.get("postData", "")]
    tab.choose("#file", PHOTO)
    tab.wait(f"document.querySelectorAll('article').length === 2 && {FINAL}")
    assert "larger than the service takes" in shown(tab, "problem")


def test_pictures_are_blurred_on_request(tab: Tab) -> None:
    tab.choose("#file", HARMFUL)
    tab.wait(FINAL)
    look = "getComputedStyle(document.querySelector('.media img')).filter"
    assert tab.run(look) == "none"
    tab.run("document.getElementById('blur').click()")
    assert "blur" in tab.run(look)


def focus_on(tab: Tab, selector: str) -> None:
    """Tab until it has the focus; every stop on the way must be visible."""
    for _ in range(60):
        tab.press("Tab")
        stop = tab.run(
            "(() => { const e = document.activeElement; return [e.tagName, e.matches(':focus-visible'), "
            "getComputedStyle(e).outlineStyle, e.getBoundingClientRect().left >= 0] })()"
        )
        assert stop[1:] == [True, "solid", True] or stop[0] == "BODY", stop
        if tab.run(f"document.activeElement.matches({selector!r})"):
            return
    raise AssertionError(f"the keyboard does not reach {selector}")


def test_everything_can_be_done_with_the_keyboard(tab: Tab) -> None:
    tab.press("Tab")
    assert tab.run("document.activeElement.className") == "skip"
    focus_on(tab, "#file")
    focus_on(tab, "[data-sample$=threat]")
    focus_on(tab, "[data-stage=vote]")
    tab.press(" ")
    assert tab.run("document.querySelector('[data-stage=vote]').checked")
    for _ in range(20):
        tab.press("Tab", shift=True)
        if tab.run("document.activeElement.matches('[data-sample$=threat]')"):
            break
    tab.press("Enter")
    tab.wait(f"document.querySelector('[data-kind=unsafe]') && {FINAL}")
    focus_on(tab, "[data-key=categories] > summary")
    tab.press("Enter")
    assert tab.run("document.querySelector('[data-key=categories]').open")
    focus_on(tab, ".raw > summary")
    tab.press("Enter")
    focus_on(tab, "[data-act=copy]")
    tab.press("Enter")
    tab.wait("/Copied|Selected/.test(document.querySelector('[data-act=copy]').textContent)")


@pytest.fixture(scope="module")
def full(browser: str, address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """The page with every kind of answer on it, all opened."""
    folder = tmp_path_factory.mktemp("media")
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "breaks.png").write_bytes(HARMFUL.read_bytes())
    with Tab(browser) as tab:
        tab.look()
        tab.open(f"{address}/")
        switch_on(tab, "region", "debate")
        tab.choose("#file", HARMFUL, PHOTO, folder / "broken.png", folder / "breaks.png", UNCLEAR)
        tab.wait(f"document.querySelectorAll('.verdict').length === 5 && {FINAL}")
        tab.run("document.querySelector('[data-sample$=clip]').click()")
        tab.wait(f"document.querySelector('.timeline svg') && {FINAL}")
        tab.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        yield tab


def test_screen_readers_find_a_name_for_everything(full: Tab) -> None:
    nodes = full.call("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "checkbox", "combobox", "textbox", "link", "image", "img", "group", "form", "region", "Video"}
    named = [
        (node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes
        if not node["ignored"] and node["role"]["value"] in roles
    ]  # fmt: skip
    assert roles - {"img", "group"} <= {role for role, _ in named}
    assert [role for role, name in named if not name.strip() and role != "group"] == []
    fields = "[...document.querySelectorAll('input, select, textarea')]"
    assert full.run(f"{fields}.every((each) => each.labels.length === 1)")
    ids = full.run("[...document.querySelectorAll('[id]')].map((each) => each.id)")
    assert len(ids) == len(set(ids))
    levels = full.run("[...document.querySelectorAll('h1, h2, h3, h4')].map((each) => Number(each.tagName[1]))")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert full.run("[document.documentElement.lang, document.querySelectorAll('main').length]") == ["en", 1]
    live = full.run("[...document.querySelectorAll('[aria-live]')].map((each) => each.ariaLive)")
    assert live == ["polite"]


CONTRASTS = """(() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (each) => {
    for (let at = each; at; at = at.parentElement) {
      const color = rgb(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return rgb(getComputedStyle(document.documentElement).backgroundColor);
  };
  const found = [];
  for (const each of document.body.querySelectorAll('*')) {
    const said = [...each.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data.trim()).join('');
    if (!said || !each.getClientRects().length || each.matches('option, title')) continue;
    const style = getComputedStyle(each);
    const [a, b] = [light(rgb(each.ownerSVGElement ? style.fill : style.color)), light(behind(each))];
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), `${each.tagName} ${said.slice(0, 30)}`]);
  }
  return found;
})()"""


@pytest.mark.parametrize("width_px", [1280, 390])
def test_it_can_be_read_in_light_and_dark_and_on_a_phone(full: Tab, width_px: int) -> None:
    inks = []
    for dark in (False, True):
        full.look(dark=dark, width_px=width_px)
        found = full.run(CONTRASTS)
        assert len(found) > 200
        assert [each for each in found if each[0] < 4.5] == []
        inks.append(full.run("getComputedStyle(document.body).color"))
    assert inks[0] != inks[1]
    assert full.run("document.documentElement.scrollWidth") <= width_px


def test_nothing_turns_where_motion_is_reduced(tab: Tab) -> None:
    tab.run("import('/page/card.js').then(({ Card }) => document.getElementById('cards').append("
            "new Card(new File(['x'], 'x.png')).element))")  # fmt: skip
    turning = "getComputedStyle(document.querySelector('article[aria-busy=true] .phase'), '::before').animationName"
    assert tab.run(turning) == "turn"
    tab.look(still=True)
    assert tab.run(turning) == "none"
