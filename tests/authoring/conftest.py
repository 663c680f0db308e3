"""Property tests: the same examples in every run, no time limit per example, nothing written to disk."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("reproducible", derandomize=True, deadline=None, database=None)
settings.load_profile("reproducible")
