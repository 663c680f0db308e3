"""`judge constitution lint | diff | test | show` as a person runs them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from judge.assets import constitution_path, sample_media_path
from judge.cli.verdicts import MAX_LINE_BYTES, BadLine, Row, read_rows
from judge.constitution import load_constitution
from judge.prompts.render import digests_in_use
from judge.replay import Conditions, replay
from judge.types import ScoreRow
from tests.cli.running import judge
from tests.constitution.making import policy

DEMO = sample_media_path("demo")
PICTURES = ["harmful-injury-gore", "harmful-hate-words", "harmful-harassment-gesture", "harmless-1", "harmless-4"]
KNIFE = "A knife is visible."


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real verdicts of the embedded model, one of them about a photo outside its domain, and one row without any."""
    path = tmp_path_factory.mktemp("verdicts") / "verdicts.jsonl"
    pictures = [str(DEMO / f"{name}.png") for name in PICTURES]
    result = judge("score", *pictures, str(DEMO / "photo-coffee.jpg"), "gone.png", "--jsonl")
    assert result.returncode == 3, result.stderr
    path.write_text(result.stdout)
    return path


def _write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


# --- lint -------------------------------------------------------------------------------------------------------


def test_lint_names_line_kind_and_fix_and_counts(tmp_path: Path) -> None:
    file = _write(tmp_path / "p.yaml", policy({"a": "A disturbing, large knife is visible."}, {"r": "a"}))
    result = judge("constitution", "lint", file)
    assert result.returncode == 0
    assert result.stdout.splitlines() == [
        f"{file}:8: warning: precondition 'a': 'disturbing' is a judgement, not something seen "
        "(say what is seen that makes it so) [subjective]",
        f"{file}:8: note: precondition 'a': no measure for 'large' "
        "(say how many, how large or compared with what, if cases near the line matter) [unmeasured]",
        f"{file}:11: note: 1 of 1 rules have no examples: 'r' (add media to test them with) [no-examples]",
        f"{file}: 0 errors, 1 warning, 2 notes, 0 accepted",
    ]


def test_lint_is_strict_about_warnings_and_never_about_notes(tmp_path: Path) -> None:
    warned = _write(tmp_path / "w.yaml", policy({"a": "A disturbing knife is visible."}, {"r": "a"}))
    noted = _write(tmp_path / "n.yaml", policy({"a": "A large knife is visible."}, {"r": "a"}))
    wrong = _write(tmp_path / "e.yaml", policy({"a": KNIFE}, {"r": "b"}))
    codes = [judge("constitution", "lint", file, "--strict", "--json") for file in (warned, noted, wrong, "stickers")]
    assert [each.returncode for each in codes] == [2, 0, 2, 0]
    assert [each["severity"] for each in json.loads(codes[1].stdout)] == ["note", "note"]
    assert json.loads(codes[0].stdout)[0] == {
        "severity": "warning",
        "kind": "subjective",
        "line": 8,
        "where": "precondition 'a'",
        "message": "'disturbing' is a judgement, not something seen",
        "fix": "say what is seen that makes it so",
    }


@pytest.mark.parametrize("command", ["lint", "test", "show"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "unknown constitution"),
        (b"a: [\n", "is not valid YAML"),
        (bytes(range(256)), "is a binary file"),
        (b"name: x\n" * 200_000, "is larger than 1,000,000 bytes"),
        (b"a: &a [*a, *a]\n", "anchor or alias"),
        (b"", "the file is empty"),
    ],
)
def test_a_bad_file_is_one_clear_line(tmp_path: Path, command: str, content: bytes | None, words: str) -> None:
    file = tmp_path / "bad.yaml"
    if content is not None:
        file.write_bytes(content)
    result = judge("constitution", command, str(file))
    assert result.returncode == 2
    assert words in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


# --- diff -------------------------------------------------------------------------------------------------------


def test_diff_shows_meaning_witness_and_texts(tmp_path: Path) -> None:
    facts = {"a": KNIFE, "b": "A person is visible.", "c": "A dog sits on a wall."}
    old = _write(tmp_path / "old.yaml", policy(facts, {"r": "a and b", "s": "c", "t": "a or c"}))
    again = {"a": "Some knife is visible.", "person": facts["b"], "c": facts["c"]}
    rules = {"r": "a and (person or c)", "s": {"violated_when": "not not c", "severity": "low"}, "u": "c and a"}
    new = _write(tmp_path / "new.yaml", policy(again, rules))
    result = judge("constitution", "diff", old, new)
    assert result.returncode == 0, result.stderr
    assert [line.rstrip() for line in result.stdout.splitlines()[1:]] == [
        "~ rule r: stricter: more media violate it",
        "    - a and b",
        "    + a and (person or c)",
        "    violated now, not before: a, not person, c",
        "    asked in other words: a; their readings do not carry over",
        "~ rule s: means the same",
        "    - c",
        "    + not not c",
        "    severity:",
        "    - high",
        "    + low",
        "+ rule u: added: c and a",
        "- rule t: removed: a or c",
        "~ precondition a: reworded (used by r, u)",
        "    - A knife is visible.",
        "    + Some knife is visible.",
        "~ precondition person: renamed (used by r)",
        "    - b",
        "    + person",
        "the meaning changed, but both are called made@1: raise the version",
    ]


def test_diff_of_texts_only_and_of_nothing(tmp_path: Path) -> None:
    one = _write(tmp_path / "1.yaml", policy({"a": KNIFE}, {"r": "a"}))
    two = _write(tmp_path / "2.yaml", policy({"a": KNIFE}, {"r": {"violated_when": "a", "text": "No knives."}}))
    assert judge("constitution", "diff", one, one).stdout.splitlines()[1:] == ["no difference"]
    assert judge("constitution", "diff", one, two).stdout.splitlines()[-1] == "no difference in meaning"
    found = json.loads(judge("constitution", "diff", one, two, "--json").stdout)
    assert (found["changes_meaning"], found["what_if"]) == (False, None)
    assert found["rules"][0]["fields"] == [{"field": "text", "old": "No harm.", "new": "No knives."}]


@pytest.mark.slow
def test_real_verdicts_are_replayed_exactly_under_the_same_policy(verdicts: Path) -> None:
    constitution = load_constitution(constitution_path("stickers"))
    conditions = Conditions(constitution, digests_in_use())
    rows = [each.row for each in read_rows(verdicts) if isinstance(each, Row)]
    judged = [row.verdict for row in rows if row.verdict]
    assert len(judged) == len(PICTURES) + 1
    for verdict in judged:
        replayed = replay(verdict, conditions)
        assert tuple(rule.decision for rule in replayed.rules) == verdict.rules
        assert replayed.decision is not None
        assert (replayed.decision.label, replayed.decision.reason) == (verdict.decision, verdict.reason)
    found = json.loads(
        judge("constitution", "diff", "stickers", "stickers", "--verdicts", str(verdicts), "--json").stdout
    )["what_if"]
    assert {name: found[name] for name in ("verdicts", "same", "flipped", "unknown", "errors", "shifts")} == {
        "verdicts": len(judged), "same": len(judged), "flipped": 0, "unknown": 0, "errors": 1, "shifts": []
    }  # fmt: skip


@pytest.mark.slow
def test_replay_under_another_policy_says_what_the_model_then_says(verdicts: Path, tmp_path: Path) -> None:
    text = constitution_path("stickers").read_text()
    text = text.replace("violated_when: hateful_sign_visible", "violated_when: hateful_sign_visible and blood_visible")
    text = text.replace("at_least(2, blood_visible, bone_visible, skull_visible)",
                        "blood_visible or bone_visible or skull_visible")  # fmt: skip
    new = _write(tmp_path / "new.yaml", text)
    found = json.loads(judge("constitution", "diff", "stickers", new, "--verdicts", str(verdicts), "--json").stdout)
    what_if = found["what_if"]
    meanings = {rule["id"]: rule["meaning"] for rule in found["rules"]}
    assert meanings == {"hate.words": "looser", "injury.gore": "stricter"}
    inputs = [each.row.input for each in read_rows(verdicts) if isinstance(each, Row)]
    real = judge("score", *inputs, "--constitution", new, "--jsonl")
    rows = [ScoreRow.model_validate_json(line) for line in real.stdout.splitlines()]
    before = {each.row.input: each.row.decision for each in read_rows(verdicts) if isinstance(each, Row)}
    flipped = {row.input: row.decision for row in rows if row.decision != before[row.input]}
    shifts = [shift for shift in what_if["shifts"] if shift["before"] != shift["after"]]
    assert {shift["input"]: shift["after"] for shift in shifts} == flipped
    assert flipped
    assert (what_if["flipped"], what_if["unknown"]) == (len(flipped), 0)
    assert {rule["rule_id"] for shift in shifts for rule in shift["rules"]} <= set(meanings)


@pytest.mark.slow
def test_what_was_never_asked_is_unknown_and_presets_settle_again(verdicts: Path, tmp_path: Path) -> None:
    text = constitution_path("stickers").read_text().replace("statement: There is blood.", "statement: Blood is there.")
    new = _write(tmp_path / "new.yaml", text)
    result = judge("constitution", "diff", "stickers", new, "--verdicts", str(verdicts))
    assert "blood_visible was never asked" in result.stdout
    strict = judge("constitution", "diff", "stickers", "stickers", "--verdicts", str(verdicts), "--preset", "threshold",
                   "--json")  # fmt: skip
    assert json.loads(strict.stdout)["what_if"]["unknown"] == 0
    blank = judge("constitution", "diff", "stickers", "stickers", "--verdicts", str(verdicts), "--preset",
                  "contrastive", "--json")  # fmt: skip
    assert set(json.loads(blank.stdout)["what_if"]["unknown_because"]) <= {
        reason for reason in json.loads(blank.stdout)["what_if"]["unknown_because"] if "lacks a reading" in reason
    }
    assert json.loads(blank.stdout)["what_if"]["unknown"] == len(PICTURES)  # the photo stays outside the domain


@pytest.mark.slow
def test_garbage_lines_are_named_and_lose_nothing(verdicts: Path, tmp_path: Path) -> None:
    rows = verdicts.read_bytes().splitlines(keepends=True)
    both = json.loads(rows[0]) | {"error": {"code": "media", "message": "m"}}
    garbage = [
        b'{"input": "cut off\n',
        b"\xff\xfe\x00\n",
        b"[]\n",
        b'{"input": "x", "decision": "fine", "flagged": null}\n',
        json.dumps(both).encode() + b"\n",
        b"x" * (MAX_LINE_BYTES + 10) + b"\n",
        b"\n",
    ]
    path = tmp_path / "mixed.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"".join(line for pair in zip(rows, garbage, strict=True) for line in pair))
    found = list(read_rows(path))
    assert [each.row for each in found if isinstance(each, Row)] == [ScoreRow.model_validate_json(row) for row in rows]
    bad = [each for each in found if isinstance(each, BadLine)]
    assert [each.line for each in bad] == [2, 4, 6, 8, 10, 12]
    reasons = ("Invalid JSON: ", "Invalid JSON: ", "Input should be an object",
               "decision: Input should be 'unsafe', 'safe' or 'uncertain'",
               "has neither a verdict nor an error, or both", "is longer than 16,000,000 bytes")  # fmt: skip
    assert all(each.reason.startswith(reason) for each, reason in zip(bad, reasons, strict=True))
    assert not any("at line" in each.reason for each in bad)
    result = judge("constitution", "diff", "stickers", "stickers", "--verdicts", str(path))
    assert result.returncode == 0, result.stderr
    assert f"{len(PICTURES) + 1} stored verdicts: {len(PICTURES) + 1} stay, 0 change, 0 unknown" in result.stdout
    assert "line 12 is no row: is longer than 16,000,000 bytes" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["stickers", "stickrs"], "did you mean 'stickers'"),
        (["stickers", "stickers", "--verdicts", "gone.jsonl"], "'gone.jsonl' cannot be read"),
        (["stickers", "stickers", "--verdicts", "."], "'.' is not a file"),
        (["stickers", "stickers", "--preset", "none"], "add --verdicts FILE"),
        (["stickers"], "Missing argument"),
    ],
)
def test_diff_wrong_usage(arguments: list[str], words: str) -> None:
    result = judge("constitution", "diff", *arguments)
    assert result.returncode == 2
    assert words in result.stderr


# --- test -------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A policy's folder with a picture, and a script that answers Yes to knives and does not know about dogs."""
    (tmp_path / "policy").mkdir()
    shutil.copy(DEMO / "harmless-1.png", tmp_path / "policy" / "x.png")
    shutil.copy(DEMO / "harmless-2.png", tmp_path / "outside.png")
    answers = {"answers": {"knife": 0.99, "dog": 0.5}, "default": 0.01, "text_only": {}}
    (tmp_path / "script.json").write_text(json.dumps(answers))
    return tmp_path


def _test(folder: Path, examples: dict[str, list[dict[str, object]]], *arguments: str, **fields: object):  # type: ignore[no-untyped-def]
    statements = {"knife": KNIFE, "dog": "A dog sits on a wall.", "cat": "A cat sits on a wall."}
    rules = {id: {"violated_when": id, "examples": examples.get(id, []), **fields} for id in statements}
    file = _write(folder / "policy" / "p.yaml", policy(statements, rules))
    options = ("--engine", "scripted", "--model", str(folder / "script.json"), "--preset", "none")
    return judge("constitution", "test", file, *options, *arguments)


def test_examples_pass_fail_stay_open_or_cannot_be_judged(folder: Path) -> None:
    yes: dict[str, object] = {"media": "x.png", "violates": True}
    no: dict[str, object] = {"media": "x.png", "violates": False}
    bad = ["gone.png", "../outside.png", str(folder / "outside.png"), "http://127.0.0.1/x.png", "sample:demo/none.png",
           "sample:../command.py", "p.yaml", "a/" * 5000]  # fmt: skip
    examples = {"knife": [yes, no], "dog": [yes], "cat": [{"media": each, "violates": True} for each in bad]}
    junit = folder / "out" / "junit.xml"
    result = _test(folder, examples, "--json", "--junit", str(junit))
    assert result.returncode == 10, result.stderr
    rows = json.loads(result.stdout)
    assert [(row["rule_id"], row["violates"], row["outcome"], row["result"]) for row in rows] == [
        ("knife", True, "violated", "passed"),
        ("knife", False, "violated", "failed"),
        ("dog", True, "abstained", "undecided"),
        *[("cat", True, None, "error")] * len(bad),
    ]
    reasons = [row["reason"] for row in rows if row["result"] == "error"]
    for reason, words in zip(
        reasons,
        ("does not exist", "lies outside of", "lies outside of", "is a URL", "unknown sample", "unknown sample",
         "text file", "too long"),
        strict=True,
    ):  # fmt: skip
        assert words in reason
    suite = ElementTree.fromstring(junit.read_text().partition("?>")[2])
    assert suite.attrib == {"name": "made@1", "tests": str(3 + len(bad)), "failures": "1", "errors": str(1 + len(bad))}
    assert [case.get("classname") for case in suite][:3] == ["knife", "knife", "dog"]


@pytest.mark.parametrize(
    ("rule", "violates", "code", "words"),
    [("knife", True, 0, "1 passed, 0 failed"), ("knife", False, 10, "1 failed"), ("dog", True, 3, "1 undecided")],
)
def test_exit_codes_say_the_worst(folder: Path, rule: str, violates: bool, code: int, words: str) -> None:
    result = _test(folder, {rule: [{"media": "x.png", "violates": violates}]})
    assert (result.returncode, words in result.stdout) == (code, True), result.stdout + result.stderr


def test_a_media_folder_is_named_by_the_caller(folder: Path) -> None:
    result = _test(folder, {"knife": [{"media": "outside.png", "violates": True}]}, "--media-folder", str(folder))
    assert (result.returncode, "1 passed" in result.stdout) == (0, True), result.stdout + result.stderr


def test_a_rule_for_videos_cannot_be_tested_with_a_picture(folder: Path) -> None:
    result = _test(folder, {"knife": [{"media": "x.png", "violates": True}]}, "--json", modalities=["video"])
    (row,) = json.loads(result.stdout)
    assert (result.returncode, row["reason"]) == (3, "the rule is not for this kind of media, only for video")


def test_no_examples_is_said_and_is_no_failure(folder: Path) -> None:
    result = _test(folder, {})
    assert (result.returncode, "no rule has examples" in result.stdout) == (0, True)


@pytest.mark.slow
def test_the_sticker_policy_is_tested_with_the_samples_that_ship() -> None:
    result = judge("constitution", "test", "stickers", "--json")
    results = [row["result"] for row in json.loads(result.stdout)]
    assert (len(results), "error" in results) == (23, False)
    assert results.count("passed") >= 20  # a model's figure, not the tool's; version 1 passes all
    assert result.returncode == (10 if "failed" in results else 3 if "undecided" in results else 0)


# --- show -------------------------------------------------------------------------------------------------------


def test_show_draws_the_expression_and_marks_what_is_shared() -> None:
    lines = judge("constitution", "show", "stickers").stdout.splitlines()
    drawn = [line.strip(" │├└─") for line in lines]
    start = drawn.index("high  injury.bleeding_person  No injured people, except where they are being cared for.")
    assert drawn[start + 1 : start + 7] == [
        "A person is bleeding, and neither a health worker nor a hospital is visible.",
        "all of",
        "A person is bleeding.  person_bleeding  look at: blood, person",
        "not",
        "any of",
        "There is a health worker.  health_worker_visible  shared by 5 rules  look at: health worker",
    ]
    assert drawn[-1].startswith("12 rules on 24 preconditions, 3 of them shared; digest ")


def test_show_as_json_has_the_tree() -> None:
    shown = json.loads(judge("constitution", "show", "stickers", "--json").stdout)
    rules = {rule["id"]: rule for category in shown["categories"] for rule in category["rules"]}
    assert rules["injury.gore"]["tree"] == {
        "op": "at_least",
        "count": 2,
        "id": "",
        "args": [
            {"op": "precondition", "count": None, "id": id, "args": []}
            for id in ("blood_visible", "bone_visible", "skull_visible")
        ],
    }
    assert shown["preconditions"]["hospital_visible"]["rules"] == [
        "injury.bleeding_person",
        "minors.substances",
        "drugs.non_medical",
    ]
    assert shown["digest"] == load_constitution(constitution_path("stickers")).digest


def test_the_page_is_self_contained_escaped_and_collapsible(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script> is visible."
    rule = {"violated_when": "at_least(2, a, not b, a and b)", "text": 'No <b>harm</b> & "so" on.'}
    file = _write(tmp_path / "p.yaml", policy({"a": hostile, "b": KNIFE}, {"r": rule}))
    page = tmp_path / "out" / "page.html"
    result = judge("constitution", "show", file, "--html", str(page))
    html = page.read_text()
    assert (result.returncode, result.stdout) == (0, "")
    assert html.count("<script>") == 1
    assert "&lt;script&gt;alert(1)&lt;/script&gt; is visible." in html
    assert "No &lt;b&gt;harm&lt;/b&gt; &amp; &#34;so&#34; on." in html
    assert re.findall(r'<summary class="op (\w+)">(.*?)</summary>', html) == [
        ("at_least", "at least 2 of"), ("not", "not"), ("and", "all of")
    ]  # fmt: skip
    assert re.search(r"(src|href)\s*=|url\(|@import|https?:", html) is None


def test_a_page_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = judge("constitution", "show", "stickers", "--html", str(tmp_path / "file" / "page.html"))
    assert (result.returncode, "cannot be written" in result.stderr) == (2, True)


@pytest.mark.parametrize("command", ["lint", "diff", "test", "show"])
def test_help_has_examples(command: str) -> None:
    result = judge("constitution", command, "--help")
    assert f"judge constitution {command} " in result.stdout
