"""The errors of this room."""


class TrainingError(RuntimeError):
    """A training cannot go on; the message says why and how to mend it."""
