"""`judge constitution objectify` and `decompose` as a person runs them, over real HTTP."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from judge.authoring import read_rules
from judge.constitution import check_file, load_constitution
from tests.cli.running import judge
from tests.engines.openai_server import JSON, ChatServer, Request, refusal, serve_chat, texts

TEXTS = ("No scary clowns.", "No wild dogs: never.")
STATEMENTS = {
    TEXTS[0]: "A person wears clown make-up and bares the teeth, outside a circus ring.",
    TEXTS[1]: "A dog wears no leash.",
}
LIMIT_S = 250.0
"""Of waiting for another process, where a machine is busy."""
FINE = {"explanation": "Fine.", "atomic": True, "positive": True, "visible": True, "neutral": True}


def last(request: Request, name: str) -> str:
    found: str = json.loads(re.findall(rf"^{name}: (\".*\")$", request.text, flags=re.MULTILINE)[-1])
    return found


def author(request: Request) -> JSON:
    """Answers every kind of question of both commands, and the engine's first question."""
    (answer,) = (answer for start, answer in ANSWERS.items() if request.text.startswith(start))
    return texts(answer(request))


def score(request: Request) -> str:
    good = last(request, "Statement") in STATEMENTS.values()
    return json.dumps({"explanation": "Seen.", "faithful": good, "score": 9.5 if good else 3})


def rewrite(request: Request) -> str:
    return json.dumps({"statement": STATEMENTS[last(request, "Rule")]})


def decompose(request: Request) -> str:
    return f"```json\n{json.dumps(decomposition(last(request, 'Rule')))}\n```"


def check_case(request: Request) -> str:
    return json.dumps({"explanation": "x", "breaks_rule": case(request)})


ANSWERS: dict[str, Callable[[Request], str]] = {
    "Is fire hot?": lambda request: "Yes",
    "You grade the wording": score,
    "You improve the wording": rewrite,
    "You prepare a policy": decompose,
    "A model will be asked": lambda request: json.dumps(FINE),
    "A rule of a policy for pictures has been": lambda request: '{"missing": [], "extra": [], "same": true}',
    "A rule of a policy for pictures is given": check_case,
}


def decomposition(statement: str) -> JSON:
    ids = ["clown", "teeth", "circus"] if "clown" in statement else ["dog", "leash"]
    new = [{"id": id, "statement": f"The {id} is visible.", "focus": [id]} for id in ids]
    return {"preconditions": new, "violated_when": " and ".join(ids[:-1]) + f" and not {ids[-1]}"}


def case(request: Request) -> str:
    lines = re.findall(r'^- This is (so|not so): "The (\w+) is visible."$', request.text, flags=re.MULTILINE)
    exceptions = {"circus", "leash"}
    assert {id for _, id in lines} & exceptions
    return "yes" if all((word == "so") == (id not in exceptions) for word, id in lines) else "no"


@pytest.fixture
def site() -> Iterator[ChatServer]:
    with serve_chat(author) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path, site: ChatServer) -> Path:
    settings = {"engine": {"name": "openai", "openai": {"base_url": site.base_url, "max_attempts": 1}}}
    (tmp_path / "server.yaml").write_text(yaml.safe_dump(settings))
    (tmp_path / "rules.txt").write_text("# House rules\n" + "\n".join(TEXTS) + "\n")
    return tmp_path


def arguments(folder: Path, name: str, source: str, out: str, *more: str) -> list[str]:
    options = ("--out", str(folder / out), "--model", "m", "--config", str(folder / "server.yaml"), *more)
    return ["constitution", name, str(folder / source), *options]


def run(folder: Path, name: str, source: str, out: str, *more: str) -> subprocess.CompletedProcess[str]:
    return judge(*arguments(folder, name, source, out, *more))


def review(folder: Path, name: str) -> JSON:
    found: JSON = yaml.safe_load((folder / name).read_text(encoding="utf-8"))
    return found


def test_from_a_list_of_rules_to_a_constitution(folder: Path, site: ChatServer) -> None:
    first = run(folder, "objectify", "rules.txt", "statements.yaml", "--json")
    assert first.returncode == 0, first.stderr
    summary = json.loads(first.stdout)
    assert [(rule["rule"], rule["stop"], rule["mean"], rule["rounds"]) for rule in summary["rules"]] == [
        ("rule_1", "reached", 9.5, 2), ("rule_2", "reached", 9.5, 2),
    ]  # fmt: skip
    draft = read_rules((folder / "statements.yaml").read_text(encoding="utf-8"), "x")
    assert [(rule.text, rule.statement) for rule in draft.rules] == list(STATEMENTS.items())
    history = review(folder, "statements.review.yaml")
    assert history["unsettled"] == []
    assert [version["mean"] for version in history["rules"]["rule_1"]["versions"]] == [3.0, 9.5]
    assert history["usage"]["questions"] == len(site.requests) - 1  # the engine's own first question
    assert {request.body["temperature"] for request in site.requests[1:]} == {0.7}

    second = run(folder, "decompose", "statements.yaml", "policy.yaml")
    assert second.returncode == 0, second.stdout
    assert "reached" in second.stdout
    policy = load_constitution(folder / "policy.yaml")
    assert {rule.id: rule.violated_when for rule in policy.rules} == {
        "rule_1": "clown and teeth and not circus",
        "rule_2": "dog and not leash",
    }
    assert [problem.message for problem in check_file(folder / "policy.yaml")] == ["has no source"] * 2
    attempts = review(folder, "policy.review.yaml")["rules"]["rule_1"]["attempts"]
    assert [len(attempt["cases"]) for attempt in attempts] == [4]
    assert sorted(path.name for path in folder.iterdir()) == [
        "policy.review.yaml", "policy.yaml", "rules.txt", "server.yaml", "statements.review.yaml", "statements.yaml",
    ]  # fmt: skip


def test_rules_that_are_not_settled_are_named_in_draft_review_and_exit_code(folder: Path, site: ChatServer) -> None:
    site.answer = lambda request: texts("9/10") if last_rule_is_dogs(request) else author(request)
    result = run(folder, "objectify", "rules.txt", "out.yaml")
    assert result.returncode == 3, result.stderr
    assert "# Not settled: rule_2" in (folder / "out.yaml").read_text(encoding="utf-8").splitlines()
    history = review(folder, "out.review.yaml")
    assert (history["unsettled"], history["rules"]["rule_2"]["stop"]) == (["rule_2"], "unreadable")
    assert history["rules"]["rule_2"]["versions"][0]["mean"] is None
    assert read_rules((folder / "out.yaml").read_text(encoding="utf-8"), "x").rules[1].statement == ""


def last_rule_is_dogs(request: Request) -> bool:
    return "Is fire hot?" not in request.text and "dogs" in last(request, "Rule")


def test_a_server_that_refuses_one_rule_costs_that_rule_only_and_it_can_be_asked_again(
    folder: Path, site: ChatServer
) -> None:
    site.answer = lambda request: {"error": "content policy"} if last_rule_is_dogs(request) else author(request)
    result = run(folder, "objectify", "rules.txt", "out.yaml")
    assert result.returncode == 3
    assert "--resume asks them again" in result.stderr
    assert [rule["stop"] for rule in review(folder, "out.review.yaml")["rules"].values()] == ["reached", "failed"]
    site.answer, n_before = author, len(site.requests)
    assert run(folder, "objectify", "rules.txt", "out.yaml", "--resume").returncode == 0
    assert [rule["stop"] for rule in review(folder, "out.review.yaml")["rules"].values()] == ["reached", "reached"]
    assert not [request for request in site.requests[n_before + 1 :] if not last_rule_is_dogs(request)]
    assert not (folder / "out.state.json").exists()


def test_ctrl_c_keeps_finished_rounds_and_resume_goes_on(folder: Path, site: ChatServer) -> None:
    def hangs_at_rewriting(request: Request) -> JSON:
        if request.text.startswith("You improve"):
            site.closing.wait(LIMIT_S)
        return author(request)

    site.answer = hangs_at_rewriting
    state = folder / "out.state.json"
    command = [sys.executable, "-m", "judge.cli", *arguments(folder, "objectify", "rules.txt", "out.yaml")]
    with interruptible():
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    until(lambda: state.exists() and json.loads(state.read_text())["records"] != [])
    until(lambda: any(request.text.startswith("You improve") for request in site.requests))
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130
    assert "--resume goes on after the last finished round" in messages
    assert not (folder / "out.yaml").exists()

    site.answer, n_before = author, len(site.requests)
    refused = run(folder, "objectify", "rules.txt", "out.yaml")
    assert (refused.returncode, "kept of an unfinished run" in refused.stderr) == (2, True)
    other = run(folder, "objectify", "rules.txt", "out.yaml", "--resume", "--threshold", "8")
    assert (other.returncode, "another input, model, settings or version" in other.stderr) == (2, True)
    assert len(site.requests) == n_before
    done = run(folder, "objectify", "rules.txt", "out.yaml", "--resume")
    assert done.returncode == 0, done.stderr
    scored = [last(r, "Statement") for r in site.requests[n_before:] if r.text.startswith("You grade")]
    assert sorted(set(scored)) == sorted(STATEMENTS.values())  # the first versions are not scored again
    assert not state.exists()


@contextmanager
def interruptible() -> Iterator[None]:
    """Where the tests run in the background, a shell has made them ignore Ctrl-C, and what they start inherits that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_nothing_is_overwritten_and_nothing_is_asked_before_that_is_known(folder: Path, site: ChatServer) -> None:
    (folder / "out.yaml").write_text("mine")
    (folder / "other.review.yaml").write_text("mine")
    for out, words in (
        ("out.yaml", "out.yaml' exists (choose another --out, or overwrite it with --force)"),
        ("other.yaml", "other.review.yaml' exists"),
        ("rules.txt", "is no name for a YAML file"),
    ):
        result = run(folder, "objectify", "rules.txt", out)
        assert (result.returncode, words in result.stderr) == (2, True), result.stderr
    (folder / "list.yaml").write_text("- No dogs.\n")
    result = run(folder, "objectify", "list.yaml", "list.yaml", "--force")
    assert (result.returncode, "would overwrite the input" in result.stderr) == (2, True)
    result = run(folder, "objectify", "rules.txt", "new.yaml", "--resume")
    assert (result.returncode, "new.state.json' to resume" in result.stderr) == (2, True)
    assert site.requests == []
    assert ((folder / "out.yaml").read_text(), (folder / "other.review.yaml").read_text()) == ("mine", "mine")
    assert run(folder, "objectify", "rules.txt", "out.yaml", "--force").returncode == 0
    assert read_rules((folder / "out.yaml").read_text(encoding="utf-8"), "x").rules[0].statement == STATEMENTS[TEXTS[0]]


def test_a_server_without_logprobs_is_enough(folder: Path, site: ChatServer) -> None:
    """No question here reads a probability: the only answers that this server gives are texts."""
    assert run(folder, "objectify", "rules.txt", "out.yaml").returncode == 0
    assert not [request for request in site.requests if "logprobs" in request.body]


def test_a_server_that_is_not_there(folder: Path, site: ChatServer) -> None:
    site.faults.append(refusal(404, "no such model"))
    result = run(folder, "objectify", "rules.txt", "out.yaml")
    assert (result.returncode, "no such model" in result.stderr) == (2, True)
    assert not (folder / "out.state.json").exists()


def test_the_embedded_model_is_refused_unless_it_is_asked_for(folder: Path) -> None:
    base = ("constitution", "objectify", str(folder / "rules.txt"), "--out", str(folder / "out.yaml"))
    for more in ((), ("--engine", "openai")):
        result = judge(*base, *more)
        assert result.returncode == 2
        assert "answers about sticker scenes only and cannot write policies (use --engine openai" in result.stderr
    assert not (folder / "out.yaml").exists()


@pytest.mark.slow
def test_the_embedded_model_on_request_settles_nothing_and_invents_no_score(folder: Path) -> None:
    (folder / "one.txt").write_text(TEXTS[0])
    more = ("--out", str(folder / "out.yaml"), "--model", "stickers-vlm", "--max-tokens", "16", "--scorings", "1")
    result = judge("constitution", "objectify", str(folder / "one.txt"), *more)
    assert result.returncode == 3, result.stderr
    assert "note: the embedded model answers about sticker scenes only" in result.stderr
    rules = review(folder, "out.review.yaml")["rules"].values()
    assert len(rules) == 1
    assert {rule["stop"] for rule in rules} <= {"unreadable", "failed"}
    assert [version["mean"] for rule in rules for version in rule["versions"]] == [None]


@pytest.mark.parametrize(
    ("content", "words"),
    [("- 5\n", "rule 1 is the number '5'"), ("rules: {}\n", "has no rules"), ("a: [", "is not valid YAML")],
)
def test_bad_input(folder: Path, site: ChatServer, content: str, words: str) -> None:
    (folder / "bad.yaml").write_text(content)
    for name in ("objectify", "decompose"):
        result = run(folder, name, "bad.yaml", "out.yaml")
        assert (result.returncode, words in result.stderr) == (2, True), result.stderr
    assert run(folder, "objectify", "gone.txt", "out.yaml").returncode == 2
    assert site.requests == []
