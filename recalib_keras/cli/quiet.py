"""Keep a backend's start-up messages off the user's terminal."""

import logging
import os


def quiet_backend():
    """Silences what TensorFlow logs while it is imported; call it before the first import. Errors still show."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    logging.getLogger("absl").setLevel(logging.ERROR)
