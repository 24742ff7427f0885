"""Spread a training over the devices of one host, or over several hosts.

Each batch is cut into equal parts, one for each device; the weights are the same everywhere, and so is each step's
change of them.

- On TensorFlow (`tf.distribute.MirroredStrategy`), each device takes the loss of its own part, and the mean of these
  counts. The cross-entropy of a batch is that mean; the soft Dice of a batch is not the mean of its parts' Dice, and
  batch normalization sees each part alone, so that results differ a little from those of one device.
- On JAX (`keras.distribution.DataParallel`), loss and batch statistics are those of the whole batch, on one host or
  several: the results are those of one device, but for the order in which floats are added up.
- Keras has nothing of the kind for PyTorch.
"""

import collections
import contextlib
import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from recalib_keras.core.errors import TrainingError
from recalib_keras.training.distributed.rendezvous import answer_roll_call, call_roll


@dataclass(frozen=True)
class Distribution:
    """Where a training runs: as it stands, on one device; see `over_devices` and `over_hosts`.

    Args:
        devices: how many share a batch, those of all hosts together.
        hosts: how many there are.
        host: which of them this is, from 0; only host 0 writes files.
        scope: function that returns the context to build and fit the network in.
        together: function that returns the context of all that the hosts do in step; if one is lost, it raises a
            `TrainingError` on the others.
    """

    devices: int = 1
    hosts: int = 1
    host: int = 0
    scope: Callable = contextlib.nullcontext
    together: Callable = contextlib.nullcontext

    @property
    def is_first(self):
        """Whether this is the one host, or the first of several."""
        return self.host == 0

    def share(self, batch_size):
        """Returns which examples of a batch this host prepares, as a slice.

        Raises:
            ValueError: if the batch cannot be cut into equal parts.
        """
        if batch_size % self.devices:
            raise ValueError(
                f"expected a batch_size that {self.devices} devices can share evenly, got {batch_size}; change it in "
                "the recipe's [schedule], or take another number of devices"
            )
        size = batch_size // self.hosts
        return slice(self.host * size, (self.host + 1) * size)

    def agree(self, what, value) -> None:
        """Waits for all hosts to come here, and makes sure that they have the same.

        Args:
            what: what it is, for the message.
            value: anything whose `repr` tells all of it.

        Raises:
            ValueError: if a host has something else than host 0; on all hosts.
        """
        if self.hosts == 1:
            return
        digest = np.frombuffer(hashlib.sha256(repr(value).encode()).digest(), "uint8")
        digests = self._gathered(digest)
        others = [host for host in range(self.hosts) if not np.array_equal(digests[host], digests[0])]
        if others:
            raise ValueError(
                f"expected the same {what} on all {self.hosts} hosts, got another than host 0's on host "
                f"{', '.join(map(str, others))}; start all of them with the same files and arguments"
            )

    def wait(self) -> None:
        """Waits for all hosts to come here."""
        if self.hosts > 1:
            self._gathered(np.zeros(1))

    def check_shared(self, folder) -> None:
        """Makes sure that all hosts see one and the same folder.

        Raises:
            ValueError: if a host does not; on all hosts.
        """
        if self.hosts == 1:
            return
        token = self._gathered(np.random.default_rng().integers(2**31, size=1))[0].item()
        sign = folder / f".seen-by-all-{token}"
        if self.is_first:
            sign.touch()
        self.wait()
        seen = self._gathered(np.array([sign.exists()]))
        if self.is_first:
            sign.unlink()
        blind = [host for host in range(self.hosts) if not seen[host].item()]
        if blind:
            raise ValueError(
                f"expected all hosts to share the folder {folder}, but host {', '.join(map(str, blind))} does not see "
                "what host 0 writes there; choose one on a disk that all of them mount"
            )

    def _gathered(self, array):
        """Returns the arrays of all hosts, first axis the hosts."""
        from jax.experimental import multihost_utils

        return np.asarray(multihost_utils.process_allgather(array))


ONE_DEVICE = Distribution()


def over_devices(count):
    """Returns the `Distribution` over several devices of this host.

    Args:
        count: how many of the GPUs to take, or of the CPU's logical devices where there are no GPUs.

    Raises:
        ValueError: if there are fewer, or on PyTorch.
    """
    if count == 1:
        return ONE_DEVICE
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return Distribution(count, scope=_mirrored(count).scope)
    if backend == "jax":
        return Distribution(count, scope=_data_parallel(count).scope)
    raise ValueError(
        f"expected the TensorFlow or the JAX backend for several devices, got {backend!r}, for which Keras has no data "
        "parallelism; set KERAS_BACKEND to tensorflow or jax"
    )


def over_hosts(addresses, host, devices=None, timeout=300):
    """Joins the other hosts and returns the `Distribution` over all of them; on JAX, before anything is computed.

    Every host runs the same command with the same files, but for its number. The run's folder must be on a disk that
    all of them share; host 0 alone writes it.

    Args:
        addresses: sequence of `HOST:PORT`, one for each host. The port of the first must be open to the others; it
            does not matter for them, and may be left out.
        host: which of them this is, from 0.
        devices: how many to take on each host; all, by default.
        timeout: how long to wait for the other hosts, in seconds.

    Raises:
        ValueError: for a bad address or host, on another backend than JAX, or if a host has too few devices.
        OSError: if a host does not come in time or cannot be reached.
    """
    if keras.backend.backend() != "jax":
        raise ValueError(
            f"expected the JAX backend for several hosts, got {keras.backend.backend()!r}; set KERAS_BACKEND=jax"
        )
    if not 0 <= host < len(addresses):
        raise ValueError(f"expected a host index from 0 to {len(addresses) - 1}, got {host}")
    if host == 0:
        call_roll(addresses, timeout)
    else:
        answer_roll_call(addresses, host, timeout)
    import jax

    if hasattr(jax.config, "jax_enable_preemption_service"):  # it would keep SIGTERM from ending the process
        jax.config.update("jax_enable_preemption_service", False)
    jax.distributed.initialize(addresses[0], len(addresses), host, initialization_timeout=timeout)
    parallel = _data_parallel(devices, len(addresses))
    together = functools.partial(_together, host)
    distribution = Distribution(parallel.num_model_replicas, len(addresses), host, parallel.scope, together)
    with together():
        distribution.wait()  # connects them all while they are here: later, one may keep the others waiting
    return distribution


def accelerator():
    """Returns the name of the GPU that computes, such as `"NVIDIA H200"`, or None where a CPU does."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        devices = tf.config.list_physical_devices("GPU")
        return tf.config.experimental.get_device_details(devices[0]).get("device_name", "GPU") if devices else None
    if backend == "jax":
        import jax

        device = jax.devices()[0]
        return None if device.platform == "cpu" else device.device_kind
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


@functools.cache
def _mirrored(count):
    """Returns one and the same strategy each time: two over the same devices confuse each other's messages."""
    import tensorflow as tf

    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    names = [device.name for device in tf.config.list_logical_devices(kind)]
    _check_enough(count, names)
    return tf.distribute.MirroredStrategy(names[:count])


def _data_parallel(count, hosts=1):
    import jax

    by_host = collections.defaultdict(list)
    for device in jax.devices():
        by_host[device.process_index].append(f"{device.platform}:{device.id}")
    if count is None and len({len(names) for names in by_host.values()}) > 1:
        raise ValueError(
            f"expected as many devices on each host, found {', '.join(str(len(by_host[h])) for h in sorted(by_host))}; "
            "say with --devices how many to take on each"
        )
    for host in range(hosts):
        _check_enough(1 if count is None else count, by_host[host], f" on host {host}" if hosts > 1 else "")
    names = [name for host in range(hosts) for name in by_host[host][:count]]
    return keras.distribution.DataParallel(devices=names, auto_shard_dataset=False)


def _check_enough(count, names, where=""):
    if count < 1:
        raise ValueError(f"expected at least 1 device, got {count}")
    if len(names) < count:
        raise ValueError(f"expected {count} devices{where}, found {len(names)} ({', '.join(names)}); take fewer")


@contextlib.contextmanager
def _together(host):
    import jax

    try:
        yield
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        if isinstance(error, ValueError) and not any(name in str(error) for name in ("Gloo", "NCCL")):
            raise
        raise TrainingError(
            f"host {host} could not go on with the others ({error}); if one of them has stopped, mend what it says, "
            "then start all of them again with --resume"
        ) from error
