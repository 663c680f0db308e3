"""Offline authoring of a constitution with a text model: rule text -> objective statement -> preconditions.

Everything made here is a draft for a person to review. Not here: reading and writing files (`judge.cli.authoring`),
judging media, what a constitution may hold (`judge.constitution`).
Source: CLUE (arXiv 2501.00192), its two offline steps, extended by a verifier.
"""

from judge.authoring.ask import Asker
from judge.authoring.assemble import Assembled, assemble
from judge.authoring.attempt import Decomposed
from judge.authoring.decompose import DecomposeSettings, decompose
from judge.authoring.decompose import reopened as reopened_decomposed
from judge.authoring.draft import Draft, DraftRule
from judge.authoring.objectify import Objectified, ObjectifySettings, objectify, with_statements
from judge.authoring.objectify import reopened as reopened_objectified
from judge.authoring.read import read_plain_rules, read_rules
from judge.authoring.render import templates_digest

__all__ = [
    "Asker",
    "Assembled",
    "DecomposeSettings",
    "Decomposed",
    "Draft",
    "DraftRule",
    "Objectified",
    "ObjectifySettings",
    "assemble",
    "decompose",
    "objectify",
    "read_plain_rules",
    "read_rules",
    "reopened_decomposed",
    "reopened_objectified",
    "templates_digest",
    "with_statements",
]
