"""Write the planned changes of a batch to the replica, and report the result of each."""
