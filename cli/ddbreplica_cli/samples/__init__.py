"""The web-log rows of the workshop: read, generated and written."""
