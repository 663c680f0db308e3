"""Shared preconditions: the same joins, a taken id gives way, likeness is noted and never merged."""

from __future__ import annotations

from judge.authoring.answers import Decomposition, NewPrecondition
from judge.authoring.pool import Joined, free_id, join
from judge.constitution import Precondition

KNIFE = Precondition(id="knife", statement="A knife is visible.", focus=("knife",))


def joined(violated_when: str, **new: str) -> Joined:
    parts = tuple(NewPrecondition(id=id, statement=statement, focus=("x",)) for id, statement in new.items())
    return join({"knife": KNIFE}, Decomposition(preconditions=parts, violated_when=violated_when))


def test_the_same_words_are_one_precondition() -> None:
    found = joined("blade and not (dog or at_least(1, blade))", blade="The knife is  visible", dog="A dog sleeps.")
    assert found.violated_when == "knife and not (dog or at_least(1, knife))"
    assert found.notes == ("'blade' says the same as 'knife' and was merged into it",)
    assert list(found.pool) == ["knife", "dog"]
    assert joined("knife", knife="A KNIFE is visible!").notes == ()


def test_a_taken_id_gives_way_and_the_expression_follows() -> None:
    found = joined("knife or dog", knife="A butter knife lies on bread.", dog="A dog sleeps.")
    assert found.violated_when == "knife_2 or dog"
    assert found.pool["knife"] == KNIFE
    assert found.pool["knife_2"] == Precondition(id="knife_2", statement="A butter knife lies on bread.", focus=("x",))
    assert found.notes == ("'knife' is another precondition: this one is 'knife_2'",)


def test_what_looks_alike_is_kept_and_noted() -> None:
    found = joined("seen", seen="A knife can be seen.")
    assert found.violated_when == "seen"
    assert found.notes == ("'seen' resembles 'knife': A knife is visible.",)
    # Like words, another meaning: a reviewer must decide.
    pool = {"a": Precondition(id="a", statement="A dog bites a man.")}
    new = NewPrecondition(id="b", statement="A man bites a dog.", focus=("dog",))
    assert join(pool, Decomposition(preconditions=(new,), violated_when="b")).notes == (
        "'b' resembles 'a': A dog bites a man.",
    )


def test_free_ids_stay_valid_ids() -> None:
    long = "a" * 64
    assert free_id("a", {}) == "a"
    assert free_id("a", {"a": 1, "a_2": 1}) == "a_3"
    assert free_id(long, {long: 1}) == "a" * 62 + "_2"
