"""Training on several devices of one host, or on several hosts.

Each batch is cut into equal parts, one for each device. The weights are the same on all devices, and so are their
updates.

- On TensorFlow (`tf.distribute.MirroredStrategy`), each device computes the loss of its own part, and the mean over
  devices is minimised. For the cross-entropy this is the loss of the batch. The soft Dice of a batch is not the mean of
  its parts' Dice, and batch normalization sees each part alone, so results differ a little from those of one device.
- On JAX (`keras.distribution.DataParallel`), loss and batch statistics are those of the whole batch, on one host or
  several. The results are those of one device, except for the order in which floats are added up.
- On PyTorch Keras has no data parallelism.
"""

import collections
import contextlib
import functools
import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from recalib_keras.core.errors import TrainingError
from recalib_keras.training.distributed.rendezvous import host_rendezvous, join_rendezvous


@dataclass(frozen=True)
class Distribution:
    """The devices and hosts of a training; by default one device. See `over_devices` and `over_hosts`.

    Args:
        devices: Number of devices that share a batch, on all hosts together.
        hosts: Number of hosts.
        host: Number of this host, from 0; only host 0 writes files.
        scope: Returns the context to build and fit the network in.
        together: Returns the context of everything that the hosts do in step. If one of them is lost, the context
            raises a `TrainingError` on the others.
    """

    devices: int = 1
    hosts: int = 1
    host: int = 0
    scope: Callable[[], AbstractContextManager] = contextlib.nullcontext
    together: Callable[[], AbstractContextManager] = contextlib.nullcontext

    @property
    def is_first(self) -> bool:
        """Whether this is the only host, or the first of several."""
        return self.host == 0

    def share(self, batch_size: int) -> slice:
        """Returns which examples of a batch this host prepares.

        Args:
            batch_size: Examples in a batch.

        Raises:
            ValueError: The batch cannot be cut into equal parts.
        """
        if batch_size % self.devices:
            raise ValueError(
                f"expected a batch_size that {self.devices} devices can share evenly, got {batch_size}; change it in "
                "the recipe's [schedule], or take another number of devices"
            )
        size = batch_size // self.hosts
        return slice(self.host * size, (self.host + 1) * size)

    def agree(
        self, what: str, value: object, remedy: str = "start all of them with the same files and arguments"
    ) -> None:
        """Waits for all hosts to call this, and checks that they have the same value.

        Args:
            what: What the value is, for the message.
            value: A value that its `repr` describes completely.
            remedy: What to do if they differ, for the message.

        Raises:
            ValueError: A host has another value than host 0; raised on all hosts.
        """
        if self.hosts == 1:
            return
        digest = np.frombuffer(hashlib.sha256(repr(value).encode()).digest(), "uint8")
        digests = self._gathered(digest)
        others = [host for host in range(self.hosts) if not np.array_equal(digests[host], digests[0])]
        if others:
            raise ValueError(
                f"expected the same {what} on all {self.hosts} hosts, got others than host 0's on host "
                f"{', '.join(map(str, others))}; {remedy}"
            )

    def wait(self) -> None:
        """Waits for all hosts to call this."""
        if self.hosts > 1:
            self._gathered(np.zeros(1))

    def check_shared(self, folder: Path) -> None:
        """Checks that all hosts see the same folder.

        Args:
            folder: The folder.

        Raises:
            ValueError: A host does not see it; raised on all hosts.
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
                f"expected all hosts to share the folder {folder}, got another one on host "
                f"{', '.join(map(str, blind))}, which does not see the files of host 0; choose a folder on a disk that "
                "all of them mount"
            )

    def _gathered(self, array):
        """Returns the arrays of all hosts, stacked along a new first axis."""
        from jax.experimental import multihost_utils

        return np.asarray(multihost_utils.process_allgather(array))


ONE_DEVICE = Distribution()


def over_devices(count: int) -> Distribution:
    """Returns the distribution over several devices of this host.

    Args:
        count: Number of GPUs to use, or of the CPU's logical devices if there is no GPU.

    Raises:
        ValueError: There are fewer devices, or the backend is PyTorch.
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


def over_hosts(addresses: Sequence[str], host: int, devices: int | None = None, timeout: int = 300) -> Distribution:
    """Joins the other hosts, and returns the distribution over all of them. Needs JAX, before it computes anything.

    Every host runs the same command with the same files, apart from its number. The run's folder must be on a disk
    that all hosts share; only host 0 writes to it.

    Args:
        addresses: `HOST:PORT` of each host. The port of the first one must be open to the others, whose ports may be
            left out.
        host: Number of this host, from 0.
        devices: Number of devices to use on each host; by default all.
        timeout: How long to wait for the other hosts, in seconds.

    Raises:
        ValueError: An address or the number of the host is invalid, the backend is not JAX, or a host has too few
            devices.
        OSError: A host does not report in time or cannot be reached.
    """
    if keras.backend.backend() != "jax":
        raise ValueError(
            f"expected the JAX backend for several hosts, got {keras.backend.backend()!r}; set KERAS_BACKEND=jax"
        )
    if not 0 <= host < len(addresses):
        raise ValueError(f"expected a host index from 0 to {len(addresses) - 1}, got {host}")
    if host == 0:
        host_rendezvous(addresses, timeout)
    else:
        join_rendezvous(addresses, host, timeout)
    import jax

    if hasattr(jax.config, "jax_enable_preemption_service"):  # it ignores SIGTERM
        jax.config.update("jax_enable_preemption_service", False)
    jax.distributed.initialize(addresses[0], len(addresses), host, initialization_timeout=timeout)
    parallel = _data_parallel(devices, len(addresses))
    together = functools.partial(_together, host)
    distribution = Distribution(parallel.num_model_replicas, len(addresses), host, parallel.scope, together)
    with together():
        distribution.wait()  # connects all hosts while they are known to be present
    return distribution


def accelerator() -> str | None:
    """Returns the name of the GPU in use, such as `"NVIDIA H200"`, or None on a CPU."""
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
    """Returns the same strategy each time, because the messages of two over the same devices get mixed up."""
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
            "expected the same number of devices on each host, got "
            f"{', '.join(str(len(by_host[h])) for h in sorted(by_host))}; set with --devices how many to use on each"
        )
    for host in range(hosts):
        _check_enough(1 if count is None else count, by_host[host], f" on host {host}" if hosts > 1 else "")
    names = [name for host in range(hosts) for name in by_host[host][:count]]
    return keras.distribution.DataParallel(devices=names, auto_shard_dataset=False)


def _check_enough(count, names, where=""):
    if count < 1:
        raise ValueError(f"expected `devices` to be at least 1, got {count}")
    if len(names) < count:
        raise ValueError(f"expected {count} devices{where}, got {len(names)} ({', '.join(names)}); use fewer")


@contextlib.contextmanager
def _together(host):
    import jax

    try:
        yield
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        if isinstance(error, ValueError) and not any(name in str(error) for name in ("Gloo", "NCCL")):
            raise
        raise TrainingError(
            expected="all hosts to train together",
            received=f"an error on host {host} ({error})",
            remedy="if one of them has stopped, fix what its message says, then start all of them again with --resume",
        ) from error
