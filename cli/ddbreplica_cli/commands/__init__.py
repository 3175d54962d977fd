"""The options and the help of each command, a module each; the module of its name in `runs` does the work."""
