"""The folder of a run: its files, its checkpoint, its log, and its fingerprint."""
