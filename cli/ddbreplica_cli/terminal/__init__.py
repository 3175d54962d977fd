"""Code that all commands share: options, errors, exit statuses, output, progress and signals."""
