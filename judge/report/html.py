"""How pages are made: everything shown is escaped, no undefined name passes, no character acts on the page's text."""

from __future__ import annotations

import jinja2

from judge.report.plain import plain_text


def page_environment(package: str = "judge", folder: str = "report") -> jinja2.Environment:
    """Of the templates in this folder of a package, and of those beside this file."""
    loaders = [jinja2.PackageLoader(package, folder), jinja2.PackageLoader("judge", "report")]
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )


def _shown(value: object) -> object:
    return plain_text(value) if type(value) is str else value  # not what is markup already: macros
