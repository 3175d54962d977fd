"""Reconcile the items of quarantined records and discarded batches, and move the objects that are done."""
