"""Redrive by schedule: what is in doubt and what Lambda discarded is reconciled every few minutes."""
