"""The options and the help of each command. The module with the same name in `runs` runs the command."""
