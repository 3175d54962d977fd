"""Decide which suspected differences are differences, with the source's stream as the witness of changes."""
