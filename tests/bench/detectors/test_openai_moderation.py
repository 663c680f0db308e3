"""OpenAI's moderation contract: our own service, and servers that keep no contract."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from judge.bench.detectors.base import DetectorSettings, Prediction
from judge.bench.detectors.build import build_detector
from judge.bench.detectors.openai_moderation import ModerationOptions, OpenAIModeration
from judge.errors import ConfigError
from judge.types import Frame, Media
from tests.bench.detectors.media import HARMFUL, HARMLESS, UNCERTAIN, demo
from tests.bench.detectors.moderation_server import Asked, Reply, hostile

KEY = "sk-very-secret-0123456789"
SCORES = {"violence": 0.9, "violence/graphic": 0.2, "sexual": 0.01, "illicit": 0.3}
PICTURE = Media("a" * 64, "image", (Frame(0, 0.0, np.full((8, 8, 3), 200, np.uint8)),), 0.0, "grey.png")


def answer(*results: object, **fields: object) -> Reply:
    return Reply(json.dumps({"id": "modr-1", "model": "m", "results": list(results), **fields}).encode())


def result(flagged: object = True, scores: object = None, **fields: object) -> dict[str, object]:
    return {"flagged": flagged, "categories": {}, "category_scores": SCORES if scores is None else scores, **fields}


def settings(base_url: str, threshold: float | None = None, **options: object) -> DetectorSettings:
    return DetectorSettings.model_validate({
        "name": "openai-moderation", "base_url": base_url, "threshold": threshold, "options": options,
    })  # fmt: skip


async def ask(base_url: str, media: list[Media] | None = None, **options: object) -> list[Prediction]:
    threshold = options.pop("threshold", None)
    assert threshold is None or isinstance(threshold, float)
    chosen = settings(base_url, threshold, **{"max_retries": 0, "timeout_s": 20.0, **options})
    detector = build_detector(chosen)
    try:
        return await detector.detect(media or [PICTURE])
    finally:
        await detector.close()


# --- our own service ------------------------------------------------------------------------------------------------


async def test_our_service_flags_what_is_harmful_and_abstains_where_it_doubts(service: str) -> None:
    found = await ask(service, demo(*HARMFUL, *HARMLESS, UNCERTAIN))
    assert [each.flagged for each in found] == [True, True, False, False, None]
    assert [each.failed for each in found] == [False] * 5
    violent = found[0]
    assert violent.score == violent.category_scores["violence"] > 0.9
    assert "sexual" not in violent.category_scores, "no rule of the stickers is about it"
    assert found[4].score is not None
    assert found[4].reason.startswith("the service is uncertain: violence.explosives is undecided")


async def test_a_policy_of_our_service_is_the_model_and_a_wrong_one_is_a_failure_of_every_picture(service: str) -> None:
    chosen = settings(service).model_copy(update={"model": "no-such-policy"})
    found = await build_detector(chosen).detect(demo(*HARMLESS))
    assert [(each.failed, each.score, each.flagged) for each in found] == [(True, None, None)] * 2
    assert "no-such-policy" in found[0].reason


# --- what is sent ---------------------------------------------------------------------------------------------------


async def test_one_request_holds_one_picture_bit_for_bit_and_its_words() -> None:
    media = Media("b" * 64, "image", demo(HARMFUL[0])[0].frames, 0.0, "meme.png", text="what is posted with it")
    with hostile(answer(result())) as server:
        await ask(server.base_url, [media, PICTURE])
        await ask(server.base_url, [media], send_text=False)
    with_words, without, told_not_to = sorted(
        (json.loads(each.body) for each in server.asked), key=lambda body: -len(body["input"])
    )
    assert [part["type"] for part in with_words["input"]] == ["text", "image_url"]
    assert with_words["input"][0]["text"] == "what is posted with it"
    assert [len(body["input"]) for body in (without, told_not_to)] == [1, 1]
    assert {body["model"] for body in (with_words, without, told_not_to)} == {"omni-moderation-latest"}
    head, _, data = with_words["input"][1]["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    sent = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert np.array_equal(sent, media.frames[0].image)


async def test_the_key_goes_along_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERATION_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-hosted-service")
    with hostile(answer(result())) as server:
        own = settings(server.base_url).model_copy(update={"api_key_env": "MODERATION_KEY"})
        await build_detector(own).detect([PICTURE])
        await build_detector(settings(server.base_url)).detect([PICTURE])
    assert [each.headers.get("Authorization") for each in server.asked] == [f"Bearer {KEY}", None]


async def test_redirects_are_not_followed() -> None:
    with hostile(answer(result())) as elsewhere:
        for status in (301, 302, 307, 308):
            away = Reply(b"", status, {"Location": f"{elsewhere.base_url}/moderations"})
            with hostile(away) as server:
                (found,) = await ask(server.base_url)
            assert found.failed
            assert "redirects" in found.reason
    assert elsewhere.asked == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_a_refusal_is_final_and_tells_no_key(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    monkeypatch.setenv("MODERATION_KEY", KEY)

    def repeats(asked: Asked) -> Reply:
        told = f"I do not like {asked.headers['Authorization']}\nat all"
        return Reply(json.dumps({"error": {"message": told, "type": "t", "param": None, "code": "c"}}).encode(), status)

    with hostile(repeats) as server:
        chosen = settings(server.base_url, max_retries=5).model_copy(update={"api_key_env": "MODERATION_KEY"})
        (found,) = await build_detector(chosen).detect([PICTURE])
    assert len(server.asked) == 1
    assert (found.failed, found.score, found.flagged) == (True, None, None)
    assert "I do not like Bearer [hidden] at all" in found.reason


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 529])
async def test_what_may_go_better_is_tried_again(status: int) -> None:
    with hostile(Reply(b"busy", status), answer(result())) as server:
        (found,) = await ask(server.base_url, max_retries=1)
    assert (len(server.asked), found.flagged, found.score) == (2, True, 0.9)


async def test_what_never_goes_better_is_a_failure_with_the_status() -> None:
    with hostile(Reply(b"busy", 503)) as server:
        (found,) = await ask(server.base_url, max_retries=2)
    assert (len(server.asked), found.failed) == (3, True)
    assert "503" in found.reason


async def test_a_server_that_is_not_there_is_a_failure() -> None:
    with hostile(answer(result())) as server:
        address = server.base_url
    (found,) = await ask(address)
    assert found.failed
    assert "cannot be reached" in found.reason


# --- what comes back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b""),
        Reply(b"<html>hello</html>"),
        Reply(b"\xff\xfe\x00"),
        Reply(b"null"),
        Reply(b"[" * 100_000),
        Reply(b'{"results": {}}'),
        answer(),
        answer(result(), result()),
        answer("unsafe"),
        answer({"flagged": True}),
        answer(result(flagged="yes")),
        answer(result(flagged=None)),
        answer(result(scores=[0.9])),
        answer(result(scores={})),
        answer(result(scores={"violence": 1.5})),
        answer(result(scores={"violence": -0.1})),
        answer(result(scores={"violence": "0.9"})),
        answer(result(scores={"violence": True})),
        answer(result(scores={"violence": float("nan")})),
        answer(result(scores={"violence": float("inf")})),
        answer(result(scores={"violence": None})),
        answer(result(scores={"weather": 0.9})),
        answer(result(category_applied_input_types={"violence": "image"})),
        answer(result(category_applied_input_types={name: [] for name in SCORES})),
        answer(result(visual_judge={"decision": "perhaps"})),
        Reply(b"{}", 200, {"Content-Encoding": "gzip"}),
        Reply(b" " * (2 << 20)),
        Reply(answer(result()).body, cut=True),
        Reply(answer(result()).body, 204),
    ],
)
async def test_garbage_is_a_failure_and_never_a_score(reply: Reply) -> None:
    with hostile(reply) as server:
        (found,) = await ask(server.base_url)
    assert (found.failed, found.score, found.flagged) == (True, None, None)
    assert found.reason
    assert len(found.reason) <= 300
    assert found.reason.isprintable()


async def test_one_bad_answer_spoils_no_other() -> None:
    def by_size(asked: Asked) -> Reply:
        return Reply(b"garbage") if len(asked.body) > 2_000 else answer(result())

    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    large = Media("c" * 64, "image", (Frame(0, 0.0, noise),), 0.0, "noise.png")
    with hostile(by_size) as server:
        found = await ask(server.base_url, [PICTURE, large, PICTURE])
    assert [each.failed for each in found] == [False, True, False]


async def test_a_server_that_drips_is_out_of_time() -> None:
    with hostile(Reply(answer(result()).body, drip_s=0.05)) as server:
        started_s = time.monotonic()
        (found,) = await ask(server.base_url, timeout_s=0.5)
    assert found.failed
    assert "no answer within 0.5 s" in found.reason
    assert time.monotonic() - started_s < 10.0


# --- what it means --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("threshold", "flagged"), [(None, False), (0.9, True), (0.91, False), (0.0, True)])
async def test_the_service_decides_unless_there_is_a_threshold(threshold: float | None, flagged: bool) -> None:
    with hostile(answer(result(flagged=False))) as server:
        (found,) = await ask(server.base_url, threshold=threshold)
    assert (found.score, found.flagged) == (0.9, flagged)
    assert found.category_scores == {"violence": 0.9, "shocking": 0.2, "sexual": 0.01, "illegal-activity": 0.3}


async def test_what_was_not_applied_to_the_picture_is_no_score() -> None:
    types = {"violence": [], "violence/graphic": ["image"], "sexual": ["image"], "illicit": []}
    with hostile(answer(result(category_applied_input_types=types))) as server:
        (found,) = await ask(server.base_url)
    assert (found.score, dict(found.category_scores)) == (0.2, {"sexual": 0.01, "shocking": 0.2})


async def test_an_animation_is_one_request_a_frame_and_the_highest_counts() -> None:
    frames = tuple(Frame(index, index / 10, np.full((8, 8, 3), index, np.uint8)) for index in range(5))
    media = Media("d" * 64, "video", frames, 0.5, "animation.gif")
    low = answer(result(flagged=False, scores={"violence": 0.1, "sexual": 0.4}))
    with hostile(low, answer(result(scores={"violence": 0.8, "sexual": 0.2})), low) as server:
        (found,) = await ask(server.base_url, [media], max_frames=3, usd_per_request=0.01)
    assert len(server.asked) == 3
    assert (found.score, found.flagged) == (0.8, True)
    assert found.category_scores == {"sexual": 0.4, "violence": 0.8}
    assert found.cost_usd == pytest.approx(0.03)


def test_it_is_measured_on_what_the_hosted_service_scores_on_pictures() -> None:
    some = OpenAIModeration(settings("http://127.0.0.1:1/v1"), ModerationOptions()).info
    every = OpenAIModeration(settings("http://127.0.0.1:1/v1"), ModerationOptions(categories="all")).info
    assert some.categories == {"self-harm", "sexual", "violence", "shocking"}
    assert every.categories is not None
    assert every.categories > some.categories
    assert some.name == "openai-moderation(omni-moderation-latest at 127.0.0.1:1)"


# --- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda s: s.model_copy(update={"base_url": ""}), "OPENAI_API_KEY holds no key"),
        (lambda s: s.model_copy(update={"api_key_env": "NO_SUCH_KEY"}), "NO_SUCH_KEY holds no key"),
        (lambda s: s.model_copy(update={"api_key_env": KEY}), "that api_key_env names holds no key"),
        (lambda s: s.model_copy(update={"base_url": "ftp://a/v1"}), "not an http or https URL"),
        (lambda s: s.model_copy(update={"base_url": f"http://user:{KEY}@a/v1"}), "must be plain"),
        (lambda s: s.model_copy(update={"base_url": f"http://a/v1?key={KEY}"}), "must be plain"),
        (lambda s: s.model_copy(update={"device": "cuda"}), "no use for 'device'"),
        (lambda s: s.model_copy(update={"options": {"timeout_s": 0}}), "option timeout_s"),
        (lambda s: s.model_copy(update={"options": {"max_retry": 1}}), "did you mean 'max_retries'?"),
    ],
)
def test_wrong_settings_are_told_at_once_and_repeat_no_key(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[DetectorSettings], DetectorSettings], told: str
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError) as error:
        build_detector(change(settings("http://127.0.0.1:1/v1")))
    assert told in str(error.value)
    assert KEY not in str(error.value)


def test_a_key_that_no_header_can_carry_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERATION_KEY", f"{KEY}\n")
    chosen = settings("http://127.0.0.1:1/v1").model_copy(update={"api_key_env": "MODERATION_KEY"})
    with pytest.raises(ConfigError) as error:
        build_detector(chosen)
    assert KEY not in str(error.value)
