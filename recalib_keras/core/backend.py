"""The start of the numerical backend: quiet, and with as many threads as asked for."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

BACKENDS = ("tensorflow", "jax", "torch")


def start_backend(threads: int | None = None) -> None:
    """Imports Keras and its backend. Call it before anything else imports them.

    What the backend logs while it starts is shown only if the start fails.

    Args:
        threads: Number of CPU threads for each operation; None for all cores.

    Raises:
        ImportError: The backend that `KERAS_BACKEND` names is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with held_back_stderr():
        _import_keras()
        import keras

        backend = keras.backend.backend()
        if backend == "tensorflow":
            _start_tensorflow(threads)
        elif threads and backend == "torch":
            import torch

            torch.set_num_threads(threads)


def runs_on_tensorflow_cpu() -> bool:
    """Returns whether Keras computes with TensorFlow, which sees no GPU; imports both."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


def _import_keras():
    try:
        import keras  # noqa: F401
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if package not in BACKENDS:
            raise
        raise ImportError(
            f"Keras's backend {package!r} is not installed; run: pip install {package}, or name another in "
            f"KERAS_BACKEND: {', '.join(BACKENDS)}"
        ) from None


def _start_tensorflow(threads):
    import tensorflow as tf

    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    # A process may train or run many networks, which TensorFlow takes for one that is compiled again and again.
    tf.get_logger().setLevel("ERROR")
    tf.config.list_physical_devices()
    tf.zeros(())  # the first tensor sets up the device, which logs a line


@contextlib.contextmanager
def held_back_stderr() -> Iterator[None]:
    """Holds back what anything, C++ included, writes to stderr; shows it if the block raises."""
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
