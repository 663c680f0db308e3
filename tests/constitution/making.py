"""Small policies for tests, as YAML text."""

from __future__ import annotations

from collections.abc import Mapping

import yaml


def policy(
    statements: Mapping[str, str],
    rules: Mapping[str, str | Mapping[str, object]],
    *,
    version: str = "1",
) -> str:
    """A valid policy: precondition id -> statement, rule id -> expression or fields that differ from the usual."""
    fields = {id: rule if isinstance(rule, Mapping) else {"violated_when": rule} for id, rule in rules.items()}
    usual = {"category": "harm", "severity": "high", "text": "No harm.", "statement": "It is harmed.", "source": "test"}
    document = {
        "name": "made",
        "version": version,
        "categories": {id: {"title": id} for id in {str({**usual, **f}["category"]) for f in fields.values()}},
        "preconditions": {id: {"statement": text, "focus": ["thing"]} for id, text in statements.items()},
        "rules": {id: {**usual, **each} for id, each in fields.items()},
    }
    return yaml.dump(document, Dumper=_Plain, sort_keys=False, width=1_000)


class _Plain(yaml.SafeDumper):
    """Writes a value that occurs twice out twice: constitutions know no aliases."""

    def ignore_aliases(self, data: object) -> bool:
        return True
