"""Reconcile the keys of the records that are in the buckets, and clear away what is done."""
