"""Collect the differences of a verification, and turn them into a verdict, a report and a record."""
