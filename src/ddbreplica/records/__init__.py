"""Decode stream records, plan their writes, compare items and show them as text. Pure functions."""
