"""Harmfulness detectors behind one contract: ours at several settings, and those of others."""
