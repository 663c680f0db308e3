"""Measures judges on labelled media."""
