"""The operator's side of ddbreplica: the `ddbreplica` command."""
