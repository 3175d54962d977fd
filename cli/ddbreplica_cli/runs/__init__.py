"""What each command does once its options are read, a module each, and beside it what a command shows."""
