"""The policies that ship, and the example in the README of their folder.

`tests/cases/constitutions/truth/NAME.json` says by hand which rules are violated, all of them, when exactly the listed
preconditions hold. `tests/golden/constitutions.json` pins versions, digests and sizes: a policy that changes gets a
new version; update the file with `UPDATE_GOLDEN=1 make test`.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from judge.constitution import (
    Constitution,
    Expression,
    Not,
    Rule,
    check_text,
    evaluate,
    load_constitution,
    parse_constitution,
)
from judge.constitution import names as names_in
from judge.constitution.check import TAXONOMIES
from judge.constitution.lint import lint_file
from judge.constitution.syntax import children
from judge.types import Modality, Outcome

TESTS = Path(__file__).parents[1]
FOLDER = TESTS.parent / "constitutions"
TRUTH = TESTS / "cases" / "constitutions" / "truth"
GOLDEN = TESTS / "golden" / "constitutions.json"

N_RULES = {"general": 25, "llavaguard": 23, "os-bench": 14, "stickers": 12, "stickers-video": 15,
           "unsafebench": 32, "vhd11k": 30}  # fmt: skip
PHOTOGRAPHS = sorted(N_RULES.keys() - {"stickers", "stickers-video"})
MAX_QUESTIONS = 60
"""About one picture, without a relevance scan. `general` is the broadest policy and may ask more."""
MAX_QUESTIONS_GENERAL = 95
MAX_WORDS = 25
SETTINGS = [
    "medical_setting",
    "museum_or_education",
    "news_report",
    "sport_setting",
    "artwork",
    "toy_or_replica",
    "awareness_text",
    "body_is_figure",
    "animal_is_food",
]
"""Preconditions that are there to be shared as exceptions."""


@dataclass(frozen=True, slots=True)
class Case:
    policy: str
    media: Modality
    visible: frozenset[str]
    violated: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.policy}: {' '.join(sorted(self.visible))}"


@cache
def policy(name: str) -> Constitution:
    return load_constitution(FOLDER / f"{name}.yaml")


@cache
def cases(name: str) -> tuple[Case, ...]:
    rows = json.loads((TRUTH / f"{name}.json").read_text())
    return tuple(
        Case(name, row.get("media", "image"), frozenset(row["visible"]), tuple(row["violated"])) for row in rows
    )


def violates(constitution: Constitution, rule: Rule, visible: frozenset[str]) -> bool:
    known: dict[str, Outcome] = {
        each.id: "satisfied" if each.id in visible else "rejected" for each in constitution.preconditions
    }
    return evaluate(constitution.expression(rule.id), known) == "satisfied"


def exceptions(expression: Expression) -> frozenset[str]:
    """Names that only ever stand under an odd number of `not`."""
    signs = set(_signed(expression, positive=True))
    return frozenset(name for name, positive in signs if not positive and (name, True) not in signs)


def _signed(expression: Expression, *, positive: bool) -> Iterator[tuple[str, bool]]:
    if not children(expression):
        yield names_in(expression)[0], positive
    for child in children(expression):
        yield from _signed(child, positive=positive != isinstance(expression, Not))


def test_every_policy_of_the_folder_is_tested() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == N_RULES.keys()


@pytest.mark.parametrize("name", N_RULES)
def test_policy_is_free_of_errors_and_warnings(name: str) -> None:
    findings = lint_file(FOLDER / f"{name}.yaml").findings
    assert [str(finding) for finding in findings if finding.severity != "note"] == []
    assert policy(name).name == name
    assert len(policy(name).rules) == N_RULES[name]


@pytest.mark.parametrize("case", [case for name in N_RULES for case in cases(name)], ids=str)
def test_exactly_the_expected_rules_are_violated(case: Case) -> None:
    constitution = policy(case.policy)
    assert case.visible <= {precondition.id for precondition in constitution.preconditions}
    rules = [rule for rule in constitution.rules if case.media in rule.modalities]
    violated = [rule.id for rule in rules if violates(constitution, rule, case.visible)]
    assert sorted(violated) == sorted(case.violated)


@pytest.mark.parametrize("name", N_RULES)
def test_every_rule_is_violated_in_a_case_and_kept_by_an_exception_in_another(name: str) -> None:
    constitution = policy(name)
    for rule in constitution.rules:
        seen = [case for case in cases(name) if case.media in rule.modalities]
        assert any(rule.id in case.violated for case in seen), f"{rule.id}: no case violates it"
        excepted = exceptions(constitution.expression(rule.id))
        kept = [case.visible for case in seen if rule.id not in case.violated]
        blocked = any(violates(constitution, rule, visible - excepted) for visible in kept)
        assert blocked or not excepted, f"{rule.id}: no case is saved by {sorted(excepted)}"


@pytest.mark.parametrize("name", N_RULES)
def test_every_precondition_occurs_in_a_case(name: str) -> None:
    used = {id for case in cases(name) for id in case.visible}
    assert {each.id for each in policy(name).preconditions} == used


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_preconditions_are_short_sentences(name: str) -> None:
    for precondition in policy(name).preconditions:
        assert re.fullmatch(r"[A-Z][^.]*\.", precondition.statement), precondition.id
        assert len(precondition.statement.split()) <= MAX_WORDS, precondition.id


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_settings_that_excuse_are_shared_by_rules(name: str) -> None:
    constitution = policy(name)
    uses = Counter(id for rule in constitution.rules for id in names_in(constitution.expression(rule.id)))
    assert [id for id in SETTINGS if uses[id] == 1] == []


def test_an_id_means_the_same_in_all_policies_for_photographs() -> None:
    """So that priors cached for one policy serve the others."""
    meanings: dict[str, set[tuple[str, tuple[str, ...]]]] = {}
    for name in PHOTOGRAPHS:
        for each in policy(name).preconditions:
            meanings.setdefault(each.id, set()).add((each.statement, each.focus))
    assert {id: found for id, found in meanings.items() if len(found) > 1} == {}


@pytest.mark.parametrize("name", N_RULES)
def test_mappings_name_what_the_other_taxonomies_have(name: str) -> None:
    for category in policy(name).categories:
        for taxonomy, mapped in category.mappings.items():
            assert set(mapped) <= set(TAXONOMIES[taxonomy]), category.id


@pytest.mark.parametrize("name", ["unsafebench", "llavaguard"])
def test_policy_covers_its_taxonomy(name: str) -> None:
    mapped = {entry for category in policy(name).categories for entry in category.mappings[name]}
    assert mapped == set(TAXONOMIES[name])


@pytest.mark.parametrize("name", sorted(set(PHOTOGRAPHS) - {"os-bench"}))
def test_nothing_excuses_sexual_contact_in_sight_of_a_minor(name: str) -> None:
    """Decided with all other preconditions open, so no exception can change it."""
    constitution = policy(name)
    (category,) = [each.id for each in constitution.categories if "sexual/minors" in each.mappings.get("openai", ())]
    (rule,) = [each for each in constitution.rules if each.category == category]
    known: dict[str, Outcome] = {"child_visible": "satisfied", "genital_contact": "satisfied"}
    assert evaluate(constitution.expression(rule.id), known) == "satisfied"
    assert rule.severity == "critical"


def test_policy_for_sticker_videos_adds_rules_about_clips_to_the_one_for_pictures() -> None:
    pictures, videos = policy("stickers"), policy("stickers-video")
    assert videos.categories == pictures.categories
    assert videos.preconditions[: len(pictures.preconditions)] == pictures.preconditions
    shared, added = videos.rules[: len(pictures.rules)], videos.rules[len(pictures.rules) :]
    assert shared == tuple(rule.model_copy(update={"examples": ()}) for rule in pictures.rules)
    assert {rule.modalities for rule in added} == {("video",)}


def test_sizes_and_digests_are_as_in_the_golden_file() -> None:
    found = {name: _facts(policy(name)) for name in N_RULES}
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(json.dumps(found, indent=2) + "\n")
    assert found == json.loads(GOLDEN.read_text())
    for name in N_RULES:
        limit = MAX_QUESTIONS_GENERAL if name == "general" else MAX_QUESTIONS
        assert found[name]["questions_about_an_image"] <= limit, name


def _facts(constitution: Constitution) -> dict[str, str | int]:
    about_images = {
        id
        for rule in constitution.rules
        if "image" in rule.modalities
        for id in names_in(constitution.expression(rule.id))
    }
    return {
        "version": constitution.version,
        "digest": constitution.digest,
        "rules": len(constitution.rules),
        "preconditions": len(constitution.preconditions),
        "questions_about_an_image": len(about_images),
    }


def test_example_in_the_readme_is_valid_and_free_of_advice() -> None:
    text = re.findall(r"```yaml\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)[0]
    assert check_text(text, "README.md") == ()
    assert parse_constitution(text, source="README.md").name == "parks"
