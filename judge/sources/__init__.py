"""Rows of media on disk, in tables, archives and data sets, as one stream: what to read and what is said of it.

Shared by `judge label` and `judge bench`; nothing is judged here, and nothing is decoded.
"""
