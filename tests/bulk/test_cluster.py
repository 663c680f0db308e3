"""Labelling with Ray Data: on two nodes, with actors that die, and with a judge that cannot be started."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from judge.bulk.cluster import RayExecutor, _check_room, started
from judge.bulk.job import Ending, LabelJob, Outcome, run_job
from judge.bulk.parts import Parts
from judge.bulk.plan import Cluster, DecoderSpec, ReadPlan, Selection, SourceSpec
from judge.bulk.row import LabelRow
from judge.bulk.run_file import JobRecord
from judge.config import DecodingSettings
from judge.errors import ConfigError
from judge.media import Permissions
from tests.bulk.cluster_parts import SlowSpec
from tests.bulk.making import pictures

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("ray")]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Two nodes of our own, as small as they can be."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    from ray.cluster_utils import Cluster as Nodes  # noqa: PLC0415

    folder = tempfile.mkdtemp(prefix="r", dir="/tmp")  # the paths of sockets in it must be short
    options = {"num_cpus": 2, "object_store_memory": 100 * 2**20, "include_dashboard": False}
    nodes = Nodes(initialize_head=True, head_node_args={**options, "temp_dir": folder})
    nodes.add_node(num_cpus=2, object_store_memory=100 * 2**20)
    yield nodes.address
    nodes.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def job(folder: Path, source: Path) -> LabelJob:
    plan = ReadPlan(
        SourceSpec(str(source)), Selection(), Permissions(files=True), folder / "rows", bundle_rows=2, threads=2
    )
    record = JobRecord(source=str(source), constitution="test@1", constitution_digest="c")
    return LabelJob(folder, plan, record, part_rows=8)


def label(work: LabelJob, judging: SlowSpec, cluster: Cluster, *, near: bool = False) -> Outcome:
    with started(cluster):
        return run_job(work, RayExecutor(judging, DecoderSpec(DecodingSettings()), cluster, near), Ending())


def rows(folder: Path) -> list[LabelRow]:
    return list(Parts(folder / "rows").all_rows())


def test_two_nodes_share_the_work_and_an_actor_may_die(address: str, tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", [*range(80), *range(8)])
    (source / "0003.png").write_bytes(b"no picture")
    dies = tmp_path / "dies"
    dies.touch()
    spec = SlowSpec(dies_once=dies, pause_s=0.2)
    outcome = label(job(tmp_path / "out", source), spec, Cluster(address, judges=2, cpus=1.5, decoders=1))
    found = rows(tmp_path / "out")
    assert not dies.exists()
    assert outcome.why == "complete"
    assert [row.index for row in found] == list(range(88))
    assert [row.id for row in found if row.failed] == ["0003.png"]
    assert sum(row.duplicate_of is not None for row in found) == 7
    nodes = Counter(row.model for row in found if row.model)
    assert len(nodes) == 2
    assert min(nodes.values()) >= 10


def test_a_picture_that_kills_the_engine_costs_one_row(address: str, tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", range(12))
    spec = SlowSpec(kills=frozenset({"0005.png"}))
    outcome = label(job(tmp_path / "out", source), spec, Cluster(address))
    found = rows(tmp_path / "out")
    assert outcome.why == "complete"
    assert [row.index for row in found] == list(range(12))
    (failed,) = [row for row in found if row.failed]
    assert (failed.id, failed.error_code) == ("0005.png", "engine")
    assert "died whenever" in failed.reason


def test_what_looks_alike_is_judged_once(address: str, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    rng = np.random.default_rng(1)
    for place in range(6):
        drawn = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(drawn).resize((96, 96), Image.Resampling.BICUBIC)
        picture.save(source / f"{place}-a.png")
        picture.resize((64, 64)).save(source / f"{place}-b.jpg", quality=85)
    work = job(tmp_path / "out", source)
    outcome = label(replace(work, part_rows=3), SlowSpec(), Cluster(address, decoders=2), near=True)
    found = rows(tmp_path / "out")
    assert [row.duplicate_of for row in found] == [index - 1 if index % 2 else None for index in range(12)]
    assert outcome.added.judged == 6


def test_a_judge_that_cannot_be_started_is_told(address: str, tmp_path: Path) -> None:
    work = job(tmp_path / "out", pictures(tmp_path / "in", range(5)))
    outcome = label(work, SlowSpec(fails_to_start=True), Cluster(address))
    assert outcome.why == "error"
    assert outcome.error is not None
    assert (outcome.error.message, outcome.error.hint) == ("no such model", "choose another")
    assert rows(tmp_path / "out") == []


def test_more_gpus_than_there_are_is_told_instead_of_waited_for() -> None:
    with pytest.raises(ConfigError, match="2 judges need 128 GPUs"):
        _check_room(Cluster(judges=2, gpus=64.0), {"CPU": 2.0})
    _check_room(Cluster("auto", judges=2, gpus=64.0), {"CPU": 2.0})
