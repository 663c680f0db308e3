"""A benchmark's result in a terminal, and the small pictures of its page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from rich.markup import escape
from rich.table import Table

from judge.bench.results import BenchResult, DetectorResult, Interval, Measures
from judge.errors import JudgeError
from judge.media import InlineMedia, Permissions, load_media
from judge.report.plain import brief, one_line
from judge.report.thumbnails import thumbnail
from judge.sources.read import read_bytes
from judge.sources.sample import Sample

_LONGEST_LABEL = 40
_SHOWN = {
    "tpr": "TPR", "tnr": "TNR", "average": "average", "precision": "precision", "f1": "F1", "auroc": "AUROC",
    "ap": "AP", "kappa": "kappa",
}  # fmt: skip
_ONCE = {
    "f2": "F2", "accuracy": "accuracy", "tpr_at_1_fpr": "TPR at 1 % FPR", "ece": "ECE", "coverage": "coverage",
    "selective_risk": "risk",
}  # fmt: skip
_FRAMES = {"frame_ap": "AP", "frame_auroc": "AUROC"}
_WRONG = {"tpr": "TPR", "tnr": "TNR", "average": "average", "f1": "F1"}


def tables(result: BenchResult) -> Iterator[Table]:
    """What is worth a look at once; the JSON and the page have everything."""
    found = result.detectors
    yield _measures(result)
    if result.published:
        yield _published(result)
    yield _table(
        "more measures, and what they cost", [*_ONCE.values(), "s", "USD / 1,000"],
        [(each.label, [*_cells(each.overall.answered, _ONCE), *_cost(each)]) for each in found],
    )  # fmt: skip
    if any(each.tally.errors or each.tally.abstentions for each in found):
        yield _table(
            "errors and abstentions as wrong answers", ["errors", "abstentions", *_WRONG.values()],
            [(each.label, [*_silent(each), *_cells(each.overall.as_wrong, _WRONG)]) for each in found],
        )  # fmt: skip
    if any(each.frames for each in found):
        yield _frames(found)
    for title, part in (("kinds of harm: share found", "categories"), ("sources: average", "origins")):
        if any(getattr(each, part) for each in found):
            yield _slices(title, found, part)
    if any(each.robustness for each in found):
        yield _robustness(found)
    if any(each.groups for each in found):
        yield _groups(found)
    if result.pairs:
        yield _pairs(result)


def _measures(result: BenchResult) -> Table:
    rows = [
        (each.label, [f"{each.overall.n}\n{each.overall.n_harmful} harmful", *_cells(each.overall.answered, _SHOWN)])
        for each in result.detectors
    ]
    return _table(f"{one_line(result.source)}: errors and abstentions left out", ["samples", *_SHOWN.values()], rows)


def _frames(found: Sequence[DetectorResult]) -> Table:
    rows = []
    for each in found:
        if each.frames is not None:
            seen, whole = each.frames.answered, each.frames.as_wrong
            videos = f"{seen.videos} of {whole.videos}\n{each.frames.left_out} left out"
            counted = f"{seen.frames}\n{seen.harmful_frames} harmful"
            cells = [*_cells(seen.measures, _FRAMES), *_cells(whole.measures, _FRAMES)]
            rows.append((each.label, [videos, counted, *cells]))
    wrong = [f"{name},\nsilence as wrong" for name in _FRAMES.values()]
    return _table("frame by frame", ["videos", "frames", *_FRAMES.values(), *wrong], rows)


def _published(result: BenchResult) -> Table:
    made = Table("method", "TPR", "TNR", "average", title=escape(f"published: {result.published_source}"))
    for each in result.published:
        rates = (each.tpr, each.tnr, each.average)
        made.add_row(each.method, *("-" if rate is None else f"{rate:.3f}" for rate in rates))
    return made


def _slices(title: str, found: Sequence[DetectorResult], part: str) -> Table:
    measure = "tpr" if part == "categories" else "average"
    names = sorted({each.name for one in found for each in getattr(one, part)})
    rows = []
    for one in found:
        cells = {each.name: _cell(each.answered[measure]) for each in getattr(one, part)}
        rows.append((one.label, [cells.get(name, "-") for name in names]))
    return _table(title, names, rows)


def _robustness(found: Sequence[DetectorResult]) -> Table:
    names = list(dict.fromkeys(row.perturbation for each in found for row in each.robustness))
    made = Table("perturbation", title="flip rate and F1 under perturbations")
    for each in found:
        made.add_column(f"{_name(each.label)}\nflips")
        made.add_column("F1\nbefore, after")
    by_name = [{row.perturbation: row for row in each.robustness} for each in found]
    for name in names:
        cells: list[str] = []
        for rows in by_name:
            measures = rows[name].measures if name in rows else {}
            f1 = f"{_value(measures.get('f1_before'))} {_value(measures.get('f1'))}"
            cells += [_cell(measures.get("flip_rate")), f1]
        made.add_row(name, *cells)
    return made


def _groups(found: Sequence[DetectorResult]) -> Table:
    rows = []
    for each in found:
        if each.groups is not None:
            flips = f"{each.groups.flipped} of {each.groups.same_label}"
            right = f"{each.groups.all_right} of {each.groups.mixed_label}"
            rows.append((each.label, [flips, _cell(each.groups.flip_rate), right, _cell(each.groups.all_right_rate)]))
    return _table("groups of samples that belong together", ["flips", "rate", "edited twins right", "rate"], rows)


def _pairs(result: BenchResult) -> Table:
    rows = []
    for each in result.pairs:
        right = f"{each.only_first_right} / {each.only_second_right}"
        gain = _cell(each.measures["average_gain"])
        rows.append(
            (
                f"{each.first}\n{each.second}",
                [str(each.n_answered), _cell(each.measures["kappa"]), right, f"{each.p:.3g}", gain],
            )
        )
    if result.majority is not None:
        kappa = result.majority.fleiss_kappa
        average = _cell(result.majority.together.answered["average"])
        words = "-" if kappa is None else f"{kappa:.3f}"
        rows.append((f"majority: average {average}", [str(result.majority.n_all_answered), words, "", "", ""]))
    names = ["both answered", "kappa", "only 1st / 2nd right", "McNemar p", "gain in average"]
    return _table("agreement between detectors", names, rows)


def _table(title: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> Table:
    made = Table("detector", *map(escape, columns), title=escape(title))
    for label, cells in rows:
        made.add_row("\n".join(_name(line) for line in label.split("\n")), *cells)
    return made


def _name(label: str) -> str:
    return escape(brief(label, _LONGEST_LABEL))


def _cells(measures: Measures, names: dict[str, str]) -> list[str]:
    return [_cell(measures.get(name)) for name in names]


def _cell(found: Interval | None) -> str:
    if found is None or found.value is None:
        return "-"
    if found.low is None or found.high is None:
        return f"{found.value:.3f}"
    return f"{found.value:.3f}\n\\[{found.low:.2f}, {found.high:.2f}]"


def _value(found: Interval | None) -> str:
    return "-" if found is None or found.value is None else f"{found.value:.3f}"


def _silent(each: DetectorResult) -> list[str]:
    return [str(each.tally.errors), str(each.tally.abstentions)]


def _cost(each: DetectorResult) -> list[str]:
    seconds, usd = each.cost.mean_s, each.cost.usd_per_1000
    return ["-" if seconds is None else f"{seconds:.3f}", "-" if usd is None else f"{usd:.2f}"]


def mistake_thumbnails(result: BenchResult, samples: Sequence[Sample], permissions: Permissions) -> dict[str, str]:
    """Data URLs of what was judged wrongly, by id; without what cannot be read (again)."""
    wanted = {each.sample for one in result.detectors for each in one.mistakes}
    found: dict[str, str] = {}
    for sample in samples:
        if sample.id in wanted:
            try:
                found[sample.id] = _thumbnail(sample, permissions)
            except JudgeError:
                continue
    return {name: url for name, url in found.items() if url}


def _thumbnail(sample: Sample, permissions: Permissions) -> str:
    data = read_bytes(sample.locator, permissions)
    media = load_media(InlineMedia(data=data.data, name=data.source), permissions)
    if media.video is not None:
        with closing(media.video) as video:
            media = replace(media, frames=tuple(video.read([len(video.info.timestamps_s) // 2])), video=None)
    return thumbnail(media.frames[0], "JPEG") if media.frames else ""
