"""`judge constitution objectify` and `decompose`: a model drafts, a person reviews."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Optional

import typer
from pydantic import JsonValue

from judge.authoring import (
    Asker,
    Assembled,
    Decomposed,
    DecomposeSettings,
    Draft,
    Objectified,
    ObjectifySettings,
    assemble,
    decompose,
    objectify,
    reopened_decomposed,
    reopened_objectified,
    with_statements,
)
from judge.cli.authoring_run import Kept, Options, Result, carry_out, read_input
from judge.engines.build import ENGINES

_EPILOG = """
Examples:

  judge constitution {command} {file} --engine openai --model NAME --config server.yaml --out draft.yaml

  judge constitution {command} {file} --engine vllm --model FOLDER --out draft.yaml

After an interruption: the same with --resume.

The result is a draft: read it together with draft.review.yaml, which has the history of every rule.
Exit codes: 0 all rules were settled; 2 wrong usage; 3 some were not, see the review.
"""

File = Annotated[Path, typer.Argument(help="Constitution or list of rule texts (YAML), or one rule a line (.txt).")]
Out = Annotated[Path, typer.Option("--out", help="Where the draft goes; the review goes beside it.")]
EngineName = Annotated[Optional[str], typer.Option("--engine", help=f"One of {', '.join(ENGINES.names())}.")]  # noqa: UP045
ModelName = Annotated[Optional[str], typer.Option("--model", help="The server's name for it, a folder or an id.")]  # noqa: UP045
ConfigFile = Annotated[Optional[Path], typer.Option("--config", help="YAML with every setting.")]  # noqa: UP045
MaxRounds = Annotated[int, typer.Option(min=1, max=20, help="Most versions of one rule.")]
MaxTokens = Annotated[int, typer.Option(min=16, help="Longest answer, in tokens.")]
Temperature = Annotated[float, typer.Option(min=0.0, max=2.0, help="Of what the model writes.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite earlier results.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]


def add_commands(app: typer.Typer) -> None:
    """Adds both commands to `judge constitution`."""
    app.command("objectify", epilog=_EPILOG.format(command="objectify", file="rules.txt"))(objectify_command)
    app.command("decompose", epilog=_EPILOG.format(command="decompose", file="statements.yaml"))(decompose_command)


def objectify_command(  # noqa: PLR0917  (one parameter per option)
    file: File,
    out: Out,
    engine: EngineName = None,
    model: ModelName = None,
    config: ConfigFile = None,
    scorings: Annotated[int, typer.Option(min=1, max=50, help="Readings of each version.")] = 3,
    threshold: Annotated[float, typer.Option(min=1.0, max=10.0, help="Mean score that is enough.")] = 9.0,
    max_rounds: MaxRounds = 4,
    temperature: Temperature = 0.7,
    max_tokens: MaxTokens = 2048,
    force: Force = False,
    resume: Resume = False,
    as_json: AsJson = False,
) -> None:
    """Turn each rule's `text` into an objective `statement`: score, rewrite, score again."""
    settings = ObjectifySettings(scorings=scorings, threshold=threshold, max_rounds=max_rounds, temperature=temperature)
    options = Options(file, out, engine, model, config, max_tokens, force=force, resume=resume, as_json=as_json)
    raise typer.Exit(carry_out(_Objectify(read_input(file), settings), options))


def decompose_command(  # noqa: PLR0917  (one parameter per option)
    file: File,
    out: Out,
    engine: EngineName = None,
    model: ModelName = None,
    config: ConfigFile = None,
    max_rounds: MaxRounds = 4,
    max_cases: Annotated[int, typer.Option(min=2, max=64, help="Cases to check of each rule.")] = 12,
    temperature: Temperature = 0.3,
    max_tokens: MaxTokens = 2048,
    force: Force = False,
    resume: Resume = False,
    as_json: AsJson = False,
) -> None:
    """Split each rule's `statement` into preconditions and `violated_when`, and check that they say the same."""
    settings = DecomposeSettings(max_rounds=max_rounds, max_cases=max_cases, temperature=temperature)
    options = Options(file, out, engine, model, config, max_tokens, force=force, resume=resume, as_json=as_json)
    raise typer.Exit(carry_out(_Decompose(read_input(file), settings), options))


@dataclass(frozen=True, slots=True)
class _Objectify:
    draft: Draft
    settings: ObjectifySettings
    command: str = field(default="objectify", init=False)
    record: type[Objectified] = field(default=Objectified, init=False)

    async def work(self, asker: Asker, earlier: Sequence[Objectified], keep: Kept[Objectified]) -> list[Objectified]:
        known = {each.rule_id: reopened_objectified(each) for each in earlier}
        return await objectify(self.draft.rules, asker, self.settings, earlier=known, on_round=keep)

    def result(self, records: Sequence[Objectified], source: str) -> Result:
        changed = "" if not self.draft.preconditions else " `violated_when` is still the earlier one."
        head = f"Review every statement, its numbers above all.{changed} Then run `judge constitution decompose`."
        notes = {
            each.rule_id: ("no version is faithful to the rule: its statement is as it was before",)
            for each in records
            if not each.best.faithful
        }
        return Result(with_statements(self.draft, records), head, notes)

    def row(self, record: Objectified) -> dict[str, JsonValue]:
        best = record.best
        return {
            "best": best.statement,
            "faithful": best.faithful,
            "mean": best.mean,
            "spread": best.spread,
            "rounds": len(record.versions),
        }


@dataclass(frozen=True, slots=True)
class _Decompose:
    draft: Draft
    settings: DecomposeSettings
    command: str = field(default="decompose", init=False)
    record: type[Decomposed] = field(default=Decomposed, init=False)

    async def work(self, asker: Asker, earlier: Sequence[Decomposed], keep: Kept[Decomposed]) -> list[Decomposed]:
        known = {each.rule_id: reopened_decomposed(each) for each in earlier}
        return await decompose(self.draft, asker, self.settings, earlier=known, on_round=keep)

    def result(self, records: Sequence[Decomposed], source: str) -> Result:
        assembled: Assembled = assemble(self.draft, records, source=source)
        head = "Review every precondition and every expression against its rule."
        return Result(assembled.draft, head, assembled.notes)

    def row(self, record: Decomposed) -> dict[str, JsonValue]:
        best = record.best
        return {
            "violated_when": best.decomposition.violated_when if best else "",
            "objections": len(best.objections) if best else None,
            "rounds": len(record.attempts),
        }
