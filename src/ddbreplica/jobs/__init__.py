"""Run bulk work inside AWS, cut into segments whose state is in Amazon S3."""
