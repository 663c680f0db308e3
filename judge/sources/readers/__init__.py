"""Readers of rows, one file per format. What the cells mean is not known here."""
