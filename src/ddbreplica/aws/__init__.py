"""Make requests to AWS, check the responses and classify the errors."""
