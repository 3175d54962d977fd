"""What every command shares: options, errors and exit status, output, progress and signals."""
