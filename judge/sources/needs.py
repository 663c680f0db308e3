"""Packages that only some sources need, imported when they are."""

from __future__ import annotations

import importlib
from types import ModuleType

from judge.errors import ConfigError


def need(module: str, what: str, *, extra: str = "label") -> ModuleType:
    """Import a module of a package that may be missing.

    Raises:
        ConfigError: It is; the hint names the extra that brings it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ConfigError(
            f"{what} needs the package '{package}', which cannot be imported: {error}",
            hint=f"pip install 'visual-judge[{extra}]'",
        ) from error
