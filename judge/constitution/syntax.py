"""The boolean language of `violated_when`: its tree, its parser, its canonical print.

    expression = term ("or" term)*              at_least(k, e1, ..., en) = at least k of the n hold
    term       = factor ("and" factor)*
    factor     = "not" factor | "(" expression ")" | "at_least" "(" k ("," expression)+ ")" | precondition id

Not here: what an expression means (`expression`), whether its names exist (`integrity`). No `eval` anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import assert_never

from judge.errors import ConstitutionError

MAX_LENGTH = 2_000
"""Characters in one expression."""
MAX_DEPTH = 32
"""Nested parentheses, `not` and `at_least`."""
MAX_NAMES = 64
"""Distinct preconditions in one expression."""
KEYWORDS = ("and", "or", "not", "at_least")
NAME_PATTERN = r"[a-z][a-z0-9_.-]*"

_TOKEN = re.compile(rf"\s+|(?P<word>{NAME_PATTERN})|(?P<number>[0-9]+)|(?P<mark>[(),])")
_SYNTAX_HINT = "use and, or, not, at_least(k, a, b), parentheses and lower-case precondition ids"
_LIMIT_HINT = "split the rule into several rules"


@dataclass(frozen=True, slots=True)
class Name:
    """A precondition, by id."""

    id: str


@dataclass(frozen=True, slots=True)
class Not:
    """True if its argument is false."""

    arg: Expression


@dataclass(frozen=True, slots=True)
class And:
    """True if all arguments are; a nested `And` is taken apart, so that equal meaning by grouping is equal."""

    args: tuple[Expression, ...]

    def __post_init__(self) -> None:
        flat = tuple(part for arg in self.args for part in (arg.args if isinstance(arg, And) else (arg,)))
        assert len(flat) >= 2
        object.__setattr__(self, "args", flat)


@dataclass(frozen=True, slots=True)
class Or:
    """True if any argument is; a nested `Or` is taken apart, as in `And`."""

    args: tuple[Expression, ...]

    def __post_init__(self) -> None:
        flat = tuple(part for arg in self.args for part in (arg.args if isinstance(arg, Or) else (arg,)))
        assert len(flat) >= 2
        object.__setattr__(self, "args", flat)


@dataclass(frozen=True, slots=True)
class AtLeast:
    """True if at least `count` arguments are; an argument listed twice counts twice."""

    count: int
    args: tuple[Expression, ...]

    def __post_init__(self) -> None:
        assert 1 <= self.count <= len(self.args)


Expression = Name | Not | And | Or | AtLeast


@lru_cache(maxsize=4096)
def parse(text: str) -> Expression:
    """Reads an expression; `parse(canonical(e)) == e` for every `e`.

    Raises:
        ConstitutionError: `column N: ...` (1-based), with a hint.
    """
    if len(text) > MAX_LENGTH:
        raise _error(MAX_LENGTH, f"longer than {MAX_LENGTH} characters", _LIMIT_HINT)
    expression = _Parser(text).whole()
    if len(names(expression)) > MAX_NAMES:
        raise ConstitutionError(f"uses more than {MAX_NAMES} preconditions", hint=_LIMIT_HINT)
    return expression


def canonical(expression: Expression) -> str:
    """Prints with the fewest parentheses, single spaces, and the order as written."""
    match expression:
        case Name(id):
            return id
        case Not(arg):
            return f"not {_wrapped(arg, And, Or)}"
        case And(args):
            return " and ".join(_wrapped(arg, Or) for arg in args)
        case Or(args):
            return " or ".join(canonical(arg) for arg in args)
        case AtLeast(count, args):
            return f"at_least({count}, {', '.join(canonical(arg) for arg in args)})"
        case _:
            assert_never(expression)


@lru_cache(maxsize=4096)
def names(expression: Expression) -> tuple[str, ...]:
    """Precondition ids in the order of their first use, each once."""
    return tuple(dict.fromkeys(_names(expression)))


def children(expression: Expression) -> tuple[Expression, ...]:
    """Direct arguments, in order."""
    match expression:
        case Name():
            return ()
        case Not(arg):
            return (arg,)
        case And(args) | Or(args) | AtLeast(_, args):
            return args
        case _:
            assert_never(expression)


def _names(expression: Expression) -> Iterator[str]:
    if isinstance(expression, Name):
        yield expression.id
    for child in children(expression):
        yield from _names(child)


def _wrapped(expression: Expression, *weaker: type[Expression]) -> str:
    text = canonical(expression)
    return f"({text})" if isinstance(expression, weaker) else text


def _error(column: int, message: str, hint: str = _SYNTAX_HINT) -> ConstitutionError:
    return ConstitutionError(f"column {column}: {message}", hint=hint)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # word, number, mark or end
    text: str
    column: int

    def __str__(self) -> str:
        if self.kind == "end":
            return "the end"
        return f"'{self.text}'" if len(self.text) <= 40 else f"'{self.text[:40]}...'"


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _error(position + 1, f"unexpected character {text[position]!r}")
        if match.lastgroup is not None:
            yield _Token(match.lastgroup, match.group(), position + 1)
        position = match.end()
    yield _Token("end", "", position + 1)


class _Parser:
    """Recursive descent; `_depth` bounds the recursion, whatever the text."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._next = 0
        self._depth = 0

    def whole(self) -> Expression:
        if self._peek().kind == "end":
            raise ConstitutionError("is empty", hint="write which preconditions make the rule violated")
        expression = self._or()
        if self._peek().kind != "end":
            raise _error(self._peek().column, f"expected 'and', 'or' or the end, found {self._peek()}")
        return expression

    def _or(self) -> Expression:
        args = [self._and()]
        while self._took("or"):
            args.append(self._and())
        return args[0] if len(args) == 1 else Or(tuple(args))

    def _and(self) -> Expression:
        args = [self._factor()]
        while self._took("and"):
            args.append(self._factor())
        return args[0] if len(args) == 1 else And(tuple(args))

    def _factor(self) -> Expression:
        token = self._take()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _error(token.column, f"nested deeper than {MAX_DEPTH} levels", _LIMIT_HINT)
        expression = self._factor_from(token)
        self._depth -= 1
        return expression

    def _factor_from(self, token: _Token) -> Expression:
        if token.text == "not":
            return Not(self._factor())
        if token.text == "(":
            expression = self._or()
            self._expect(")")
            return expression
        if token.text == "at_least":
            return self._at_least()
        if token.kind != "word" or token.text in KEYWORDS:
            raise _error(token.column, f"expected a precondition, found {token}")
        return Name(token.text)

    def _at_least(self) -> Expression:
        self._expect("(")
        number = self._take()
        if number.kind != "number":
            raise _error(number.column, f"at_least needs a whole number first, found {number}")
        args = []
        while self._took(","):
            args.append(self._or())
        self._expect(")")
        if not 1 <= int(number.text) <= len(args):
            raise _error(
                number.column,
                f"at_least({number.text}, ...) lists {len(args)} alternatives",
                f"the number must be from 1 to {len(args)}" if args else "list the alternatives: at_least(2, a, b, c)",
            )
        return AtLeast(int(number.text), tuple(args))

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._peek()
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def _took(self, text: str) -> bool:
        if self._peek().text != text:
            return False
        self._take()
        return True

    def _expect(self, text: str) -> None:
        token = self._take()
        if token.text != text:
            raise _error(token.column, f"expected '{text}', found {token}")
