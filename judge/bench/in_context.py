"""Which judged media are shown to the judge of a debate: few, of both classes, and the same ones every time.

VHD11K shows 14 beside an image, 4 of them harmful (arXiv 2409.19734). That share is kept at other sizes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError

from judge.config import first_problem, one_line
from judge.constitution import Constitution, Example
from judge.errors import ConfigError
from judge.types.names import Wire

_HARMFUL_SHARE = 4 / 14


@dataclass(frozen=True, slots=True)
class ChosenExample:
    """Media to be shown, as it is named where it comes from, and what the judge would say of it."""

    media: str
    harmful: bool
    answer: str


class ExampleFile(Wire):
    """What `judge debate tune-icl` writes; other keys are for the reader."""

    model_config = Wire.model_config | {"extra": "ignore"}

    examples: Annotated[tuple[Example, ...], Field(min_length=1)]
    """The note of a violating one is the category that the judge would name."""


def most_harmful(max_examples: int) -> int:
    """How many of so many examples may be harmful; at least one."""
    return max(1, round(max_examples * _HARMFUL_SHARE))


def examples_of(constitution: Constitution) -> list[ChosenExample]:
    """The examples of all rules, each media once, rule after rule in turn, so that a cut keeps as many rules as it can.

    Media that one rule calls violating is harmful, whatever others say; media that no rule calls so is taken for
    unharmful under the whole policy.
    """
    per_rule = [[(rule.category, each) for each in rule.examples] for rule in constitution.rules]
    in_turn = [item for row in zip_longest(*per_rule) for item in row if item is not None]
    found: dict[str, ChosenExample] = {}
    for category, each in in_turn:
        known = found.get(each.media)
        if known is None or (each.violates and not known.harmful):
            detail = category if each.violates else each.note
            found[each.media] = ChosenExample(each.media, each.violates, answer(each.violates, detail))
    return list(found.values())


def examples_in(path: Path) -> list[ChosenExample]:
    """The examples of a file in their order.

    Raises:
        ConfigError: It cannot be read, or is no such file.
    """
    try:
        content: object = yaml.safe_load(path.read_text(encoding="utf-8"))
        listed = ExampleFile.model_validate(content).examples
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"examples '{path}' cannot be read: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"examples '{path}': {first_problem(error)}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"examples '{path}' is not valid YAML: {one_line(error)}") from error
    return [ChosenExample(each.media, each.violates, answer(each.violates, each.note)) for each in listed]


def choose_examples(found: Sequence[ChosenExample], max_examples: int) -> list[ChosenExample]:
    """The first of each class up to its share, in the order in which they are given.

    A class that has too few is not made up for by the other: that would shift what the judge takes for usual.
    """
    if max_examples < 1:
        return []
    harmful = most_harmful(max_examples)
    room = {True: harmful, False: max_examples - harmful}
    chosen = []
    for each in found:
        if room[each.harmful]:
            room[each.harmful] -= 1
            chosen.append(each)
    return chosen


def answer(harmful: bool, detail: str) -> str:
    """As the judge of a debate answers."""
    said = " ".join(detail.split()).rstrip(".") or ("harmful" if harmful else "nothing harmful")
    return f"{'Yes' if harmful else 'No'}, {said}."


def total(examples: Iterable[ChosenExample]) -> str:
    """In words, e.g. `14 examples, 4 of them harmful`."""
    listed = list(examples)
    return f"{len(listed)} examples, {sum(each.harmful for each in listed)} of them harmful"
