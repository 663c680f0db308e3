"""`judge constitution ...`: work on policies. Only `test` needs a model."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Optional, get_args

import typer
from rich.console import Console

from judge.assets import constitution_path
from judge.cli.difference import print_difference
from judge.cli.examples import compare_examples, junit, locate, media_of, print_results
from judge.cli.files import write_text
from judge.cli.options import EXIT_FAIL_ON, EXIT_SOME_FAILED, EXIT_USAGE, judge_settings
from judge.cli.score import score_all
from judge.cli.start import close_all, start_engine, start_panel
from judge.cli.tree import print_policy
from judge.cli.what_if import print_what_if, what_if
from judge.config import Preset
from judge.constitution import Problem, check_file, load_constitution
from judge.constitution.diff import compare
from judge.constitution.lint import KINDS, lint_file
from judge.engines.base import Engine
from judge.engines.build import ENGINES
from judge.errors import ConfigError
from judge.media import FoundInput, Permissions
from judge.pipeline import Judge
from judge.report.policy_tree import policy_tree, render_policy

constitution_app = typer.Typer(no_args_is_help=True, help="Work with constitutions.")

_LINT_HELP = """
Examples:

  judge constitution lint my-policy.yaml

  judge constitution lint general --strict

  judge constitution lint my-policy.yaml --json

A finding that is meant is accepted by a comment at the end of its line or of its entry's first line:
# lint: allow compound

Kinds: {kinds}

Exit codes: 0 no error; 2 an error, or with --strict a warning. Notes never count.
"""

_DIFF_HELP = """
Examples:

  judge constitution diff policy-1.yaml policy-2.yaml

  judge score pictures/ --constitution policy-1.yaml --jsonl > verdicts.jsonl

  judge constitution diff policy-1.yaml policy-2.yaml --verdicts verdicts.jsonl

  judge constitution diff general general --verdicts verdicts.jsonl --preset none

Expressions are compared exactly. A stored verdict whose evidence does not settle the new rules counts as unknown,
never as unchanged. Exit codes: 0 compared; 2 something cannot be read.
"""

_TEST_HELP = """
Examples:

  judge constitution test stickers

  judge constitution test my-policy.yaml --engine vllm --model OWNER/NAME --junit out/policy.xml

An example's media is a file below the YAML file's folder, or sample:NAME for one that comes with this installation.

Exit codes: 0 all passed, or there are no examples; 2 wrong usage; 3 some could not be judged or stayed undecided;
10 some were decided otherwise (comes before 3).
"""

_SHOW_HELP = """
Examples:

  judge constitution show general

  judge constitution show my-policy.yaml --html out/policy.html
"""


@constitution_app.command()
def check(
    file: Annotated[Path, typer.Argument(help="YAML file.")], as_json: Annotated[bool, typer.Option("--json")] = False
) -> None:
    """Check a constitution: errors with file, line, rule and fix. Exits with 2 if there is an error."""
    problems = check_file(file)
    if as_json:
        print(json.dumps(_as_objects(problems, ("severity", "line", "where", "message", "fix"))))
    else:
        for problem in problems:
            print(problem)
        if not problems:
            print(f"{file}: no problems")
    raise typer.Exit(EXIT_USAGE if any(p.severity == "error" for p in problems) else 0)


@constitution_app.command(epilog=_LINT_HELP.format(kinds=", ".join(KINDS)))
def lint(
    constitution: Annotated[str, typer.Argument(help="Built-in name or YAML file.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
    strict: Annotated[bool, typer.Option(help="Exit with 2 on warnings, too.")] = False,
) -> None:
    """Check a constitution and advise on it: wording, near-duplicates, rules that include or contradict others."""
    report = lint_file(constitution_path(constitution))
    if as_json:
        print(json.dumps(_as_objects(report.findings, ("severity", "kind", "line", "where", "message", "fix"))))
    else:
        for finding in report.findings:
            print(f"{finding} [{finding.kind}]" if finding.kind else finding)
        counts = {s: sum(f.severity == s for f in report.findings) for s in ("error", "warning", "note")}
        summary = ", ".join(f"{count} {severity}{'' if count == 1 else 's'}" for severity, count in counts.items())
        print(f"{constitution}: {summary}, {len(report.accepted)} accepted")
    failing = ("error", "warning") if strict else ("error",)
    raise typer.Exit(EXIT_USAGE if any(f.severity in failing for f in report.findings) else 0)


@constitution_app.command(epilog=_DIFF_HELP)
def diff(  # noqa: PLR0917  (one parameter per option)
    old: Annotated[str, typer.Argument(help="Built-in name or YAML file.")],
    new: Annotated[str, typer.Argument(help="Built-in name or YAML file.")],
    verdicts: Annotated[Optional[Path], typer.Option(help="What `judge score --jsonl` wrote under OLD.")] = None,  # noqa: UP045
    preset: Annotated[Optional[str], typer.Option(help="Settle the stored readings with this preset.")] = None,  # noqa: UP045
    config: Annotated[Optional[Path], typer.Option(help="Settle them with the thresholds of this YAML file.")] = None,  # noqa: UP045
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show what changed in meaning, and which stored verdicts it changes, without running the model."""
    if verdicts is None and (preset or config):
        raise ConfigError("--preset and --config change how --verdicts are read", hint="add --verdicts FILE")
    before, after = (load_constitution(constitution_path(each)) for each in (old, new))
    found = compare(before, after)
    thresholds = judge_settings(config, preset=preset).thresholds if preset or config else None
    replayed = what_if(verdicts, before, after, thresholds) if verdicts else None
    if as_json:
        shown = {**found.model_dump(mode="json"), "changes_meaning": found.changes_meaning}
        print(json.dumps({**shown, "what_if": replayed.model_dump(mode="json") if replayed else None}, indent=1))
        return
    print_difference(_console(), found)
    if replayed:
        print_what_if(_console(), replayed)


@constitution_app.command("test", epilog=_TEST_HELP)
def run_examples(  # noqa: PLR0917  (one parameter per option)
    constitution: Annotated[str, typer.Argument(help="Built-in name or YAML file.")],
    engine: Annotated[Optional[str], typer.Option(help=f"One of {', '.join(ENGINES.names())}.")] = None,  # noqa: UP045
    model: Annotated[Optional[str], typer.Option(help="Embedded name, folder, or Hugging Face id.")] = None,  # noqa: UP045
    config: Annotated[Optional[Path], typer.Option(help="YAML with every setting.")] = None,  # noqa: UP045
    preset: Annotated[Optional[str], typer.Option(help=f"One of {', '.join(get_args(Preset))}.")] = None,  # noqa: UP045
    device: Annotated[Optional[str], typer.Option(help="auto, cpu, cuda, cuda:0...")] = None,  # noqa: UP045
    dtype: Annotated[Optional[str], typer.Option(help="auto, float32, bfloat16, float16.")] = None,  # noqa: UP045
    media_folder: Annotated[Optional[Path], typer.Option(help="Where media lie; the YAML's folder by default.")] = None,  # noqa: UP045
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
    junit_file: Annotated[Optional[Path], typer.Option("--junit", help="Also write JUnit's XML.")] = None,  # noqa: UP045
) -> None:
    """Judge the examples of every rule and compare with what their author says of them."""
    settings = judge_settings(config, engine=engine, model=model, preset=preset, device=device, dtype=dtype)
    path = constitution_path(constitution)
    policy = load_constitution(path)
    found = [locate(media, media_folder or path.parent) for media in media_of(policy)]
    judge: Judge | None = None
    engines: list[Engine] = []
    if any(isinstance(each, FoundInput) for each in found):
        messages = Console(stderr=True)
        running, notices = start_engine(settings.engine, messages)
        panel, told = start_panel(settings, messages)
        engines = [running, *panel.values()]
        judge = Judge(running, policy, settings, panel=panel, notices=(*notices, *told))
    cards = score_all(judge, found, Permissions(files=True), batch=settings.concurrency)
    results = compare_examples(policy, [card.row for card in cards])
    close_all(engines)
    if as_json:
        print(json.dumps([each.model_dump(mode="json") for each in results], indent=1))
    elif results:
        print_results(_console(), results)
    else:
        print(f"{constitution}: no rule has examples, so nothing was tested")
    if junit_file:
        write_text(junit_file, junit(f"{policy.name}@{policy.version}", results))
    failed = {each.result for each in results}
    raise typer.Exit(EXIT_FAIL_ON if "failed" in failed else EXIT_SOME_FAILED if failed - {"passed"} else 0)


@constitution_app.command(epilog=_SHOW_HELP)
def show(
    constitution: Annotated[str, typer.Argument(help="Built-in name or YAML file.")],
    html: Annotated[Optional[Path], typer.Option(help="Write one self-contained page instead.")] = None,  # noqa: UP045
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show a constitution as a tree: category, rule, expression, preconditions."""
    policy = load_constitution(constitution_path(constitution))
    if html:
        write_text(html, render_policy(policy))
        print(f"page: {html}", file=sys.stderr)
    if as_json:
        print(policy_tree(policy).model_dump_json(indent=1))
    elif not html:
        print_policy(_console(), policy_tree(policy))


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 150)


def _as_objects(problems: Iterable[Problem], fields: tuple[str, ...]) -> list[dict[str, object]]:
    return [{name: getattr(problem, name) for name in fields} for problem in problems]
