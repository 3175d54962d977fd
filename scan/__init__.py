"""What others know to be unsafe: templates against checkov's rules, locked packages against published advisories."""
