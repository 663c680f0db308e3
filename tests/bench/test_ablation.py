from __future__ import annotations

import asyncio
import csv
import io
import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from judge.assets import sample_media_path
from judge.bench.ablation import Ablation, Result, Run, Setting, benefit, columns, settings, slow_settings
from judge.bench.ablation_table import plot, rows, table, to_json
from judge.bench.labelled import Labelled, LabelledSet, load_split, split_names
from judge.bench.memo import MemoEngine
from judge.cli.ablate import _grid, _scans
from judge.config import (
    Cascade,
    DebateSettings,
    JudgeConfig,
    RegionSettings,
    RelevanceSettings,
    Thresholds,
    load_config,
)
from judge.constitution import parse_constitution
from judge.engines.scripted import ScriptedEngine
from judge.errors import ConfigError
from judge.types import Frame, Media, Message, Prompt, Usage
from tests.cli.running import judge

POLICY = parse_constitution(
    """
name: small
version: "1"
categories: {harm: {title: Harm}}
preconditions: {light: {statement: The picture is light.}}
rules: {bright: {category: harm, severity: low, text: t, statement: It is bright., violated_when: light}}
""",
    source="small",
)


def picture(gray: int) -> Media:
    return Media(f"{gray}", "image", (Frame(0, 0.0, np.full((4, 4, 3), gray, dtype=np.uint8)),), 0.0)


def brightness(prompt: Prompt) -> float:
    """Too dark by half: what is 100 and more of 255 is harmful, and reads as 0.2 and more."""
    return float(prompt.frames[0].image.mean()) / 255.0 * 0.5


def labelled(name: str, grays: list[int]) -> LabelledSet:
    return LabelledSet(name, tuple(Labelled(str(g), picture(g), g >= 100, str(g)) for g in grays), {})


def run(setting: Setting, engine: ScriptedEngine) -> Run:
    ablation = Ablation(engine, POLICY, labelled("calibration", [*range(0, 250, 10)]))

    async def collect() -> list[Run]:
        return [each async for each in ablation.run(setting, [labelled("test", [5, 85, 105, 245])])]

    (found,) = asyncio.run(collect())
    return found


def test_the_shift_is_fitted_on_the_calibration_split() -> None:
    engine = ScriptedEngine({"light": brightness, "bright": brightness})
    plain = run(Setting("none", config=JudgeConfig(thresholds=Thresholds(preset="none"))), engine)
    shifted = Setting("shifted", config=JudgeConfig(thresholds=Thresholds(preset="threshold")), fit=("bias",))
    fitted = run(shifted, engine)
    assert [result.score >= 0.5 for result in plain.results] == [False] * 4
    assert [result.score >= 0.5 for result in fitted.results] == [False, False, True, True]
    assert fitted.setting.config.thresholds.bias < 0
    assert fitted.split == "test"


def test_corpus_statistics_come_from_the_calibration_split() -> None:
    engine = ScriptedEngine({"light": brightness})
    fitted = run(Setting("b", config=JudgeConfig(thresholds=Thresholds(preset="batch")), fit=("corpus",)), engine)
    mean = fitted.setting.config.thresholds.corpus["light"].mean
    assert mean == pytest.approx(120 / 255 * 0.5, abs=1e-6)


@pytest.mark.parametrize("way", ["policy_direct", "rule_whole"])
def test_baselines_are_asked_and_cost_what_they_cost(way: str) -> None:
    engine = ScriptedEngine({"bright": brightness})
    found = run(Setting("baseline", way, JudgeConfig()), engine)  # type: ignore[arg-type]
    assert [result.score for result in found.results] == pytest.approx([g / 510 for g in (5, 85, 105, 245)])
    assert all(result.usage.questions == 1 and result.usage.prompt_tokens > 0 for result in found.results)


def test_the_grid_has_every_preset_and_stage() -> None:
    names = [setting.name for setting in settings(JudgeConfig(), reasoning=True, scans={})]
    assert names == [
        "policy in one prompt",
        "each rule whole",
        *(f"chain, {p}" for p in ("none", "threshold", "clue", "log_odds", "contextual", "contrastive", "batch")),
        "chain, mixture",
        "chain, log_odds, weight fitted",
        "chain + region",
        "chain + region, margins fitted",
        "chain + region, also of what was accepted",
        "chain + holistic",
        "chain + reasoning",
        "full cascade",
    ]
    assert len({setting.config.cascade.digest for setting in settings(JudgeConfig(), reasoning=True, scans={})}) == 5


def test_every_scan_is_a_row_of_its_own_without_other_stages() -> None:
    scans = {
        "scan": RelevanceSettings(embedder="siglip"),
        "wide scan": RelevanceSettings(embedder="siglip", threshold=0),
    }
    base = JudgeConfig(cascade=Cascade(holistic_weight=0.5))
    found = [each for each in settings(base, reasoning=False, scans=scans) if "scan" in each.name]
    assert [each.name for each in found] == ["chain + scan", "chain + wide scan"]
    assert [each.config.cascade for each in found] == [Cascade(relevance=scan) for scan in scans.values()]


def test_seconds_count_the_scan_which_does_not_ask_the_engine() -> None:
    """Every rule is dropped, so that nothing but the scan takes time."""
    scan = RelevanceSettings(embedder="siglip", model="stickers-siglip", threshold=1.0, always_ask=())
    found = run(Setting("scan", config=JudgeConfig(cascade=Cascade(relevance=scan))), ScriptedEngine({}))
    assert all(result.usage.questions == 0 for result in found.results)
    assert all(result.seconds > 1e-4 for result in found.results)


def test_the_stickers_get_the_scans_that_ship_and_others_only_what_they_configure() -> None:
    assert list(_scans(JudgeConfig(), "stickers")) == ["scan", "scan of any rule"]
    assert _scans(JudgeConfig(), "general") == {}
    own = RelevanceSettings(embedder="clip", threshold=0.3)
    assert _scans(JudgeConfig(cascade=Cascade(relevance=own)), "stickers") == {"scan": own}


def test_margins_of_the_region_test_are_those_that_serve_best() -> None:
    """Every picture reads as 0.6; without its corner the harmful ones fall to 0.05, the harmless ones to 0.2."""

    def corner(prompt: Prompt) -> float:
        image = prompt.frames[0].image
        if image[0, 0].any():
            return 0.6
        return 0.05 if image.max() >= 100 else 0.2

    region = Cascade(region=RegionSettings(localizer="occlusion", fill="black", grid=2))
    base = JudgeConfig(thresholds=Thresholds(preset="none", region_accept=1.3863), cascade=region)
    engine = ScriptedEngine({"light": corner})
    assert [each.flagged for each in run(Setting("r", config=base), engine).results] == [True, True, True, True]
    fitted = run(Setting("r", config=base, fit=("region",)), engine)
    assert [each.flagged for each in fitted.results] == [None, None, True, True]
    assert fitted.setting.config.thresholds.region_accept == 2.1972


def test_a_wrong_verdict_costs_twice_what_a_right_one_gains() -> None:
    rows = [result(True, 0.9, "a", True), result(False, 0.9, "b", True), result(True, 0.5, "c")]
    assert benefit(rows) == pytest.approx((1 - 2 + 0) / 3)
    assert math.isnan(benefit([]))


def test_a_question_is_asked_once_and_paid_for_each_time() -> None:
    engine = ScriptedEngine({"dog": 0.9}, generations={"dog": "a b"})
    memo = MemoEngine(engine)
    dog, cat = (Prompt((Message("user", text),), picture(9).frames) for text in ("a dog?", "no dog?"))

    async def ask() -> None:
        first = await memo.choose([dog, dog, cat])
        again = await memo.choose([cat, dog])
        assert again == [first[2], first[0]]
        await memo.choose([dog], ("Yes", "No", "Maybe"))
        assert await memo.generate([dog], max_tokens=5) == await memo.generate([dog], max_tokens=5)

    asyncio.run(ask())
    assert [len(call.prompts) for call in engine.calls] == [2, 1, 1]
    assert memo.usage.questions == 6
    assert (memo.usage.generations, memo.usage.completion_tokens) == (2, 4)


def test_voters_who_are_asked_the_same_write_their_own() -> None:
    """The n-th sample of a prompt is remembered as such, and given out again after a restart."""
    numbers = itertools.count()
    engine = ScriptedEngine(generations={"dog": lambda _: f"text {next(numbers)}"})
    memo = MemoEngine(engine)
    dog = Prompt((Message("user", "a dog?"),), picture(9).frames)

    async def write(copies: int, temperature: float = 0.5) -> list[str]:
        return [each.text for each in await memo.generate([dog] * copies, max_tokens=9, temperature=temperature)]

    async def ask() -> None:
        assert await write(3) == ["text 0", "text 1", "text 2"]
        assert await write(1) == ["text 3"], "the same question again, of the same setting"
        memo.restart()
        assert await write(2) == ["text 0", "text 1"]
        assert await write(3) == ["text 2", "text 3", "text 4"]
        assert await write(2, temperature=0.0) == ["text 5"] * 2, "nothing is sampled"

    asyncio.run(ask())
    assert [len(call.prompts) for call in engine.calls] == [3, 1, 1, 1]


def test_the_slow_grid_adds_one_stage_after_another_to_the_plain_chain() -> None:
    grid = {setting.name: setting.config.cascade for setting in slow_settings(JudgeConfig())}
    on = {
        name: [c.region.localizer != "off", c.reasoning.enabled, c.vote.enabled, c.debate.enabled and c.debate.orders]
        for name, c in grid.items()
    }
    assert on == {
        "plain chain": [False, False, False, False],
        "chain + reasoning": [False, True, False, False],
        "chain + vote": [False, False, True, False],
        "chain + debate, one order": [False, False, False, "affirmative_first"],
        "chain + debate, both orders": [False, False, False, "both"],
        "chain + vote, then debate": [False, False, True, "affirmative_first"],
        "full cascade, vote and debate": [True, True, True, "affirmative_first"],
    }
    base = JudgeConfig(cascade=Cascade(debate=DebateSettings(rounds=1, panel={"judge": "other"})))
    debate = slow_settings(base)[3].config.cascade.debate
    assert (debate.rounds, debate.panel) == (1, {})


def test_the_worth_of_what_is_written_is_measured_against_the_plain_chain() -> None:
    def of(name: str, written: int, *flags: bool | None) -> Run:
        items = zip((True, False), flags, strict=True)
        found = [result(truth, 0.9 if flag else 0.1, f"{truth}", flag) for truth, flag in items]
        usage = Usage(completion_tokens=written)
        return Run(Setting(name), "test", tuple(replace(each, usage=usage) for each in found))

    plain, vote, same = rows(
        [of("plain chain", 0, None, False), of("vote", 500, True, False), of("other", 0, True, False)]
    )
    assert vote.worth == pytest.approx({"f1": 2.0, "coverage": 1.0, "decided_accuracy": 0.0})
    assert (plain.worth, same.worth) == ({}, {})
    assert to_json([vote])[0]["per_1000_written"] == {"f1": 2.0, "coverage": 1.0, "decided_accuracy": 0.0}
    shown = io.StringIO()
    Console(file=shown, width=300).print(table("test", [plain, vote, same]))
    lines = {line.split("│")[1].strip(): line for line in shown.getvalue().splitlines() if line.startswith("│")}
    assert [cell.strip() for cell in lines["vote"].split("│")[-4:-1]] == ["+2.000", "+1.000", "+0.000"]
    assert [cell.strip() for cell in lines["other"].split("│")[-4:-1]] == ["-", "-", "-"]
    quick = io.StringIO()
    Console(file=quick, width=300).print(table("test", [plain, same]))
    assert "1000" not in quick.getvalue(), "columns about writing are shown where something was written"


def result(harmful: bool, score: float, group: str, flagged: bool | None = None) -> Result:
    item = Labelled(group, picture(1), harmful, group)
    return Result(item, score, flagged, Usage(prompt_tokens=90, completion_tokens=10, generations=2), 0.5)


def test_rows_compare_with_the_first_setting_of_the_split() -> None:
    base = Run(Setting("base"), "test", (result(True, 0.2, "a", False), result(False, 0.1, "b", False)))
    better = Run(Setting("better"), "test", (result(True, 0.9, "a", True), result(False, 0.1, "b")))
    first, second = rows([base, better])
    assert (first.measures["f1"].value, second.measures["f1"].value, second.gain.value) == (0.0, 1.0, 1.0)
    assert (first.coverage.value, second.coverage.value) == (1.0, 0.5)
    assert (first.decided_accuracy.value, second.decided_accuracy.value) == (0.5, 1.0)
    assert first.pairs is None
    assert second.costs == {"slow_calls": 2.0, "tokens": 100.0, "written": 10.0, "seconds": 0.5}
    assert (first.worth, second.worth) == ({}, {}), "the plain chain was not run"
    assert columns(base.results)[1].tolist() == [0.2, 0.1]


def test_pairs_count_only_when_all_members_are_right(tmp_path: Path) -> None:
    found = rows(
        [
            Run(
                Setting("s"),
                "twins",
                (result(True, 0.9, "a"), result(False, 0.1, "a"), result(True, 0.9, "b"), result(False, 0.8, "b")),
            )
        ]
    )
    assert found[0].pairs is not None
    assert found[0].pairs.value == 0.5
    assert json.loads(json.dumps(to_json(found)))[0]["coverage"] == [0.0, 0.0, 0.0]
    plot(found, tmp_path / "deep" / "plot.svg")
    assert "F1" in (tmp_path / "deep" / "plot.svg").read_text()
    with pytest.raises(ConfigError, match="cannot be written"):
        plot(found, tmp_path / "plot.exe")


def write_split(folder: Path, rows: list[tuple[str, str]], encoding: str = "utf-8") -> None:
    with (folder / "harmful_image_test_ann.csv").open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file)
        writer.writerow(["imagePath", "decision", "harmfulType"])
        writer.writerows((*row, "naïve, \n text") for row in rows)


def test_a_split_keeps_what_can_be_read_and_names_the_rest(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"not a picture")
    write_split(tmp_path, [("a.png", "yes"), ("b.png", "no"), ("c.png", "no"), ("a.png", "error")], "iso-8859-1")
    (tmp_path / "scenes_test.jsonl").write_text('{"id": "a", "group": "g"}\n')
    found = load_split(tmp_path, "test")
    assert [(item.id, item.harmful, item.group) for item in found.items] == [("a", True, "g")]
    assert found.left_out.keys() == {"b.png", "c.png", "a.png"}
    assert found.left_out["a.png"] == "its decision is 'error', neither yes nor no"
    assert split_names(tmp_path) == ("test",)
    assert len(load_split(tmp_path, "test", count=1).left_out) == 0


def test_a_video_among_labelled_pictures_is_left_out_and_closed(tmp_path: Path) -> None:
    clip = sample_media_path("clips") / "demo-video" / "demo-video-00000.mp4"
    (tmp_path / "harmful_image_test_ann.csv").write_text(f"imagePath,decision\n{clip},yes\n")
    found = load_split(tmp_path, "test")
    assert (found.items, dict(found.left_out)) == ((), {str(clip): "it is a video, and a split is of pictures"})


def test_a_missing_split_or_column_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_split(tmp_path, "test")
    (tmp_path / "harmful_image_test_ann.csv").write_text("imagePath,label\na.png,yes\n")
    with pytest.raises(ConfigError, match="no column 'decision'"):
        load_split(tmp_path, "test")


@pytest.mark.slow
def test_the_command_measures_the_embedded_model(tmp_path: Path) -> None:
    made = judge("stickers", "generate", str(tmp_path), "--count", "6", "--split", "calibration", "--split", "test")
    assert made.returncode == 0, made.stderr
    chosen = ("--setting", "policy in one prompt", "--setting", "chain + region")
    done = judge("ablate", str(tmp_path), *chosen, "--json", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [(row["setting"], row["split"], row["count"]) for row in found] == [
        ("policy in one prompt", "test", 6),
        ("chain + region", "test", 6),
    ]
    assert found[1]["tokens"] > found[0]["tokens"] > 100
    assert (tmp_path / "out" / "ablation.png").stat().st_size > 5_000
    assert json.loads((tmp_path / "out" / "ablation.json").read_text()) == found
    chosen_config = load_config(tmp_path / "out" / "settings" / "chain-region.yaml")
    assert chosen_config.cascade.region.localizer == "occlusion"


@pytest.mark.slow
def test_the_slow_rows_measure_the_embedded_model(tmp_path: Path) -> None:
    """With margins so wide that much is left open, and texts so short that it does not take long."""
    made = judge("stickers", "generate", str(tmp_path), "--count", "4", "--split", "calibration", "--split", "test")
    assert made.returncode == 0, made.stderr
    (tmp_path / "open.yaml").write_text(
        "thresholds: {preset: none, accept: 0.999, reject: 0.001}\n"
        "cascade:\n"
        "  vote: {voters: 3, max_tokens: 12, max_questions: 1}\n"
        "  debate: {rounds: 1, turn_tokens: 12, judge_tokens: 4, max_questions: 1}\n"
    )
    names = ["plain chain", "chain + vote", "chain + debate, one order", "chain + debate, both orders"]
    chosen = [part for name in names for part in ("--setting", name)]
    done = judge("ablate", str(tmp_path), *chosen, "--config", str(tmp_path / "open.yaml"), "--json")
    assert done.returncode == 0, done.stderr
    plain, vote, one, both = json.loads(done.stdout)
    assert [row["setting"] for row in (plain, vote, one, both)] == names
    assert (plain["slow_calls"], plain["written"], plain["per_1000_written"]) == (0.0, 0.0, {})
    assert vote["slow_calls"] * 4 % 3 == 0, "three voters a question"
    assert both["written"] > one["written"] > 0 < vote["written"]
    for row in (vote, one, both):
        added = row["coverage"][0] - plain["coverage"][0]
        assert row["per_1000_written"]["coverage"] == pytest.approx(added / row["written"] * 1000, abs=0.01)


def test_an_engine_that_cannot_write_has_no_slow_rows() -> None:
    with pytest.raises(ConfigError, match="--slow needs an engine that writes texts"):
        _grid(JudgeConfig(), [], slow=True, writes=False, scans={})
    with pytest.raises(ConfigError, match="unknown setting 'chain \\+ vot'"):
        _grid(JudgeConfig(), ["chain + vot"], slow=False, writes=True, scans={})
    assert [each.name for each in _grid(JudgeConfig(), [], slow=True, writes=True, scans={})][:2] == [
        "plain chain",
        "chain + reasoning",
    ]
    assert [
        each.name
        for each in _grid(JudgeConfig(), ["chain + vote", "chain + region"], slow=False, writes=True, scans={})
    ] == [
        "chain + vote",
        "chain + region",
    ]


def test_wrong_use_is_told(tmp_path: Path) -> None:
    nothing = judge("ablate", str(tmp_path))
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert "has no split to report" in nothing.stderr


def test_roles_of_other_models_are_not_left_out_in_silence(tmp_path: Path) -> None:
    config = tmp_path / "judge.yaml"
    config.write_text("panel: {second: {}}\ncascade: {debate: {panel: {judge: second}}}\n")
    for more in (["--slow"], ["--setting", "chain + debate, one order"]):
        refused = judge("ablate", str(tmp_path), "--config", str(config), *more)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "cascade.debate.panel gives roles to others, which it does not start" in refused.stderr
    unused = judge("ablate", str(tmp_path), "--config", str(config))
    assert "has no split to report" in unused.stderr
