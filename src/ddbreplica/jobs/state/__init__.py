"""Keep what the workers of a job share, in Amazon S3: states, open keys, the lease, and the stop marker."""
