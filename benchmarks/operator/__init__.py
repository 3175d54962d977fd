"""Measure the commands, compared with loops that people write instead."""
