"""Errors, messages, records and files: what all other modules build on. Knows neither scans nor networks."""
