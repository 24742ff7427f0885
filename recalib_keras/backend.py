"""Start the numerical backend: quietly, and on as many threads as asked for."""

import contextlib
import os
import sys
import tempfile


def start_backend(threads=None):
    """Imports Keras and its backend; call it before anything else that does.

    What the backend logs while it starts is held back, and shown only if it fails to start.

    Args:
        threads: number of CPU threads for each operation, or None for all cores.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _held_back_stderr():
        import keras

        backend = keras.backend.backend()
        if backend == "tensorflow":
            _start_tensorflow(threads)
        elif threads and backend == "torch":
            import torch

            torch.set_num_threads(threads)


def _start_tensorflow(threads):
    import tensorflow as tf

    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.config.list_physical_devices()
    tf.zeros(())  # the device is set up by the first tensor, and says so


@contextlib.contextmanager
def _held_back_stderr():
    """Holds back what is written to stderr by any means, C++ included; shows it if an exception passes."""
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(original, held.read())
            raise
        finally:
            os.dup2(original, 2)
            os.close(original)
