"""`judge constitution ...`: work on policies. Only `test` needs a model."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console

from judge.assets import constitution_path
from judge.cli.difference import print_difference
from judge.cli.options import EXIT_USAGE, judge_settings
from judge.cli.what_if import print_what_if, what_if
from judge.constitution import Problem, check_file, load_constitution
from judge.constitution.diff import compare
from judge.constitution.lint import KINDS, lint_file
from judge.errors import ConfigError

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
    console = Console(width=None if sys.stdout.isatty() else 150)
    print_difference(console, found)
    if replayed:
        print_what_if(console, replayed)


def _as_objects(problems: Iterable[Problem], fields: tuple[str, ...]) -> list[dict[str, object]]:
    return [{name: getattr(problem, name) for name in fields} for problem in problems]
