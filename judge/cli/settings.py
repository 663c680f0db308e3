"""What the options that choose an engine change in a configuration, for every command that has them."""

from __future__ import annotations

from judge.config import EngineConfig


def override_engine(
    base: EngineConfig, *, engine: str | None, model: str | None, device: str | None, dtype: str | None = None
) -> EngineConfig:
    """The configured engine with the options laid over it; an option that is None or empty changes nothing.

    What was set in neither place stays unset, so that a model's profile may fill it in.
    """
    options = {"name": engine, "model": model, "device": device, "dtype": dtype}
    return base.model_copy(update={name: value for name, value in options.items() if value})
