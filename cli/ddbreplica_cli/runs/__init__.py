"""The functions that run the commands after click has parsed the options, and the modules that format results."""
