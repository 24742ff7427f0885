"""Training examples: where scans come from, how windows are drawn and changed."""
