"""Spreads work: over this process, over worker processes of this machine, or over a Dask cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from recalib_keras.core.errors import missing_package
from recalib_keras.core.spreading.workers import MOST_LOSSES, Done, Listener, Pool, Work, Workers

__all__ = ["MOST_LOSSES", "Done", "Listener", "Pool", "Work", "Workers", "open_pool"]


@contextlib.contextmanager
def open_pool(workers: Workers | None = None) -> Iterator[Pool]:
    """Yields a pool of workers, and always stops at the end those that it started.

    The processes of this machine are started afresh (spawned), so that a script which uses them needs the usual
    `if __name__ == "__main__":`.

    Args:
        workers: Where the work is done; None for this process.

    Raises:
        ImportError: Dask is needed and not installed.
        ClusterError: The cluster cannot be reached.

    Example:
        >>> def double(number, report):
        ...     return 2 * number
        >>> with open_pool() as pool:
        ...     [done.result for done in pool.spread(double, [1, 2, 3])]
        [2, 4, 6]
    """
    workers = workers or Workers()
    if workers.is_here:
        yield Pool()
        return
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise missing_package("work on several workers", "Dask", 'pip install "recalib-keras[cluster]"') from error
    from recalib_keras.core.spreading import cluster

    with cluster.open_pool(workers) as pool:
        yield pool
