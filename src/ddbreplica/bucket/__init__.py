"""Write and read the S3 buckets that keep records: the quarantine bucket and the on-failure bucket."""
