"""How pages are made: everything shown is escaped, no undefined name passes, no character acts on the page's text."""

from __future__ import annotations

import jinja2

from judge.report.plain import plain_text


def page_environment() -> jinja2.Environment:
    """Of the templates beside this file."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("judge", "report"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )


def _shown(value: object) -> object:
    return plain_text(value) if type(value) is str else value  # not what is markup already: macros
