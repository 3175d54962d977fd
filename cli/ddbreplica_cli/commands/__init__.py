"""The commands, a module each, and beside it the screens and the parts of a command that need one of their own."""
