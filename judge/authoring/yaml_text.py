"""Plain values -> YAML that people edit and that our strict reader takes back: no anchors, no tags, order kept."""

from __future__ import annotations

import yaml
from pydantic import JsonValue


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Several lines as a block: quoted, they would be unreadable."""
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Plain.add_representer(str, _text)


def dump_yaml(value: JsonValue, *, head: str = "") -> str:
    """Every line of `head` becomes a comment above."""
    comment = "".join(f"# {line}".rstrip() + "\n" for line in head.splitlines())
    return comment + yaml.dump(value, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=100)


def without_empty(value: JsonValue) -> JsonValue:
    """Leaves out empty text, empty lists and maps, and null, at every depth."""
    if isinstance(value, dict):
        inner = {key: without_empty(item) for key, item in value.items()}
        return {key: item for key, item in inner.items() if item not in ("", [], {}, None)}
    return [without_empty(item) for item in value] if isinstance(value, list) else value
