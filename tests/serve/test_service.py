"""The service in this process: what is judged once, what is kept, and what a request may cost."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from judge.config import Calibrated, CalibratedSide, CalibratedStage, JudgeConfig, LabelledData, StageChoice
from judge.engines.scripted import ScriptedEngine
from judge.errors import EngineError
from judge.media import Permissions, UrlMedia
from judge.pipeline import Judge
from judge.stages.fitted import NO_GUARANTEE
from judge.stages.prior_store import PriorStore
from judge.types import Prompt
from serve.backend import Work
from serve.problems import DeadlineExceeded
from serve.service import JudgeService
from serve.settings import StoreSettings
from serve.store.cached import open_cached
from serve.verdict_cache import VerdictCache
from tests.serve.making import HeldEngine, picture, replies, stickers, sure, work


def service(engine: ScriptedEngine, *, entries: int = 8, config: JudgeConfig | None = None) -> JudgeService:
    return JudgeService(engine, config or JudgeConfig(cache=False), cache=VerdictCache(entries, 2**20))


async def test_the_same_bytes_are_judged_once_and_the_second_answer_says_so() -> None:
    engine = sure()
    judging = service(engine)
    (first,) = await replies(judging, work(picture(1), "a"))
    n_calls = len(engine.calls)
    (second,) = await replies(judging, work(picture(1), "b"))
    assert (first.cached, second.cached, second.row.input) == (False, True, "b")
    assert second.row.verdict == first.row.verdict
    assert len(engine.calls) == n_calls


@pytest.mark.parametrize(
    "other",
    [
        work(picture(2)),
        work(picture(1), text="a caption"),
        work(picture(1), stages=StageChoice(vote=True)),
        work(picture(1), constitution=stickers().model_copy(update={"version": "9.9.9"})),
    ],
    ids=["bytes", "text", "stages", "constitution"],
)
async def test_whatever_a_verdict_depends_on_makes_it_another_one(other: Work) -> None:
    judging = service(sure())
    await replies(judging, work(picture(1)))
    first, again = [(await replies(judging, other))[-1] for _ in range(2)]
    assert (first.cached, again.cached) == (False, True)


@pytest.mark.parametrize(
    "config",
    [
        JudgeConfig(cache=False, max_frames=3),
        JudgeConfig.model_validate({"cache": False, "thresholds": {"preset": "threshold"}}),
        JudgeConfig.model_validate({"cache": False, "video": {"sampling": {"frames": 6}}}),
    ],
    ids=["frames", "thresholds", "video"],
)
async def test_a_cache_shared_by_services_with_other_settings_serves_none_of_them(config: JudgeConfig) -> None:
    cache = VerdictCache(8, 2**20)
    await replies(JudgeService(sure(), JudgeConfig(cache=False), cache=cache), work(picture(1)))
    judging = JudgeService(sure(), config, cache=cache)
    first, again = [(await replies(judging, work(picture(1))))[-1] for _ in range(2)]
    assert (first.cached, again.cached) == (False, True)


async def test_fitted_thresholds_are_left_out_where_they_are_about_something_else() -> None:
    engine = sure()
    plain = JudgeConfig(cache=False)
    made_with = Judge(engine, stickers(), plain, priors=PriorStore(None)).made_with
    side = CalibratedSide(threshold=0.5, n_tested=50, n_wrong=0, upper_bound=0.06)
    fitted = Calibrated(
        max_error=0.1, confidence=0.9, stages=(CalibratedStage(stage="fast", safe=side),), made_with=made_with,
        data=LabelledData(name="lamps", digest="d", n=100, n_harmful=50),
    )  # fmt: skip
    judging = service(engine, config=plain.model_copy(update={"calibrated": fitted}))
    other = stickers().model_copy(update={"version": "9.9.9"})
    (here,), (there,) = [
        await replies(judging, each) for each in (work(picture(1)), work(picture(1), constitution=other))
    ]
    assert here.row.verdict is not None
    assert there.row.verdict is not None
    assert here.row.verdict.guarantee is not None
    assert (there.row.verdict.guarantee, there.row.verdict.versions.calibrated) == (None, "")
    assert any("fitted with another constitution" in notice for notice in there.row.verdict.notices)
    assert NO_GUARANTEE in there.row.verdict.notices


async def test_another_model_makes_another_verdict() -> None:
    cache = VerdictCache(8, 2**20)
    config = JudgeConfig(cache=False)
    await replies(JudgeService(sure(), config, cache=cache), work(picture(1)))
    judging = JudgeService(ScriptedEngine(default=0.2), config, cache=cache)
    first, again = [(await replies(judging, work(picture(1))))[-1] for _ in range(2)]
    assert (first.cached, again.cached) == (False, True)


def remembering(engine: ScriptedEngine, folder: Path) -> JudgeService:
    cached = open_cached(StoreSettings(folder=folder))
    return JudgeService(engine, JudgeConfig(cache=False), cache=VerdictCache(8, 2**20), cached=cached)


async def test_verdicts_in_the_database_outlast_a_restart_and_serve_other_judges(tmp_path: Path) -> None:
    before = remembering(sure(), tmp_path)
    (first,) = await replies(before, work(picture(1)))
    await before.close()
    engine = sure()
    after = remembering(engine, tmp_path)
    (again,) = await replies(after, work(picture(1), "b"))
    assert (first.cached, again.cached, again.row.input) == (False, True, "b")
    assert again.row.verdict == first.row.verdict
    assert engine.calls == []
    (other,) = await replies(after, work(picture(2)))
    assert not other.cached
    await after.close()


async def test_a_database_that_cannot_be_used_costs_only_the_cache(tmp_path: Path) -> None:
    judging = remembering(sure(), tmp_path)
    await replies(judging, work(picture(1)))
    await judging.close()
    with sqlite3.connect(tmp_path / "store.db") as database:
        database.execute("UPDATE cached_verdicts SET body = '{'")
    judging = remembering(sure(), tmp_path)
    (unreadable,) = await replies(judging, work(picture(1)))
    with sqlite3.connect(tmp_path / "store.db") as database:
        database.execute("DROP TABLE cached_verdicts")
    (gone,) = await replies(judging, work(picture(2)))
    assert [each.cached for each in (unreadable, gone)] == [False, False]
    assert gone.row.verdict is not None
    await judging.close()


async def test_a_failure_is_not_kept_in_the_database(tmp_path: Path) -> None:
    judging = remembering(ScriptedEngine(default=_broken), tmp_path)
    with pytest.raises(EngineError):
        await replies(judging, work(picture(1)))
    await judging.close()
    with sqlite3.connect(tmp_path / "store.db") as database:
        assert database.execute("SELECT COUNT(*) FROM cached_verdicts").fetchone() == (0,)


def _broken(prompt: Prompt) -> float:
    raise EngineError("the model broke")


async def test_the_cache_is_bounded_in_entries_and_in_bytes() -> None:
    (reply,) = await replies(service(sure()), work(picture(1)))
    verdict = reply.row.verdict
    assert verdict is not None
    size = len(verdict.model_dump_json())
    for cache, n_kept in [(VerdictCache(2, 100 * size), 2), (VerdictCache(100, 3 * size), 3), (VerdictCache(9, 1), 0)]:
        for index in range(5):
            cache.put(str(index), verdict)
        assert len(cache) == n_kept
        assert [cache.get(str(index)) is not None for index in range(5)] == [index >= 5 - n_kept for index in range(5)]


async def test_what_was_asked_for_lately_is_kept_longest() -> None:
    (reply,) = await replies(service(sure()), work(picture(1)))
    cache = VerdictCache(2, 2**20)
    assert reply.row.verdict is not None
    cache.put("a", reply.row.verdict)
    cache.put("b", reply.row.verdict)
    cache.get("a")
    cache.put("c", reply.row.verdict)
    assert [cache.get(key) is not None for key in "abc"] == [True, False, True]


async def test_a_failure_of_the_engine_is_an_error_and_is_not_kept() -> None:
    engine = ScriptedEngine(default=EngineError("out of memory"))
    judging = service(engine)
    for _ in range(2):
        with pytest.raises(EngineError):
            await replies(judging, work(picture(1)))


async def test_a_verdict_that_rests_in_part_on_a_failure_is_not_kept() -> None:
    """One slow stage failed for one question: what the others said stands, but the next request may do better."""
    (reply,) = await replies(service(sure()), work(picture(1)))
    assert reply.row.verdict is not None
    rule = reply.row.verdict.rules[0].model_copy(update={"reason": "the engine failed in vote: gone"})
    cache = VerdictCache(2, 2**20)
    cache.put("a", reply.row.verdict.model_copy(update={"rules": (rule,)}))
    assert len(cache) == 0


async def until_followed(engine: HeldEngine) -> None:
    """Until there is a call, and everybody else had time to come along."""
    await engine.asked.wait()
    await asyncio.sleep(0.05)


async def test_equal_requests_at_the_same_time_are_judged_once_under_their_own_names() -> None:
    engine = HeldEngine()
    judging = service(engine, entries=0)
    waiting = [asyncio.create_task(replies(judging, work(picture(1), name))) for name in "abc"]
    await until_followed(engine)
    n_calls = len(engine.calls)
    engine.let_go.set()
    found = [reply for (reply,) in await asyncio.gather(*waiting)]
    assert n_calls == 1
    assert [reply.row.input for reply in found] == ["a", "b", "c"]
    assert found[0].row.verdict == found[1].row.verdict == found[2].row.verdict


async def test_who_leaves_does_not_take_the_verdict_from_the_others() -> None:
    engine = HeldEngine()
    judging = service(engine, entries=0)
    leaving, staying = (asyncio.create_task(replies(judging, work(picture(1)))) for _ in range(2))
    await until_followed(engine)
    leaving.cancel()
    await asyncio.sleep(0.01)
    assert engine.cancelled == 0
    engine.let_go.set()
    (reply,) = await staying
    assert reply.row.decision == "safe"


async def test_when_the_last_one_leaves_the_engine_is_not_asked_any_further() -> None:
    engine = HeldEngine()
    judging = service(engine)
    waiting = [asyncio.create_task(replies(judging, work(picture(1)))) for _ in range(2)]
    await until_followed(engine)
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await asyncio.sleep(0.05)
    assert engine.cancelled == 1
    engine.let_go.set()
    (reply,) = await replies(judging, work(picture(1)))
    assert not reply.cached


async def test_a_deadline_without_any_verdict_is_an_error_of_that_request_alone() -> None:
    engine = HeldEngine()
    judging = service(engine)
    patient = asyncio.create_task(replies(judging, work(picture(1))))
    await engine.asked.wait()
    with pytest.raises(DeadlineExceeded):
        await replies(judging, work(picture(1), deadline_s=0.05))
    engine.let_go.set()
    (reply,) = await patient
    assert reply.row.decision == "safe"


class SlowWriter(ScriptedEngine):
    """Undecided at once, and never done with what it writes."""

    def __init__(self) -> None:
        super().__init__(default=0.5, default_generation="Yes.")

    async def generate(self, *_: object, **__: object) -> list[object]:  # type: ignore[override]
        await asyncio.Event().wait()
        return []


async def test_a_deadline_between_stages_gives_the_verdict_so_far_and_it_is_not_kept() -> None:
    judging = service(SlowWriter())
    asked = work(picture(1), stages=StageChoice(reason=True), deadline_s=0.5)
    (reply,) = await replies(judging, asked)
    assert reply.final
    assert reply.row.verdict is not None
    assert any("ran out" in notice for notice in reply.row.verdict.notices)
    (again,) = await replies(judging, asked)
    assert not again.cached


async def test_bad_bytes_are_a_reply_with_the_callers_own_name() -> None:
    judging = service(sure())
    first, second = await asyncio.gather(
        replies(judging, work(b"no picture", "holiday.png")), replies(judging, work(b"no picture", "secret.png"))
    )
    for (reply,), name in ((first, "holiday.png"), (second, "secret.png")):
        assert reply.row.error is not None
        assert reply.row.error.message == f"'{name}': not a picture; detected type: text file"
        assert (reply.row.decision, reply.row.flagged, reply.row.verdict) == ("uncertain", None, None)


async def test_urls_are_off_unless_they_are_permitted() -> None:
    asked = Work(UrlMedia(url="http://127.0.0.1:1/x.png"), "0", stickers())
    (off,) = await replies(service(sure()), asked)
    allowed = JudgeService(sure(), JudgeConfig(cache=False), permissions=Permissions(urls=True))
    (private,) = await replies(allowed, asked)
    assert [reply.row.error is not None for reply in (off, private)] == [True, True]
    assert off.row.error is not None
    assert "URLs are off here" in off.row.error.message


async def test_refinements_come_one_by_one_and_only_the_last_is_final() -> None:
    engine = ScriptedEngine(default=0.5, default_generation="Yes.")
    found = await replies(service(engine), work(picture(1), refine=True, stages=StageChoice(vote=True)))
    assert [reply.final for reply in found] == [False] * (len(found) - 1) + [True]
    assert len(found) > 2
