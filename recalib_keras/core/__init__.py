"""What knows no scan and no network: errors, messages, records, files."""
