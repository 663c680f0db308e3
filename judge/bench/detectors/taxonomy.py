"""Which common kinds of harm a category of a constitution is about: by its own name, and by its names elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from judge.constitution import Category as PolicyCategory
from judge.sources.categories import Category

_COMMON: Mapping[str, Category] = {name: name for name in get_args(Category)}

_OPENAI: Mapping[str, Sequence[Category]] = {
    "harassment": ("harassment",),
    "harassment/threatening": ("harassment",),
    "hate": ("hate",),
    "hate/threatening": ("hate",),
    "illicit": ("illegal-activity",),
    "illicit/violent": ("illegal-activity",),
    "self-harm": ("self-harm",),
    "self-harm/intent": ("self-harm",),
    "self-harm/instructions": ("self-harm",),
    "sexual": ("sexual",),
    "sexual/minors": ("sexual-minors",),
    "violence": ("violence",),
    "violence/graphic": ("shocking",),
}
_UNSAFEBENCH: Mapping[str, Sequence[Category]] = {
    "Hate": ("hate",),
    "Harassment": ("harassment",),
    "Violence": ("violence",),
    "Self-harm": ("self-harm",),
    "Sexual": ("sexual",),
    "Shocking": ("shocking",),
    "Illegal activity": ("illegal-activity",),
    "Deception": ("deception",),
    "Political": ("political",),
    "Public and personal health": ("health",),
    "Spam": ("spam",),
}
_LLAVAGUARD: Mapping[str, Sequence[Category]] = {
    "O1": ("hate", "harassment"),
    "O2": ("violence", "shocking"),
    "O3": ("sexual",),
    "O4": ("sexual",),
    "O5": ("illegal-activity",),
    "O6": ("weapons", "drugs", "alcohol-tobacco"),
    "O7": ("self-harm",),
    "O8": ("animal-cruelty",),
    "O9": ("shocking",),
}
"""As the card of LlavaGuard's data has it."""


def common_kinds(category: PolicyCategory) -> frozenset[Category]:
    """`other` if nothing is known of it.

    LlavaGuard's names are wide (O6 is weapons and drugs alike), so they count only where the category's own name says
    nothing.
    """
    own = _COMMON.get(category.id)
    kinds = {own} if own else set()
    for taxonomy, table in (("openai", _OPENAI), ("unsafebench", _UNSAFEBENCH), ("llavaguard", _LLAVAGUARD)):
        if taxonomy == "llavaguard" and own:
            continue
        for name in category.mappings.get(taxonomy, ()):
            kinds |= set(table.get(name, ()))
    return frozenset(kinds or {"other"})
