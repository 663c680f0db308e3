"""Dataset cards interpreted: their rows as samples."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from judge.errors import ConfigError, MediaError, did_you_mean
from judge.media import FileMedia
from judge.sources.card import Card, Kinds, OriginRule, TableRows
from judge.sources.card_media import MediaFinder
from judge.sources.card_rows import CardRow, card_rows, card_tables
from judge.sources.categories import Category
from judge.sources.ids import unique
from judge.sources.label_rules import Label, bare
from judge.sources.readers.table import as_text, cell
from judge.sources.sample import Intervals, Locator, NoMedia, Origin, Sample
from judge.sources.stream import SampleStream

TWICE = " stands in an earlier row as well"
"""How the problem of a row ends that says again what an earlier one said."""


def open_card(card: Card, root: Path, split: str | None = None) -> SampleStream:
    """The samples of one split; a split must be named where there are several.

    Raises:
        ConfigError: There is no such split or folder, or a table of it is missing or lacks a column.
    """
    chosen = chosen_split(card, split)
    if not root.is_dir():
        raise ConfigError(f"the root '{root}' of '{card.name}' is no folder", hint=card.obtain.strip())
    total = None
    if isinstance(card.rows, TableRows):
        tables = card_tables(card.rows, root, chosen)
        for table in tables:
            _check_columns(card, table.where, (*table.columns, *table.bytes_in))
        totals = [table.total for table in tables]
        total = None if None in totals else sum(each or 0 for each in totals)
    name = card.name if len(card.splits) == 1 else f"{card.name}:{chosen}"
    return SampleStream(name, lambda: _read(card, root, chosen), total, card.name, _digest(card))


def _digest(card: Card) -> str:
    """sha256 (hex) of all fields. One that came later counts only where it is used, so that older runs are resumed."""
    fields = card.model_dump(mode="json")
    if card.intervals is None:
        del fields["intervals"]
    return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def chosen_split(card: Card, split: str | None) -> str:
    """The split that is meant.

    Raises:
        ConfigError: There is no such split, or none was named of several.
    """
    if split is None and len(card.splits) == 1:
        return card.splits[0]
    if split not in card.splits:
        said = f"'{card.name}' has no split '{split}'" if split else f"'{card.name}' has several splits"
        raise ConfigError(
            said, hint=f"one of: {', '.join(card.splits)}" if not split else did_you_mean(split, card.splits)
        )
    return split


def _check_columns(card: Card, where: str, columns: Sequence[str]) -> None:
    """Only what no row can do without: one that names the media, and one with the label."""
    known = {each.split(".")[0] for each in columns} | {join.name for join in card.joins} | {*card.derived}
    label = card.label.model_dump()
    needed = [card.media.columns] if card.media.columns else []
    needed += [(label["column"],)] if "column" in label else []
    needed += [(each,) for each in label.get("columns", ())]
    for names in needed:
        if not any(name.startswith("$") or name.split(".")[0] in known for name in names):
            listed = ", ".join(sorted(known)) or "none"
            raise ConfigError(
                f"'{where}' has no column {' or '.join(names)}, which '{card.name}' needs; its columns: {listed}"
            )


def _read(card: Card, root: Path, split: str) -> Iterator[Sample]:
    finder = MediaFinder(card.media, root, split)
    samples = (_sample(card, row, finder) for row in card_rows(card, root, split))
    return unique(samples, _named_twice)


def _named_twice(sample: Sample) -> Sample:
    problem = sample.problem or f"'{sample.id}'{TWICE}"
    return sample.model_copy(update={"problem": problem})


def _sample(card: Card, row: CardRow, finder: MediaFinder) -> Sample:
    locator, missing = _locate(row, finder)
    unlabelled = finder.split in card.unlabelled
    label = Label(None) if unlabelled else card.label.read(lambda name: cell(row.cells, name))
    if row.problem:  # its cells may stand under the wrong columns
        label = Label(None, row.problem)
    doubt = _doubt(card, row)
    kinds = () if unlabelled or doubt else _kinds(card, row, label)
    return Sample(
        id=_id(card, row, locator, finder.root),
        locator=locator,
        modality=card.modality,
        harmful=label.harmful,
        labels=kinds,
        categories=_categories(card, kinds),
        text="\n".join(text for name in card.text if (text := _first(row, (name,)))),
        origin=_origin(card.origin, row) if card.origin else "unknown",
        group=_first(row, card.group),
        attributes={name: text for name, column in card.attributes.items() if (text := _first(row, (column,)))},
        intervals=None if unlabelled else _intervals(card, row),
        problem=row.problem or missing or label.problem or doubt,
    )


def _locate(row: CardRow, finder: MediaFinder) -> tuple[Locator, str]:
    try:
        return finder.find(row), ""
    except MediaError as error:
        return NoMedia(), error.message


def _id(card: Card, row: CardRow, locator: Locator, root: Path) -> str:
    if card.id:
        own = "/".join(text for name in card.id if (text := _first(row, (name,))))
        if own:
            return own
    if isinstance(locator, FileMedia):
        return locator.path.relative_to(root).as_posix()
    return _first(row, ("$path",)) or f"{_first(row, ('$file',))}#{row.number}"


def _first(row: CardRow, columns: Sequence[str]) -> str:
    """The first cell that is not empty, as text."""
    return next((text for name in columns if (text := as_text(cell(row.cells, name)))), "")


def _intervals(card: Card, row: CardRow) -> Intervals | None:
    """Nothing of a row whose cells may stand under the wrong columns."""
    if card.intervals is None or row.problem:
        return None
    return card.intervals.read(lambda name: cell(row.cells, name))


def _doubt(card: Card, row: CardRow) -> str:
    for column, values in card.doubts.items():
        said = bare(_first(row, (column,)))
        for value, why in values.items():
            if said == bare(value):
                return why
    return ""


def _kinds(card: Card, row: CardRow, label: Label) -> tuple[str, ...]:
    if label.harmful is None and label.problem:
        return ()
    found = label.kinds if card.kinds is None else _from_columns(card.kinds, row, label)
    return tuple(dict.fromkeys(card.names.get(each, each) for each in found))


def _from_columns(kinds: Kinds, row: CardRow, label: Label) -> list[str]:
    if label.harmful is False and not kinds.of_unharmful:
        return []
    value = next((each for name in kinds.columns if (each := cell(row.cells, name)) not in (None, "", [])), None)
    if isinstance(value, list):
        return [as_text(each) for each in value]
    said = as_text(value)
    return [each.strip() for each in (said.split(kinds.separator) if kinds.separator else [said]) if each.strip()]


def _categories(card: Card, kinds: Sequence[str]) -> tuple[Category, ...]:
    by_key = {key.lower(): common for key, common in card.categories.items()}
    fits = _begins_a_word if card.category_words else str.__eq__
    found = [each for kind in kinds for key, common in by_key.items() if fits(key, kind.lower()) for each in common]
    return tuple(dict.fromkeys(found))


def _begins_a_word(beginning: str, text: str) -> bool:
    return re.search(rf"\b{re.escape(beginning)}", text) is not None


def _origin(rule: OriginRule, row: CardRow) -> Origin:
    said = _first(row, rule.columns)
    if rule.real and re.search(rule.real, said):
        return "real"
    return "synthetic" if rule.synthetic and re.search(rule.synthetic, said) else "unknown"
