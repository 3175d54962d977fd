"""The `ddbreplica` command, with which an operator controls a replication."""
