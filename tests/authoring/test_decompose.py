"""The loop of author and verifiers. The stand-in verifier knows what each rule means and decides cases by it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import pytest

from judge.assets import constitution_path
from judge.authoring import Asker, Decomposed, DecomposeSettings, Draft, DraftRule, assemble, decompose, read_rules
from judge.authoring.decompose import reopened
from judge.constitution import Category, InvalidConstitution, Precondition, check_text, parse, parse_constitution
from judge.engines.scripted import ScriptedEngine
from judge.errors import EngineError
from judge.types import Prompt
from tests.authoring.model import Answerer, asked, facts, field, scripted, text
from tests.constitution.trees import holds

STATEMENTS = {
    "clown": "A person wears clown make-up.",
    "teeth": "A person bares the teeth.",
    "circus": "The scene is in a circus ring.",
    "dog": "A dog is visible.",
    "leash": "A hand holds the leash of a dog.",
}
IDS = {statement: id for id, statement in STATEMENTS.items()}
MEANING = {
    "A clown bares its teeth outside a circus.": "clown and teeth and not circus",
    "A dog is off the leash, or bares its teeth in the circus.": "dog and not leash or teeth and circus",
}
CLOWNS, DOGS = (
    DraftRule(id=id, text=f"No {id}.", statement=statement)
    for id, statement in zip(("clowns", "dogs"), MEANING, strict=True)
)
NEVER_MIND = '{"explanation": "Fine.", "atomic": true, "positive": true, "visible": true, "neutral": true}'
SAME = '{"missing": [], "extra": [], "same": true}'


def answer(expression: str, *, known: tuple[str, ...] = (), ids: Mapping[str, str] | None = None) -> str:
    """A decomposition into the statements above; `ids` renames what is new, `known` exists already."""
    used = [id for id in STATEMENTS if re.search(rf"\b{id}\b", expression) and id not in known]
    names = {id: (ids or {}).get(id, id) for id in used}
    new = [{"id": names[id], "statement": STATEMENTS[id], "focus": [id]} for id in used]
    violated_when = re.sub(r"\w+", lambda word: names.get(word.group(), word.group()), expression)
    return json.dumps({"preconditions": new, "violated_when": violated_when})


def by_meaning(prompt: Prompt) -> str:
    """Decides a case from what the rule means."""
    world = dict.fromkeys(STATEMENTS, False) | {IDS[statement]: so for statement, so in facts(prompt).items()}
    rule = field(prompt, "Rule, true of exactly the pictures that break it")
    verdict = "yes" if holds(parse(MEANING[rule]), world) else "no"
    return json.dumps({"explanation": "By the rule.", "breaks_rule": verdict})


def attempts(prompt: Prompt) -> int:
    return len(re.findall(r"^Your attempt \d+:", text(prompt), flags=re.MULTILINE))


def engine_of(author: Answerer | str, **verifiers: Answerer | str) -> ScriptedEngine:
    usual: dict[str, Answerer | str] = {"precondition": NEVER_MIND, "round_trip": SAME, "case": by_meaning}
    return scripted({"decompose": author, **usual, **verifiers})


def knows(prompt: Prompt) -> str:
    return answer(MEANING[field(prompt, "Rule")])


async def run(
    engine: ScriptedEngine, *rules: DraftRule, existing: tuple[Precondition, ...] = (), **settings: int
) -> list[Decomposed]:
    draft = Draft(rules=rules, preconditions=existing)
    return await decompose(draft, Asker(engine), DecomposeSettings.model_validate(settings))


async def test_a_good_author_is_done_in_two_calls_and_the_result_is_a_constitution() -> None:
    engine = engine_of(knows)
    records = await run(engine, CLOWNS, DOGS)
    assert [record.stop for record in records] == ["reached", "reached"]
    # clowns: 3 preconditions, 4 cases; dogs: 4 preconditions, and more cases
    cases = [len(record.attempts[0].cases) for record in records]
    assert cases[0] == 4
    assert asked(engine) == [{"decompose": 2}, {"precondition": 7, "round_trip": 2, "case": sum(cases)}]
    for record in records:
        (attempt,) = record.attempts
        assert all((case.answer == "yes") == case.violated for case in attempt.cases)
        assert {case.violated for case in attempt.cases} == {True, False}
    draft = Draft(rules=(CLOWNS, DOGS))
    made = assemble(draft, records, source="draft")
    policy = made.constitution
    assert policy == parse_constitution(made.draft.to_yaml("head\n\nmore"), source="x")
    assert [problem.message for problem in check_text(made.draft.to_yaml(), "x")] == ["has no source"] * 2
    # Both rules list teeth and circus: they are shared.
    assert [precondition.id for precondition in policy.preconditions] == ["clown", "teeth", "circus", "dog", "leash"]
    assert {rule.id: rule.violated_when for rule in policy.rules} == {
        "clowns": "clown and teeth and not circus",
        "dogs": "dog and not leash or teeth and circus",
    }
    assert policy.version == "0-draft"
    assert policy.rule("clowns").category == "unsorted"


async def test_a_forgotten_exception_is_found_by_a_case_and_mended() -> None:
    """The round trip is made to miss it: the cases alone find the error."""

    def author(prompt: Prompt) -> str:
        return answer("clown and teeth and not circus" if attempts(prompt) else "clown and teeth or circus")

    engine = engine_of(author)
    (record,) = await run(engine, CLOWNS)
    first, second = record.attempts
    assert record.stop == "reached"
    assert {objection.kind for objection in first.objections} == {"case"}
    wrong = [case for case in first.cases if (case.answer == "yes") != case.violated]
    assert len(first.objections) == len(wrong) > 0
    assert all(case.facts["circus"] for case in wrong)
    assert second.objections == ()
    fed_back = text(engine.calls[2].prompts[0])
    for objection in first.objections:
        assert json.dumps(objection.text, ensure_ascii=False) in fed_back
    assert 'not so: "' in first.objections[0].text


async def test_what_the_verifiers_object_is_fed_back() -> None:
    def author(prompt: Prompt) -> str:
        return answer("clown and teeth and not circus", ids={"clown": "funny"} if attempts(prompt) else {})

    def review(prompt: Prompt) -> str:
        return (
            NEVER_MIND.replace('"visible": true', '"visible": false')
            if "clown" in field(prompt, "Statement")
            else NEVER_MIND
        )

    engine = engine_of(
        author,
        precondition=review,
        round_trip='{"missing": ["The nose."], "extra": ["The hat."], "same": false}',
    )
    (record,) = await run(engine, CLOWNS, max_rounds=2)
    assert record.stop == "capped"
    assert [(objection.kind, objection.text) for objection in record.attempts[0].objections] == [
        ("precondition", "precondition 'clown' is not visible: Fine."),
        ("round_trip", "the expression lacks: The nose."),
        ("round_trip", "the expression adds: The hat."),
    ]
    assert "- \"precondition 'clown' is not visible: Fine.\"" in text(engine.calls[2].prompts[0])
    # Unresolved, but usable: the last of equals is taken, and the record says so.
    made = assemble(Draft(rules=(CLOWNS,)), [record], source="x")
    assert made.constitution.rule("clowns").violated_when == "funny and teeth and not circus"


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("clown or not clown", "everything violates it"),
        ("clown and not clown", "nothing can violate it"),
        ("clown and ghost", "unknown precondition 'ghost'"),
        ("clown and (teeth or not teeth)", "'teeth' makes no difference"),
    ],
)
async def test_an_expression_that_no_constitution_may_hold_is_fed_back(bad: str, words: str) -> None:
    engine = engine_of(lambda p: knows(p) if attempts(p) else answer(bad))
    (record,) = await run(engine, CLOWNS)
    assert (record.stop, len(record.attempts)) == ("reached", 2)
    assert words in record.attempts[0].objections[0].text
    assert words in text(next(p for call in engine.calls for p in call.prompts if attempts(p)))


@pytest.mark.parametrize(
    ("second", "expression", "words"),
    [
        (STATEMENTS["teeth"], "clown", "precondition 'teeth': no rule uses it"),
        ("THE person wears clown make-up", "clown and teeth", "the id or the words of 'teeth'"),
    ],
)
async def test_idle_and_repeated_preconditions_are_fed_back(second: str, expression: str, words: str) -> None:
    new = [
        {"id": "clown", "statement": STATEMENTS["clown"], "focus": ["clown"]},
        {"id": "teeth", "statement": second, "focus": ["teeth"]},
    ]
    bad = json.dumps({"preconditions": new, "violated_when": expression})
    (record,) = await run(engine_of(lambda p: knows(p) if attempts(p) else bad), CLOWNS)
    assert record.stop == "reached"
    assert [words in objection.text for objection in record.attempts[0].objections] == [True]
    assert record.attempts[0].prose == ""  # nothing was asked about it
    assert record.attempts[0].cases == ()


async def test_a_negative_statement_is_noticed_by_code_even_if_the_verifier_lets_it_pass() -> None:
    bad = json.dumps(
        {
            "preconditions": [{"id": "dog", "statement": "No leash is on a dog.", "focus": ["dog"]}],
            "violated_when": "dog",
        }
    )
    engine = engine_of(bad, case='{"explanation": "x", "breaks_rule": "impossible"}')
    (record,) = await run(engine, DOGS, max_rounds=1)
    assert [(objection.kind, objection.text.split(" (")[0]) for objection in record.attempts[0].objections] == [
        ("check", "precondition 'dog': statement is negative: 'No'"),
        ("case", "every case that breaks the rule by the expression is called impossible"),
        ("case", "every case that keeps the rule by the expression is called impossible"),
    ]


async def test_an_author_that_repeats_itself_is_stopped_without_asking_the_verifiers_again() -> None:
    engine = engine_of(answer("clown"))
    (record,) = await run(engine, CLOWNS)
    assert (record.stop, len(record.attempts)) == ("no_progress", 1)
    assert [set(call) for call in asked(engine)] == [
        {"decompose"},
        {"precondition", "round_trip", "case"},
        {"decompose"},
    ]


@pytest.mark.parametrize("garbage", ["Here you are!", '{"preconditions": [], "violated_when": "a &"}', "{}"])
async def test_a_rule_without_any_decomposition_stays_in_force(garbage: str) -> None:
    records = await run(engine_of(garbage), CLOWNS, DOGS)
    assert [record.stop for record in records] == ["unreadable", "unreadable"]
    made = assemble(Draft(rules=(CLOWNS, DOGS)), records, source="x")
    assert [rule.violated_when for rule in made.constitution.rules] == ["clowns", "dogs"]
    assert made.constitution.precondition("clowns").statement == CLOWNS.statement
    assert made.notes == {
        id: (f"asked as a whole, as precondition '{id}': no usable decomposition",) for id in ("clowns", "dogs")
    }
    # Without a statement the text is not taken for one: that would turn its meaning round.
    bare = CLOWNS.model_copy(update={"statement": ""})
    (record,) = await run(engine_of(garbage), bare)
    made = assemble(Draft(rules=(bare,)), [record], source="x")
    assert made.constitution.precondition("clowns").statement == 'The picture breaks the rule "No clowns."'
    assert made.constitution.rule("clowns").statement == 'The picture breaks the rule "No clowns."'
    # A rule that had an expression keeps it.
    draft = Draft(
        rules=(CLOWNS.model_copy(update={"violated_when": "clown"}),),
        preconditions=(Precondition(id="clown", statement="A clown."), Precondition(id="idle", statement="An idler.")),
    )
    made = assemble(draft, records[:1], source="x")
    assert made.constitution.rules[0].violated_when == "clown"
    assert [precondition.id for precondition in made.constitution.preconditions] == ["clown"]


async def test_verifiers_without_an_answer_leave_the_rule_open_not_passed() -> None:
    engine = engine_of(knows, case="Maybe.")
    (record,) = await run(engine, CLOWNS)
    assert (record.stop, len(record.attempts)) == ("unreadable", 1)
    assert {objection.kind for objection in record.attempts[0].objections} == {"unanswered"}
    assert {case.answer for case in record.attempts[0].cases} == {"unanswered"}


async def test_an_engine_that_fails_on_one_rule_spoils_no_other_and_the_rule_can_be_reopened() -> None:
    broken = True

    def case(prompt: Prompt) -> str:
        if broken and "dog" in text(prompt).split("Known of the picture")[0].split("Rule, true")[1]:
            raise EngineError("gone")
        return by_meaning(prompt)

    records = await run(engine_of(knows, case=case), CLOWNS, DOGS)
    assert [record.stop for record in records] == ["reached", "failed"]
    broken = False
    earlier = {record.rule_id: reopened(record) for record in records}
    draft, engine = Draft(rules=(CLOWNS, DOGS)), engine_of(knows, case=case)
    again = await decompose(draft, Asker(engine), DecomposeSettings(), earlier=earlier)
    assert again[0] == records[0]
    assert (again[1].stop, again[1].settled_at) == ("reached", 2)
    assert [set(call) for call in asked(engine)] == [{"decompose"}, {"precondition", "round_trip", "case"}]


async def test_existing_preconditions_are_shown_and_used_by_id() -> None:
    existing = (Precondition(id="circus", statement=STATEMENTS["circus"]),)
    engine = engine_of(answer("clown and teeth and not circus", known=("circus",)))
    (record,) = await run(engine, CLOWNS, existing=existing)
    assert record.stop == "reached"
    assert f'{{"id": "circus", "statement": "{STATEMENTS["circus"]}"}}' in text(engine.calls[0].prompts[0])
    assert asked(engine)[1]["precondition"] == 2  # existing ones are not reviewed again
    assert "it is not so that" in record.attempts[0].prose
    made = assemble(Draft(rules=(CLOWNS,), preconditions=existing), [record], source="x")
    assert [precondition.id for precondition in made.constitution.preconditions] == ["circus", "clown", "teeth"]
    assert made.constitution.precondition("circus") == existing[0]


async def test_later_rounds_see_what_earlier_rules_brought_and_ids_keep_their_meaning() -> None:
    """Dogs takes the id `teeth` for something else at first, and then uses what clowns has settled by then."""

    def author(prompt: Prompt) -> str:
        if "clown" in field(prompt, "Rule"):
            return answer(MEANING[CLOWNS.statement], ids={"teeth": "fangs"})
        if not attempts(prompt):
            return answer("dog and not leash or teeth")
        assert '{"id": "fangs"' in text(prompt)
        return answer(MEANING[DOGS.statement].replace("teeth", "fangs"), known=("circus",))

    records = await run(engine_of(author), CLOWNS, DOGS)
    assert [(record.stop, record.settled_at) for record in records] == [("reached", 1), ("reached", 2)]
    made = assemble(Draft(rules=(CLOWNS, DOGS)), records, source="x")
    assert made.constitution.rule("dogs").violated_when == "dog and not leash or fangs and circus"
    assert len(made.constitution.preconditions) == 5


async def test_an_interrupted_run_goes_on_where_it_was() -> None:
    def author(prompt: Prompt) -> str:
        return knows(prompt) if attempts(prompt) or "dog" in field(prompt, "Rule") else answer("clown or circus")

    def make() -> Asker:
        return Asker(engine_of(author))

    draft = Draft(rules=(CLOWNS, DOGS))
    rounds: list[list[Decomposed]] = []
    whole = await decompose(draft, make(), DecomposeSettings(), on_round=lambda records: rounds.append(list(records)))
    assert [record.stop for record in whole] == ["reached", "reached"]
    assert len(rounds) == 4
    for kept in rounds:
        restored = [Decomposed.model_validate_json(record.model_dump_json()) for record in kept]
        assert restored == kept
        earlier = {record.rule_id: record for record in restored}
        assert await decompose(draft, make(), DecomposeSettings(), earlier=earlier) == whole


async def test_the_shipped_policy_can_be_decomposed_again(shipped: Draft) -> None:
    """A verifier without objections: what the policy's own expressions say comes out as it went in."""
    by_statement = {rule.statement: rule for rule in shipped.rules}

    def author(prompt: Prompt) -> str:
        rule = by_statement[field(prompt, "Rule")]
        return json.dumps({"preconditions": [], "violated_when": rule.violated_when})

    def case(prompt: Prompt) -> str:
        rule = by_statement[field(prompt, "Rule, true of exactly the pictures that break it")]
        ids = {precondition.statement: precondition.id for precondition in shipped.preconditions}
        world = {precondition.id: False for precondition in shipped.preconditions}
        world |= {ids[statement]: so for statement, so in facts(prompt).items()}
        verdict = "yes" if holds(parse(rule.violated_when), world) else "no"
        return json.dumps({"explanation": "x", "breaks_rule": verdict})

    records = await decompose(shipped, Asker(engine_of(author, case=case)), DecomposeSettings())
    assert {record.stop for record in records} == {"reached"}
    made = assemble(shipped, records, source="x")
    assert made.draft == shipped.unreviewed()
    assert all(2 <= len(record.attempts[0].cases) <= 12 for record in records)


@pytest.fixture
def shipped() -> Draft:
    return read_rules(constitution_path("general").read_text(encoding="utf-8"), "general")


def test_a_rule_of_an_unknown_category_is_reported_not_written() -> None:
    draft = Draft(rules=(CLOWNS.model_copy(update={"category": "x"}),), categories=(Category(id="y", title="Y"),))
    with pytest.raises(InvalidConstitution, match="unknown category 'x'"):
        assemble(draft, [Decomposed(rule_id="clowns", statement="A clown.", stop="unreadable")], source="x")
