"""Reduced ordered binary decision diagram of an expression: what makes its evaluation exact.

Equal functions have equal diagrams, so that "can this still change the outcome" is "does it occur in the diagram",
and a probability is one pass over the nodes, however often a name is repeated.
Source: Bryant, "Graph-Based Algorithms for Boolean Function Manipulation", IEEE Trans. Computers 1986.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import assert_never

from judge.constitution.syntax import And, AtLeast, Expression, Name, Not, Or, children, names
from judge.errors import ConstitutionError

MAX_WORK = 100_000
"""Tree nodes visited while a diagram is built; a rule of twenty preconditions needs some hundreds."""

FALSE, TRUE = 0, 1


@dataclass(frozen=True, slots=True)
class Diagram:
    """Nodes in bottom-up order, node `i` having number `i + 2`; 0 and 1 are the constants.

    Attributes:
        variables: Names, in the order they are tested.
        nodes: `(variable, number if false, number if true)`.
        root: The number of the top.
        work: Tree nodes visited to build it.
    """

    variables: tuple[str, ...]
    nodes: tuple[tuple[int, int, int], ...]
    root: int
    work: int = 0

    def given(self, known: Mapping[str, bool]) -> Diagram:
        """The diagram of what is left once the values of some names are known."""
        table = _Table()
        numbers = [FALSE, TRUE]
        for variable, low, high in self.nodes:
            value = known.get(self.variables[variable])
            if value is None:
                numbers.append(table.number(variable, numbers[low], numbers[high]))
            else:
                numbers.append(numbers[high] if value else numbers[low])
        return Diagram(self.variables, tuple(table.nodes), numbers[self.root])

    def support(self) -> frozenset[str]:
        """The names whose value matters."""
        reached = {self.root}
        for number in range(len(self.nodes) + 1, TRUE, -1):
            if number in reached:
                reached.update(self.nodes[number - 2][1:])
        return frozenset(self.variables[self.nodes[number - 2][0]] for number in reached if number > TRUE)

    def holds(self, true_names: Container[str]) -> bool:
        """Its value if exactly these names are true."""
        number = self.root
        while number > TRUE:
            variable, low, high = self.nodes[number - 2]
            number = high if self.variables[variable] in true_names else low
        return number == TRUE

    def example(self) -> dict[str, bool] | None:
        """Values of some names that make it true whatever the others are, few of them true; None if nothing does."""
        values: dict[str, bool] = {}
        number = self.root
        while number > TRUE:
            variable, low, high = self.nodes[number - 2]
            values[self.variables[variable]] = low == FALSE
            number = high if low == FALSE else low
        return values if number == TRUE else None

    def probability(self, p_true: Mapping[str, float]) -> float:
        """P(true) if the names are independent; `p_true` has every name in `variables`."""
        values = [0.0, 1.0]
        for variable, low, high in self.nodes:
            p = p_true[self.variables[variable]]
            values.append(p * values[high] + (1.0 - p) * values[low])
        return min(1.0, max(0.0, values[self.root]))  # rounding can leave [0, 1] by one unit


@lru_cache(maxsize=4096)
def diagram(expression: Expression) -> Diagram:
    """Builds the diagram by Shannon expansion in the order of first use.

    Raises:
        ConstitutionError: It repeats so many names that it cannot be built in reasonable time.
    """
    builder = _Builder(names(expression))
    root = builder.build(expression)
    return Diagram(builder.variables, tuple(builder.table.nodes), root, builder.work)


class _Table:
    """Gives equal nodes one number, and skips a node that does not depend on its variable."""

    def __init__(self) -> None:
        self.nodes: list[tuple[int, int, int]] = []
        self._numbers: dict[tuple[int, int, int], int] = {}

    def number(self, variable: int, low: int, high: int) -> int:
        if low == high:
            return low
        node = (variable, low, high)
        if node not in self._numbers:
            self.nodes.append(node)
            self._numbers[node] = len(self.nodes) + 1
        return self._numbers[node]


class _Builder:
    def __init__(self, variables: tuple[str, ...]) -> None:
        self.variables = variables
        self.table = _Table()
        self._rank = {name: rank for rank, name in enumerate(variables)}
        self._built: dict[Expression, int] = {}
        self.work = 0

    def build(self, rest: Expression | bool) -> int:
        if isinstance(rest, bool):
            return TRUE if rest else FALSE
        if rest not in self._built:
            self._spend(rest)
            variable = min(self._rank[name] for name in names(rest))
            name = self.variables[variable]
            low, high = (self.build(_assume(rest, name, value)) for value in (False, True))
            self._built[rest] = self.table.number(variable, low, high)
        return self._built[rest]

    def _spend(self, rest: Expression) -> None:
        self.work += _size(rest)
        if self.work > MAX_WORK:
            raise ConstitutionError(
                "repeats too many preconditions to be evaluated exactly", hint="split the rule into several rules"
            )


def _size(expression: Expression) -> int:
    return 1 + sum(_size(child) for child in children(expression))


def _assume(expression: Expression, name: str, value: bool) -> Expression | bool:
    """What is left of the expression once one name is known."""
    match expression:
        case Name(id):
            return value if id == name else expression
        case Not(arg):
            rest = _assume(arg, name, value)
            return not rest if isinstance(rest, bool) else Not(rest)
        case And(args):
            return _assume_count(len(args), args, name, value)
        case Or(args):
            return _assume_count(1, args, name, value)
        case AtLeast(count, args):
            return _assume_count(count, args, name, value)
        case _:
            assert_never(expression)


def _assume_count(count: int, args: tuple[Expression, ...], name: str, value: bool) -> Expression | bool:
    rests = [_assume(arg, name, value) for arg in args]
    needed = count - sum(rest is True for rest in rests)
    left = tuple(rest for rest in rests if not isinstance(rest, bool))
    if needed <= 0:
        return True
    if needed > len(left):
        return False
    if len(left) == 1:
        return left[0]
    if needed == 1:
        return Or(left)
    return And(left) if needed == len(left) else AtLeast(needed, left)
