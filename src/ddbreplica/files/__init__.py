"""Open the files of the user and temporary files safely, and read them within limits."""
