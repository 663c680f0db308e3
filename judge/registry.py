"""Names that stand for classes which are imported only when they are asked for.

Not for values that are cheap to import: a plain mapping serves those.
"""

from __future__ import annotations

import importlib
from typing import Generic, TypeVar, cast

from judge.errors import ConfigError, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """Maps names to ``"module:Class"``.

    Args:
        kind: What the names stand for, as error messages call it, e.g. ``"engine"``.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._targets: dict[str, str] = {}

    def register(self, name: str, target: str) -> None:
        """Add a name; nothing is imported yet.

        Raises:
            ConfigError: The name is taken by another target, or `target` is not ``"module:Class"``.
        """
        module, colon, attribute = target.partition(":")
        if not (module and colon and attribute):
            raise ConfigError(f"{self.kind} '{name}': target '{target}' is not of the form 'module:Class'")
        known = self._targets.setdefault(name, target)
        if known != target:
            raise ConfigError(f"{self.kind} '{name}' is already registered as '{known}'", hint="choose another name")

    def names(self) -> tuple[str, ...]:
        """Registered names, sorted."""
        return tuple(sorted(self._targets))

    def load(self, name: str) -> type[T]:
        """Import and return the class behind `name`.

        Raises:
            ConfigError: The name is unknown, or its module cannot be imported.
        """
        if name not in self._targets:
            raise ConfigError(f"unknown {self.kind} '{name}'", hint=did_you_mean(name, self.names()))
        module, _, attribute = self._targets[name].partition(":")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"{self.kind} '{name}' needs the package '{error.name}', which is not installed",
                hint="install the extra of visual-judge that brings it",
            ) from error
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"{self.kind} '{name}': cannot load '{self._targets[name]}': {error}") from error
        return cast("type[T]", found)
