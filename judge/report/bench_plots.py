"""Plots of a benchmark as SVG for a page: text stays text, and colours are the page's, so light and dark both work.

A plot shows no names of detectors, which are other people's text: series have letters, and the page has the key.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from markupsafe import Markup

from judge.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SERIES = 8
"""Series that differ in colour; more begin anew, with other letters."""
_DASHES = ("-", "--", "-.", ":")
_MARKERS = "osD^vPX*"
_INK, _SOFT, _LINE = "#b00001", "#b00002", "#b00003"
_COLOURS = {_INK: "var(--ink)", _SOFT: "var(--soft)", _LINE: "var(--line)"} | {
    f"#a0000{number}": f"var(--s{number})" for number in range(SERIES)
}
_LEAST_PX_PER_INCH = 60
"""Narrower, and the words could not be read: then the page scrolls the drawing."""
_LEAST_GAP = 0.036
"""Between the labels of two lines, as a share of the axis."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One series: its place among the detectors, and its points."""

    place: int
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Dot:
    """One value with its interval."""

    place: int
    x: float
    y: float
    low: float
    high: float


def letter(place: int) -> str:
    """A, B, ... Z, A1, B1..."""
    return chr(ord("A") + place % 26) + (str(place // 26) if place >= 26 else "")


def curves(
    name: str, found: Sequence[Curve], *, x: str, y: str, diagonal: bool = False,
    points: Sequence[tuple[str, float, float]] = (), markers: bool = False,
) -> Markup:  # fmt: skip
    """Lines in the unit square.

    Args:
        name: Of the drawing; unique in the page.
        diagonal: Draw the line of chance, or of perfect calibration.
        points: Published figures as (label, x, y).
        markers: Show every point of a line.
    """

    def draw(axes: Axes) -> None:
        if diagonal:
            axes.plot([0, 1], [0, 1], color=_LINE, linewidth=1.0)
        for each in found:
            xs, ys = zip(*each.points, strict=True)
            mark = _MARKERS[each.place % SERIES] if markers else ""
            axes.plot(xs, ys, _dash(each.place), color=_colour(each.place), linewidth=1.8, marker=mark, markersize=5)
            middle = len(xs) // 2
            _letter(axes, each.place, xs[middle], ys[middle])
        for label, px, py in points:
            axes.plot([px], [py], "x", color=_SOFT)
            axes.annotate(label, (px, py), (5, -3), textcoords="offset points", fontsize=8, color=_SOFT)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=x, ylabel=y, aspect="equal")

    return _drawn(name, draw, (4.6, 4.4))


def bars(name: str, rows: Sequence[str], found: Sequence[Sequence[Dot | None]], *, x: str) -> Markup:
    """Horizontal bars with intervals: a row for each name, in it a bar for each series, from 0 to 1.

    Args:
        rows: Names; plain text of ours.
        found: By row, then by series; `y` of a dot is not used.
    """
    height = 1.0 + 0.19 * sum(len(each) + 1 for each in found)

    def draw(axes: Axes) -> None:
        ticks, place = [], 0.0
        for dots in found:
            ticks.append(place + (len(dots) - 1) / 2)
            for offset, dot in enumerate(dots):
                if dot is not None:
                    at = place + offset
                    axes.barh(at, dot.x, height=0.8, color=_colour(dot.place), alpha=0.75)
                    axes.plot([dot.low, dot.high], [at, at], color=_INK, linewidth=1.0)
                    axes.annotate(letter(dot.place), (0, at), (2, 0), textcoords="offset points", va="center",
                                  fontsize=7, color=_INK)  # fmt: skip
            place += len(dots) + 1
        axes.set(xlim=(0, 1), xlabel=x)
        axes.set_yticks(ticks, [*rows], parse_math=False)
        axes.set_ylim(place - 1, -1)

    return _drawn(name, draw, (5.6, height))


def against_cost(name: str, dots: Sequence[Dot], *, x: str, y: str, lines: Sequence[tuple[str, float]] = ()) -> Markup:
    """Quality against cost on a logarithmic axis, with published figures as lines across."""
    ticker = _matplotlib("ticker")

    def draw(axes: Axes) -> None:
        for dot in dots:
            colour, mark = _colour(dot.place), _MARKERS[dot.place % SERIES]
            error = [[max(dot.y - dot.low, 0.0)], [max(dot.high - dot.y, 0.0)]]
            axes.errorbar(dot.x, dot.y, yerr=error, fmt=mark, color=colour, capsize=3, markersize=7)
            _letter(axes, dot.place, dot.x, dot.y)
        floor = min([*(dot.low for dot in dots), *(value for _, value in lines)]) - 0.05
        axes.set(xscale="log", xlabel=x, ylabel=y, ylim=(floor, 1.02))
        axes.margins(x=0.25)
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_locator(ticker.NullLocator())
        axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        for (label, value), at in zip(
            ordered, _apart([value for _, value in ordered], _LEAST_GAP * (1.02 - floor)), strict=True
        ):
            axes.axhline(value, color=_SOFT, linewidth=0.7, linestyle=":")
            axes.annotate(
                f"{value:.3f} {label}", (1.0, value), (1.02, at), xycoords=("axes fraction", "data"),
                textcoords=("axes fraction", "data"), fontsize=8, color=_SOFT, va="center",
                arrowprops={"arrowstyle": "-", "color": _LINE, "linewidth": 0.6},
            )  # fmt: skip

    ordered = sorted(lines, key=lambda line: line[1])
    return _drawn(name, draw, (7.2 if lines else 4.8, 4.4))


def _apart(values: Sequence[float], gap: float) -> list[float]:
    """Ascending places near ascending values, with a gap between any two."""
    places: list[float] = []
    for value in values:
        places.append(max(value, places[-1] + gap) if places else value)
    over = places[-1] - 1.0 if places else 0.0
    if over > 0:  # the crowd is at the top: push down
        places = [min(place, 1.0 - gap * (len(places) - 1 - n)) for n, place in enumerate(places)]
    return places


def _colour(place: int) -> str:
    return f"#a0000{place % SERIES}"


def _dash(place: int) -> str:
    return _DASHES[place % len(_DASHES)]


def _letter(axes: Axes, place: int, x: float, y: float) -> None:
    axes.annotate(letter(place), (x, y), (6, 5), textcoords="offset points", fontsize=10, weight="bold", color=_INK)


def _drawn(name: str, draw: Callable[[Axes], None], size: tuple[float, float]) -> Markup:
    style: Mapping[str, object] = {
        "svg.fonttype": "none", "svg.hashsalt": name, "font.size": 9, "axes.edgecolor": _SOFT, "axes.labelcolor": _INK,
        "text.color": _INK, "xtick.color": _SOFT, "ytick.color": _SOFT, "xtick.labelcolor": _INK,
        "ytick.labelcolor": _INK, "axes.grid": True, "grid.color": _LINE, "grid.linewidth": 0.6, "axes.axisbelow": True,
        "figure.facecolor": "none", "axes.facecolor": "none", "axes.spines.top": False, "axes.spines.right": False,
    }  # fmt: skip
    with _matplotlib().rc_context(style):
        figure = _matplotlib("figure").Figure(figsize=size, layout="constrained")
        draw(figure.subplots())
        return _inline(figure, name)


def _matplotlib(part: str = "") -> ModuleType:
    try:
        return import_module(f"matplotlib.{part}" if part else "matplotlib")
    except ModuleNotFoundError as error:
        raise ConfigError("the page needs matplotlib", hint="pip install 'visual-judge[bench]'") from error


def _inline(figure: Figure, name: str) -> Markup:
    """The SVG element alone, with ids of its own, without metadata, in the page's colours and fonts."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(href="|url\()#', rf"\g<1>#{name}-", text)
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)  # it would hold for the whole page
    text = text.replace("xlink:href", "href")
    text = re.sub(r"('DejaVu Sans'|DejaVu Sans)[^;\"]*", "system-ui, sans-serif", text)
    text = re.sub("|".join(_COLOURS), lambda found: _COLOURS[found.group()], text)
    head = re.sub(r'\s(?:width|height|version|xmlns(?::xlink)?)="[^"]*"', "", text[: text.index(">")])
    least = f' style="min-width: {figure.get_figwidth() * _LEAST_PX_PER_INCH:.0f}px"'
    return Markup(f'{head}{least} aria-hidden="true" focusable="false"{text[text.index(">") :]}'.strip())
