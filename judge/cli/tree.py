"""A constitution as a tree in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from judge.report.policy_tree import Node, PolicyTree, RuleTree

_SEVERITIES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "dim"}


def print_policy(console: Console, policy: PolicyTree) -> None:
    """Category, rule, expression, preconditions; then which preconditions are shared."""
    root = Tree(Text.assemble((f"{policy.name} {policy.version}", "bold"), f"  {policy.description}"))
    for category in policy.categories:
        branch = root.add(Text.assemble((category.title, "bold"), (f"  {category.id}", "dim")))
        for rule in category.rules:
            _add(_add_rule(branch, rule), rule.tree, policy)
    console.print(root)
    shared = {id: use.rules for id, use in policy.preconditions.items() if len(use.rules) > 1}
    n_rules = sum(len(category.rules) for category in policy.categories)
    console.print(
        f"{n_rules} rules on {len(policy.preconditions)} preconditions, {len(shared)} of them shared; "
        f"digest {policy.digest[:12]}",
        highlight=False,
    )


def _add_rule(branch: Tree, rule: RuleTree) -> Tree:
    head = Text.assemble((rule.severity, _SEVERITIES[rule.severity]), "  ", (rule.id, "bold"), f"  {rule.text}")
    node = branch.add(head)
    node.add(Text(rule.statement, "italic"))
    return node


def _add(branch: Tree, node: Node, policy: PolicyTree) -> None:
    if node.op != "precondition":
        inner = branch.add(Text(node.title, "red" if node.op == "not" else "cyan"))
        for arg in node.args:
            _add(inner, arg, policy)
        return
    use = policy.preconditions[node.id]
    shared = f"  shared by {len(use.rules)} rules" if len(use.rules) > 1 else ""
    focus = f"  look at: {', '.join(use.focus)}" if use.focus else ""
    branch.add(Text.assemble(use.statement, (f"  {node.id}", "dim"), (shared, "blue"), (focus, "dim")))
