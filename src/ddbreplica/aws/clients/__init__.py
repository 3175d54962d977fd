"""The boto3 clients of the commands and of the worker: their credentials, and the checks of their responses."""
