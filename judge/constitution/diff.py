"""What changed in meaning between two constitutions: rule by rule, exactly, with a case that shows it. Pure.

Preconditions are matched by id, or by their statement where only the id changed: what is asked is the statement.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, TypeVar

from judge.constitution.compare import Relation, difference, relation, renamed
from judge.constitution.schema import Category, Constitution, Precondition, Rule
from judge.constitution.syntax import Expression, names
from judge.errors import ConstitutionError
from judge.types import Wire

MEANING_FIELDS = ("category", "severity", "modalities")
"""Fields of a rule, beside its expression, that change what a verdict says."""
TEXT_FIELDS = ("text", "statement", "source", "examples")
"""Fields of a rule that people read; a stage that asks about whole rules reads `statement`, too."""

_Item = TypeVar("_Item", Category, Precondition, Rule)


class FieldChange(Wire):
    """One field, before and after, as text."""

    field: str
    """Its name."""
    old: str
    """Before."""
    new: str
    """After."""


class PreconditionChange(Wire):
    """One precondition that is not what it was. Readings carry over from `renamed` and `refocused` ones only."""

    id: str
    """In the new constitution; in the old one, if it was removed."""
    change: Literal["added", "removed", "renamed", "reworded", "refocused"]
    """What happened to it."""
    old: str = ""
    """The old statement, id or focus; empty if it was added."""
    new: str = ""
    """The new one; empty if it was removed."""
    rules: tuple[str, ...] = ()
    """Rules that use it."""


class RuleChange(Wire):
    """One rule that is not what it was."""

    id: str
    """Of the rule."""
    change: Literal["added", "removed", "changed"]
    """What happened to it."""
    meaning: Relation | Literal["unknown"] | None = None
    """How the new expression relates to the old one, if both are there; unknown = too entangled to compare."""
    old: str = ""
    """The old expression."""
    new: str = ""
    """The new expression."""
    gained: Mapping[str, bool] | None = None
    """A case that violates the new rule and not the old one; None if there is none."""
    lost: Mapping[str, bool] | None = None
    """A case that violated the old rule and does not violate the new one; None if there is none."""
    reworded: tuple[str, ...] = ()
    """Its preconditions that are asked in other words now: the comparison takes them for the same."""
    fields: tuple[FieldChange, ...] = ()
    """Other fields that changed."""

    @property
    def changes_meaning(self) -> bool:
        """False if only texts for people changed, or the expression is written differently."""
        if self.change != "changed" or self.meaning != "equivalent" or self.reworded:
            return True
        return any(field.field in MEANING_FIELDS for field in self.fields)


class CategoryChange(Wire):
    """One category that is not what it was."""

    id: str
    """Of the category."""
    change: Literal["added", "removed", "changed"]
    """What happened to it."""
    fields: tuple[FieldChange, ...] = ()
    """What changed in it."""


class Difference(Wire):
    """Everything that changed."""

    old: str
    """`name@version`."""
    new: str
    """`name@version`."""
    old_digest: str
    """sha256 of the old canonical form."""
    new_digest: str
    """sha256 of the new canonical form."""
    categories: tuple[CategoryChange, ...]
    """Changed categories."""
    preconditions: tuple[PreconditionChange, ...]
    """Changed preconditions."""
    rules: tuple[RuleChange, ...]
    """Changed rules: the new constitution's in its order, then removed ones."""
    reordered: bool
    """Whether the rules that both have stand in another order."""

    @property
    def changes_meaning(self) -> bool:
        """Whether some media may be decided or scored differently."""
        return any(rule.changes_meaning for rule in self.rules)


def compare(old: Constitution, new: Constitution) -> Difference:
    """The difference from `old` to `new`; empty lists where nothing changed."""
    ids = matched_ids(old.preconditions, new.preconditions)
    kept = {rule.id for rule in old.rules} & {rule.id for rule in new.rules}
    orders = [[rule.id for rule in each.rules if rule.id in kept] for each in (old, new)]
    return Difference(
        old=f"{old.name}@{old.version}",
        new=f"{new.name}@{new.version}",
        old_digest=old.digest,
        new_digest=new.digest,
        categories=tuple(_categories(old.categories, new.categories)),
        preconditions=tuple(_preconditions(old, new, ids)),
        rules=tuple(_rules(old, new, ids)),
        reordered=orders[0] != orders[1],
    )


def matched_ids(old: Sequence[Precondition], new: Sequence[Precondition]) -> dict[str, str]:
    """Old id -> the id under which the new constitution knows the precondition, or one that it does not have.

    The same statement comes first: under the same id, else under another. Then the same id, reworded. What is removed
    keeps its id, or is called `old:ID` if that is the id of something else now.
    """
    by_id = {each.id: each for each in new}
    matched = {each.id: each.id for each in old if each.id in by_id and by_id[each.id].statement == each.statement}
    free = {each.statement: each.id for each in reversed(new) if each.id not in matched}
    for each in old:
        if each.id not in matched and each.statement in free:
            matched[each.id] = free.pop(each.statement)
    taken = set(matched.values())
    for each in old:
        if each.id not in matched:
            matched[each.id] = f"old:{each.id}" if each.id in taken else each.id
    return matched


def _preconditions(old: Constitution, new: Constitution, ids: Mapping[str, str]) -> Iterator[PreconditionChange]:
    before = {ids[each.id]: each for each in old.preconditions}
    for each in new.preconditions:
        was = before.get(each.id)
        users = _users(new, each.id)
        if was is None:
            yield PreconditionChange(id=each.id, change="added", new=each.statement, rules=users)
            continue
        if was.id != each.id:
            yield PreconditionChange(id=each.id, change="renamed", old=was.id, new=each.id, rules=users)
        if was.statement != each.statement:
            yield PreconditionChange(id=each.id, change="reworded", old=was.statement, new=each.statement, rules=users)
        if was.focus != each.focus:
            focus = ", ".join(was.focus), ", ".join(each.focus)
            yield PreconditionChange(id=each.id, change="refocused", old=focus[0], new=focus[1], rules=users)
    known = {each.id for each in new.preconditions}
    for was in old.preconditions:
        if ids[was.id] not in known:
            yield PreconditionChange(id=was.id, change="removed", old=was.statement, rules=_users(old, was.id))


def _users(constitution: Constitution, id: str) -> tuple[str, ...]:
    return tuple(rule.id for rule in constitution.rules if id in names(constitution.expression(rule.id)))


def _rules(old: Constitution, new: Constitution, ids: Mapping[str, str]) -> Iterator[RuleChange]:
    before = {rule.id: rule for rule in old.rules}
    asked_before = {ids[each.id]: each.statement for each in old.preconditions}
    reworded = {each.id for each in new.preconditions if asked_before.get(each.id, each.statement) != each.statement}
    for rule in new.rules:
        was = before.get(rule.id)
        if was is None:
            yield RuleChange(id=rule.id, change="added", new=rule.violated_when)
            continue
        then, now = renamed(old.expression(rule.id), ids), new.expression(rule.id)
        change = _rule(was, rule, then, now, tuple(name for name in names(now) if name in reworded))
        if change.old != change.new or change.fields or change.reworded or then != now:
            yield change
    after = {rule.id for rule in new.rules}
    for was in old.rules:
        if was.id not in after:
            yield RuleChange(id=was.id, change="removed", old=was.violated_when)


def _rule(was: Rule, rule: Rule, then: Expression, now: Expression, reworded: tuple[str, ...]) -> RuleChange:
    gained = lost = None
    meaning: Relation | Literal["unknown"]
    try:
        gained, lost = difference(now, then), difference(then, now)
        meaning = relation(gained is not None, lost is not None)
    except ConstitutionError:
        meaning = "unknown"
    return RuleChange(
        id=rule.id,
        change="changed",
        meaning=meaning,
        old=was.violated_when,
        new=rule.violated_when,
        gained=gained,
        lost=lost,
        reworded=reworded,
        fields=tuple(_fields(was, rule, (*MEANING_FIELDS, *TEXT_FIELDS))),
    )


def _categories(old: Sequence[Category], new: Sequence[Category]) -> Iterator[CategoryChange]:
    before = {each.id: each for each in old}
    for each in new:
        was = before.pop(each.id, None)
        fields = tuple(_fields(was, each, ("title", "description", "mappings"))) if was else ()
        if was is None or fields:
            yield CategoryChange(id=each.id, change="changed" if was else "added", fields=fields)
    for id in before:
        yield CategoryChange(id=id, change="removed")


def _fields(was: _Item, now: _Item, fields: Iterable[str]) -> Iterator[FieldChange]:
    for field in fields:
        old, new = getattr(was, field), getattr(now, field)
        if old != new:
            yield FieldChange(field=field, old=_shown(old), new=_shown(new))


def _shown(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {', '.join(names)}" for name, names in value.items())
    if isinstance(value, tuple):
        return ", ".join(each if isinstance(each, str) else each.media for each in value)
    return str(value)
