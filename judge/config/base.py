"""What every group of settings shares."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Margin = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Logit = Annotated[float, Field(allow_inf_nan=False)]


class Settings(BaseModel):
    """Base of every setting: frozen, and an unknown field is an error.

    Errors do not repeat what was written: it may be a key in the wrong place.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)


def settings_digest(settings: Settings) -> str:
    canonical = json.dumps(settings.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
