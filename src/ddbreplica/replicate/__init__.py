"""Write a batch's planned changes to the replica, and report what became of each."""
