"""The policy that ships for real use, and the example in the README of the folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from judge.constitution import Constitution, check_file, check_text, evaluate, load_constitution, parse_constitution
from judge.constitution.lint import lint_file

FOLDER = Path(__file__).parents[2] / "constitutions"


@pytest.fixture(scope="module")
def general() -> Constitution:
    return load_constitution(FOLDER / "general.yaml")


def test_general_policy_is_free_of_errors_and_warnings() -> None:
    assert check_file(FOLDER / "general.yaml") == ()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_policy_is_free_of_lint_warnings(path: Path) -> None:
    findings = lint_file(path).findings
    assert [str(finding) for finding in findings if finding.severity != "note"] == []


def test_general_policy_covers_the_harms_it_promises(general: Constitution) -> None:
    promised = "violence injury-gore sexual sexual-minors minors self-harm hate weapons drugs gambling animal-cruelty"
    assert {category.id for category in general.categories} == {*promised.split(), "illegal-acts", "shocking"}
    assert {rule.category for rule in general.rules} == {category.id for category in general.categories}


def test_general_preconditions_are_sentences(general: Constitution) -> None:
    for precondition in general.preconditions:
        assert re.fullmatch(r"[A-Z].*\.", precondition.statement), precondition.id


CASES = [
    ("violence.assault", "person_strikes_person", "violated"),
    ("violence.assault", "person_strikes_person sport_setting", "kept"),
    ("violence.assault", "weapon_touches_person", "violated"),
    ("violence.assault", "weapon_touches_person medical_setting", "kept"),
    ("violence.assault", "weapon_touches_person medical_setting person_choked", "violated"),
    ("weapons.threat", "firearm_aimed_at_viewer", "violated"),
    ("weapons.threat", "firearm_aimed_at_person toy_or_replica", "kept"),
    ("weapons.explosive", "explosive_device", "kept"),
    ("weapons.explosive", "explosive_device person_visible", "violated"),
    ("weapons.explosive", "explosive_device person_visible emergency_crew", "kept"),
    ("injury-gore.injury", "blood_on_person", "violated"),
    ("injury-gore.injury", "blood_on_person costume_event", "kept"),
    ("injury-gore.injury", "internal_organs costume_event", "violated"),
    ("injury-gore.injury", "internal_organs open_wound medical_setting", "kept"),
    ("injury-gore.death", "person_lies_limp blood_on_person", "kept"),
    ("injury-gore.death", "person_lies_limp blood_on_person skin_discoloured", "violated"),
    ("sexual.nudity", "female_breast_uncovered", "violated"),
    ("sexual.nudity", "female_breast_uncovered breastfeeding", "kept"),
    ("sexual.nudity", "female_breast_uncovered breastfeeding genitals_uncovered", "violated"),
    ("sexual.nudity", "genitals_uncovered artwork", "kept"),
    ("sexual.activity", "undressed_embrace", "violated"),
    ("sexual-minors.sexualised", "child_visible", "kept"),
    ("sexual-minors.sexualised", "child_visible suggestive_pose", "violated"),
    ("sexual-minors.sexualised", "child_visible suggestive_pose sport_setting", "kept"),
    ("sexual-minors.sexualised", "child_visible genitals_uncovered infant_care", "kept"),
    ("sexual-minors.sexualised", "child_visible genital_contact infant_care medical_setting artwork", "violated"),
    ("minors.age_restricted", "child_with_alcohol", "violated"),
    ("minors.age_restricted", "child_with_firearm toy_or_replica", "kept"),
    ("self-harm.act", "blade_on_own_skin", "violated"),
    ("self-harm.act", "blade_on_own_skin shaving", "kept"),
    ("self-harm.act", "beyond_railing", "violated"),
    ("self-harm.act", "beyond_railing safety_gear", "kept"),
    ("self-harm.act", "beyond_railing helpline_text", "kept"),
    ("self-harm.act", "parallel_cuts helpline_text", "violated"),
    ("hate.symbol", "hate_symbol", "violated"),
    ("hate.symbol", "hate_symbol religious_swastika", "kept"),
    ("hate.words", "text_names_group", "kept"),
    ("hate.words", "text_names_group text_degrades", "violated"),
    ("hate.words", "text_slur text_opposes_hate", "kept"),
    ("drugs.use", "person_injects_self", "violated"),
    ("drugs.use", "person_injects_self prescribed_medicine", "kept"),
    ("drugs.supply", "powder_or_crystals", "kept"),
    ("drugs.supply", "powder_or_crystals scales_or_cash", "violated"),
    ("drugs.supply", "powder_or_crystals scales_or_cash food_preparation", "kept"),
    ("gambling.money", "gambling_equipment", "kept"),
    ("gambling.money", "gambling_equipment stakes_visible", "violated"),
    ("gambling.money", "gambling_equipment stakes_visible board_game", "kept"),
    ("animal-cruelty.harm", "animal_emaciated", "kept"),
    ("animal-cruelty.harm", "animal_emaciated animal_confined", "violated"),
    ("animal-cruelty.harm", "weapon_touches_animal veterinary_care", "kept"),
    ("illegal-acts.property", "forced_entry", "violated"),
    ("illegal-acts.property", "forced_entry emergency_crew", "kept"),
    ("illegal-acts.property", "goods_hidden_in_shop emergency_crew", "violated"),
    ("shocking.bodies", "charred_body food_preparation", "kept"),
    ("shocking.bodies", "flames_on_person food_preparation", "violated"),
]


@pytest.mark.parametrize(("rule_id", "visible", "expected"), CASES)
def test_general_rule_decides_as_written(general: Constitution, rule_id: str, visible: str, expected: str) -> None:
    seen = set(visible.split())
    assert seen <= {precondition.id for precondition in general.preconditions}
    outcome = evaluate(
        general.expression(rule_id),
        {p.id: "satisfied" if p.id in seen else "rejected" for p in general.preconditions},
    )
    assert outcome == ("satisfied" if expected == "violated" else "rejected")


def test_every_general_rule_has_a_case(general: Constitution) -> None:
    assert {rule_id for rule_id, _, _ in CASES} == {rule.id for rule in general.rules}


def test_example_in_the_readme_is_valid_and_free_of_advice() -> None:
    text = re.findall(r"```yaml\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)[0]
    assert check_text(text, "README.md") == ()
    assert parse_constitution(text, source="README.md").name == "parks"
