"""Workers of Dask: processes of this machine, or a cluster that runs already. `spreading` imports it, if needed."""

from __future__ import annotations

import contextlib
import importlib.util
import ipaddress
import itertools
import logging
import os
import queue
import secrets
import tempfile
import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Event, Future, KilledWorker, Nanny, Scheduler, Security, SpecCluster, get_worker
from distributed.diagnostics.plugin import WorkerPlugin
from distributed.utils import sync

from recalib_keras.core.errors import ClusterError
from recalib_keras.core.spreading.devices import share
from recalib_keras.core.spreading.workers import MOST_LOSSES, Done, Listener, Pool, Work, Workers

TICK = 0.2  # seconds between two calls of `Listener.on_tick`
PATIENCE = 60.0  # seconds for a scheduler to answer
EMPTY_AFTER = 10.0  # seconds without a worker after which a cluster is reported as empty
LOOPBACK = "127.0.0.1"
# A worker has one item at a time, also where Dask gives it several threads: a backend has one set of devices.
_one_at_a_time = threading.Lock()


@contextlib.contextmanager
def open_pool(workers: Workers) -> Iterator[Pool]:
    """Yields a pool of Dask workers; see `spreading.open_pool`.

    Args:
        workers: Where they are.
    """
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(_own(workers) if workers.count else _theirs(workers))
        yield DaskPool(client, is_own=workers.count is not None)


class DaskPool(Pool):
    """The workers of a Dask scheduler.

    Args:
        client: Client of the scheduler.
        is_own: Whether the scheduler runs in this process.
    """

    def __init__(self, client: Client, is_own: bool):
        self.client, self.is_own = client, is_own
        self.topic = f"recalib-{secrets.token_hex(8)}"
        # Of all that is ever spread: the scheduler may still know a key whose item was given up.
        self.numbers = itertools.count(1)
        has_page = importlib.util.find_spec("bokeh") is not None or not is_own
        self.dashboard = client.dashboard_link if has_page else None

    def spread(self, work: Work, items: Iterable[Any], listener: Listener | None = None) -> Iterator[Done]:
        """See `Pool.spread`."""
        yield from _Spread(self, work, iter(items), listener or Listener()).run()

    def workers(self) -> list[str]:
        """Returns the addresses of the workers.

        Raises:
            ClusterError: The scheduler has gone.
        """
        if self.client.status != "running":
            raise ClusterError(
                expected=f"the scheduler at {self.client.scheduler.address} to stay",
                received="no connection any more",
                remedy="start it again, and then this command: it resumes",
            )
        try:
            return list(self.client.nthreads())
        except OSError:  # it goes just now
            return []


@dataclass
class _Running:
    item: Any
    future: Future
    worker: str = ""
    losses_before: int = 0
    losses: int = 0
    is_stopped: bool = False


class _Spread:
    """One call of `DaskPool.spread`: what runs, and the events that workers and scheduler report.

    Dask calls back in threads of its own. They only put into a queue, and one thread takes from it.
    """

    def __init__(self, pool, work, items, listener):
        self.pool, self.work, self.items, self.listener = pool, work, items, listener
        self.running, self.events, self.is_exhausted = {}, queue.SimpleQueue(), False
        self._empty_since: float | None = time.monotonic()

    def run(self) -> Iterator[Done]:
        """Yields what becomes of each item."""
        client = self.pool.client
        client.subscribe_topic(self.pool.topic, lambda event: self.events.put(event[1]))
        client.subscribe_topic("all", self._on_scheduler_event)
        try:
            self._fill()
            while self.running:
                yield from self._take_events()
                self.listener.on_tick()
                self._fill()
            if not self.is_exhausted:
                raise RuntimeError("expected an item while none is worked on, got None")
        finally:
            for running in self.running.values():
                with contextlib.suppress(Exception):
                    running.future.cancel(force=True)
            for topic in (self.pool.topic, "all"):
                with contextlib.suppress(Exception):
                    client.unsubscribe_topic(topic)

    def _on_scheduler_event(self, event):
        """Receives all events of the scheduler; only workers that died unexpectedly matter here."""
        content = event[1]
        if isinstance(content, dict) and content.get("action") == "remove-worker" and not content.get("expected"):
            self.events.put({"died": content["worker"], "keys": set(content["processing-tasks"])})

    def _fill(self):
        """Gives an item to each idle worker; without workers, one item waits for the first."""
        workers = self.pool.workers()
        self._warn_if_empty(workers)
        while not self.is_exhausted and len(self.running) < max(1, len(workers)):
            try:
                item = next(self.items)
            except StopIteration:
                self.is_exhausted = True
                return
            if item is None:
                return
            self._begin(item)

    def _warn_if_empty(self, workers):
        if workers or self._empty_since is None:
            self._empty_since = None if workers else time.monotonic()
        elif time.monotonic() - self._empty_since > EMPTY_AFTER:
            address = self.pool.client.scheduler.address
            warnings.warn(f"the cluster at {address} has no workers yet; waiting for the first", stacklevel=2)
            self._empty_since = float("inf")

    def _begin(self, item, losses=0):
        key = f"{self.pool.topic}-{next(self.pool.numbers)}"
        # Not for a certain worker: Dask would keep a task waiting whose worker and all others have died.
        future = self.pool.client.submit(_work, self.work, item, self.pool.topic, key=key, pure=False)
        self.running[key] = _Running(item, future, losses_before=losses, losses=losses)
        future.add_done_callback(lambda future: self.events.put({"ended": future.key}))

    def _take_events(self):
        """Handles the next events, and yields the items that have ended; waits for events, but not for long."""
        try:
            event = self.events.get(timeout=TICK)
            while True:
                yield from self._handle(event)
                event = self.events.get_nowait()
        except queue.Empty:
            pass

    def _handle(self, event):
        if "ended" in event:
            yield from self._end(event["ended"])
        elif "died" in event:
            yield from self._lose(event["died"], event["keys"])
        elif event.get("key") in self.running:
            running = self.running[event["key"]]
            if "name" in event:
                running.worker = event["address"]
                self.listener.on_start(running.item, event["name"])
            elif not self.listener.on_report(running.item, event["report"]) and not running.is_stopped:
                running.is_stopped = True
                Event(event["key"], client=self.pool.client).set()

    def _lose(self, worker, keys):
        """Counts the death of a worker for the item that it had begun; `keys` are those of what it had not finished.

        Another worker may have finished the item by now, so that the state of its future does not matter here.
        """
        for key, running in list(self.running.items()):
            if running.worker == worker and key in keys:
                running.losses, running.worker = running.losses + 1, ""
                self.listener.on_loss(running.item)
                if running.losses == MOST_LOSSES:
                    running.future.cancel(force=True)
                    yield self._given_up(key)

    def _end(self, key):
        if key not in self.running:
            return
        running = self.running[key]
        error = self._error(running)
        if isinstance(error, KilledWorker):
            yield from self._killed(key)
            return
        del self.running[key]
        if running.is_stopped:
            Event(key, client=self.pool.client).clear()
        yield Done(running.item, None if error else running.future.result(), error)

    def _killed(self, key):
        """Begins an item again that the scheduler gives up, unless too many workers died while working on it.

        The scheduler also blames items that a dead worker had not begun yet, and may give up after fewer deaths.
        """
        running = self.running[key]
        if running.losses == running.losses_before:  # it died before it could say that it had begun
            running.losses += 1
            self.listener.on_loss(running.item)
        if running.losses >= MOST_LOSSES:
            yield self._given_up(key)
        else:
            del self.running[key]
            self._begin(running.item, running.losses)

    def _given_up(self, key):
        item = self.running.pop(key).item
        error = ClusterError(
            expected="a worker to finish it",
            received=f"{MOST_LOSSES} workers that died while working on it",
            remedy="look into their logs and at their memory, and run it again",
        )
        return Done(item, error=error, is_lost=True)

    def _error(self, running):
        if running.future.status == "cancelled":
            self.pool.workers()  # raises if the scheduler has gone
            return ClusterError(
                expected="a result", received="a task that was cancelled on the cluster", remedy="run it again"
            )
        error = running.future.exception()
        if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == __package__.split(".")[0]:
            raise ClusterError(
                expected="the same version of recalib-keras on every worker",
                received=f"one without {error.name}",
                remedy="install it there",
            ) from error
        return error


def _work(work, item, topic):
    """What a worker runs: the work on one item."""
    worker = get_worker()
    key = worker.get_current_task()

    def send(**content):
        sync(worker.loop, worker.scheduler.log_event, topic=topic, msg={"key": key, **content})

    def report(content):
        try:
            send(report=content)
            # Not by `Event`, which would open another connection.
            return _is_wanted(worker, key) and not sync(worker.loop, worker.scheduler.event_is_set, name=key)
        except OSError:  # the scheduler has gone
            return False

    with _one_at_a_time:
        send(address=worker.address, name=str(worker.name))
        return work(item, report)


def _is_wanted(worker, key):
    """Returns whether a process still waits for a task; none does once the one that asked for it has died."""
    task = worker.state.tasks.get(key)
    return task is not None and task.state != "cancelled" and worker.status.name == "running"


@contextlib.contextmanager
def _own(workers):
    """Starts workers on this machine; only this process can talk to them."""
    environments = [variables for variables, _ in share(workers.count, workers.threads)]
    has_tls = importlib.util.find_spec("cryptography") is not None
    security = Security.temporary() if has_tls else Security()
    # Dask serves health and metrics there too, so that it needs an address also without a page.
    page = {"dashboard": importlib.util.find_spec("bokeh") is not None, "dashboard_address": f"{LOOPBACK}:0"}
    both = {"host": LOOPBACK, "protocol": "tls://" if has_tls else "tcp://", "security": security}
    with contextlib.ExitStack() as stack:
        # What Dask writes to disk goes to a folder that ends with this process, never to the user's.
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="recalib-", ignore_cleanup_errors=True))
        stack.enter_context(dask.config.set({"distributed.worker.profile.enabled": False}))
        one = {**both, "nthreads": 1, "memory_limit": 0, "local_directory": scratch, "silence_logs": logging.CRITICAL}
        nannies = {
            f"worker-{number}": {"cls": Nanny, "options": {**one, "env": environment}}
            for number, environment in enumerate(environments, start=1)
        }
        options = {**both, **page, "port": 0, "allowed_failures": MOST_LOSSES - 1}
        scheduler = {"cls": Scheduler, "options": options}
        try:
            started = SpecCluster(
                workers=nannies, scheduler=scheduler, security=security, silence_logs=logging.CRITICAL
            )
        except RuntimeError as error:
            raise ClusterError(
                expected=f"{workers.count} worker processes",
                received=str(error),
                remedy='in a script of your own, start the work below if __name__ == "__main__": and save the script '
                "to a file",
            ) from error
        cluster = stack.enter_context(started)
        client = stack.enter_context(Client(cluster, security=security, set_as_default=False))
        client.register_plugin(_Log(workers.logs))
        yield client


@contextlib.contextmanager
def _theirs(workers):
    """Connects to a cluster that runs already, with the TLS of Dask's own configuration."""
    is_file = workers.scheduler is None
    where = os.fspath(workers.scheduler_file) if is_file else workers.scheduler
    options = {"scheduler_file" if is_file else "address": where}
    if is_file and not Path(where).exists():
        raise ClusterError(
            file=where, expected="a scheduler file", received="no such file", remedy="start `dask scheduler` with it"
        )
    try:
        client = Client(**options, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise ClusterError(
            expected=f"a Dask scheduler at {where}",
            received=f"{type(error).__name__}: {error}",
            remedy="start one with `dask scheduler`, and check the address and Dask's TLS configuration",
        ) from error
    with client:
        _check_encrypted(client.scheduler.address)
        yield client


def _check_encrypted(address):
    protocol, _, place = address.rpartition("://")
    if protocol not in ("tls", "wss", "inproc") and not is_loopback(place.rpartition(":")[0]):
        warnings.warn(
            f"the connection to {address} is not encrypted, and whoever reaches it can run programs as its workers; "
            "use it only on a network that you trust, or tls://",
            stacklevel=2,
        )


def is_loopback(host: str) -> bool:
    """Returns whether only this machine reaches a host.

    Args:
        host: Name or IP address.
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class _Log(WorkerPlugin):
    """Lets a worker process print to a file of its own.

    Args:
        folder: Folder of the files; None to discard what is printed.
    """

    name = "recalib-log"

    def __init__(self, folder):
        self.folder = None if folder is None else os.path.abspath(folder)

    def setup(self, worker):
        path = os.devnull
        if self.folder is not None:
            os.makedirs(self.folder, exist_ok=True)
            path = os.path.join(self.folder, f"{worker.name}.log")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        for stream in (1, 2):
            os.dup2(descriptor, stream)
        os.close(descriptor)
