"""YAML text -> plain values, with the line of each. Knows YAML, knows nothing of constitutions but their ids.

Refused, because a policy needs none of it and a hostile file may: anchors and aliases (a few lines that unfold to
gigabytes), tags (types chosen by the file), several documents, deep nesting, duplicate keys (YAML keeps the last).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import yaml
from yaml.error import Mark as _Mark

from judge.constitution.problems import KINDS, InvalidConstitution, Place, Problem, where_of
from judge.errors import quoted

MAX_BYTES = 1_000_000
MAX_DEPTH = 12
TOO_LARGE = f"is larger than {MAX_BYTES:,} bytes"
TOO_LARGE_FIX = "a constitution is a few pages of text"
FORM_HINT = "see constitutions/README.md for the form"

Value = str | int | list["Value"] | dict[str, "Value"] | None | object
"""A plain value; a bare `object()` stands for a scalar that no field of ours may hold, such as a date."""


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file.

    Attributes:
        value: What it says.
        lines: Path -> 1-based line of the key or list item.
        found: Path -> what stands there, in words, e.g. `the number 1.0`.
        problems: Duplicate and unreadable keys; the first of two is kept.
    """

    value: Value
    lines: dict[Place, int] = field(default_factory=dict)
    found: dict[Place, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, path: Place) -> int:
        """Line of the path, or of the nearest thing around it that has one."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_document(text: str, source: str) -> Document:
    """Parses YAML.

    Raises:
        InvalidConstitution: It cannot be parsed at all, or uses a refused feature.
    """
    try:
        return _Reader().read(_compose(text))
    except _Refused as error:
        raise InvalidConstitution(
            [Problem(error.message, fix=error.fix, line=error.line, source=source)]
        ) from error.__cause__


class _Refused(Exception):
    def __init__(self, message: str, fix: str = "", line: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.line = line


def _compose(text: str) -> yaml.Node:
    if len(text) > MAX_BYTES or len(text.encode(errors="replace")) > MAX_BYTES:
        raise _Refused(TOO_LARGE, TOO_LARGE_FIX, 0)
    try:
        node = _Loader(text).get_single_node()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _Refused(f"holds the control character U+{error.character:04X}", "save it as plain text", line) from error
    except yaml.MarkedYAMLError as error:
        line, first = _line(error.problem_mark), _line(error.context_mark or error.problem_mark)
        start = f" that starts on line {first}" if first != line else ""
        context = f"{error.context}{start}, " if error.context else ""
        raise _Refused(f"is not valid YAML: {context}{error.problem}", line=line) from error
    except (ValueError, OverflowError) as error:  # "\UFFFFFFFF" in quotes, or a %YAML version of 5,000 digits
        raise _Refused("is not valid YAML: an escape or a number is out of range") from error
    if node is None:
        raise _Refused("the file is empty", FORM_HINT)
    return node


def _line(mark: _Mark | None) -> int:
    return 1 if mark is None else mark.line + 1


class _Loader(yaml.SafeLoader):
    """The safe loader, up to nodes only, that refuses what the head of this file lists while it reads."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        line = _line(event.start_mark)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            fix = "write the value out, or put the text in quotes"
            raise _Refused("uses a YAML anchor or alias (& or *)", fix, line)
        if getattr(event, "tag", None) is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            raise _Refused(f"uses the YAML tag {quoted(tag)}", "remove the tag, or put the text in quotes", line)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _Refused(f"is nested deeper than {MAX_DEPTH} levels", FORM_HINT, line)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Reader:
    def __init__(self) -> None:
        self._document = Document(None)

    def read(self, node: yaml.Node) -> Document:
        value = self._value(node, ())
        document = self._document
        return Document(value, document.lines, document.found, document.problems)

    def _value(self, node: yaml.Node, path: Place) -> Value:
        if isinstance(node, yaml.MappingNode):
            self._document.found[path] = "a map"
            return self._map(node, path)
        if isinstance(node, yaml.SequenceNode):
            self._document.found[path] = "a list"
            return self._list(node, path)
        value, self._document.found[path] = _scalar(node)
        return value

    def _list(self, node: yaml.SequenceNode, path: Place) -> Value:
        items: list[Value] = []
        for index, item in enumerate(node.value):
            self._document.lines[(*path, index)] = _line(item.start_mark)
            items.append(self._value(item, (*path, index)))
        return items

    def _map(self, node: yaml.MappingNode, path: Place) -> Value:
        values: dict[str, Value] = {}
        for key, item in node.value:
            line = _line(key.start_mark)
            if not isinstance(key, yaml.ScalarNode):
                self._report("a key must be plain text", "", line, path)
            elif key.value in values:
                inner = (*path, key.value)
                noun = "id" if len(path) == 1 and path[0] in KINDS else f"field {quoted(key.value)}"
                first = self._document.lines[inner]
                self._report(f"duplicate {noun}, first on line {first}", "rename or remove one of the two", line, inner)
            else:
                self._document.lines[(*path, key.value)] = line
                values[key.value] = self._value(item, (*path, key.value))
        return values

    def _report(self, message: str, fix: str, line: int, path: Place) -> None:
        self._document.problems.append(Problem(message, where_of(path), fix, path=path, line=line))


def _scalar(node: yaml.Node) -> tuple[Value, str]:
    """Reads one scalar as YAML 1.1 does, and says what it is: a bare `no` is false, a bare 1.10 the number 1.1."""
    text = str(node.value)
    match node.tag.removeprefix("tag:yaml.org,2002:"):
        case "str":
            return text, f"the text {quoted(text)}"
        case "null":
            return None, "nothing"
        case "bool":
            return text.lower() in ("true", "yes", "on"), f"the truth value {quoted(text)}"
        case "int" if text.isdecimal() and len(text) < 10:
            return int(text), f"the number {quoted(text)}"
        case "int" | "float":
            return object(), f"the number {quoted(text)}"
        case kind:
            return object(), f"the {'date' if kind == 'timestamp' else 'YAML special'} {quoted(text)}"
