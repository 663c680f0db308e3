"""Replay of stored verdicts, against the real pipeline: what it says must be what judging again would say."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge.config import Cascade, DebateSettings, JudgeConfig, ReasoningSettings, Thresholds
from judge.constitution import (
    Constitution,
    Expression,
    canonical,
    is_contradiction,
    is_tautology,
    parse,
    parse_constitution,
)
from judge.engines.base import ModelInfo
from judge.engines.scripted import Answer, ScriptedEngine
from judge.errors import EngineError
from judge.pipeline import Judge
from judge.prompts.render import digests_in_use
from judge.replay import Conditions, Replay, replay
from judge.stages.prior_store import PriorStore
from judge.types import Domain, Frame, Media, MediaKind, Prompt, Verdict
from tests.constitution.making import policy
from tests.constitution.trees import LETTERS, expressions

STATEMENTS = {name: f"Sign {number} is on the wall." for number, name in enumerate(LETTERS)}
PLAIN = JudgeConfig(thresholds=Thresholds(preset="none"), cache=False)
EVERY = " and ".join(LETTERS)
DOMAIN = Domain("The picture is a drawing.", "drawings")

_reproducible = settings(max_examples=25, derandomize=True, deadline=None, database=None)

possible = expressions.filter(lambda tree: not is_tautology(tree) and not is_contradiction(tree))
trees = st.lists(possible, min_size=1, max_size=3)
levels = st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.75, 0.9, 1.0])
frames = st.lists(st.tuples(*[levels] * len(LETTERS)), min_size=1, max_size=3)


def made(rules: Mapping[str, str | Mapping[str, object]], statements: Mapping[str, str] = STATEMENTS) -> Constitution:
    return parse_constitution(policy(statements, rules), source="made")


def numbered(found: Sequence[Expression], *, every: bool = True) -> dict[str, str]:
    """Rules r0, r1...; a last one asks everything, so that no precondition is idle."""
    return {f"r{n}": canonical(tree) for n, tree in enumerate(found)} | ({"every": EVERY} if every else {})


def judged(
    constitution: Constitution,
    readings: Sequence[Sequence[float | Answer]],
    config: JudgeConfig = PLAIN,
    *,
    info: ModelInfo | None = None,
    prior: float = 0.3,
    kind: MediaKind = "image",
) -> Verdict:
    """One media whose frames give these readings for the letters."""

    def answer(prompt: Prompt) -> float | Answer:
        if DOMAIN.statement in prompt.messages[0].text:
            return float(prompt.frames[0].image[0, 0, 1]) / 255.0
        words = " ".join(message.text for message in prompt.messages)
        number = int(words.partition("Sign ")[2].split()[0])
        return readings[int(prompt.frames[0].image[0, 0, 0])][number] if prompt.frames else prior

    engine = ScriptedEngine(default=answer, info=info, default_generation="I look at the sign.")
    pixels = [np.array([[[index, 255 * (readings[index][0] != 0.0), 0]]], np.uint8) for index in range(len(readings))]
    media = Media("m" * 64, kind, tuple(Frame(n, float(n), image) for n, image in enumerate(pixels)), 1.0)
    (verdict,) = asyncio.run(Judge(engine, constitution, config, priors=PriorStore()).judge([media]))
    return Verdict.model_validate_json(verdict.model_dump_json())


def again(
    verdict: Verdict,
    constitution: Constitution,
    thresholds: Thresholds | None = None,
    made_under: Constitution | None = None,
) -> Replay:
    return replay(verdict, Conditions(constitution, digests_in_use(), thresholds, made_under))


def assert_reproduced(replayed: Replay, verdict: Verdict) -> None:
    assert tuple(rule.decision for rule in replayed.rules) == verdict.rules
    assert replayed.decision is not None
    assert (replayed.decision.label, replayed.decision.flagged, replayed.decision.score, replayed.decision.reason) == (
        verdict.decision,
        verdict.flagged,
        verdict.score,
        verdict.reason,
    )
    assert replayed.decision.category_scores == verdict.category_scores


@given(trees, frames)
@_reproducible
def test_an_unchanged_constitution_gives_the_stored_verdict_exactly(
    found: list[Expression], readings: list[tuple[float, ...]]
) -> None:
    constitution = made(numbered(found))
    verdict = judged(constitution, readings)
    assert_reproduced(again(verdict, constitution), verdict)


@given(trees, trees, st.tuples(*[levels] * len(LETTERS)))
@_reproducible
def test_one_frame_is_replayed_as_it_would_be_judged(
    old: list[Expression], new: list[Expression], readings: tuple[float, ...]
) -> None:
    constitution = made(numbered(new))
    verdict = judged(made(numbered(old)), [readings])
    assert_reproduced(again(verdict, constitution), judged(constitution, [readings]))


@given(trees, trees, frames, st.booleans())
@_reproducible
def test_what_is_known_of_several_frames_is_true(
    old: list[Expression], new: list[Expression], readings: list[tuple[float, ...]], said: bool
) -> None:
    constitution = made(numbered(new))
    verdict = judged(made(numbered(old)), readings)
    stored = verdict if said else verdict.model_copy(update={"n_frames": None})
    replayed, real = again(stored, constitution), judged(constitution, readings)
    for rule, truth in zip(replayed.rules, real.rules, strict=True):
        assert rule.outcome in (None, truth.outcome)
        assert (rule.outcome is None) == bool(rule.unknown)
    assert replayed.decision is None or replayed.decision.label == real.decision


@given(trees, st.tuples(*[levels] * len(LETTERS)), levels, st.sampled_from(["none", "threshold", "clue", "log_odds"]))
@_reproducible
def test_other_thresholds_are_replayed_as_they_would_be_judged(
    found: list[Expression], readings: tuple[float, ...], prior: float, preset: str
) -> None:
    constitution = made(numbered(found))
    verdict = judged(constitution, [readings], JudgeConfig(cache=False), prior=prior)
    other = Thresholds.model_validate({"preset": preset, "accept": 0.6, "reject": 0.4, "accept_margin": 0.5})
    real = judged(constitution, [readings], JudgeConfig(thresholds=other, cache=False), prior=prior)
    replayed = again(verdict, constitution, other)
    assert [rule.outcome for rule in replayed.rules] == [rule.outcome for rule in real.rules]
    assert replayed.decision is not None
    assert (replayed.decision.label, replayed.decision.score) == (real.decision, real.score)


def one(rule: str, *readings: float | Answer, **fields: object) -> tuple[Constitution, Verdict]:
    """A constitution of one rule over the first letters, and its verdict."""
    statements = {name: STATEMENTS[name] for name in LETTERS[: len(readings)]}
    constitution = made({"r": {"violated_when": rule, **fields}}, statements)
    return constitution, judged(constitution, [readings])


def unknown(replayed: Replay) -> list[str]:
    assert all((rule.decision is None) == bool(rule.unknown) for rule in replayed.rules)
    return [rule.unknown for rule in replayed.rules]


def test_a_precondition_never_asked_is_unknown_unless_it_cannot_matter() -> None:
    _, verdict = one("a", 1.0)
    wider = made({"r": "a and b.x", "s": "a or b.x"}, {name: STATEMENTS[name] for name in ("a", "b.x")})
    replayed = again(verdict, wider)
    assert unknown(replayed) == ["b.x was never asked", ""]
    assert [rule.outcome for rule in replayed.rules] == [None, "violated"]
    assert replayed.decision is not None
    assert replayed.decision.label == "unsafe"
    assert again(verdict, made({"r": "a and b.x"}, {n: STATEMENTS[n] for n in ("a", "b.x")})).decision is None


def test_readings_follow_the_statement_and_not_the_id() -> None:
    _, verdict = one("a and not b.x", 1.0, 0.0)
    renamed = made({"r": "p and not q"}, {"p": STATEMENTS["a"], "q": STATEMENTS["b.x"]})
    assert_reproduced(again(verdict, renamed), judged(renamed, [(1.0, 0.0)]))
    reworded = made({"r": "a and not b.x"}, {"a": "Sign 7 is on the wall.", "b.x": STATEMENTS["b.x"]})
    assert unknown(again(verdict, reworded)) == ["a was never asked"]


def test_another_template_is_another_question() -> None:
    constitution, verdict = one("a", 1.0)
    replayed = replay(verdict, Conditions(constitution, frozenset({"0" * 64})))
    assert unknown(replayed) == ["a was asked with another prompt template"]
    assert replayed.decision is None


def test_a_reading_that_was_not_taken_is_not_made_up() -> None:
    constitution, verdict = one("a", 1.0)
    assert unknown(again(verdict, constitution, Thresholds(preset="log_odds"))) == [
        "a lacks a reading that these thresholds need"
    ]


def test_low_label_mass_stays_undecided_and_settles_with_a_lower_threshold() -> None:
    constitution, verdict = one("a", Answer(1.0, mass=0.2))
    assert [rule.outcome for rule in again(verdict, constitution).rules] == ["abstained"]
    lower = Thresholds(preset="none", min_mass=0.1)
    assert [rule.outcome for rule in again(verdict, constitution, lower).rules] == ["violated"]


def test_outside_the_domain_stays_abstained_under_any_rule() -> None:
    info = ModelInfo("pen", "digest", DOMAIN)
    constitution = made({"r": "a"}, {"a": STATEMENTS["a"]})
    outside = judged(constitution, [(0.0,)], info=info)  # a first reading of 0 draws it outside
    inside = judged(constitution, [(1.0,)], info=info)
    wider = made({"r": "not a", "s": "a or b.x"}, {name: STATEMENTS[name] for name in ("a", "b.x")})
    assert "outside the model's domain" in outside.reason
    assert_reproduced(again(outside, constitution), outside)
    replayed = again(outside, wider)
    assert [(rule.outcome, rule.decision.reason) for rule in replayed.rules if rule.decision] == [
        ("abstained", outside.rules[0].reason)
    ] * 2
    assert [rule.outcome for rule in again(inside, wider).rules] == ["not_violated", "violated"]


def test_evidence_of_a_frame_outside_the_domain_proves_nothing() -> None:
    info = ModelInfo("pen", "digest", DOMAIN)
    constitution = made({"r": "a and b.x"}, {name: STATEMENTS[name] for name in ("a", "b.x")})
    verdict = judged(constitution, [(0.0, 1.0), (1.0, 0.0)], info=info)
    assert verdict.rules[0].reason.startswith("outside")
    assert_reproduced(again(verdict, constitution), verdict)
    other = made({"r": "b.x"}, {"b.x": STATEMENTS["b.x"]})
    assert unknown(again(verdict, other)) == ["of several frames, only the readings of one are stored"]


def test_a_failed_engine_stays_a_failure() -> None:
    constitution = made({"r": "a"}, {"a": STATEMENTS["a"]})
    engine = ScriptedEngine(default=EngineError("out of memory"))
    media = Media("m", "image", (Frame(0, 0.0, np.zeros((1, 1, 3), np.uint8)),), 0.0)
    (verdict,) = asyncio.run(Judge(engine, constitution, PLAIN, priors=PriorStore()).judge([media]))
    assert_reproduced(again(verdict, constitution), verdict)
    wider = made({"r": "a", "s": "b.x"}, {name: STATEMENTS[name] for name in ("a", "b.x")})
    replayed = again(verdict, wider)
    assert [rule.decision.reason for rule in replayed.rules if rule.decision] == [
        "the engine failed: out of memory"
    ] * 2


@pytest.mark.parametrize("kind", ["image", "video"])
def test_rules_apply_by_the_kind_of_media(kind: MediaKind) -> None:
    statements = {name: STATEMENTS[name] for name in ("a", "b.x")}
    both = made({"r": "a", "s": {"violated_when": "b.x", "modalities": ["image"]}}, statements)
    verdict = judged(both, [(1.0, 1.0)], kind=kind)
    assert_reproduced(again(verdict, both), verdict)
    silent = verdict.model_copy(update={"media_kind": None})
    assert unknown(again(silent, both))[1] == (
        "the stored verdict does not say whether the media is an image or a video"
    )


SLOW = JudgeConfig(
    thresholds=Thresholds(preset="none"), cascade=Cascade(reasoning=ReasoningSettings(enabled=True)), cache=False
)


@given(trees, frames)
@_reproducible
def test_slow_stages_are_reproduced_too(found: list[Expression], readings: list[tuple[float, ...]]) -> None:
    constitution = made(numbered(found))
    verdict = judged(constitution, readings, SLOW)
    assert_reproduced(again(verdict, constitution), verdict)


@given(trees, frames)
@_reproducible
def test_readings_of_whole_rules_are_reproduced_while_the_rules_stay(
    found: list[Expression], readings: list[tuple[float, ...]]
) -> None:
    config = JudgeConfig(thresholds=Thresholds(preset="none"), cascade=Cascade(holistic_weight=0.5), cache=False)
    rules = {id: {"violated_when": each, "statement": f"Sign {n % 5} breaks a rule."}
             for n, (id, each) in enumerate(numbered(found).items())}  # fmt: skip
    constitution = made(rules)
    verdict = judged(constitution, readings, config)
    assert_reproduced(again(verdict, constitution), verdict)
    reworded = made({id: {**rule, "statement": "It is another rule."} for id, rule in rules.items()})
    assert again(verdict, reworded).decision is None
    assert {rule.outcome for rule in again(verdict, reworded).rules} == {None}


def test_an_abstention_behind_slow_stages_is_unknown_once_the_rules_change() -> None:
    constitution = made({"r": "a", "s": "b.x"}, {name: STATEMENTS[name] for name in ("a", "b.x")})
    verdict = judged(constitution, [(1.0, 0.5)], SLOW)  # `r` decides: nothing is reasoned about
    assert [rule.outcome for rule in verdict.rules] == ["violated", "abstained"]
    fewer = made({"s": "b.x"}, {"b.x": STATEMENTS["b.x"]})
    assert unknown(again(verdict, fewer)) == ["slow stages might have been asked about it under these rules"]
    thresholds = Thresholds(preset="none", accept=0.4)
    assert set(unknown(again(verdict, constitution, thresholds))) == {
        "other thresholds would have sent other questions to the slow stages"
    }


def test_stored_text_that_is_no_expression_is_unknown_or_judged_from_its_evidence() -> None:
    constitution, verdict = one("a", 1.0)
    (rule,) = verdict.rules
    spoilt = verdict.model_copy(update={"rules": (rule.model_copy(update={"expression": ") or ("}),)})
    assert [each.outcome for each in again(spoilt, constitution).rules] == ["violated"]
    several = spoilt.model_copy(update={"n_frames": 2})
    assert [each.outcome for each in again(several, constitution).rules] == ["violated"]


def test_rules_of_another_policy_are_unknown() -> None:
    _, verdict = one("a", 0.0)
    other = made({"r": "b.x"}, {"b.x": STATEMENTS["b.x"]})
    assert unknown(again(verdict, other)) == ["b.x was never asked"]
    assert again(verdict, other).decision is None


@pytest.mark.parametrize(
    ("new", "outcome"),
    [
        ("b.x and a", "not_violated"),  # means the same
        ("a and b.x and c_1", "not_violated"),  # implies a rule that no frame violates
        ("a or b.x", "violated"),  # a kept frame shows it
        ("b.x and not a", None),  # the frame that would show it was not kept
    ],
)
def test_what_several_frames_settle(new: str, outcome: str | None) -> None:
    statements = {name: STATEMENTS[name] for name in ("a", "b.x", "c_1")}
    old = made({"r": "a and b.x", "s": "c_1"}, statements)
    verdict = judged(old, [(0.9, 0.1, 0.0), (0.0, 0.9, 0.0)])
    assert [(rule.outcome, rule.frame_index) for rule in verdict.rules] == [("not_violated", 0)] * 2
    used = {name: text for name, text in statements.items() if name in new}
    (rule,) = again(verdict, made({"new": new}, used)).rules
    assert (rule.outcome, rule.unknown) == (
        outcome,
        "" if outcome else "of several frames, only the readings of one are stored",
    )


def test_frames_in_time_settle_only_what_means_the_same() -> None:
    """A frame that shows a violation may be refuted by those around it."""
    statements = {name: STATEMENTS[name] for name in ("a", "b.x")}
    verdict = judged(made({"r": "a and b.x"}, statements), [(0.9, 0.1, 0.0), (0.0, 0.9, 0.0)])
    timed = verdict.model_copy(update={"duration_ms": 2000})
    same, other = (again(timed, made({"r": rule}, statements)).rules[0] for rule in ("b.x and a", "a or b.x"))
    assert (same.outcome, other.outcome) == ("not_violated", None)
    assert other.unknown.startswith("whether frames make a moment")


# --- debates about rules --------------------------------------------------------------------------------------


def debated(subject: str, rules: Mapping[str, str], *, said: str = "No, nothing.", reading: float = 0.1) -> Verdict:
    """Undecided letters, and a debate; its judge reads `reading`."""

    def answer(prompt: Prompt) -> float:
        return reading if "You are the judge" in prompt.messages[0].text else 0.5

    engine = ScriptedEngine(default=answer, default_generation="A sign.", generations={"You are the judge": said})
    debate = DebateSettings.model_validate({"enabled": True, "subject": subject, "max_questions": 16})
    config = PLAIN.model_copy(update={"cascade": Cascade(debate=debate)})
    media = Media("m" * 64, "image", (Frame(0, 0.0, np.zeros((1, 1, 3), np.uint8)),), 0.0)
    (verdict,) = asyncio.run(Judge(engine, made(rules), config, priors=PriorStore()).judge([media]))
    return Verdict.model_validate_json(verdict.model_dump_json())


@pytest.mark.parametrize("subject", ["precondition", "rule"])
@pytest.mark.parametrize(("said", "reading"), [("No, nothing.", 0.1), ("Hm.", 0.1), ("Yes, a sign.", 0.5)])
def test_a_debated_verdict_is_reproduced_under_its_own_constitution(subject: str, said: str, reading: float) -> None:
    rules = {"one": LETTERS[0], LETTERS[1]: EVERY}  # the second rule has the id of a precondition
    verdict = debated(subject, rules, said=said, reading=reading)
    assert any(item.stage == "debate" for rule in verdict.rules for item in rule.evidence)
    assert_reproduced(again(verdict, made(rules)), verdict)


def test_what_a_debate_said_of_a_rule_says_nothing_of_another() -> None:
    rules = {"one": f"{LETTERS[0]} and {LETTERS[1]}", "every": EVERY}
    verdict = debated("rule", rules)
    changed = made({"one": f"{LETTERS[0]} or {LETTERS[1]}", "every": EVERY})
    replayed = {rule.rule_id: rule for rule in again(verdict, changed).rules}
    assert replayed["one"].decision is None
    assert "read as a whole" in replayed["one"].unknown


def test_a_verdict_of_fitted_thresholds_stays_only_if_nothing_changes() -> None:
    constitution = made(numbered([parse("a")]))
    verdict = judged(constitution, [[1.0] * len(LETTERS)])
    fitted = {
        "versions": verdict.versions.model_copy(update={"calibrated": "f" * 64}),
        "decision": "uncertain",
        "flagged": None,
    }
    verdict = verdict.model_copy(update=fitted)
    same = again(verdict, constitution)
    assert same.decision is not None
    assert (same.decision.label, same.decision.flagged) == ("uncertain", None)
    other = again(verdict, made(numbered([parse("not a")])))
    assert (other.decision, other.rules[0].outcome) == (None, "not_violated")
    assert "fitted thresholds decided it" in other.unknown
