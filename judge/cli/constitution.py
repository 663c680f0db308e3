"""`judge constitution ...`: work on policies. Only `test` needs a model."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from judge.assets import constitution_path
from judge.cli.options import EXIT_USAGE
from judge.constitution import Problem, check_file
from judge.constitution.lint import KINDS, lint_file

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


def _as_objects(problems: Iterable[Problem], fields: tuple[str, ...]) -> list[dict[str, object]]:
    return [{name: getattr(problem, name) for name in fields} for problem in problems]
