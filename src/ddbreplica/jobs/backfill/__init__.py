"""Copy the items that the source already has to the replica, as a job of workers."""
