"""Files of the user and temporary files: opened safely, read within bounds."""
