"""Whole labellings in this process, with scripted answers: one row for each input, whatever happens, and none twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from judge.bulk.item import Item
from judge.bulk.job import Budget, Ending, LabelJob, Outcome, run_job
from judge.bulk.judging import Answer, Judging
from judge.bulk.local import LocalExecutor
from judge.bulk.parts import Parts
from judge.bulk.plan import ReadPlan, Selection, SourceSpec
from judge.bulk.row import LabelRow
from judge.bulk.run_file import JobRecord, read_run
from judge.errors import ConfigError, EngineError, MediaError
from judge.media import Permissions
from judge.types import Versions
from tests.bulk.making import pictures, verdict


@dataclass
class Counting:
    """Judges by the first byte... and counts every row that it is asked about."""

    model: str = "w"
    seen: Counter[str] = field(default_factory=Counter)
    fails: frozenset[str] = frozenset()
    kills: frozenset[str] = frozenset()
    ends: Ending | None = None
    end_after: int = 10**9
    starts: int = 0

    takes_bytes = True

    def start(self) -> Judging:
        self.starts += 1
        return self

    def close(self) -> None: ...

    def judge(self, items: Sequence[Item]) -> list[Answer]:
        return [self._one(item) for item in items]

    def _one(self, item: Item) -> Answer:
        self.seen[item.sample.id] += 1
        if self.ends is not None and self.seen.total() >= self.end_after:
            self.ends.ask("interrupted")
        if item.sample.id in self.fails:
            return MediaError("broken")
        if item.sample.id in self.kills:
            return EngineError("out of memory")
        versions = Versions(package="0", model=self.model, constitution="c", templates="t", thresholds="h")
        return verdict(0.9).model_copy(update={"media_id": item.digest, "versions": versions})


def job(folder: Path, source: Path, **fields: object) -> LabelJob:
    selection = fields.pop("selection", Selection())
    plan = ReadPlan(
        SourceSpec(str(source)), selection, Permissions(files=True), folder / "rows", bundle_rows=4, threads=2  # type: ignore[arg-type]
    )  # fmt: skip
    record = JobRecord(source=str(source), constitution="test@1", constitution_digest="c", share=plan.selection.share)
    made = LabelJob(folder, plan, record, part_rows=8)
    return replace(made, **fields)  # type: ignore[arg-type]


def label(work: LabelJob, judging: Counting, ending: Ending | None = None, workers: int = 1) -> Outcome:
    return run_job(work, LocalExecutor(judging, workers=workers), ending or Ending())


def rows(folder: Path) -> list[LabelRow]:
    return list(Parts(folder / "rows").all_rows())


def test_one_row_for_each_input_and_duplicates_judged_once(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", [1, 2, 3, 1, 2, 3, 4] * 5)
    judging = Counting()
    outcome = label(job(tmp_path / "out", source), judging)
    found = rows(tmp_path / "out")
    assert [row.index for row in found] == list(range(35))
    assert [row.id for row in found] == [f"{place:04d}.png" for place in range(35)]
    assert judging.seen.total() == 4
    assert {row.duplicate_of for row in found} == {None, 0, 1, 2, 6}
    assert all(row.decision == "unsafe" and row.verdict for row in found)
    assert (outcome.why, outcome.added.rows, outcome.added.judged, outcome.added.duplicates) == ("complete", 35, 4, 31)


def test_without_looking_for_duplicates_everything_is_judged(tmp_path: Path) -> None:
    work = job(tmp_path / "out", pictures(tmp_path / "in", [1, 1, 1]))
    judging = Counting()
    label(replace(work, plan=replace(work.plan, duplicates=False)), judging)
    assert judging.seen.total() == 3


def test_a_finished_job_judges_nothing_again(tmp_path: Path) -> None:
    work = job(tmp_path / "out", pictures(tmp_path / "in", range(20)))
    label(work, Counting())
    again = Counting()
    outcome = label(work, again)
    assert (again.seen.total(), again.starts, outcome.added.rows, outcome.n_before) == (0, 0, 0, 20)
    assert outcome.why == "complete"


@pytest.mark.parametrize("workers", [1, 3])
def test_what_was_interrupted_goes_on_where_it_ended(tmp_path: Path, workers: int) -> None:
    work = job(tmp_path / "out", pictures(tmp_path / "in", [*range(60), *range(20)]), flush_s=0.0)
    judged: Counter[str] = Counter()
    for _ in range(30):
        ending = Ending()
        written = {row.id for row in rows(tmp_path / "out")}
        judging = Counting(ends=ending, end_after=9)
        outcome = label(work, judging, ending, workers)
        assert not written & set(judging.seen)
        judged += judging.seen
        if outcome.is_complete:
            break
        assert outcome.why == "interrupted"
    assert [row.index for row in rows(tmp_path / "out")] == list(range(80))
    assert set(judged.values()) == {1}
    assert len(judged) == 60
    record = read_run(tmp_path / "out" / "run.json")
    assert record is not None
    assert (record.status, record.rows) == ("complete", 80)
    assert sum(session.counts["rows"] for session in record.sessions) == 80


def test_errors_are_rows_with_a_reason(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", range(6))
    (source / "0002.png").write_bytes(b"")
    (source / "0003.png").unlink()
    (source / "0003.png").symlink_to(tmp_path / "nowhere.png")
    outcome = label(job(tmp_path / "out", source), Counting(fails=frozenset({"0005.png"})))
    found = rows(tmp_path / "out")
    assert [row.error_code for row in found] == ["", "", "media", "media", "", "media"]
    assert [row.decision for row in found if row.failed] == ["uncertain"] * 3
    assert "empty" in found[2].reason
    assert found[5].reason == "broken"
    assert outcome.added.errors == 3


def test_an_engine_that_dies_of_one_picture_costs_one_row(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", range(8))
    judging = Counting(kills=frozenset({"0001.png"}))
    label(job(tmp_path / "out", source), judging)
    found = rows(tmp_path / "out")
    assert [row.error_code for row in found] == ["", "engine", *[""] * 6]
    assert found[1].reason == "out of memory"


def test_an_engine_that_is_gone_ends_the_run_and_spoils_nothing(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", range(40))
    names = [f"{place:04d}.png" for place in range(40)]
    dead = Counting(kills=frozenset(names[8:]))
    outcome = label(job(tmp_path / "out", source), dead)
    assert outcome.why == "error"
    assert outcome.error is not None
    assert "answers nothing any more" in outcome.error.message
    assert dead.starts > 2
    n_written = len(rows(tmp_path / "out"))
    assert 8 <= n_written < 40
    label(job(tmp_path / "out", source), Counting())
    assert [row.index for row in rows(tmp_path / "out")] == list(range(40))


def test_a_limit_may_be_raised_later(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", range(20))
    outcome = label(job(tmp_path / "out", source, selection=Selection(limit=7)), Counting())
    assert (outcome.why, outcome.added.rows) == ("limit", 7)
    judging = Counting()
    outcome = label(job(tmp_path / "out", source, selection=Selection(limit=11)), judging)
    assert (outcome.why, outcome.added.rows, judging.seen.total()) == ("limit", 4, 4)
    outcome = label(job(tmp_path / "out", source), judging)
    assert (outcome.why, len(rows(tmp_path / "out"))) == ("complete", 20)


def test_a_sample_is_the_same_rows_every_time(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", range(100))
    for name in ("a", "b"):
        label(job(tmp_path / name, source, selection=Selection(share=0.3, seed=4)), Counting())
    first, second = ([row.id for row in rows(tmp_path / name)] for name in ("a", "b"))
    assert first == second
    assert 15 <= len(first) <= 45
    assert [row.index for row in rows(tmp_path / "a")] == list(range(len(first)))


def test_a_budget_of_tokens_ends_the_run_and_the_next_one_goes_on(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", range(40))
    work = job(tmp_path / "out", source, budget=Budget(tokens=100))
    outcome = label(work, Counting())
    assert outcome.why == "budget_tokens"
    assert 100 <= outcome.added.tokens < 40 * 14
    outcome = label(replace(work, budget=Budget()), Counting())
    assert (outcome.why, len(rows(tmp_path / "out"))) == ("complete", 40)


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    work = job(tmp_path / "out", pictures(tmp_path / "in", range(3)))
    label(work, Counting())
    other = replace(work, record=work.record.model_copy(update={"settings": {"max_frames": 3}, "duplicates": "none"}))
    with pytest.raises(ConfigError, match=r"duplicates was 'exact' and is 'none'; settings.max_frames was 'None'"):
        label(other, Counting())


def test_another_model_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", range(10))
    label(job(tmp_path / "out", source, selection=Selection(limit=5)), Counting())
    with pytest.raises(ConfigError, match="rows of another model: 'w' then, 'v' now"):
        label(job(tmp_path / "out", source), Counting(model="v"))
    assert len(rows(tmp_path / "out")) == 5


@pytest.mark.parametrize("change", ["renamed", "fewer", "more_before"])
def test_a_source_that_has_changed_is_refused(tmp_path: Path, change: str) -> None:
    source = pictures(tmp_path / "in", range(6))
    work = job(tmp_path / "out", source)
    label(work, Counting())
    if change == "renamed":
        (source / "0003.png").rename(source / "0003b.png")
    elif change == "fewer":
        (source / "0005.png").unlink()
    else:
        (source / "0000.png").rename(source / "0000a.png")
        pictures(source, [9])
    judging = Counting()
    with pytest.raises(ConfigError, match=r"are not those that were written|rows now"):
        check(label(work, judging))
    assert judging.seen.total() == 0


def check(outcome: Outcome) -> None:
    assert outcome.error is not None
    raise ConfigError(outcome.error.message)


def test_rows_added_to_the_end_are_labelled(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", range(4))
    work = job(tmp_path / "out", source)
    label(work, Counting())
    pictures(source, range(9))
    judging = Counting()
    label(work, judging)
    assert judging.seen.total() == 5
    assert len(rows(tmp_path / "out")) == 9


def test_a_table_that_is_broken_in_its_midst_keeps_the_rows_before(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", range(3))
    table = source / "rows.csv"
    table.write_text('path\n0000.png\n0001.png\n"0002.png\n')
    outcome = label(job(tmp_path / "out", table), Counting())
    assert outcome.why == "error"
    assert outcome.error is not None
    assert "breaks off at line" in outcome.error.message
    assert [row.decision for row in rows(tmp_path / "out")] == ["unsafe", "unsafe"]


def test_the_journal_has_a_line_for_every_judgement(tmp_path: Path) -> None:
    work = job(tmp_path / "out", pictures(tmp_path / "in", [1, 2, 1]))
    journal = tmp_path / "journal"
    run_job(work, LocalExecutor(Counting(), journal=journal), Ending())
    assert [json.loads(line)["index"] for line in journal.read_text().splitlines()] == [0, 1]


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    work = job(tmp_path / "out", pictures(tmp_path / "in", [1]))
    label(work, Counting())
    (tmp_path / "out" / "run.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"run.json' cannot be read: .* wrong fields"):
        label(work, Counting())
    (tmp_path / "out" / "run.json").unlink()
    with pytest.raises(ConfigError, match=r"holds rows, and no run.json"):
        label(work, Counting())
