"""`judge debate annotate | tune-icl`: the real commands with a scripted engine, and with the embedded model."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from typer.testing import CliRunner

from judge.assets import sample_media_path
from judge.bench.vhd11k import read_annotations
from judge.cli.app import app
from judge.errors import JudgeError
from judge.types.annotation import annotation_columns
from tests.cli.debating_engine import BREAKS, DARK, HARMLESS, LIGHT, DebatingEngine, gray
from tests.cli.running import judge

POLICY = """
name: small
version: "1"
categories: {weapons: {title: Weapons}, other: {title: Other}}
preconditions: {gun: {statement: A gun is visible.}, fire: {statement: A fire is visible.}}
rules:
  guns: {category: weapons, severity: high, text: t, statement: A gun is aimed., violated_when: gun, examples: %s}
  fires: {category: other, severity: high, text: t, statement: Something burns., violated_when: fire, examples: %s}
"""


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error and the message of an error of ours."""
    DebatingEngine.built.clear()
    result = CliRunner().invoke(app, ["debate", *arguments])
    if isinstance(result.exception, JudgeError):
        return 2, result.stdout, result.stderr + str(result.exception)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def picture(path: Path, level: int) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    name = PngInfo()
    name.add_text("name", path.name)  # no two files have the same bytes
    Image.new("RGB", (8, 8), (level, level, level)).save(path, pnginfo=name)
    return str(path)


@pytest.fixture
def policy(tmp_path: Path) -> str:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY % ("[]", "[]"))
    return str(path)


def options(policy: str, model: str = "never", *more: str) -> list[str]:
    return ["--constitution", policy, "--engine", "debating", "--model", model, *more]


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# --- annotate ---------------------------------------------------------------------------------------------------


def test_every_input_becomes_a_row_whatever_happens_to_it(tmp_path: Path, policy: str) -> None:
    light, plain = picture(tmp_path / "light, =1+1.png", LIGHT), picture(tmp_path / "plain.png", HARMLESS)
    (tmp_path / "bad.png").write_bytes(b"no picture")
    table = tmp_path / "out" / "t.csv"
    inputs = [light, str(tmp_path / "bad.png"), plain, str(tmp_path / "gone.png"), light]
    code, _, messages = run("annotate", *inputs, "--csv", str(table), *options(policy))
    assert code == 3
    found = rows(table)
    assert list(found[0]) == [*annotation_columns(), "probability", "reason", "annotator"]
    assert [(row["imagePath"], row["decision"], row["harmfulType"]) for row in found] == [
        (light, "yes", "weapons"),
        (inputs[1], "error", "error"),
        (plain, "no", "a gray field"),
        (inputs[3], "error", "error"),
    ]
    assert found[0]["affirmativeDebater_argument_0"] == f'It is gray level {LIGHT},\n"plainly".'
    assert found[0]["affirmativeDebater_argument_1"] == "None"  # the judge was sure after one round
    assert "does not exist" in found[3]["reason"]
    assert "1 harmful, 1 unharmful, 0 undecided, 2 error" in messages
    assert "per media: 3.0 slow calls, 1.0 readings" in messages
    assert [row.harmful for row in read_annotations(table).rows] == [True, None, False, None]


def test_the_whole_policy_is_debated_in_one_prompt(tmp_path: Path, policy: str) -> None:
    run("annotate", picture(tmp_path / "a.png", LIGHT), *options(policy))
    prompt = DebatingEngine.built[0].calls[-1].prompts[0].messages[-1].text
    assert "1. A gun is aimed.\n2. Something burns." in prompt
    assert "(weapons, other)" in prompt


def test_a_run_goes_on_where_it_ended(tmp_path: Path, policy: str) -> None:
    names = [picture(tmp_path / f"{number}.png", HARMLESS) for number in range(4)]
    table = tmp_path / "t.csv"
    run("annotate", *names[:2], str(tmp_path / "late.png"), "--csv", str(table), *options(policy))
    whole = table.read_bytes()
    torn = b'later.png,no,"a reason that breaks\r\noff'
    table.write_bytes(whole + torn)
    late = picture(tmp_path / "late.png", LIGHT)
    code, _, messages = run("annotate", *names, late, "--csv", str(table), *options(policy))
    assert code == 0
    assert "2 inputs are in the table already" in messages
    assert "1 rows that say error are taken out" in messages
    assert f"{len(torn)} bytes are taken away" in messages
    assert [row["imagePath"] for row in rows(table)] == [*names, late]
    assert table.read_bytes().startswith(b"".join(whole.splitlines(keepends=True)[:1]))
    asked = {id(prompt.frames[-1]) for call in DebatingEngine.built[0].calls for prompt in call.prompts}
    assert len(asked) == 3
    code, _, messages = run("annotate", *names, late, "--csv", str(table), *options(policy))
    assert (code, DebatingEngine.built) == (0, [])


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_table_cut_anywhere_is_completed(tmp_path: Path, policy: str, cut: int) -> None:
    names = [picture(tmp_path / f"{number}.png", LIGHT) for number in range(2)]
    table = tmp_path / "t.csv"
    run("annotate", *names, "--csv", str(table), *options(policy))
    whole = table.read_bytes()
    table.write_bytes(whole[: len(whole) * cut // 40])
    assert run("annotate", *names, "--csv", str(table), *options(policy))[0] == 0
    assert table.read_bytes() == whole


def test_rows_of_two_annotators_are_not_mixed(tmp_path: Path, policy: str) -> None:
    first, second = (picture(tmp_path / f"{number}.png", HARMLESS) for number in range(2))
    table = tmp_path / "t.csv"
    run("annotate", first, "--csv", str(table), *options(policy))
    before = table.read_bytes()
    code, _, messages = run("annotate", second, "--csv", str(table), *options(policy, "never", "--refusal", "harmful"))
    assert code == 2
    assert "name another file with --csv" in messages
    code, _, messages = run("annotate", second, "--csv", str(table), *options(policy, "never", "--critic"))
    assert code == 2
    assert "has other columns than these settings write" in messages
    assert table.read_bytes() == before


def test_rows_that_say_error_stay_until_their_media_is_judged_again(tmp_path: Path, policy: str) -> None:
    gone, light = str(tmp_path / "gone.png"), picture(tmp_path / "light.png", LIGHT)
    table = tmp_path / "t.csv"
    run("annotate", gone, "--csv", str(table), *options(policy))
    assert run("annotate", light, "--csv", str(table), *options(policy))[0] == 0
    assert [(row["imagePath"], row["decision"]) for row in rows(table)] == [(gone, "error"), (light, "yes")]
    before = table.read_bytes()
    picture(tmp_path / "gone.png", LIGHT)
    assert run("annotate", gone, "--csv", str(table), *options(policy, "learns", "--refusal", "harmful"))[0] == 2
    assert table.read_bytes() == before  # a run that is refused changes nothing
    assert run("annotate", gone, "--csv", str(table), *options(policy))[0] == 0
    assert [(row["imagePath"], row["decision"]) for row in rows(table)] == [(light, "yes"), (gone, "yes")]


def test_a_file_that_is_no_table_of_ours_is_left_alone(tmp_path: Path, policy: str) -> None:
    table = tmp_path / "t.csv"
    table.write_text("dear diary\n")
    code, _, messages = run("annotate", picture(tmp_path / "a.png", LIGHT), "--csv", str(table), *options(policy))
    assert code == 2
    assert "other columns" in messages
    assert table.read_text() == "dear diary\n"


def test_an_engine_that_fails_beside_one_picture_spoils_no_other(tmp_path: Path, policy: str) -> None:
    names = [picture(tmp_path / f"{level}.png", level) for level in (LIGHT, BREAKS, HARMLESS)]
    table = tmp_path / "t.csv"
    code, _, _ = run("annotate", *names, "--csv", str(table), *options(policy, "broken", "--vote"))
    assert code == 3
    assert [(row["decision"], row["vote"]) for row in rows(table)] == [("yes", "yes"), ("error", "error"), ("no", "no")]
    assert "the card fell out" in rows(table)[1]["reason"]


@pytest.mark.parametrize(
    ("policy_of_refusals", "decision", "harmful"), [("abstain", "none", None), ("harmful", "yes", True)]
)
def test_what_a_refusal_means_is_chosen(
    tmp_path: Path, policy: str, policy_of_refusals: str, decision: str, harmful: bool | None
) -> None:
    table = tmp_path / "t.csv"
    more = ("--refusal", policy_of_refusals, "--vote", "--csv", str(table))
    code, _, _ = run("annotate", picture(tmp_path / "a.png", HARMLESS), *options(policy, "refuses", *more))
    (row,) = rows(table)
    assert (code, row["decision"], row["vote"], row["probability"]) == (0, decision, decision, "")
    assert row["harmfulType"] == "API refuse to answer"
    (back,) = read_annotations(table).rows
    assert (back.harmful, back.problem) == (harmful, "refused")


def test_undecided_is_neither_and_no_failure(tmp_path: Path, policy: str) -> None:
    table = tmp_path / "t.csv"
    code, _, messages = run(
        "annotate", picture(tmp_path / "a.png", LIGHT), "--csv", str(table), *options(policy, "unsure", "--critic")
    )
    (row,) = rows(table)
    assert (code, row["decision"], row["harmfulType"], row["probability"]) == (0, "none", "none", "0.5")
    assert row["affirmativeDebater_argument_1"].startswith("It is gray level")
    assert row["critic"] == "It holds, =1+1."
    assert "0 harmful, 0 unharmful, 1 undecided, 0 error" in messages


def test_both_orders_and_a_vote_of_as_many_texts(tmp_path: Path, policy: str) -> None:
    more = ("--orders", "both", "--rounds", "1", "--vote", "--json")
    code, out, messages = run("annotate", picture(tmp_path / "a.png", LIGHT), *options(policy, "never", *more))
    (found,) = json.loads(out)
    assert (code, found["decision"], found["harmful_type"]) == (0, "yes", "weapons")
    assert [debate["order"] for debate in found["debates"]] == ["affirmative_first", "negative_first"]
    assert found["usage"]["generations"] == found["vote_usage"]["generations"] == 6
    assert [turn["speaker"] for turn in found["vote"]["turns"]] == ["voter"] * 6
    assert found["vote"]["probability"] == 1.0
    assert "debate and vote say the same of 1 of 1 media" in messages


def test_people_get_a_table_and_programs_a_line_each(tmp_path: Path, policy: str) -> None:
    names = [picture(tmp_path / "a.png", LIGHT), picture(tmp_path / "b.png", HARMLESS)]
    assert "weapons" in run("annotate", *names, *options(policy))[1]
    lines = run("annotate", *names, "--jsonl", *options(policy))[1].splitlines()
    assert [json.loads(line)["decision"] for line in lines] == ["yes", "no"]


@pytest.mark.parametrize(
    ("more", "words"),
    [(("--rounds", "0"), "rounds"), (("--rounds", "9"), "rounds"), (("--examples", "gone.yaml"), "cannot be read")],
)
def test_wrong_settings_are_named_before_a_model_starts(
    tmp_path: Path, policy: str, more: tuple[str, ...], words: str
) -> None:
    code, _, messages = run("annotate", picture(tmp_path / "a.png", LIGHT), *options(policy, "never", *more))
    assert (code, DebatingEngine.built) == (2, [])
    assert words in messages


# --- examples ---------------------------------------------------------------------------------------------------


def with_examples(tmp_path: Path, guns: list[tuple[str, bool]], fires: list[tuple[str, bool]]) -> str:
    listed = [
        json.dumps([{"media": media, "violates": violates, "note": f"of {media}"} for media, violates in each])
        for each in (guns, fires)
    ]
    path = tmp_path / "with.yaml"
    path.write_text(POLICY % tuple(listed))
    return str(path)


def test_the_constitution_s_examples_are_shown_to_the_judge_alone(tmp_path: Path) -> None:
    for name, level in (("ex/dark.png", DARK), ("ex/plain.png", HARMLESS)):
        picture(tmp_path / name, level)
    policy = with_examples(tmp_path, [("ex/dark.png", True), ("ex/plain.png", False)], [("ex/dark.png", False)])
    code, out, messages = run("annotate", picture(tmp_path / "a.png", DARK), "--json", *options(policy, "learns"))
    assert code == 0
    assert "shown to the judge: 2 examples, 1 of them harmful" in messages
    assert json.loads(out)[0]["decision"] == "yes"
    calls = DebatingEngine.built[0].calls
    assert [len(call.prompts[0].frames) for call in calls] == [1, 1, 3, 3]
    assert "Example 1: Yes, weapons.\nExample 2: No, of ex/plain.png." in calls[-1].prompts[0].messages[-1].text


def test_two_of_seven_examples_are_harmful_and_rules_take_turns(tmp_path: Path) -> None:
    for number in range(6):
        picture(tmp_path / f"h{number}.png", DARK)
        picture(tmp_path / f"u{number}.png", HARMLESS)
    per_rule = [
        [(f"h{number}.png", True) for number in range(start, start + 3)]
        + [(f"u{number}.png", False) for number in range(start, start + 3)]
        for start in (0, 3)
    ]
    policy = with_examples(tmp_path, *per_rule)
    light = picture(tmp_path / "a.png", LIGHT)
    _, _, messages = run("annotate", light, "--max-examples", "7", *options(policy))
    assert "shown to the judge: 7 examples, 2 of them harmful" in messages
    text = DebatingEngine.built[0].calls[-1].prompts[0].messages[-1].text
    assert "Example 1: Yes, weapons.\nExample 2: Yes, other.\n" in text
    assert "0 examples" in run("annotate", light, "--max-examples", "0", *options(policy))[2]


@pytest.mark.parametrize(
    ("media", "words"), [("gone.png", "does not exist"), ("../a.png", "lies outside"), ("http://x/a.png", "is a URL")]
)
def test_an_example_that_cannot_be_shown_stops_the_run(tmp_path: Path, media: str, words: str) -> None:
    policy = with_examples(tmp_path, [(media, True)], [])
    code, _, messages = run("annotate", picture(tmp_path / "a.png", LIGHT), *options(policy))
    assert (code, DebatingEngine.built) == (2, [])
    assert words in messages


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "settings: "),
        ("examples: []", "examples: "),
        ("name: small", "examples: Field required"),
        ("examples: [{media: a.png}]", "violates"),
        ("examples: [{media: a.png, violates: 'yes'}]", "violates"),
        ("a: [", "is not valid YAML"),
    ],
)
def test_a_bad_file_of_examples_is_named(tmp_path: Path, policy: str, content: str, words: str) -> None:
    (tmp_path / "e.yaml").write_text(content)
    more = ("--examples", str(tmp_path / "e.yaml"))
    code, _, messages = run("annotate", picture(tmp_path / "a.png", LIGHT), *options(policy, "never", *more))
    assert (code, DebatingEngine.built) == (2, [])
    assert words in messages
    assert "e.yaml" in messages


# --- tune-icl ---------------------------------------------------------------------------------------------------


def labelled(tmp_path: Path, light: int = 6, dark: int = 6, harmless: int = 12) -> str:
    made = [("light", LIGHT, "yes")] * light + [("dark", DARK, "yes")] * dark + [("plain", HARMLESS, "no")] * harmless
    lines = ["imagePath,decision,harmfulType"]
    for number, (name, level, decision) in enumerate(made):
        picture(tmp_path / "set" / f"{name}-{number:02}.png", level)
        lines.append(f"/elsewhere/{name}-{number:02}.png,{decision},{'guns; fires' if decision == 'yes' else 'gray'}")
    path = tmp_path / "set" / "ann.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines))
    return str(path)


def test_a_model_that_learns_from_examples_converges(tmp_path: Path, policy: str) -> None:
    out = tmp_path / "examples.yaml"
    code, shown, _ = run("tune-icl", labelled(tmp_path), "--out", str(out), *options(policy, "learns"))
    found = yaml.safe_load(out.read_text())
    assert (code, found["converged"], found["examples_of_round"]) == (0, True, 2)
    assert found["examples"] == [
        {"media": f"dark-{number:02}.png", "violates": True, "note": "weapons"} for number in range(6, 10)
    ]
    first, second = found["rounds"]
    assert (first["everything"]["tpr"]["right"], first["everything"]["tpr"]["of"]) == (6, 12)
    assert (second["rest"]["tpr"]["right"], second["rest"]["tpr"]["of"]) == (8, 8)
    assert (second["everything"]["tpr"]["right"], second["everything"]["tpr"]["of"]) == (12, 12)
    assert first["everything"]["tpr"]["low"] == pytest.approx(0.254, abs=1e-3)  # Wilson's, by hand
    assert "round 2, 4 examples: passed" in shown


def test_no_picture_is_judged_in_sight_of_its_own_answer(tmp_path: Path, policy: str) -> None:
    table = labelled(tmp_path, light=1, dark=3, harmless=2)
    run("tune-icl", table, "--out", str(tmp_path / "e.yaml"), *options(policy, "learns"))
    prompts = [prompt for call in DebatingEngine.built[0].calls for prompt in call.prompts if len(prompt.frames) > 1]
    counts = {(gray(prompt.frames[-1]), len(prompt.frames) - 1) for prompt in prompts}
    assert counts == {(LIGHT, 3), (HARMLESS, 3), (DARK, 2)}


def test_a_copy_under_another_name_is_the_same_picture(tmp_path: Path, policy: str) -> None:
    table = Path(labelled(tmp_path, light=0, dark=2, harmless=2))
    first, second = sorted(table.parent.glob("dark-*.png"))
    second.write_bytes(first.read_bytes())
    code, _, _ = run("tune-icl", str(table), "--out", str(tmp_path / "e.yaml"), *options(policy, "learns"))
    asked = [prompt for call in DebatingEngine.built[0].calls for prompt in call.prompts]
    assert code == 10
    assert {len(prompt.frames) for prompt in asked if gray(prompt.frames[-1]) == DARK} == {1}


def test_a_model_that_never_learns_does_not_converge_by_leaving_errors_out(tmp_path: Path, policy: str) -> None:
    out = tmp_path / "examples.yaml"
    code, _, messages = run("tune-icl", labelled(tmp_path), "--out", str(out), *options(policy, "never"))
    found = yaml.safe_load(out.read_text())
    assert (code, found["converged"], found["examples"]) == (10, False, [])
    last = found["rounds"][-1]
    assert last["rest"]["tpr"]["value"] == 0.75  # the target: the errors became examples
    assert last["everything"]["tpr"]["value"] == 0.5
    assert "not converged: no misjudged media is left" in messages


def test_rounds_are_capped(tmp_path: Path, policy: str) -> None:
    more = ("--max-rounds", "1")
    out = tmp_path / "e.yaml"
    code, _, messages = run("tune-icl", labelled(tmp_path), "--out", str(out), *options(policy, "learns", *more))
    assert code == 10
    assert "after 1 rounds" in messages
    assert len(yaml.safe_load(out.read_text())["rounds"]) == 1


def test_undecided_counts_as_neither_and_is_shown(tmp_path: Path, policy: str) -> None:
    out = tmp_path / "e.yaml"
    code, shown, _ = run(
        "tune-icl", labelled(tmp_path, 2, 2, 4), "--out", str(out), *options(policy, "unsure", "--max-rounds", "1")
    )
    rates = yaml.safe_load(out.read_text())["rounds"][0]["rest"]
    assert code == 10
    assert (rates["tpr"]["right"], rates["tpr"]["of"], rates["tnr"]["right"], rates["tnr"]["of"]) == (0, 4, 0, 4)
    assert rates["undecided"] == 8
    assert "8 undecided" in shown


def test_what_failed_counts_nowhere_and_is_told(tmp_path: Path, policy: str) -> None:
    table = Path(labelled(tmp_path, light=4, dark=0, harmless=4))
    picture(table.parent / "breaks.png", BREAKS)
    (table.parent / "bad.png").write_bytes(b"no picture")
    table.write_text(table.read_text() + "\nbreaks.png,yes,x\nbad.png,no,x\nodd.png,perhaps,x\ngone.png,yes,x")
    out = tmp_path / "e.yaml"
    code, _, messages = run("tune-icl", str(table), "--out", str(out), *options(policy, "broken"))
    (only,) = yaml.safe_load(out.read_text())["rounds"]
    assert code == 3
    assert (only["rest"]["tpr"]["of"], only["rest"]["tnr"]["of"], only["rest"]["failed"]) == (4, 4, 2)
    assert "'odd.png' is left out: " in messages
    assert "'gone.png' is left out: no media of that name" in messages
    assert "the card fell out" in messages


def test_nothing_is_overwritten_without_force(tmp_path: Path, policy: str) -> None:
    out = tmp_path / "e.yaml"
    out.write_text("mine")
    arguments = ("tune-icl", labelled(tmp_path, 1, 0, 1), "--out", str(out), *options(policy))
    code, _, messages = run(*arguments)
    assert (code, out.read_text(), DebatingEngine.built) == (2, "mine", [])
    assert "--force" in messages
    assert run(*arguments, "--force")[0] == 0
    assert "converged: true" in out.read_text()


@pytest.mark.parametrize("counts", [(2, 0, 0), (0, 0, 2), (0, 0, 0)])
def test_a_set_without_one_of_the_classes_is_refused(tmp_path: Path, policy: str, counts: tuple[int, int, int]) -> None:
    code, _, messages = run(
        "tune-icl", labelled(tmp_path, *counts), "--out", str(tmp_path / "e.yaml"), *options(policy)
    )
    assert (code, DebatingEngine.built) == (2, [])
    assert "the labelled set has no" in messages
    assert not (tmp_path / "e.yaml").exists()


def test_what_was_found_can_be_shown(tmp_path: Path, policy: str) -> None:
    out = tmp_path / "examples.yaml"
    run("tune-icl", labelled(tmp_path), "--out", str(out), *options(policy, "learns"))
    dark = picture(tmp_path / "new.png", DARK)
    more = ("--examples", str(out), "--media-folder", str(tmp_path / "set"), "--json")
    code, found, _ = run("annotate", dark, *options(policy, "learns", *more))
    assert (code, json.loads(found)[0]["decision"]) == (0, "yes")
    _, found, _ = run("annotate", dark, "--json", *options(policy, "learns"))
    assert json.loads(found)[0]["decision"] == "no"


# --- the embedded model -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_embedded_model_debates_pictures_of_its_world(tmp_path: Path) -> None:
    """Structure only: the model was not trained to argue."""
    demo = sample_media_path("demo")
    names = [str(demo / name) for name in ("harmless-1.png", "harmful-injury-gore.png", "photo-coffee.jpg")]
    config, table = tmp_path / "config.yaml", tmp_path / "t.csv"
    config.write_text("cascade: {debate: {turn_tokens: 8, judge_tokens: 8, critic_tokens: 8}}\n")
    more = ("--config", str(config), "--rounds", "1", "--critic", "--max-examples", "0", "--csv", str(table))
    result = judge("debate", "annotate", *names, *more)
    assert result.returncode == 0, result.stderr
    found = rows(table)
    assert [row["imagePath"] for row in found] == names
    assert {row["decision"] for row in found} <= {"yes", "no", "none"}
    assert found[2]["decision"] == "none"
    assert "outside the model's domain" in found[2]["reason"]
    assert all(row["affirmativeDebater_argument_0"] != "None" for row in found[:2])
    assert {row["annotator"].split()[0] for row in found} == {"stickers-vlm"}


@pytest.mark.slow
def test_a_model_that_takes_too_few_pictures_refuses_examples() -> None:
    result = judge("debate", "annotate", str(sample_media_path("demo") / "harmless-1.png"))
    assert result.returncode == 2
    assert "takes 6 pictures at once, and the judge of a debate is shown 15" in " ".join(result.stderr.split())
    assert "--max-examples 0 shows no examples" in result.stderr
    assert "Traceback" not in result.stderr
