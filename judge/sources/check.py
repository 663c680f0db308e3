"""What is there of a data set, and what is wrong with it, against its card. No media is opened."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from pydantic import Field

from judge.media import FileMedia
from judge.media.listing import VIDEO_SUFFIXES, media_below
from judge.sources.card import Card
from judge.sources.card_rows import files_of
from judge.sources.cards import TWICE, chosen_split, open_card
from judge.sources.ids import SeenIds
from judge.sources.label_rules import LEFT_OUT, UNREADABLE, NoLabel
from judge.sources.sample import NoMedia, Sample
from judge.types import Wire

_MOST_EXAMPLES = 5
_CHUNK_BYTES = 2**20


class SplitReport(Wire):
    """The rows of one split. Every row is counted once among those with and without a label."""

    split: str
    """Its name."""
    rows: int
    """All of them."""
    harmful: int
    """Rows with this label, whether or not they can be used."""
    unharmful: int
    """Rows with this label, whether or not they can be used."""
    unlabelled: int
    """Rows with neither."""
    left_out: int
    """Rows that the card leaves out on purpose; not wrong."""
    missing: int
    """Rows that lead to no media."""
    unreadable: int
    """Rows whose label says nothing that the card knows."""
    duplicates: int
    """Rows whose media or id an earlier row has as well."""
    doubtful: int
    """Rows with any other problem, e.g. a refusal in place of a label."""
    no_moments: int = 0
    """Harmful rows of which nothing says when they are harmful, where the card says where to look; not wrong."""
    broken_moments: int = 0
    """Rows whose harmful moments cannot be read."""
    no_common_name: dict[str, int] = Field(default_factory=dict)
    """Kinds of harm that have no common name, and their rows; not wrong."""
    examples: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """A few rows of what is wrong, by the field that counts it."""


class CardReport(Wire):
    """A data set as it lies on disk."""

    card: str
    """Name of the card."""
    root: str
    """Where it lies."""
    splits: tuple[SplitReport, ...]
    """Those that are there, in the card's order."""
    absent: tuple[str, ...]
    """Splits of the card that have no file; not wrong."""
    strangers: int | None
    """Media below the root that no row names; None if only some splits were read."""
    stranger_examples: tuple[str, ...] = ()
    """A few of them."""
    wrong: tuple[str, ...]
    """What is wrong, in sentences; none for a data set as it should be."""


@dataclass(slots=True)
class _Tally:
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    has_moments: bool = False

    def add(self, sample: Sample, seen: SeenIds) -> None:
        label = "unlabelled" if sample.harmful is None else "harmful" if sample.harmful else "unharmful"
        self.counts.update(("rows", label))
        if sample.harmful and not sample.categories:
            self.kinds.update(sample.labels)
        repeated = not isinstance(sample.locator, NoMedia) and not seen.add(sample.locator.model_dump_json())
        kind = _kind_of(sample, repeated)
        self.counts[kind] += 1
        if kind not in ("", "left_out"):
            self._keep(kind, f"{sample.id}: {sample.problem or 'its media' + TWICE}")
        if self.has_moments:
            self._add_moments(sample)

    def _add_moments(self, sample: Sample) -> None:
        found = sample.intervals
        if found is not None and found.problem:
            self.counts["broken_moments"] += 1
            self._keep("broken_moments", f"{sample.id}: {found.problem}")
        elif sample.harmful and not (found and found.harmful):
            self.counts["no_moments"] += 1

    def _keep(self, kind: str, example: str) -> None:
        examples = self.examples.setdefault(kind, [])
        if len(examples) < _MOST_EXAMPLES:
            examples.append(example)


def check_card(
    card: Card, root: Path, split: str | None = None, *, watch: Callable[[Iterable[Sample]], Iterable[Sample]] = iter
) -> CardReport:
    """Read every row of a split, or of all splits that are there.

    Args:
        watch: Passes samples on as they are read, e.g. past a progress bar.

    Raises:
        ConfigError: There is no such split, none of the splits is there, or a table is broken.
    """
    names = (chosen_split(card, split),) if split else card.splits
    root = root.absolute()
    there = [name for name in names if files_of(card.rows, root, name)] or list(names[:1])
    named: set[Path] = set()
    reports = [_check_split(card, root, name, named, watch) for name in there]
    strangers = None if split and len(card.splits) > 1 else _strangers(card, root, named)
    wrong = [sentence for report in reports for sentence in _sentences(card, report)]
    if strangers:
        wrong.append(f"{len(strangers)} media files belong to no row")
    wrong += _checksums(card, root)
    return CardReport(
        card=card.name, root=str(root), splits=tuple(reports),
        absent=tuple(name for name in names if name not in there),
        strangers=None if strangers is None else len(strangers),
        stranger_examples=tuple((strangers or [])[:_MOST_EXAMPLES]), wrong=tuple(wrong),
    )  # fmt: skip


def _check_split(
    card: Card, root: Path, split: str, named: set[Path], watch: Callable[[Iterable[Sample]], Iterable[Sample]]
) -> SplitReport:
    tally, seen = _Tally(has_moments=card.intervals is not None), SeenIds()
    for sample in watch(open_card(card, root, split)):
        tally.add(sample, seen)
        if isinstance(sample.locator, FileMedia):
            named.add(sample.locator.path)
    fields = (
        "rows", "harmful", "unharmful", "unlabelled", "left_out", "missing", "unreadable", "duplicates", "doubtful",
        "no_moments", "broken_moments",
    )  # fmt: skip
    return SplitReport(
        split=split, **{name: tally.counts[name] for name in fields}, no_common_name=dict(tally.kinds.most_common(10)),
        examples={kind: tuple(rows) for kind, rows in tally.examples.items() if rows},
    )  # fmt: skip


def _kind_of(sample: Sample, repeated: bool) -> str:
    """The field of a report that counts the sample's problem; empty for none."""
    if repeated or sample.problem.endswith(TWICE):
        return "duplicates"
    if isinstance(sample.locator, NoMedia):
        return "missing"
    if sample.problem.startswith(LEFT_OUT):
        return "left_out"
    if sample.problem.startswith(UNREADABLE):
        return "unreadable"
    return "doubtful" if sample.problem else ""


def _sentences(card: Card, report: SplitReport) -> list[str]:
    where = f"{report.split}: " if len(card.splits) > 1 else ""
    said = {
        "missing": "lead to no media", "unreadable": "have a label that cannot be read",
        "duplicates": "repeat an earlier row", "doubtful": "have another problem",
        "broken_moments": "have harmful moments that cannot be read",
    }  # fmt: skip
    counts = report.model_dump()
    wrong = [f"{where}{counts[name]} of {report.rows} rows {what}" for name, what in said.items() if counts[name]]
    labels = not isinstance(card.label, NoLabel) and report.split not in card.unlabelled
    if not report.rows:
        wrong.append(f"{where}there are no rows")
    elif labels and not (report.harmful or report.unharmful):
        wrong.append(f"{where}no row has a label")
    return wrong


def _strangers(card: Card, root: Path, named: set[Path]) -> list[str]:
    found: list[str] = []
    for path in media_below(str(root)).media:
        is_video = path.suffix.lower() in VIDEO_SUFFIXES
        name = path.relative_to(root).as_posix()
        if (
            path not in named
            and is_video == (card.modality == "video")
            and not any(fnmatch(name, pattern) for pattern in card.ignore)
        ):
            found.append(name)
    return found


def _checksums(card: Card, root: Path) -> list[str]:
    wrong: list[str] = []
    for name, expected in card.sha256.items():
        digest = hashlib.sha256()
        try:
            with (root / name).open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    digest.update(chunk)
        except OSError as error:
            wrong.append(f"'{name}' cannot be read: {error.strerror}")
            continue
        if digest.hexdigest() != expected.lower():
            wrong.append(f"'{name}' is another version: its sha256 is {digest.hexdigest()}")
    return wrong
