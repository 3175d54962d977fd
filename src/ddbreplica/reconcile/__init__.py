"""Give the replica the source's state of keys, and remember which keys are open until that is certain."""
