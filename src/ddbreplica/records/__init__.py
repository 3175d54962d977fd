"""What a stream's records and a table's items say, compared, planned and written as text. Pure."""
