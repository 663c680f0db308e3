"""A constitution as a tree that a person reads: category, rule, expression, precondition. Also as one HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, assert_never

from judge.constitution import And, AtLeast, Constitution, Example, Expression, Name, Not, Or, names
from judge.report.html import page_environment
from judge.types import Modality, Severity, Wire


class Node(Wire):
    """One part of an expression."""

    op: Literal["and", "or", "not", "at_least", "precondition"]
    """What it is."""
    count: int | None = None
    """Of `at_least`: how many of `args`."""
    id: str = ""
    """Of a precondition."""
    args: tuple[Node, ...] = ()
    """Its parts, in order."""

    @property
    def title(self) -> str:
        """In words."""
        match self.op:
            case "and":
                return "all of"
            case "or":
                return "any of"
            case "not":
                return "not"
            case "at_least":
                return f"at least {self.count} of"
            case "precondition":
                return self.id
        assert_never(self.op)


class RuleTree(Wire):
    """One rule."""

    id: str
    """Of the rule."""
    severity: Severity
    """How bad a violation is."""
    text: str
    """As a person wrote it."""
    statement: str
    """The same, objective."""
    violated_when: str
    """The expression, in canonical form."""
    modalities: tuple[Modality, ...]
    """Kinds of media it applies to."""
    source: str
    """Where it comes from."""
    examples: tuple[Example, ...]
    """Labelled cases."""
    tree: Node
    """The expression."""


class CategoryTree(Wire):
    """One category, with its rules in the constitution's order."""

    id: str
    """Of the category."""
    title: str
    """For people."""
    description: str
    """What falls under it."""
    mappings: Mapping[str, tuple[str, ...]]
    """Its names in other taxonomies."""
    rules: tuple[RuleTree, ...]
    """Its rules."""


class PreconditionUse(Wire):
    """One precondition, and who shares it."""

    statement: str
    """What is asked."""
    focus: tuple[str, ...]
    """Objects to look at."""
    rules: tuple[str, ...]
    """Rules that use it; more than one = shared."""


class PolicyTree(Wire):
    """The whole constitution."""

    name: str
    """Of the constitution."""
    version: str
    """Of the constitution."""
    description: str
    """What it is for."""
    digest: str
    """sha256 of its canonical form."""
    categories: tuple[CategoryTree, ...]
    """In order."""
    preconditions: Mapping[str, PreconditionUse]
    """By id, in order."""


def policy_tree(constitution: Constitution) -> PolicyTree:
    """The tree; a precondition stands in it wherever it is used, and is described once, in `preconditions`."""
    rules = {rule.id: _rule_tree(constitution, rule.id) for rule in constitution.rules}
    used = {rule.id: names(constitution.expression(rule.id)) for rule in constitution.rules}
    return PolicyTree(
        name=constitution.name,
        version=constitution.version,
        description=constitution.description,
        digest=constitution.digest,
        categories=tuple(
            CategoryTree(
                id=each.id,
                title=each.title,
                description=each.description,
                mappings=each.mappings,
                rules=tuple(rules[rule.id] for rule in constitution.rules if rule.category == each.id),
            )
            for each in constitution.categories
        ),
        preconditions={
            each.id: PreconditionUse(
                statement=each.statement,
                focus=each.focus,
                rules=tuple(id for id, ids in used.items() if each.id in ids),
            )
            for each in constitution.preconditions
        },
    )


def expression_tree(expression: Expression) -> Node:
    """As the policy's author grouped it."""
    match expression:
        case Name(id):
            return Node(op="precondition", id=id)
        case Not(arg):
            return Node(op="not", args=(expression_tree(arg),))
        case And(args):
            return Node(op="and", args=tuple(expression_tree(arg) for arg in args))
        case Or(args):
            return Node(op="or", args=tuple(expression_tree(arg) for arg in args))
        case AtLeast(count, args):
            return Node(op="at_least", count=count, args=tuple(expression_tree(arg) for arg in args))
        case _:
            assert_never(expression)


def render_policy(constitution: Constitution) -> str:
    """The tree as one page without external resources; everything shown is escaped."""
    return page_environment().get_template("policy.html.jinja").render(policy=policy_tree(constitution))


def _rule_tree(constitution: Constitution, id: str) -> RuleTree:
    rule = constitution.rule(id)
    return RuleTree(
        id=id,
        severity=rule.severity,
        text=rule.text,
        statement=rule.statement,
        violated_when=rule.violated_when,
        modalities=rule.modalities,
        source=rule.source,
        examples=rule.examples,
        tree=expression_tree(constitution.expression(id)),
    )
