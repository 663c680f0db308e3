"""The three measurements and their tables."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from .child import Child, child
from .load import Answered, closed, opened
from .pictures import encoded
from .processes import cpu_s, watched
from .settings import PLACES

Row = dict[str, object]
Way = tuple[Child, Callable[[int], tuple[float, list[float]]]]
"""A process, and how so many pictures are judged by it: seconds for all, milliseconds of each call."""
_WARM_UP = 8
_TIMES = 10
"""Requests a second in overload, over what the service can do."""
_NUMBERS = itertools.count(1, 100_000)
"""First number of the next pictures: none comes twice."""


def run(arguments: argparse.Namespace) -> None:
    """Measure the parts that were asked for, print tables and the JSON line."""
    measure: dict[str, Callable[[argparse.Namespace], list[Row]]] = {
        "throughput": throughput, "overhead": overhead, "overload": overload,
    }  # fmt: skip
    rows: list[Row] = []
    for part in arguments.parts:
        found = measure[part](arguments)
        _print(f"{part}, {arguments.target}; load average at the end {os.getloadavg()[0]:.1f}", found)
        rows += [{"part": part, **row} for row in found]
    print(json.dumps({"name": "serve", "target": arguments.target, "cpus": os.cpu_count(),
                      "load_average": os.getloadavg()[0], "rows": rows}))  # fmt: skip


def throughput(arguments: argparse.Namespace) -> list[Row]:
    """The embedded model, directly and through HTTP."""
    n = arguments.pictures
    with (
        child("benchmarks.serving.direct", "embedded") as direct,
        child("benchmarks.serving.target", arguments.target, "embedded") as service,
    ):
        ways: dict[str, Way] = {
            "directly, one by one": (direct, lambda count: _directly(direct, count, 1)),
            "directly, 16 together": (direct, lambda count: _directly(direct, count, 16)),
            "HTTP, 1 caller": (service, lambda count: _through(service, count, 1)),
            f"HTTP, {arguments.callers} callers": (
                service,
                lambda count: _through(service, count, arguments.callers),
            ),
        }
        return _side_by_side(ways, n, arguments.rounds)


def overhead(arguments: argparse.Namespace) -> list[Row]:
    """An engine that answers at once, one caller."""
    with (
        child("benchmarks.serving.direct", "scripted") as direct,
        child("benchmarks.serving.target", arguments.target, "scripted") as service,
    ):
        ways: dict[str, Way] = {
            "directly": (direct, lambda count: _directly(direct, count, 1)),
            "HTTP": (service, lambda count: _through(service, count, 1)),
        }
        plain, served = _side_by_side(ways, arguments.pictures, arguments.rounds)
    gap = {name: _number(served[name]) - _number(plain[name]) for name in ("cpu_ms_each", "p50_ms")}
    difference: Row = {"way": "HTTP - directly", **gap}
    return [plain, served, difference]


def overload(arguments: argparse.Namespace) -> list[Row]:
    """As many callers as there are places, then ten times the requests a second that were answered."""
    with child("benchmarks.serving.target", arguments.target, "embedded") as service:
        url = str(service.ready["url"])
        _through(service, _WARM_UP, 1)
        seconds, full = asyncio.run(closed(url, encoded(next(_NUMBERS), arguments.pictures), 2 * PLACES))
        per_s = len(full) / seconds
        answers, memory_mib = asyncio.run(_flood(service, _TIMES * per_s, arguments.seconds))
        _, after = asyncio.run(closed(url, encoded(next(_NUMBERS), arguments.pictures), 2 * PLACES))
    full_row: Row = {"way": f"{2 * PLACES} callers", "offered_per_s": per_s, **_told(full)}
    flooded: Row = {"way": f"{_TIMES} times as much", "offered_per_s": _TIMES * per_s, **_told(answers)}
    later: Row = {"way": f"{2 * PLACES} callers, afterwards", **_told(after)}
    return [full_row, {**flooded, **_memory(memory_mib)}, later]


async def _flood(service: Child, per_s: float, seconds: float) -> tuple[list[Answered], list[float]]:
    pictures = encoded(next(_NUMBERS), round(per_s * seconds) + 100)
    async with watched(service.pid) as memory_mib:
        answers = await opened(str(service.ready["url"]), pictures, per_s, seconds)
    return answers, memory_mib


def _side_by_side(ways: dict[str, Way], n: int, rounds: int) -> list[Row]:
    """Everything is compared with the fastest direct way of the same round."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    calls_ms: dict[str, list[float]] = {name: [] for name in ways}
    used_s = dict.fromkeys(ways, 0.0)
    for _, judge in ways.values():
        judge(_WARM_UP)
    for _ in range(rounds):
        for name, (process, judge) in ways.items():
            before_s = cpu_s(process.pid)
            spent_s, own_ms = judge(n)
            used_s[name] += cpu_s(process.pid) - before_s
            seconds[name].append(spent_s)
            calls_ms[name] += own_ms
    direct = [spent for name, spent in seconds.items() if name.startswith("directly")]
    fastest = [min(each) for each in zip(*direct, strict=True)]
    return [
        {
            "way": name,
            "pictures_per_s": n / statistics.median(spent),
            "over_fastest_direct": statistics.median(f / own for f, own in zip(fastest, spent, strict=True)),
            "cpu_ms_each": used_s[name] * 1000 / (n * rounds),
            **_percentiles(calls_ms[name]),
        }
        for name, spent in seconds.items()
    ]


def _directly(direct: Child, count: int, together: int) -> tuple[float, list[float]]:
    found = direct.ask({"first": next(_NUMBERS), "count": count, "together": together})
    return found["seconds"], found["calls_ms"]


def _through(service: Child, count: int, callers: int) -> tuple[float, list[float]]:
    seconds, answers = asyncio.run(closed(str(service.ready["url"]), encoded(next(_NUMBERS), count), callers))
    wrong = [each for each in answers if each.status != 200 or each.problem]
    if wrong:
        raise SystemExit(f"{len(wrong)} of {count} requests went wrong, e.g. {wrong[0]}")
    return seconds, [each.ms for each in answers]


def _told(answers: Sequence[Answered]) -> Row:
    statuses = Counter(each.status for each in answers)
    accepted = [each.ms for each in answers if each.status == 200]
    return {
        "requests": len(answers),
        "200": statuses[200],
        "429": statuses[429],
        "lost_or_wrong": sum(bool(each.problem) for each in answers),
        **_percentiles(accepted),
        "p99_of_429_ms": _percentile([each.ms for each in answers if each.status == 429], 99),
    }


def _memory(samples_mib: Sequence[float]) -> Row:
    """At the beginning, the most in either half, and at the end."""
    half = len(samples_mib) // 2
    return {
        "rss_begin_mib": samples_mib[0],
        "rss_most_1st_half_mib": max(samples_mib[: half or 1]),
        "rss_most_2nd_half_mib": max(samples_mib[half:]),
        "rss_end_mib": samples_mib[-1],
    }


def _percentiles(values_ms: Sequence[float]) -> Row:
    return {f"p{share}_ms": _percentile(values_ms, share) for share in (50, 95, 99)}


def _percentile(values: Sequence[float], share: int) -> float | None:
    return float(np.percentile(values, share)) if values else None


def _number(value: object) -> float:
    assert isinstance(value, float)
    return value


def _print(title: str, rows: Sequence[Row]) -> None:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*(_shown(row.get(name)) for name in columns))
    Console(width=180).print(table)


def _shown(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
