"""`judge debate ...`: annotate media by debate, as VHD11K was (arXiv 2409.19734), and find examples for its judge."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Optional

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import track

from judge.assets import constitution_path
from judge.bench.annotate import MediaAnnotation
from judge.bench.annotation_file import AnnotationFile
from judge.bench.in_context import choose_examples, examples_in, examples_of, total
from judge.bench.labelled import labelled_files
from judge.bench.tune import Targets
from judge.cli.debate_run import Running, annotate_all, judged, open_annotator
from judge.cli.debate_table import print_annotations, print_cost
from judge.cli.debate_tune import print_round, run_tuning, to_yaml
from judge.cli.files import write_text
from judge.cli.options import EXIT_FAIL_ON, EXIT_SOME_FAILED, judge_settings
from judge.config import DebateSettings, JudgeConfig, first_problem
from judge.constitution import load_constitution
from judge.engines.build import ENGINES
from judge.errors import ConfigError
from judge.media import FoundInput, Input, Permissions, expand_inputs
from judge.types.annotation import AnnotationKind

debate_app = typer.Typer(no_args_is_help=True, help="Annotate media by debate, and find examples for its judge.")

_ANNOTATE_HELP = """
Examples:

  judge debate annotate pictures/ --csv out.csv --config server.yaml --constitution vhd11k

  judge debate annotate pictures/ --csv out.csv --refusal harmful --critic --vote --config server.yaml

  judge debate annotate a.png b.png --max-examples 0 --json

  judge debate annotate pictures/ --examples examples.yaml --media-folder labelled/ --csv out.csv

The table has VHD11K's columns, then ours: probability, reason, vote, annotator. A run that was broken off goes on where
it ended; what failed is tried again. decision is yes (harmful), no, none (undecided) or error.

Exit codes: 0 everything was judged; 2 wrong usage; 3 some inputs could not be judged.
"""

_TUNE_HELP = """
Examples:

  judge debate tune-icl labelled/ann.csv --constitution vhd11k --config server.yaml --out examples.yaml

  judge debate annotate pictures/ --examples examples.yaml --media-folder labelled/ --config server.yaml

LABELLED_CSV has VHD11K's columns; imagePath and decision are enough. Misjudged pictures become examples, round after
round, until both rates reach their targets. A picture is never judged in sight of its own answer, and examples are
scored apart. Undecided counts as neither. The file is for a person to review.

Exit codes: 0 both rates reached their targets; 2 wrong usage; 3 they did, but some pictures could not be judged;
10 they did not (comes before 3).
"""


class Orders(StrEnum):
    """Who speaks first; see `DebateSettings.orders`."""

    affirmative_first = "affirmative_first"
    negative_first = "negative_first"
    both = "both"


class Refusal(StrEnum):
    """What a refusal means; see `DebateSettings.refusal`."""

    abstain = "abstain"
    harmful = "harmful"


_Constitution = Annotated[str, typer.Option(help="Built-in name or YAML file.")]
_Engine = Annotated[Optional[str], typer.Option(help=f"One of {', '.join(ENGINES.names())}.")]  # noqa: UP045
_Model = Annotated[Optional[str], typer.Option(help="Embedded name, folder, or Hugging Face id.")]  # noqa: UP045
_Config = Annotated[Optional[Path], typer.Option(help="YAML with every setting.")]  # noqa: UP045
_Device = Annotated[Optional[str], typer.Option(help="auto, cpu, cuda, cuda:0...")]  # noqa: UP045
_Rounds = Annotated[Optional[int], typer.Option(help="Turns of each side, at most.")]  # noqa: UP045
_Orders = Annotated[Optional[Orders], typer.Option(help="Who speaks first; both: two debates, averaged.")]  # noqa: UP045
_Refusal = Annotated[Optional[Refusal], typer.Option(help="What a refusal means; harmful is VHD11K's reading.")]  # noqa: UP045
_MaxExamples = Annotated[Optional[int], typer.Option(min=0, help="In-context examples at once; 2 of 7 are harmful.")]  # noqa: UP045


@debate_app.command(epilog=_ANNOTATE_HELP)
def annotate(  # noqa: PLR0917  (one parameter per option)
    inputs: Annotated[list[str], typer.Argument(help="Files, folders, globs, URLs, or - for a list on stdin.")],
    constitution: _Constitution = "stickers",
    csv: Annotated[Optional[Path], typer.Option(help="Table to write, or to go on with.")] = None,  # noqa: UP045
    engine: _Engine = None,
    model: _Model = None,
    config: _Config = None,
    device: _Device = None,
    rounds: _Rounds = None,
    orders: _Orders = None,
    refusal: _Refusal = None,
    critic: Annotated[Optional[bool], typer.Option(help="A fourth role analyses the decision.")] = None,  # noqa: UP045
    vote: Annotated[bool, typer.Option(help="Beside each debate, a vote of as many texts, to compare with.")] = False,
    examples: Annotated[Optional[Path], typer.Option(help="File of examples; else the constitution's.")] = None,  # noqa: UP045
    max_examples: _MaxExamples = None,
    media_folder: Annotated[Optional[Path], typer.Option(help="Where examples lie; else beside their YAML.")] = None,  # noqa: UP045
    videos: Annotated[bool, typer.Option(help="Call the first column videoPath.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
    as_jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON object a line, as soon as it is known.")] = False,
    allow_urls: Annotated[bool, typer.Option(help="Fetch http(s) URLs given as inputs.")] = False,
) -> None:
    """Decide by debate whether media are harmful under a whole constitution."""
    settings = _settings(
        judge_settings(config, engine=engine, model=model, device=device),
        {"rounds": rounds, "orders": orders, "refusal": refusal, "critic": critic, "max_examples": max_examples},
    )
    debate = settings.cascade.debate
    console, messages = Console(width=None if sys.stdout.isatty() else 150), Console(stderr=True)
    path = constitution_path(constitution)
    policy = load_constitution(path)
    found = _once(expand_inputs(inputs, sys.stdin if "-" in inputs else ()))
    kind: AnnotationKind = "video" if videos else "image"
    table = AnnotationFile(csv, kind, rounds=debate.rounds, critic=debate.critic, vote=vote) if csv else None
    waiting = [each for each in found if table is None or not table.is_done(each.name)]
    running: Running | None = None
    if any(isinstance(each, FoundInput) for each in waiting):
        listed = choose_examples(examples_in(examples) if examples else examples_of(policy), _room(debate))
        shown = judged(listed, media_folder or (examples or path).parent, settings.video.clips.frames)
        messages.print(f"shown to the judge: {total(listed)}")
        running = open_annotator(settings, policy, shown, messages, vote=vote)
    if table is not None:
        _begin(table, running, [each.name for each in found], [each.name for each in waiting], messages)
    kept: list[MediaAnnotation] = []
    stream = annotate_all(
        running, waiting, Permissions(files=True, urls=allow_urls), batch=settings.concurrency,
        clip_frames=settings.video.clips.frames, table=table,
    )  # fmt: skip
    for each in track(stream, "annotating", total=len(waiting), console=messages, disable=not messages.is_terminal):
        kept.append(each if as_json else each.model_copy(update={"debates": ()}))
        if as_jsonl:
            print(each.model_dump_json(), flush=True)
    if running is not None:
        running.close()
    if as_json:
        print(json.dumps([each.model_dump(mode="json") for each in kept], indent=1))
    elif not as_jsonl and table is None:
        print_annotations(console, kept)
    print_cost(messages, kept)
    raise typer.Exit(EXIT_SOME_FAILED if any(each.error for each in kept) else 0)


@debate_app.command("tune-icl", epilog=_TUNE_HELP)
def tune_icl(  # noqa: PLR0917  (one parameter per option)
    labelled_csv: Annotated[Path, typer.Argument(help="Table of labelled pictures in VHD11K's columns.")],
    out: Annotated[Path, typer.Option(help="YAML to write: examples, and the rates of every round.")],
    constitution: _Constitution = "stickers",
    target_tpr: Annotated[float, typer.Option(min=0.0, max=1.0, help="Rate to reach on harmful pictures.")] = 0.75,
    target_tnr: Annotated[float, typer.Option(min=0.0, max=1.0, help="Rate to reach on unharmful ones.")] = 0.75,
    max_rounds: Annotated[int, typer.Option(min=1, help="Passes over the set, at most.")] = 5,
    max_examples: _MaxExamples = None,
    media_folder: Annotated[Optional[Path], typer.Option(help="Where the pictures lie; else beside it.")] = None,  # noqa: UP045
    engine: _Engine = None,
    model: _Model = None,
    config: _Config = None,
    device: _Device = None,
    rounds: _Rounds = None,
    orders: _Orders = None,
    refusal: _Refusal = None,
    force: Annotated[bool, typer.Option(help="Replace the file that --out names.")] = False,
) -> None:
    """Find in-context examples: show what was misjudged, and judge again, until both rates reach their targets."""
    if out.exists() and not force:
        raise ConfigError(f"'{out}' exists", hint="name another file, or add --force to replace it")
    settings = _settings(
        judge_settings(config, engine=engine, model=model, device=device),
        {"rounds": rounds, "orders": orders, "refusal": refusal, "max_examples": max_examples},
    )
    room = _room(settings.cascade.debate)
    if room == 0:
        raise ConfigError("nobody would see an example", hint="allow some: --max-examples, cascade.debate.examples_for")
    targets = Targets(target_tpr, target_tnr, max_rounds, room)
    policy = load_constitution(constitution_path(constitution))
    folder = media_folder or labelled_csv.parent
    files, left_out = labelled_files(labelled_csv, folder)
    console, messages = Console(width=None if sys.stdout.isatty() else 150), Console(stderr=True)
    for name, reason in left_out.items():
        messages.print(f"'{name}' is left out: {reason}", style="yellow", markup=False, soft_wrap=True)
    tuned = run_tuning(settings, policy, files, targets, messages, tell=lambda found: print_round(console, found))
    write_text(out, to_yaml(tuned, targets, settings, policy))
    messages.print(f"examples of round {tuned.best}: {out}", markup=False)
    if not tuned.converged:
        messages.print(f"not converged: {tuned.reason}", style="bold red", markup=False)
        raise typer.Exit(EXIT_FAIL_ON)
    last = tuned.rounds[-1].everything
    raise typer.Exit(EXIT_SOME_FAILED if last.failed or left_out else 0)


def _settings(base: JudgeConfig, options: dict[str, object]) -> JudgeConfig:
    """The configuration with a debate about the whole policy, and with the options that were given."""
    given = {name: str(value) if isinstance(value, StrEnum) else value for name, value in options.items()}
    changes = {name: value for name, value in given.items() if value is not None}
    fields = base.cascade.debate.model_dump() | changes | {"enabled": True, "subject": "policy"}
    try:
        debate = DebateSettings.model_validate(fields)
    except ValidationError as error:
        raise ConfigError(f"debate: {first_problem(error)}") from error
    return base.model_copy(update={"cascade": base.cascade.model_copy(update={"debate": debate})})


def _room(debate: DebateSettings) -> int:
    return 0 if debate.examples_for == "nobody" else debate.max_examples


def _once(found: Sequence[Input]) -> list[Input]:
    """A table has one row per name."""
    return list({each.name: each for each in found}.values())


def _begin(
    table: AnnotationFile, running: Running | None, names: Sequence[str], waiting: Sequence[str], messages: Console
) -> None:
    """Open the table for writing, and tell what it held."""
    try:
        again = table.begin(waiting, running.annotator.name if running else "")
    except ConfigError:
        if running is not None:
            running.close()
        raise
    if len(waiting) < len(names):
        messages.print(f"{len(names) - len(waiting)} inputs are in the table already and are skipped")
    if again:
        messages.print(f"{again} rows that say error are taken out, to be tried again")
    if table.n_cut_bytes:
        messages.print(f"the last run broke off inside a row: {table.n_cut_bytes} bytes are taken away", style="yellow")
