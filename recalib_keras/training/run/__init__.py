"""The folder of a training run: checkpoint, log, fingerprint."""
