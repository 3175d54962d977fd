"""Give the replica the source's state of some keys, and record which keys are open until they are confirmed."""
