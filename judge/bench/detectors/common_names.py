"""From names in other taxonomies, and from a constitution's categories, to the common names of kinds of harm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import get_args

from judge.constitution import Constitution
from judge.constitution.schema import Category as PolicyCategory
from judge.sources.categories import Category
from judge.types import Modality

Names = Mapping[str, tuple[Category, ...]]
COMMON: tuple[Category, ...] = get_args(Category)

OPENAI: Names = {
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
ON_PICTURES = ("self-harm", "self-harm/intent", "self-harm/instructions", "sexual", "violence", "violence/graphic")
"""What OpenAI's hosted service scores on pictures; its other categories are for text."""
_UNSAFEBENCH: Names = {
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
_LLAVAGUARD: Names = {
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
_COMMON: Names = {name: (name,) for name in COMMON}
_WIDE = ("openai", "unsafebench", "llavaguard")
_TABLES: Mapping[str, Names] = {
    "common": _COMMON, "openai": OPENAI, "unsafebench": _UNSAFEBENCH, "llavaguard": _LLAVAGUARD
}  # fmt: skip


def kinds_of(category: PolicyCategory) -> tuple[Category, ...]:
    """Common names of a constitution's category, in their own order; `other` if nothing is known of it.

    `mappings: {common: [...]}` says it exactly, and then nothing else counts. Without it: the category's own name if
    that is a common one, and its names in the other taxonomies, which are wider.
    """
    exact = _translated(category.mappings.get("common", ()), _COMMON)
    if exact:
        return _ordered(exact)
    own = set(_COMMON.get(category.id, ()))
    found = set(own)
    for taxonomy in _WIDE:
        if taxonomy == "llavaguard" and own:
            continue  # the widest: O6 is weapons and drugs alike
        found |= _translated(category.mappings.get(taxonomy, ()), _TABLES[taxonomy])
    return _ordered(found or {"other"})


def kinds_of_rules(constitution: Constitution, modalities: Iterable[Modality]) -> frozenset[Category]:
    """Common names of the categories that have a rule about such media."""
    wanted = set(modalities)
    used = {rule.category for rule in constitution.rules if wanted & set(rule.modalities)}
    return frozenset(kind for each in constitution.categories if each.id in used for kind in kinds_of(each))


def common_scores(constitution: Constitution, scores: Mapping[str, float]) -> dict[Category, float]:
    """The highest score of every common name, from scores by the constitution's own categories."""
    found: dict[Category, float] = {}
    for id, score in scores.items():
        for kind in kinds_of(constitution.category(id)):
            found[kind] = max(score, found.get(kind, 0.0))
    return {kind: found[kind] for kind in COMMON if kind in found}


def _translated(names: Iterable[str], table: Names) -> set[Category]:
    return {kind for name in names for kind in table.get(name, ())}


def _ordered(kinds: set[Category]) -> tuple[Category, ...]:
    return tuple(kind for kind in COMMON if kind in kinds)
