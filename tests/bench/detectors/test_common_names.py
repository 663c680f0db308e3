"""Constitutions' categories by their common names."""

from __future__ import annotations

from typing import get_args

import pytest

from judge.assets import constitution_names, constitution_path
from judge.bench.detectors.common_names import COMMON, OPENAI, common_scores, kinds_of, kinds_of_rules
from judge.constitution import load_constitution, parse_constitution
from judge.constitution.check import TAXONOMIES
from judge.constitution.schema import Category as PolicyCategory
from judge.sources.categories import Category

KINDS = """
name: kinds
version: "1"
categories:
  a: {title: A, mappings: {openai: [violence]}}
  b: {title: B, mappings: {openai: [violence]}}
  c: {title: C, mappings: {common: [drugs], openai: [illicit]}}
  d: {title: D, mappings: {openai: [illicit]}}
preconditions:
  p: {statement: A knife is visible.}
rules:
  a.p: {category: a, severity: low, text: t, statement: s, violated_when: p}
  b.p: {category: b, severity: low, text: t, statement: s, violated_when: p}
  c.p: {category: c, severity: low, text: t, statement: s, violated_when: p}
  d.p: {category: d, severity: low, text: t, statement: s, violated_when: p}
"""


def category(id: str, **mappings: tuple[str, ...]) -> PolicyCategory:
    return PolicyCategory(id=id, title="t", mappings=mappings)


@pytest.mark.parametrize(
    ("given", "kinds"),
    [
        (category("gore", openai=("violence/graphic",)), ("shocking",)),
        (category("gore", openai=("violence/graphic",), unsafebench=("Violence",)), ("violence", "shocking")),
        (category("weapons", openai=("violence",), llavaguard=("O6",)), ("violence", "weapons")),
        (category("animals", openai=("violence",), llavaguard=("O8",)), ("violence", "animal-cruelty")),
        (category("gambling"), ("gambling",)),
        (category("minors", openai=("illicit",), common=("gambling", "drugs")), ("drugs", "gambling")),
        (category("minors", common=("no-such-kind",), openai=("sexual/minors",)), ("sexual-minors",)),
        (category("distress", openai=("no-such",)), ("other",)),
        (category("anything"), ("other",)),
    ],
)
def test_common_names_of_a_category(given: PolicyCategory, kinds: tuple[Category, ...]) -> None:
    assert kinds_of(given) == kinds


def test_every_name_of_openai_has_one() -> None:
    assert tuple(OPENAI) == TAXONOMIES["openai"]
    assert {kind for kinds in OPENAI.values() for kind in kinds} <= set(get_args(Category))


@pytest.mark.parametrize("name", constitution_names())
def test_every_category_of_ours_has_one(name: str) -> None:
    policy = load_constitution(constitution_path(name))
    assert all("other" not in kinds_of(each) for each in policy.categories)
    assert kinds_of_rules(policy, ["image", "video"]) <= set(COMMON)


def test_only_rules_about_such_media_count() -> None:
    policy = load_constitution(constitution_path("stickers"))
    assert "hate" in kinds_of_rules(policy, ["image"])
    assert kinds_of_rules(policy, ["text"]) == frozenset()


def test_the_highest_score_of_a_kind_counts() -> None:
    found = common_scores(parse_constitution(KINDS, source="kinds"), {"a": 0.2, "b": 0.7, "c": 0.4, "d": 0.6})
    assert found == {"violence": 0.7, "illegal-activity": 0.6, "drugs": 0.4}
    assert list(found) == [kind for kind in COMMON if kind in found]
