"""Workers and what they do: where they are, what they report, and a pool that is this process alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from recalib_keras.core.spreading import devices

MOST_LOSSES = 3  # workers that may die while working on an item before it counts as failed
# What a worker calls: a function of an item, and of a function that reports progress and returns whether to continue.
Work = Callable[[Any, Callable[[Any], bool]], Any]


@dataclass(frozen=True)
class Workers:
    """Where work is done. Without arguments: in this process, one item after the other, which needs no Dask.

    Args:
        count: Number of worker processes to start on this machine, each with a GPU or a share of the cores.
        threads: CPU threads of each of them; None for an equal share of the cores.
        scheduler: Address of the scheduler of a Dask cluster that runs already, such as `"tls://HOST:8786"`, or the
            cluster, such as one of dask-jobqueue.
        scheduler_file: Instead of the address, the file that the scheduler has written (`dask scheduler
            --scheduler-file`).
        logs: Folder for what the processes of this machine print; None to discard it.

    Raises:
        ValueError: More than one place is given, or the count is below 1.

    Example:
        >>> Workers(), Workers(2).is_here
        (Workers(count=None, threads=None, scheduler=None, scheduler_file=None, logs=None), False)
    """

    count: int | None = None
    threads: int | None = None
    scheduler: Any = None
    scheduler_file: str | os.PathLike | None = None
    logs: str | os.PathLike | None = None

    def __post_init__(self):
        given = [place for place in (self.count, self.scheduler, self.scheduler_file) if place is not None]
        if len(given) > 1:
            raise ValueError(
                "expected one of --workers, --scheduler and --scheduler-file, got "
                f"{' and '.join(map(str, given))}; remove all but one"
            )
        if self.count is not None and self.count < 1:
            raise ValueError(f"expected at least 1 worker, got {self.count}; leave it out to work in this process")

    @property
    def is_here(self) -> bool:
        """Whether all work is done in this process."""
        return self.count is None and self.scheduler is None and self.scheduler_file is None

    @property
    def threads_each(self) -> int | None:
        """CPU threads of each worker; None for all that it has."""
        if self.threads is not None or self.count is None or devices.find_gpus():
            return self.threads
        return max(1, devices.count_cores() // self.count)


class Listener:
    """Receives events of the items that are worked on; a base class whose methods do nothing.

    All methods are called by the thread that takes the results of `Pool.spread`.
    """

    def on_start(self, item: Any, worker: str) -> None:
        """A worker has begun an item, for the first time or again.

        Args:
            item: The item.
            worker: Name of the worker.
        """

    def on_loss(self, item: Any) -> None:
        """A worker has died while working on an item; another worker will get the item.

        Args:
            item: The item.
        """

    def on_report(self, item: Any, report: Any) -> bool:
        """A worker reports how far it is; returns whether it should continue.

        Args:
            item: The item.
            report: What the worker has given.
        """
        return True

    def on_tick(self) -> None:
        """Time has passed; called a few times a second, in this process only when an item reports or ends."""


@dataclass(frozen=True)
class Done:
    """What became of an item.

    Args:
        item: The item.
        result: What the function returned.
        error: What it raised instead; a `ClusterError` if too many workers died while working on it.
        is_lost: Whether too many workers died while working on it.
    """

    item: Any
    result: Any = None
    error: Exception | None = None
    is_lost: bool = False


class Pool:
    """Workers that are ready. This one works in this process; see `open_pool`."""

    dashboard: str | None = None  # address of a web page that shows what the workers do

    def spread(self, work: Work, items: Iterable[Any], listener: Listener | None = None) -> Iterator[Done]:
        """Yields what becomes of each item, in the order in which they are finished.

        As many items are taken at a time as there are workers: what an item is may depend on earlier results.

        Args:
            work: Function of a module that workers can import. It is called with an item and with a function that
                takes a report and returns whether to continue; it should return soon after that is False.
            items: The items; None where there is no item now, and there may be one after others are finished.
            listener: Receives the events of the items.
        """
        listener = listener or Listener()

        def report(content):
            continues = listener.on_report(item, content)
            listener.on_tick()
            return continues

        for item in items:
            if item is None:
                raise RuntimeError("expected an item while none is worked on, got None")
            listener.on_start(item, "this process")
            listener.on_tick()
            try:
                done = Done(item, work(item, report))
            except Exception as error:
                done = Done(item, error=error)
            yield done
            listener.on_tick()
