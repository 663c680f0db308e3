"""Plots of a benchmark: SVG that may stand in a page, in the page's colours, with text that stays text."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from markupsafe import Markup

from judge.report.bench_plots import Curve, Dot, _apart, against_cost, bars, curves, letter

LINE = [(0.0, 0.0), (0.25, 0.5), (1.0, 1.0)]


def drawings() -> dict[str, Markup]:
    dots = [Dot(place, 0.01 * 3**place, 0.5 + place / 40, 0.4, 0.9) for place in range(10)]
    return {
        "roc": curves(
            "roc", [Curve(place, LINE) for place in range(10)], x="false-positive rate", y="true-positive rate",
            diagonal=True, points=[("Q16 <&>", 0.1, 0.2)],
        ),
        "reliability": curves("reliability", [Curve(0, [(0.5, 0.5)])], x="score", y="share", markers=True),
        "bars": bars("bars", ["hate", "$weapons$"], [[dots[0], None], [dots[1], dots[2]]], x="recall"),
        "cost": against_cost("cost", dots, x="seconds", y="average", lines=[("GPT-4V", 0.786), ("Hive", 0.78)]),
        "one": against_cost("one", [Dot(0, 2.0, -0.25, -0.5, 0.1)], x="US dollars", y="kappa"),
    }  # fmt: skip


@pytest.fixture(scope="module")
def drawn() -> dict[str, Markup]:
    return drawings()


@pytest.mark.parametrize("name", ["roc", "reliability", "bars", "cost", "one"])
def test_it_is_one_element_without_anything_from_elsewhere(drawn: dict[str, Markup], name: str) -> None:
    text = str(drawn[name])
    root = ElementTree.fromstring(text)
    assert root.tag == "svg"
    assert "http" not in text
    assert not re.search(r"<(script|style|metadata|image|!)", text)
    assert "DejaVu" not in text
    ids = [each.get("id", "") for each in root.iter() if each.get("id")]
    assert len(ids) == len(set(ids))
    assert all(each.startswith(f"{name}-") for each in ids)
    named = re.findall(r'(?:href="|url\()#([^")]+)', text)
    assert named
    assert set(named) <= set(ids)


def test_every_colour_is_the_pages(drawn: dict[str, Markup]) -> None:
    for text in drawn.values():
        assert set(re.findall(r"(?:fill|stroke): ([^;\"]+)", text)) <= {
            "none", "var(--ink)", "var(--soft)", "var(--line)", *(f"var(--s{number})" for number in range(8)),
        }  # fmt: skip
    assert "var(--s7)" in drawn["roc"]


def words(text: str) -> list[str]:
    return ["".join(each.itertext()).strip() for each in ElementTree.fromstring(text).iter("text")]


def test_text_is_text(drawn: dict[str, Markup]) -> None:
    assert {"false-positive rate", "true-positive rate", "A", "J", "Q16 <&>", "0.4"} <= set(words(drawn["roc"]))
    assert {"hate", "$weapons$", "recall", "A", "B", "C"} <= set(words(drawn["bars"]))
    assert {"0.786 GPT-4V", "0.780 Hive", "0.01"} <= set(words(drawn["cost"]))
    assert "2" in words(drawn["one"])


def test_the_same_figures_give_the_same_drawing(drawn: dict[str, Markup]) -> None:
    assert drawings() == drawn


def test_labels_of_close_lines_stand_apart() -> None:
    places = _apart([0.5, 0.501, 0.502, 0.97, 0.99, 0.995], 0.04)
    assert places == sorted(places)
    assert min(b - a for a, b in pairwise(places)) >= 0.04 - 1e-9
    assert max(places) <= 1.0
    assert _apart([], 0.04) == []


def test_letters_do_not_end() -> None:
    assert [letter(place) for place in (0, 25, 26, 53)] == ["A", "Z", "A1", "B2"]
