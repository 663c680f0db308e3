"""One authoring run from options to files: engine, progress, interruption, results, summary."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import JsonValue
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from judge import __version__
from judge.assets import model_names
from judge.authoring import Asker, Draft, read_plain_rules, read_rules, templates_digest
from judge.authoring.yaml_text import dump_yaml
from judge.cli.authoring_files import Record, RunFiles
from judge.config import EngineConfig, JudgeConfig, load_config
from judge.constitution.load import read_text
from judge.engines.base import Capabilities, Engine
from judge.engines.build import build_engine
from judge.errors import ConfigError
from judge.types import Wire

EXIT_SOME_UNSETTLED = 3
WRITER = Capabilities(choice_probabilities=False, images=False, max_frames=0)
"""What an engine needs for authoring: texts about texts."""
_EMBEDDED = "the embedded model answers about sticker scenes only and cannot write policies"
_HINT = "use --engine openai --model NAME --config FILE with the server's address, or --engine vllm --model ID"

Kept = Callable[[Sequence[Record]], None]


@dataclass(frozen=True, slots=True)
class Options:
    """What both commands take."""

    file: Path
    out: Path
    engine: str | None
    model: str | None
    config: Path | None
    max_tokens: int
    force: bool
    resume: bool
    as_json: bool


@dataclass(frozen=True, slots=True)
class Result:
    """What is written: the draft, advice for its reader, and notes by rule id for the review."""

    draft: Draft
    head: str
    notes: Mapping[str, tuple[str, ...]]


class Job(Protocol[Record]):
    """What differs between the two commands."""

    @property
    def command(self) -> str: ...

    @property
    def draft(self) -> Draft: ...

    @property
    def settings(self) -> Wire: ...

    @property
    def record(self) -> type[Record]: ...

    async def work(self, asker: Asker, earlier: Sequence[Record], keep: Kept[Record]) -> list[Record]: ...

    def result(self, records: Sequence[Record], source: str) -> Result: ...

    def row(self, record: Record) -> dict[str, JsonValue]: ...


def read_input(path: Path) -> Draft:
    """A file of rules: YAML by its ending, else one rule a line.

    Raises:
        InvalidConstitution: It cannot be read, or is neither.
    """
    read = read_rules if path.suffix in (".yaml", ".yml") else read_plain_rules
    return read(read_text(path), str(path))


def carry_out(job: Job[Record], options: Options) -> int:
    """Runs the job, writes its files, prints the summary, and returns the exit code.

    Raises:
        JudgeError: It cannot begin, or its results cannot be written.
    """
    config = _engine_config(options)
    files = RunFiles(options.out, _key(job, options, config), job.record)
    earlier = files.start(options.file, force=options.force, resume=options.resume)
    engine = build_engine(config, required=WRITER)
    asker = Asker(engine, max_tokens=options.max_tokens)
    files.keep(earlier)
    records = _work(job, engine, asker, files, earlier)
    _write(job, engine, asker, files, records)
    if files.state.exists():
        print(f"the engine failed on some rules; --resume asks them again ('{files.state}')", file=sys.stderr)
    _show(job, files, records, as_json=options.as_json)
    return 0 if all(record.stop == "reached" for record in records) else EXIT_SOME_UNSETTLED


def _engine_config(options: Options) -> EngineConfig:
    base = (load_config(options.config) if options.config else JudgeConfig()).engine
    chosen = {name: value for name, value in (("name", options.engine), ("model", options.model)) if value}
    config = base.model_copy(update=chosen)
    if config.model in model_names():
        if options.model is None:
            raise ConfigError(_EMBEDDED, hint=_HINT)
        print(f"note: {_EMBEDDED}", file=sys.stderr)
    if config.name == "openai" and not config.openai.samples:
        # Nothing reads logprobs here: with samples, a server that has none passes the engine's first question too.
        config = config.model_copy(update={"openai": config.openai.model_copy(update={"samples": 1})})
    return config


def _key(job: Job[Record], options: Options, config: EngineConfig) -> str:
    """sha256 over everything that the records of a run depend on, as far as it is known before the engine is built."""
    known = (
        job.command,
        job.draft.model_dump(mode="json"),
        job.settings.model_dump(mode="json"),
        (config.name, config.model, config.revision, options.max_tokens),
        templates_digest(),
        __version__,
    )
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def _work(
    job: Job[Record], engine: Engine, asker: Asker, files: RunFiles[Record], earlier: Sequence[Record]
) -> list[Record]:
    messages = Console(stderr=True)
    with Progress(console=messages, disable=not messages.is_terminal, transient=True) as progress:
        task = progress.add_task(job.command, total=len(job.draft.rules))

        def keep(records: Sequence[Record]) -> None:
            files.keep(records)
            progress.update(task, completed=sum(record.stop is not None for record in records))

        async def whole() -> list[Record]:
            try:
                return await job.work(asker, earlier, keep)
            finally:
                await engine.close()

        try:
            return asyncio.run(whole())
        except KeyboardInterrupt:
            print(f"stopped; --resume goes on after the last finished round ('{files.state}')", file=sys.stderr)
            raise


def _write(job: Job[Record], engine: Engine, asker: Asker, files: RunFiles[Record], records: Sequence[Record]) -> None:
    result = job.result(records, str(files.out))
    unsettled = [record.rule_id for record in records if record.stop != "reached"]
    head = f"A draft by `judge constitution {job.command}` with the model {engine.info.name}, for a person to review.\n"
    head += f"{result.head}\nThe history of every rule is in {files.review.name}."
    head += f"\nNot settled: {', '.join(unsettled)}" if unsettled else ""
    review: dict[str, JsonValue] = {
        "command": job.command,
        "version": __version__,
        "model": {"name": engine.info.name, "digest": engine.info.digest, "runtime": engine.info.runtime},
        "templates": templates_digest(),
        "settings": job.settings.model_dump(mode="json"),
        "usage": asker.usage.model_dump(mode="json"),
        "unsettled": list(unsettled),
        "notes": {rule: list(notes) for rule, notes in result.notes.items()},
        "rules": {record.rule_id: record.model_dump(mode="json", exclude={"rule_id"}) for record in records},
    }
    complete = all(record.stop != "failed" for record in records)
    files.finish(result.draft.to_yaml(head), dump_yaml(review), complete=complete)


def _show(job: Job[Record], files: RunFiles[Record], records: Sequence[Record], *, as_json: bool) -> None:
    rows: list[dict[str, JsonValue]] = [
        {"rule": record.rule_id, "stop": record.stop, **job.row(record), "reason": record.reason} for record in records
    ]
    if as_json:
        rules: list[JsonValue] = [*rows]
        print(json.dumps({"out": str(files.out), "review": str(files.review), "rules": rules}, indent=1))
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(escape(_cell(value)) for value in row.values()))
    Console(width=None if sys.stdout.isatty() else 150).print(table)
    print(f"draft: {files.out}\nreview: {files.review}")


def _cell(value: JsonValue) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)
